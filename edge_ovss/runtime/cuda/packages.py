"""Import pycuda and cuda-python if they are installed and fit the driver, else say what to do."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from edge_ovss._optional import require
from edge_ovss.errors import EdgeOvssError, MissingDependencyError
from edge_ovss.runtime.cuda.driver import cuda_driver

PYCUDA, CUDA_PYTHON = "pycuda", "cuda-python"
BY_CTYPES = "EDGE_OVSS_DEVICE_MEMORY=ctypes, which needs no package"


@dataclass(frozen=True)
class Way:
    """One way to device memory.

    Attributes:
        installed: Whether its package is installed.
        problem: What to do before it can be used; None if it works.
    """

    installed: bool
    problem: str | None


def load_pycuda() -> Any:  # noqa: ANN401 (a module)
    """Return pycuda's driver module, initialized.

    Raises:
        MissingDependencyError: It is not installed, or finds no device.
    """
    cuda: Any = require("pycuda.driver", extra="pycuda")
    try:
        cuda.init()
    except cuda.Error as err:
        raise _unfit(PYCUDA, str(err), f"Build pycuda here again, or use {BY_CTYPES}.") from err
    return cuda


def load_cuda_python() -> Any:  # noqa: ANN401 (a module)
    """Return the runtime bindings: `cuda.bindings.runtime`, formerly `cuda.cudart`.

    Raises:
        MissingDependencyError: They are not installed, or need a newer driver.
    """
    try:
        runtime = importlib.import_module("cuda.bindings.runtime")
    except ImportError:
        runtime = require("cuda.cudart", extra="cuda-python")
    # Bindings for a newer CUDA than the driver's can be imported, but then every call fails.
    status, *_ = runtime.cudaGetDeviceCount()
    if int(status) != 0:
        raise _unfit(CUDA_PYTHON, name_of(status), _older_bindings())
    return runtime


def look(load: Callable[[], object], module: str) -> Way:
    """Return whether `load` works, and what to do if not; `module` is looked up only."""
    try:
        load()
    except EdgeOvssError as err:
        installed = find_spec(module) is not None
        return Way(installed, f"{err.message} {err.hint}" if installed else err.hint)
    except Exception as err:  # a broken package is treated as unusable
        return Way(installed=True, problem=f"{type(err).__name__}: {err}")
    return Way(installed=True, problem=None)


def name_of(status: object) -> str:
    """Return the name of a status, such as "cudaErrorInsufficientDriver"."""
    return str(getattr(status, "name", status))


def _older_bindings() -> str:
    driver = cuda_driver()
    if driver is None:
        return "It needs an NVIDIA GPU with its driver."
    major = driver.device().cuda.split(".")[0]
    return f'pip install "cuda-bindings=={major}.*", which this driver knows, or use {BY_CTYPES}.'


def _unfit(package: str, why: str, hint: str) -> MissingDependencyError:
    message = f"Package {package} is installed but does not work with this machine's driver: {why}."
    return MissingDependencyError(message, hint=hint)
