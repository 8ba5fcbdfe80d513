"""Integer random numbers that are the same on every platform (the splitmix64 sequence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB

T = TypeVar("T")


def mix(value: int) -> int:
    """Scramble an integer to 64 bits (the output step of splitmix64)."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


class Random:
    """A stream of integers; streams of different (seed, name) do not depend on each other.

    Args:
        seed: Any integer of at least 0.
        name: Which of the seed's streams; a drawing step with its own stream can change
            without moving what the other steps draw.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._state = mix(seed & _MASK) ^ (seed >> 64)
        for byte in name.encode():
            self._state = mix(self._state ^ byte)

    def bits(self) -> int:
        """Next 64 bits as an integer."""
        self._state = (self._state + _GOLDEN) & _MASK
        return mix(self._state)

    def between(self, low: int, high: int) -> int:
        """Uniform integer of the closed range from `low` to `high`."""
        return low + (self.bits() >> 11) % (high - low + 1)

    def chance(self, percent: int) -> bool:
        """True in `percent` of 100 draws."""
        return self.between(0, 99) < percent

    def choice(self, items: Sequence[T]) -> T:
        """One of `items`, all equally likely."""
        return items[self.between(0, len(items) - 1)]

    def noise(self, count: int) -> npt.NDArray[np.uint8]:
        """Uniform bytes, uint8, shape (count,)."""
        steps = np.arange(1, (count + 7) // 8 + 1, dtype=np.uint64)
        value = steps * np.uint64(_GOLDEN) + np.uint64(self.bits())
        value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_1)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_2)
        value ^= value >> np.uint64(31)
        # Byte order is spelt out, so that a big-endian machine draws the same noise.
        bytes_: npt.NDArray[np.uint8] = value.astype("<u8").view(np.uint8)
        return bytes_[:count]
