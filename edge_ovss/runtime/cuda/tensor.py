"""An array on the GPU and its mirror in pinned memory, as every backend on CUDA keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.runtime.cuda.memory import Bytes, DeviceMemory


@dataclass(frozen=True)
class DeviceTensor:
    """An array on the GPU, and the pinned host memory that mirrors it.

    Call every method inside `memory.current()`.

    Attributes:
        memory: Where both were taken from.
        pointer: On the device.
        host: uint8 [bytes], pinned.
        array: `host` in the tensor's own type and shape.
    """

    memory: DeviceMemory
    pointer: int
    host: Bytes
    array: NDArray[Any]

    @classmethod
    def allocate(
        cls, memory: DeviceMemory, shape: Sequence[int], dtype: np.dtype[Any]
    ) -> DeviceTensor:
        """Make room for an array, which may be empty.

        Raises:
            ArtifactError: Memory ran out; nothing stays allocated.
        """
        used = int(np.prod(tuple(shape))) * dtype.itemsize
        size = max(1, used)
        host = memory.allocate_pinned(size)
        try:
            pointer = memory.allocate(size)
        except BaseException:
            memory.free_pinned(host)
            raise
        return cls(memory, pointer, host, host[:used].view(dtype).reshape(tuple(shape)))

    def upload(self, stream: int) -> None:
        """Queue the copy to the device."""
        self.memory.upload(self.pointer, self.host, stream)

    def download(self, stream: int) -> None:
        """Queue the copy to the host."""
        self.memory.download(self.host, self.pointer, stream)

    def free(self) -> None:
        """Free both; the array must not be used afterwards."""
        self.memory.free(self.pointer)
        self.memory.free_pinned(self.host)
