"""Streams that the C++ library is tested with too: `tests/data/streams.bin`."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss.motion.vectors import Labels, Motion
from edge_ovss.runtime.stream.stabilizer import Stabilizer

STORED = Path(__file__).parents[2] / "data" / "streams.bin"

# Hold in ms (0: none), key frame, bytes of a label, and the sizes of frames and of vectors.
Sizes = list[tuple[tuple[int, int], tuple[int, int]]]
SAME: Sizes = [((11, 13), (11, 13))] * 12
COARSE: Sizes = [((12, 17), (3, 5))] * 10
WIDE: Sizes = [((6, 730), (1, 61))] * 8
CHANGING: Sizes = [*[((5, 8), (5, 8))] * 4, *[((6, 9), (2, 3))] * 4]
STREAMS: tuple[tuple[float, int, int, Sizes], ...] = (
    (150.0, 1, 1, SAME),
    (150.0, 2, 1, SAME),
    (500.0, 1, 2, SAME),
    (0.0, 3, 1, COARSE),
    (300.0, 2, 2, COARSE),
    (150.0, 2, 1, CHANGING),
    (300.0, 1, 1, WIDE),
)


class Given:
    """Hands on one motion after the other."""

    def __init__(self) -> None:
        self.motion: Motion | None = None

    def advance(self, frame: NDArray[np.uint8]) -> Motion | None:
        del frame
        return self.motion

    def forget(self) -> None:
        pass


def numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def stored() -> bytes:
    random = np.random.default_rng(18)
    parts = [numbers(len(STREAMS))]
    for hold, every, size, frames in STREAMS:
        parts += [struct.pack("<d", hold), numbers(every, size, len(frames))]
        flow = Given()
        stabilizer = Stabilizer(hold_ms=hold or None, keyframe=every, flow=flow)
        for number, (shape, grid) in enumerate(frames):
            parts += one_frame(random, stabilizer, flow, number, shape, grid, size)
    return b"".join(parts)


def one_frame(
    random: np.random.Generator,
    stabilizer: Stabilizer,
    flow: Given,
    number: int,
    shape: tuple[int, int],
    grid: tuple[int, int],
    size: int,
) -> list[bytes]:
    reach = (40, 200, 32767)[number % 3]
    vectors = random.integers(-reach - 1, reach + 1, (*grid, 2)).astype("<i2")
    if grid[0] == 1:  # few rows, and all of them are seen
        vectors[..., 1] //= 64
    # Now and then nearly everything is lost: a cut.
    valid = (random.random(grid) < (0.1 if number == 7 else 0.95)).astype(np.uint8)
    if reach > 1000:
        vectors[random.random(grid) < 0.8] = 0
    first = number == 0
    flow.motion = None if first else Motion(vectors.astype(np.int16), valid)
    drawn = random.integers(0, 3, shape)
    labels: Labels = drawn.astype(np.uint8) if size == 1 else drawn.astype(np.uint16)
    labels[random.random(shape) < 0.1] = np.iinfo(labels.dtype).max
    time_s = -1.0 if number == 9 else number / 15 + 0.001 * (number % 2)
    image = np.zeros((*shape, 3), np.uint8)
    step = stabilizer.step(image, lambda _: labels, time_s=None if time_s < 0 else time_s)
    cells = (0, 0) if first else grid
    shown = step.labels.astype(f"<u{size}")
    return [
        numbers(*shape),
        struct.pack("<d", time_s),
        numbers(*cells),
        b"" if first else vectors.tobytes() + valid.tobytes(),
        labels.astype(f"<u{size}").tobytes(),
        shown.tobytes(),
        numbers(step.key, step.cut),
        struct.pack("<dd", step.held, -1.0 if step.age_ms is None else step.age_ms),
    ]


def test_stored_streams_are_what_the_stabilizer_says() -> None:
    assert STORED.read_bytes() == stored()
