"""A CUDA driver in host memory: strict about contexts, late as a GPU is, and it counts what leaks.

Work that is queued on a stream runs when the stream is synchronized, not before; work that is
queued while a stream is captured runs when its graph is launched.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

Work = Callable[[], None]
Out = Any  # what ctypes.byref returns, and a buffer

INVALID_VALUE, NO_MEMORY, INVALID_CONTEXT, NOT_READY, CAPTURE_FAILED = 1, 2, 201, 600, 901


class Function:
    """A function of a library: callable, with attributes that ctypes would have."""

    def __init__(self, function: Callable[..., int]) -> None:
        self.function = function
        self.argtypes: tuple[object, ...] = ()

    def __call__(self, *arguments: object) -> int:
        if self.argtypes and len(arguments) != len(self.argtypes):
            return INVALID_VALUE
        return self.function(*arguments)


class FakeCuda:
    """What `ctypes.CDLL("libcuda.so.1")` would be."""

    def __init__(self, capability: str = "8.7", name: str = "Orin (pretended)") -> None:
        self.name = name
        self.capability = capability
        self.refuse_capture = False
        self.depth = 0
        self.blocks: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.streams: dict[int, list[Work]] = {}
        self.capturing: dict[int, list[Work]] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.launches = 0
        self.uploads: list[int] = []  # where to, as they were done
        self.events: dict[int, float | None] = {}
        self.clock_ms = 0.0
        self._next = 100
        for attribute in dir(type(self)):
            if attribute.startswith("cu"):
                setattr(self, attribute, Function(getattr(self, attribute)))

    def queue(self, stream: int, work: Work) -> None:
        """Queue what an engine does."""
        self.capturing.get(stream, self.streams[stream]).append(work)

    def _handle(self) -> int:
        self._next += 1
        return self._next

    def cuInit(self, flags: int) -> int:
        return 0 if flags == 0 else INVALID_VALUE

    def cuGetErrorName(self, status: int, text: Out) -> int:
        text._obj.value = f"FAKE_{status}".encode()
        return 0

    def cuDriverGetVersion(self, version: Out) -> int:
        version._obj.value = 12060
        return 0

    def cuDeviceGetCount(self, count: Out) -> int:
        count._obj.value = 1
        return 0

    def cuDeviceGet(self, device: Out, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, text: Out, length: int, device: Out) -> int:
        del length, device
        text.value = self.name.encode()
        return 0

    def cuDeviceGetAttribute(self, value: Out, attribute: int, device: Out) -> int:
        del device
        major, minor = self.capability.split(".")
        value._obj.value = {75: int(major), 76: int(minor), 18: 1}[attribute]
        return 0

    def cuDevicePrimaryCtxRetain(self, context: Out, device: int) -> int:
        context._obj.value = 7 + device
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device: int) -> int:
        del device
        return 0

    def cuCtxPushCurrent_v2(self, context: int) -> int:
        self.depth += 1
        return 0 if context == 7 else INVALID_CONTEXT

    def cuCtxPopCurrent_v2(self, context: Out) -> int:
        self.depth -= 1
        context._obj.value = 7
        return 0

    def cuMemAlloc_v2(self, pointer: Out, size: int) -> int:
        return self._allocate(self.blocks, pointer, size)

    def cuMemHostAlloc(self, pointer: Out, size: int, flags: int) -> int:
        return self._allocate(self.pinned, pointer, size) if flags == 0 else INVALID_VALUE

    def _allocate(self, where: dict[int, Any], pointer: Out, size: int) -> int:
        if not self.depth:
            return INVALID_CONTEXT
        if size > 1 << 30:
            return NO_MEMORY
        block = (ctypes.c_uint8 * size)()
        where[ctypes.addressof(block)] = block
        pointer._obj.value = ctypes.addressof(block)
        return 0

    def cuMemFree_v2(self, pointer: int) -> int:
        return 0 if self.blocks.pop(pointer, None) is not None else INVALID_VALUE

    def cuMemFreeHost(self, pointer: int) -> int:
        return 0 if self.pinned.pop(pointer, None) is not None else INVALID_VALUE

    def cuMemcpyHtoDAsync_v2(self, to: int, source: int, size: int, stream: int) -> int:
        if to not in self.blocks or source not in self.pinned:
            return INVALID_VALUE
        self.queue(stream, lambda: self._upload(to, source, size))
        return 0

    def _upload(self, to: int, source: int, size: int) -> None:
        self.uploads.append(to)
        ctypes.memmove(to, source, size)

    def cuMemcpyDtoHAsync_v2(self, to: int, source: int, size: int, stream: int) -> int:
        if source not in self.blocks or to not in self.pinned:
            return INVALID_VALUE
        self.queue(stream, lambda: void(ctypes.memmove(to, source, size)))
        return 0

    def cuStreamCreate(self, stream: Out, flags: int) -> int:
        if not self.depth or flags != 1:
            return INVALID_CONTEXT
        stream._obj.value = self._handle()
        self.streams[stream._obj.value] = []
        return 0

    def cuStreamDestroy_v2(self, stream: int) -> int:
        return 0 if self.streams.pop(stream, None) is not None else INVALID_VALUE

    def cuStreamSynchronize(self, stream: int) -> int:
        if stream in self.capturing:
            return CAPTURE_FAILED
        work, self.streams[stream] = self.streams[stream], []
        for step in work:
            self.clock_ms += 0.5  # every step of work, an event too
            step()
        return 0

    def cuStreamBeginCapture_v2(self, stream: int, mode: int) -> int:
        if self.streams[stream] or mode != 1:
            return INVALID_VALUE
        self.capturing[stream] = []
        return 0

    def cuStreamEndCapture(self, stream: int, graph: Out) -> int:
        steps = self.capturing.pop(stream)
        if self.refuse_capture:
            return CAPTURE_FAILED
        graph._obj.value = self._handle()
        self.graphs[graph._obj.value] = steps
        return 0

    def cuGraphInstantiateWithFlags(self, executable: Out, graph: int, flags: int) -> int:
        executable._obj.value = self._handle()
        self.graphs[executable._obj.value] = self.graphs[graph]
        return 0 if flags == 0 else INVALID_VALUE

    def cuGraphLaunch(self, graph: int, stream: int) -> int:
        self.launches += 1
        self.streams[stream] += self.graphs[graph]
        return 0

    def cuGraphExecDestroy(self, graph: int) -> int:
        return 0 if self.graphs.pop(graph, None) is not None else INVALID_VALUE

    def cuGraphDestroy(self, graph: int) -> int:
        return 0 if self.graphs.pop(graph, None) is not None else INVALID_VALUE

    def cuEventCreate(self, event: Out, flags: int) -> int:
        if not self.depth or flags != 0:
            return INVALID_CONTEXT
        event._obj.value = self._handle()
        self.events[event._obj.value] = None
        return 0

    def cuEventDestroy_v2(self, event: int) -> int:
        return 0 if self.events.pop(event, self) is not self else INVALID_VALUE

    def cuEventRecord(self, event: int, stream: int) -> int:
        if event not in self.events:
            return INVALID_VALUE
        self.events[event] = None
        self.queue(stream, lambda: self.events.update({event: self.clock_ms}))
        return 0

    def cuEventElapsedTime(self, passed: Out, start: int, end: int) -> int:
        before, after = self.events[start], self.events[end]
        if before is None or after is None:
            return NOT_READY
        passed._obj.value = after - before
        return 0


def void(value: object) -> None:
    del value
