"""Device memory, pinned memory and streams, through whichever CUDA package works here.

The first that is usable is taken: pycuda, cuda-python, or the driver through ctypes, which needs no
package. A package that does not fit the driver is skipped. All three work in the device's primary
context, which TensorRT uses too.
"""

from __future__ import annotations

import ctypes
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import ArtifactError, UsageError
from edge_ovss.runtime.cuda.driver import (
    OUT_OF_MEMORY,
    CudaDriver,
    cuda_error,
    require_driver,
)
from edge_ovss.runtime.cuda.packages import (
    BY_CTYPES,
    CUDA_PYTHON,
    PYCUDA,
    Way,
    load_cuda_python,
    load_pycuda,
    look,
    name_of,
)

Bytes = NDArray[np.uint8]


class DeviceMemory(ABC):
    """The CUDA functions that the runtime needs, on device 0.

    Pointers, streams and graphs are integers. Call every method except `current` inside a
    `with memory.current():` block.
    """

    name: ClassVar[str]

    def __init__(self, driver: CudaDriver) -> None:
        self.driver = driver
        # Never released: TensorRT holds the primary context too, until the process ends.
        self._context = driver.handle("cuDevicePrimaryCtxRetain", 0)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the primary context current in the calling thread."""
        self.driver.call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self.driver.handle("cuCtxPopCurrent_v2")

    @abstractmethod
    def allocate(self, size: int) -> int:
        """Return a pointer to `size` bytes of device memory."""

    @abstractmethod
    def free(self, pointer: int) -> None:
        """Free what `allocate` returned."""

    @abstractmethod
    def allocate_pinned(self, size: int) -> Bytes:
        """Return uint8 [size] in page-locked host memory."""

    @abstractmethod
    def free_pinned(self, array: Bytes) -> None:
        """Free what `allocate_pinned` returned; the array must not be used afterwards."""

    def upload(self, pointer: int, array: Bytes, stream: int) -> None:
        """Queue a copy of a pinned array to the device."""
        self.driver.call("cuMemcpyHtoDAsync_v2", pointer, array.ctypes.data, array.nbytes, stream)

    def download(self, array: Bytes, pointer: int, stream: int) -> None:
        """Queue a copy from the device into a pinned array."""
        self.driver.call("cuMemcpyDtoHAsync_v2", array.ctypes.data, pointer, array.nbytes, stream)

    def create_stream(self) -> int:
        """Return a new stream."""
        return self.driver.create_stream()

    def free_stream(self, stream: int) -> None:
        """Free a stream."""
        self.driver.call("cuStreamDestroy_v2", stream)

    def synchronize(self, stream: int) -> None:
        """Wait for all queued work."""
        self.driver.call("cuStreamSynchronize", stream)


class CtypesMemory(DeviceMemory):
    """Allocation by the driver through ctypes."""

    name: ClassVar[str] = "ctypes"

    def allocate(self, size: int) -> int:  # noqa: D102
        return self.driver.handle("cuMemAlloc_v2", size)

    def free(self, pointer: int) -> None:  # noqa: D102
        self.driver.call("cuMemFree_v2", pointer)

    def allocate_pinned(self, size: int) -> Bytes:  # noqa: D102
        pointer = self.driver.handle("cuMemHostAlloc", size, 0)
        return _view(pointer, size)

    def free_pinned(self, array: Bytes) -> None:  # noqa: D102
        self.driver.call("cuMemFreeHost", array.ctypes.data)


class PycudaMemory(DeviceMemory):
    """Allocation through pycuda; streams, copies and graphs still go through the driver."""

    name: ClassVar[str] = PYCUDA

    def __init__(self, driver: CudaDriver) -> None:
        super().__init__(driver)
        self._cuda: Any = load_pycuda()
        self._primary = self._cuda.Device(0).retain_primary_context()
        self._blocks: dict[int, Any] = {}

    @contextmanager
    def current(self) -> Iterator[None]:  # noqa: D102
        # pycuda has its own stack of contexts and allocates only in the top one.
        self._primary.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    def allocate(self, size: int) -> int:  # noqa: D102
        with self._checked("mem_alloc"):
            block = self._cuda.mem_alloc(size)
        self._blocks[int(block)] = block
        return int(block)

    def free(self, pointer: int) -> None:  # noqa: D102
        with self._checked("free"):
            self._blocks.pop(pointer).free()

    def allocate_pinned(self, size: int) -> Bytes:  # noqa: D102
        with self._checked("pagelocked_empty"):
            array: Bytes = self._cuda.pagelocked_empty(size, np.uint8)
        return array

    def free_pinned(self, array: Bytes) -> None:  # noqa: D102
        with self._checked("free"):
            array.base.free()  # type: ignore[union-attr]

    @contextmanager
    def _checked(self, name: str) -> Iterator[None]:
        """Convert errors of pycuda to errors that say what to do."""
        try:
            yield
        except self._cuda.MemoryError as err:
            raise cuda_error(name, OUT_OF_MEMORY, str(err)) from err
        except self._cuda.Error as err:
            message = f"pycuda: {name} failed: {err}."
            raise ArtifactError(message, hint=f"Try {BY_CTYPES}.") from err


class CudaPythonMemory(DeviceMemory):
    """Allocation through the runtime bindings of cuda-python, under the old or the new name."""

    name: ClassVar[str] = CUDA_PYTHON

    def __init__(self, driver: CudaDriver) -> None:
        super().__init__(driver)
        self._runtime = load_cuda_python()

    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 (what the function gives)
        status, *values = getattr(self._runtime, name)(*arguments)
        if int(status) != 0:
            raise cuda_error(name, int(status), name_of(status))
        return values[0] if values else None

    def allocate(self, size: int) -> int:  # noqa: D102
        return int(self._call("cudaMalloc", size))

    def free(self, pointer: int) -> None:  # noqa: D102
        self._call("cudaFree", pointer)

    def allocate_pinned(self, size: int) -> Bytes:  # noqa: D102
        return _view(int(self._call("cudaHostAlloc", size, 0)), size)

    def free_pinned(self, array: Bytes) -> None:  # noqa: D102
        self._call("cudaFreeHost", array.ctypes.data)


KINDS: dict[str, type[DeviceMemory]] = {
    kind.name: kind for kind in (PycudaMemory, CudaPythonMemory, CtypesMemory)
}


def memory_ways() -> dict[str, Way]:
    """Return all ways to device memory by name, the preferred one first; allocate nothing."""
    return {name: _way(name) for name in KINDS}


def memory_names() -> Iterator[str]:
    """Yield the names of the usable ways, the preferred one first.

    Packages are imported one by one, so that the first name does not cost more than needed.
    """
    return (name for name in KINDS if _way(name).problem is None)


def _way(name: str) -> Way:
    if name == PycudaMemory.name:
        return look(load_pycuda, "pycuda")
    if name == CudaPythonMemory.name:
        return look(load_cuda_python, "cuda")
    return Way(installed=True, problem=None)


def open_memory(name: str | None = None) -> DeviceMemory:
    """Return device memory, by the way `name` or by the first usable one.

    Raises:
        UsageError: The name is unknown.
        MissingDependencyError: There is no GPU, or the package is missing or does not work.
    """
    driver = require_driver("Device memory")
    chosen = name or next(memory_names())
    if chosen not in KINDS:
        message = f"Device memory '{chosen}' is unknown; expected one of: {', '.join(KINDS)}."
        raise UsageError(message)
    return KINDS[chosen](driver)


def memory_choice() -> str | None:
    """Return the value of EDGE_OVSS_DEVICE_MEMORY: pycuda, cuda-python, ctypes, or None."""
    return os.environ.get("EDGE_OVSS_DEVICE_MEMORY") or None


def _view(pointer: int, size: int) -> Bytes:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(pointer))
