from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError
from edge_ovss.motion.vectors import Motion


def motion(vectors: list[list[tuple[int, int]]], valid: list[list[int]] | None = None) -> Motion:
    array = np.asarray(vectors, np.int16)
    known = np.ones(array.shape[:2]) if valid is None else np.asarray(valid)
    return Motion(array, known.astype(np.uint8))


def slow_sources(given: Motion, height: int, width: int) -> tuple[list[int], list[bool]]:
    """The rule of the module's docstring, pixel by pixel."""
    rows, cols = given.valid.shape

    def between(pixel: int, pixels: int, cells: int) -> tuple[int, int]:
        at = (2 * pixel + 1) * 256 * cells // (2 * pixels) - 128
        at = min(max(at, 0), 256 * (cells - 1))
        return at >> 8, at & 255

    index, trusted = [], []
    for y in range(height):
        i, a = between(y, height, rows)
        for x in range(width):
            j, b = between(x, width, cols)
            vector = []
            for axis in (0, 1):
                cells = given.vectors[..., axis].astype(int)
                down, right = min(i + 1, rows - 1), min(j + 1, cols - 1)
                total = int(cells[i, j]) * (256 - a) * (256 - b) + int(cells[down, j]) * a * (
                    256 - b
                )
                total += int(cells[i, right]) * (256 - a) * b + int(cells[down, right]) * a * b
                vector.append((total + 32768) >> 16)
            sx, sy = x + ((vector[0] + 16) >> 5), y + ((vector[1] + 16) >> 5)
            inside = 0 <= sx < width and 0 <= sy < height
            index.append(sy * width + sx if inside else y * width + x)
            trusted.append(inside and bool(given.valid[y * rows // height, x * cols // width]))
    return index, trusted


@pytest.mark.parametrize(
    ("grid", "size"),
    [((1, 1), (3, 5)), ((6, 9), (6, 9)), ((3, 4), (12, 16)), ((2, 3), (7, 10)), ((5, 1), (6, 2))],
)
@pytest.mark.parametrize("reach", [5, 200, 32767])
def test_sources_follow_the_rule(grid: tuple[int, int], size: tuple[int, int], reach: int) -> None:
    random = np.random.default_rng(0)
    vectors = random.integers(-reach - 1, reach + 1, (*grid, 2)).astype(np.int16)
    given = Motion(vectors, random.integers(0, 3, grid).astype(np.uint8))
    index, trusted = slow_sources(given, *size)
    found = given.sources(*size)
    assert found.index.ravel().tolist() == index
    assert found.trusted.ravel().tolist() == trusted


@pytest.mark.parametrize(
    ("steps", "pixels"), [(0, 0), (15, 0), (16, 1), (47, 1), (48, 2), (-16, 0), (-17, -1)]
)
def test_vectors_are_rounded_to_the_nearest_pixel_and_halves_up(steps: int, pixels: int) -> None:
    found = motion([[(steps, 0)] * 7]).sources(1, 7)
    assert found.index[0, 3] == 3 + pixels


def test_a_pixel_from_outside_stays_where_it_is_and_is_not_trusted() -> None:
    found = motion([[(-64, 0)] * 4]).sources(1, 4)
    assert found.index.tolist() == [[0, 1, 0, 1]]
    assert found.trusted.tolist() == [[False, False, True, True]]
    assert found.lost == 0.5


def test_standing_still_fits_every_size() -> None:
    found = Motion.still().sources(3, 4)
    assert found.index.tolist() == np.arange(12).reshape(3, 4).tolist()
    assert found.lost == 0.0


def test_pixels_become_steps_and_what_is_not_finite_is_not_valid() -> None:
    flow = np.array([[[1.5, -0.25], [np.nan, 0], [np.inf, 1], [5000, -5000]]], np.float32)
    given = Motion.of_pixels(flow, np.ones((1, 4), np.bool_))
    assert given.vectors.tolist() == [[[48, -8], [0, 0], [0, 0], [32767, -32768]]]
    assert given.valid.tolist() == [[1, 0, 0, 1]]


def test_more_vectors_than_pixels_are_refused() -> None:
    with pytest.raises(InputError, match="1x4 vectors for a frame of 1x3 pixels"):
        motion([[(0, 0)] * 4]).sources(1, 3)


@pytest.mark.parametrize(
    ("vectors", "valid", "words"),
    [
        (np.zeros((2, 2, 2), np.float32), np.ones((2, 2), np.uint8), "expected int16"),
        (np.zeros((2, 2), np.int16), np.ones((2, 2), np.uint8), "expected int16"),
        (np.zeros((2, 2, 2), np.int16), np.ones((2, 3), np.uint8), "one for each vector"),
        (np.zeros((2, 2, 2), np.int16), np.ones((2, 2), np.float32), "one for each vector"),
        (np.zeros((0, 2, 2), np.int16), np.ones((0, 2), np.uint8), "no vector"),
    ],
)
def test_arrays_that_are_no_motion_are_refused(
    vectors: NDArray[Any], valid: NDArray[Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Motion(vectors, valid)
