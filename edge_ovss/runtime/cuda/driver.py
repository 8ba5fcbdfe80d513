"""The CUDA driver through ctypes; every machine with an NVIDIA GPU has this library.

Versioned names (`_v2`) are those of the driver's ABI, the same in CUDA 11 to 13; headers map the
plain names to them.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

from edge_ovss.errors import ArtifactError, MissingDependencyError

_LIBRARIES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")
_CAPABILITY_MAJOR, _CAPABILITY_MINOR, _INTEGRATED = 75, 76, 18
_THREAD_LOCAL = 1
_NON_BLOCKING = 1
OUT_OF_MEMORY = 2

# Argument types by function; every function returns a CUresult.
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (c_void_p,),
    "cuDeviceGetCount": (c_void_p,),
    "cuDeviceGet": (c_void_p, c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (c_void_p, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (c_void_p, c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxPushCurrent_v2": (c_void_p,),
    "cuCtxPopCurrent_v2": (c_void_p,),
    "cuMemAlloc_v2": (c_void_p, c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (c_void_p, c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (c_void_p, c_uint),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, c_void_p),
    "cuGraphInstantiateWithFlags": (c_void_p, c_void_p, c_uint64),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
    "cuEventCreate": (c_void_p, c_uint),
    "cuEventDestroy_v2": (c_void_p,),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventElapsedTime": (c_void_p, c_void_p, c_void_p),
}


@dataclass(frozen=True)
class DeviceFacts:
    """The first CUDA device: name, compute capability ("8.7"), whether it shares host memory."""

    name: str
    capability: str
    integrated: bool
    cuda: str


def cuda_error(name: str, status: int, text: str) -> ArtifactError:
    """Return the error for a failed call, with a clear message if memory ran out.

    Args:
        name: Name of the function.
        status: Its return value; "out of memory" is 2 in both the driver and the runtime.
        text: Name of the status.
    """
    if status == OUT_OF_MEMORY:
        message = f"The GPU has no memory left ({name})."
        return ArtifactError(message, hint="Close other programs, or give smaller frames.")
    message = f"CUDA: {name} failed with error {status} ({text})."
    return ArtifactError(message, hint="Run edge-ovss doctor to see what this machine has.")


class CudaDriver:
    """The functions of the driver; a failing call raises an error that names the function."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401 (a ctypes library, or a fake one)
        self._library = library

    def call(self, name: str, *arguments: object) -> None:
        """Call a function of `FUNCTIONS`.

        Raises:
            ArtifactError: It fails; the message says so if memory ran out.
        """
        status = getattr(self._library, name)(*arguments)
        if status == 0:
            return
        raise cuda_error(name, status, "" if status == OUT_OF_MEMORY else self._error_name(status))

    def _error_name(self, status: int) -> str:
        text = c_char_p()
        self._library.cuGetErrorName(status, byref(text))
        return (text.value or b"unknown").decode()

    def device(self) -> DeviceFacts:
        """Return the facts of the first device."""
        device, version, name = c_int(), c_int(), ctypes.create_string_buffer(128)
        self.call("cuDeviceGet", byref(device), 0)
        self.call("cuDeviceGetName", name, len(name), device)
        self.call("cuDriverGetVersion", byref(version))
        major, minor = self._attribute(_CAPABILITY_MAJOR), self._attribute(_CAPABILITY_MINOR)
        return DeviceFacts(
            name=name.value.decode(errors="replace"),
            capability=f"{major}.{minor}",
            integrated=bool(self._attribute(_INTEGRATED)),
            cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
        )

    def _attribute(self, attribute: int) -> int:
        value = c_int()
        self.call("cuDeviceGetAttribute", byref(value), attribute, 0)
        return value.value

    def handle(self, name: str, *arguments: object) -> int:
        """Call a function that returns a handle or pointer in its first argument."""
        value = c_void_p()
        self.call(name, byref(value), *arguments)
        return value.value or 0

    def begin_capture(self, stream: int) -> None:
        """Start recording work queued on `stream` instead of running it."""
        self.call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """Return the recorded work as a graph for `launch`.

        Raises:
            ArtifactError: Some work cannot be recorded; the stream is usable again.
        """
        graph = self.handle_after("cuStreamEndCapture", stream)
        try:
            return self.handle("cuGraphInstantiateWithFlags", graph, 0)
        finally:
            self.call("cuGraphDestroy", graph)

    def handle_after(self, name: str, argument: int) -> int:
        """Call a function that returns a handle in its second argument."""
        value = c_void_p()
        self.call(name, argument, byref(value))
        return value.value or 0

    def launch(self, graph: int, stream: int) -> None:
        """Queue a captured graph."""
        self.call("cuGraphLaunch", graph, stream)

    def free_graph(self, graph: int) -> None:
        """Free a captured graph."""
        self.call("cuGraphExecDestroy", graph)

    def create_event(self) -> int:
        """Return a new event that records a time."""
        return self.handle("cuEventCreate", 0)

    def record(self, event: int, stream: int) -> None:
        """Queue an event, which takes the time when all work queued before it is done."""
        self.call("cuEventRecord", event, stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the milliseconds between two completed events."""
        value = c_float()
        self.call("cuEventElapsedTime", byref(value), start, end)
        return value.value

    def free_event(self, event: int) -> None:
        """Free an event."""
        self.call("cuEventDestroy_v2", event)

    def create_stream(self) -> int:
        """Return a new stream that does not synchronize with the default stream."""
        return self.handle("cuStreamCreate", _NON_BLOCKING)


@functools.lru_cache(maxsize=1)
def cuda_driver() -> CudaDriver | None:
    """Return the driver, or None if there is none or it has no device."""
    library = _load()
    if library is None:
        return None
    for name, arguments in FUNCTIONS.items():
        getattr(library, name).argtypes = arguments
    library.cuGetErrorName.argtypes = (c_int, c_void_p)
    count = c_int()
    if library.cuInit(0) != 0 or library.cuDeviceGetCount(byref(count)) != 0 or not count.value:
        return None
    return CudaDriver(library)


def require_driver(what: str) -> CudaDriver:
    """Return the driver.

    Raises:
        MissingDependencyError: There is no NVIDIA GPU with a driver; `what` needs it.
    """
    driver = cuda_driver()
    if driver is None:
        message = f"{what} needs an NVIDIA GPU with its driver; none was found."
        hint = "Run it on the device, or use --backend onnxruntime here."
        raise MissingDependencyError(message, hint=hint)
    return driver


def _load() -> Any:  # noqa: ANN401 (a ctypes library)
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            missing = [item for item in FUNCTIONS if not hasattr(library, item)]
        except OSError:
            continue
        if not missing:
            return library
    return None
