"""The inputs and outputs of a session on the GPU, and the stream and clock of their use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_ovss.runtime.cuda.memory import DeviceMemory
from edge_ovss.runtime.cuda.tensor import DeviceTensor

_MANY = 1 << 16  # bytes, from which on comparing takes longer than it may


class DeviceBuffers:
    """The inputs and outputs of one session, all on one stream.

    They keep their places from frame to frame. Call every method inside `memory.current()`.

    Attributes:
        stream: On which copies are queued, and on which the session must work.
    """

    def __init__(self, memory: DeviceMemory) -> None:
        self.memory = memory
        self.stream = memory.create_stream()
        self.inputs: dict[str, DeviceTensor] = {}
        self.outputs: dict[str, DeviceTensor] = {}
        self._fresh: set[str] = set()
        self._given: dict[str, NDArray[Any]] = {}
        self._events = (memory.driver.create_event(), memory.driver.create_event())

    def add_input(self, name: str, array: NDArray[Any]) -> DeviceTensor:
        """Make room for an input of this shape and type."""
        self.inputs[name] = DeviceTensor.allocate(self.memory, array.shape, array.dtype)
        self._fresh.add(name)
        return self.inputs[name]

    def add_output(self, name: str, shape: Sequence[int], dtype: DTypeLike) -> DeviceTensor:
        """Make room for an output."""
        self.outputs[name] = DeviceTensor.allocate(self.memory, shape, np.dtype(dtype))
        return self.outputs[name]

    def start(self, inputs: Mapping[str, NDArray[Any]], *, kept: frozenset[str]) -> None:
        """Start the clock and queue the copies to the device.

        Args:
            inputs: By name, of the shapes and types that they were added with.
            kept: Those that seldom change; what the device has already is not copied. A large
                array must not change between two calls: it is not compared number by number.
        """
        self.memory.driver.record(self._events[0], self.stream)
        for name, array in inputs.items():
            tensor = self.inputs[name]
            known = name in kept and name not in self._fresh
            same = array.nbytes >= _MANY and self._given.get(name) is array
            if known and (same or np.array_equal(tensor.array, array)):
                continue
            self._given[name] = array
            np.copyto(tensor.array, array)
            tensor.upload(self.stream)
        self._fresh.clear()

    def finish(self) -> tuple[dict[str, NDArray[Any]], float]:
        """Queue the copies to the host, stop the clock and wait.

        Returns:
            Outputs by name, which are the caller's; milliseconds since `start` on the GPU's clock.
        """
        driver, (start, end) = self.memory.driver, self._events
        for tensor in self.outputs.values():
            tensor.download(self.stream)
        driver.record(end, self.stream)
        self.memory.synchronize(self.stream)
        answer = {name: tensor.array.copy() for name, tensor in self.outputs.items()}
        return answer, driver.elapsed_ms(start, end)

    def clear(self) -> None:
        """Free all arrays; the stream stays."""
        self.memory.synchronize(self.stream)
        for tensor in (*self.inputs.values(), *self.outputs.values()):
            tensor.free()
        self.inputs, self.outputs, self._given = {}, {}, {}

    def close(self) -> None:
        """Free everything."""
        self.clear()
        for event in self._events:
            self.memory.driver.free_event(event)
        self.memory.free_stream(self.stream)
