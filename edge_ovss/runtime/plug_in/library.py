"""The plug-in of ONNX Runtime for TensorRT for RTX: its package, its registration, its devices."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge_ovss._optional import require
from edge_ovss.errors import ArtifactError, MissingDependencyError

BACKEND = "onnxruntime-rtx"
EXTRA = "onnxruntime-rtx"
MODULE = "onnxruntime_ep_nv_tensorrt_rtx"
TF32 = "NVIDIA_TF32_OVERRIDE"
OTHERS = "--backend onnxruntime-cuda or tensorrt"

# As `IsComputeCapabilitySupported` of its header says.
_CAPABILITIES = ("8.6", "8.9")
_ALL_FROM = 12.0
# What a session needs, new in ONNX Runtime 1.24.
_NEEDED = ("register_execution_provider_library", "get_ep_devices", "ModelCompiler")


@dataclass(frozen=True, eq=False)
class PlugIn:
    """The registered plug-in.

    Attributes:
        name: Of its execution provider.
        version: Of its package.
        devices: The GPU that it works on, as ONNX Runtime lists it; one.
    """

    name: str
    version: str
    devices: tuple[Any, ...]

    def options(self, session: Any, settings: Mapping[str, str]) -> None:  # noqa: ANN401
        """Let a session's options use the plug-in; what it cannot run goes to the CPU."""
        session.add_provider_for_devices(list(self.devices), dict(settings))


def takes(capability: str) -> bool:
    """Return whether the plug-in takes a GPU of this compute capability, such as "8.9"."""
    return capability in _CAPABILITIES or float(capability) >= _ALL_FROM


def refusal(name: str, capability: str) -> str | None:
    """Return why the plug-in does not take a GPU; None if it does."""
    if takes(capability):
        return None
    known = ", ".join(_CAPABILITIES)
    return (
        f"TensorRT for RTX in ONNX Runtime takes compute capability {known} and {_ALL_FROM:.1f} or "
        f"later; {name} has {capability}"
    )


def load_plug_in(runtime: ModuleType) -> PlugIn:
    """Import the plug-in's package and register its library, once per process.

    Args:
        runtime: The module onnxruntime.

    Raises:
        MissingDependencyError: ONNX Runtime is too old, the package is not installed, or its
            library does not load.
        ArtifactError: It takes none of the GPUs.
    """
    if not all(hasattr(runtime, name) for name in _NEEDED):
        here = getattr(runtime, "__version__", "unknown")
        message = f"Backend '{BACKEND}' needs onnxruntime 1.24 or later; here is {here}."
        raise MissingDependencyError(message, hint=f'pip install "edge-ovss[{EXTRA}]"')
    # FP32 is FP32. The plug-in has no option for that, but the library reads this when it loads.
    os.environ.setdefault(TF32, "0")
    # What it prints is for people, and the answer of a verb may be on stdout.
    with contextlib.redirect_stdout(sys.stderr):
        package: Any = require(MODULE, extra=EXTRA)
    name = str(package.get_ep_name())
    devices = _devices(runtime, name)
    if not devices:
        _register(runtime, package, name)
        devices = _devices(runtime, name)
    if not devices:
        message = f"{name} {package.__version__} lists no GPU of this machine."
        hint = f"Run edge-ovss doctor, or use {OTHERS}."
        raise ArtifactError(message, hint=hint)
    return PlugIn(name, str(package.__version__), devices[:1])


def tf32_is_allowed() -> bool:
    """Return whether the user lets FP32 be computed in TF32, by the library's own variable."""
    return os.environ.get(TF32, "0") != "0"


def _register(runtime: Any, package: Any, name: str) -> None:  # noqa: ANN401
    try:
        runtime.register_execution_provider_library(name, package.get_library_path())
    except Exception as err:  # ONNX Runtime raises a class of its own for every status
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
        message = f"The plug-in {name} {package.__version__} does not load: {reason}."
        hint = "It needs a driver with CUDA 13, and onnxruntime 1.24 or later: edge-ovss doctor"
        raise MissingDependencyError(message, hint=hint) from err


def _devices(runtime: Any, name: str) -> tuple[Any, ...]:  # noqa: ANN401
    return tuple(device for device in runtime.get_ep_devices() if device.ep_name == name)
