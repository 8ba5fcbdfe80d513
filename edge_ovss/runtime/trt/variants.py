"""The two variants of TensorRT; the same code drives both, with the module as a parameter."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from edge_ovss._optional import is_installed
from edge_ovss.errors import MissingDependencyError, UsageError


@dataclass(frozen=True)
class Flavor:
    """One variant of TensorRT.

    Attributes:
        backend: Name of its backend.
        title: Product name.
        modules: Possible module names; the first one installed is used.
        extra: The extra of this package that installs it.
        capabilities: Compute capabilities that it can build for; None for the local GPU's.
        timing_cache: Whether a timing cache shortens its builds.
    """

    backend: str
    title: str
    modules: tuple[str, ...]
    extra: str
    capabilities: tuple[str, ...] | None
    timing_cache: bool

    @property
    def needs_gpu(self) -> bool:
        """Whether a build measures on the target GPU."""
        return self.capabilities is None


FLAVORS: dict[str, Flavor] = {
    "tensorrt": Flavor(
        backend="tensorrt",
        title="TensorRT",
        modules=("tensorrt", "tensorrt_bindings"),
        extra="tensorrt",
        capabilities=None,
        timing_cache=True,
    ),
    "tensorrt-rtx": Flavor(
        backend="tensorrt-rtx",
        title="TensorRT for RTX",
        modules=("tensorrt_rtx_bindings", "tensorrt_rtx"),
        extra="tensorrt-rtx",
        capabilities=("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"),
        timing_cache=False,
    ),
}


def flavor_of(backend: str) -> Flavor:
    """Return the variant behind a backend's name.

    Raises:
        UsageError: That backend does not use engines.
    """
    if backend in FLAVORS:
        return FLAVORS[backend]
    message = f"Engines cannot be built for '{backend}'; expected one of: {', '.join(FLAVORS)}."
    hint = "onnxruntime keeps its optimized graph (build); other backends run the bundle as it is."
    raise UsageError(message, hint=hint)


def installed_module(flavor: Flavor) -> str | None:
    """Return the name of the installed module, without importing it; None if there is none."""
    return next((name for name in flavor.modules if is_installed(name)), None)


def load_library(flavor: Flavor) -> ModuleType:
    """Import TensorRT.

    Raises:
        MissingDependencyError: It is not installed, or its libraries do not load.
    """
    name = installed_module(flavor)
    hint = install_hint(flavor)
    if name is None:
        message = f"{flavor.title} is not installed for this Python."
        raise MissingDependencyError(message, hint=hint)
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as err:
        message = f"{flavor.title} is installed as '{name}' but does not load: {err}."
        raise MissingDependencyError(message, hint=hint) from err


def install_hint(flavor: Flavor) -> str:
    """Return how to install a variant."""
    hint = f'pip install "edge-ovss[{flavor.extra}]"'
    if flavor.needs_gpu:
        hint += (
            "; on a Jetson it comes with JetPack (apt package python3-libnvinfer): make the "
            "virtual environment with --system-site-packages"
        )
    return hint


def library_version(library: ModuleType) -> str:
    """Return the full version, such as "10.3.0" or "1.7.1.116"."""
    return str(getattr(library, "__version__", "unknown"))
