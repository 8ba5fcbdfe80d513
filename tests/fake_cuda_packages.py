"""pycuda and cuda-python in front of a `FakeCuda`, with the names and answers of the real ones."""

from __future__ import annotations

import ctypes
import enum
import itertools
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Status(enum.IntEnum):
    """Members of the runtime's cudaError_t."""

    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorDeviceUninitialized = 201


class FakeCudart:
    """What `cuda.bindings.runtime` is: every function returns a tuple, the status first."""

    def __init__(self, cuda: Any) -> None:  # noqa: ANN401 (a FakeCuda)
        self.cuda = cuda
        self.driver_is_too_old = False

    def cudaGetDeviceCount(self) -> tuple[Status, int | None]:
        if self.driver_is_too_old:
            return Status.cudaErrorInsufficientDriver, None
        return Status.cudaSuccess, 1

    def cudaMalloc(self, size: int) -> tuple[Status, int | None]:
        return self._allocate(self.cuda.cuMemAlloc_v2, size)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Status, int | None]:
        return self._allocate(self.cuda.cuMemHostAlloc, size, flags)

    def cudaFree(self, devPtr: int) -> tuple[Status]:
        return (Status(self.cuda.cuMemFree_v2(devPtr)),)

    def cudaFreeHost(self, ptr: int) -> tuple[Status]:
        return (Status(self.cuda.cuMemFreeHost(ptr)),)

    def _allocate(self, function: Any, *arguments: int) -> tuple[Status, int | None]:  # noqa: ANN401
        pointer = ctypes.c_void_p()
        status = Status(function(ctypes.byref(pointer), *arguments))
        return status, pointer.value if status == 0 else None


class Error(Exception):
    """pycuda.driver.Error, the base of all of its exceptions."""


class LogicError(Error):
    """Wrong use: no context, or something freed twice."""


class MemoryError(Error):
    """No memory left; shadows the builtin, as pycuda's does."""


class FakePycuda:
    """What `pycuda.driver` is: it allocates in the context on top of its own stack, or not."""

    Error, LogicError, MemoryError = Error, LogicError, MemoryError

    def __init__(self, cuda: Any) -> None:  # noqa: ANN401 (a FakeCuda)
        self.cuda = cuda
        self.stack: list[_Primary] = []
        self.initialized = False
        self.fails = False
        self.Context = _Contexts(self)

    def init(self, flags: int = 0) -> None:
        if self.fails or flags:
            message = "cuInit failed: system has unsupported display driver / cuda driver"
            raise LogicError(message)
        self.initialized = True

    def Device(self, number: int) -> _Device:
        assert self.initialized
        assert number == 0
        return _Device(self)

    def mem_alloc(self, bytes: int) -> _Block:
        return _Block(self, self.take(self.cuda.cuMemAlloc_v2, bytes))

    def pagelocked_empty(self, shape: int, dtype: DTypeLike, mem_flags: int = 0) -> NDArray[Any]:
        size = shape * np.dtype(dtype).itemsize
        return np.asarray(
            _HostBlock(self, self.take(self.cuda.cuMemHostAlloc, size, mem_flags), size)
        )

    def take(self, function: Any, *arguments: int) -> int:  # noqa: ANN401
        if not self.stack:
            message = "cuMemAlloc failed: invalid device context"
            raise LogicError(message)
        pointer = ctypes.c_void_p()
        status = function(ctypes.byref(pointer), *arguments)
        if status:
            message = "cuMemAlloc failed: out of memory"
            raise MemoryError(message)
        return pointer.value or 0

    def give(self, status: int) -> None:
        if status or not self.stack:
            message = "cuMemFree failed: invalid argument"
            raise LogicError(message)


class _Device:
    def __init__(self, owner: FakePycuda) -> None:
        self.owner = owner

    def retain_primary_context(self) -> _Primary:
        return _Primary(self.owner)


class _Primary:
    def __init__(self, owner: FakePycuda) -> None:
        self.owner = owner

    def push(self) -> None:
        self.owner.stack.append(self)
        self.owner.cuda.cuCtxPushCurrent_v2(7)


class _Contexts:
    def __init__(self, owner: FakePycuda) -> None:
        self.owner = owner

    def pop(self) -> None:
        self.owner.stack.pop()
        self.owner.cuda.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


class _Block:
    def __init__(self, owner: FakePycuda, pointer: int) -> None:
        self.owner, self.pointer = owner, pointer

    def __int__(self) -> int:
        return self.pointer

    def free(self) -> None:
        self.owner.give(self.owner.cuda.cuMemFree_v2(self.pointer))


class _HostBlock:
    """The `base` of a page-locked array."""

    def __init__(self, owner: FakePycuda, pointer: int, size: int) -> None:
        self.owner, self.pointer = owner, pointer
        self.__array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (pointer, False),
            "version": 3,
        }

    def free(self) -> None:
        self.owner.give(self.owner.cuda.cuMemFreeHost(self.pointer))


def as_modules(name: str, content: Any) -> dict[str, ModuleType]:  # noqa: ANN401
    """Return a dotted module with its parents, as they would stand in `sys.modules`."""
    parts = name.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    modules = {each: ModuleType(each) for each in names}
    for each, module in modules.items():
        module.__spec__ = ModuleSpec(each, None, is_package=each != name)
        module.__path__ = []
    for attribute in dir(content):
        if not attribute.startswith("_"):
            setattr(modules[name], attribute, getattr(content, attribute))
    for parent, child in itertools.pairwise(names):
        setattr(modules[parent], child.rpartition(".")[2], modules[child])
    return modules
