"""Tiling noise textures, made once from integers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_ovss.synthetic.rng import Random

SIZE = 256


def _octave(random: Random, cell: int) -> npt.NDArray[np.int64]:
    """Value noise of one scale: a random lattice every `cell` texels, joined bilinearly."""
    count = SIZE // cell
    lattice = random.noise(count * count).astype(np.int64).reshape(count, count)
    at = np.arange(SIZE, dtype=np.int64) // cell
    after = (at + 1) % count
    part = np.arange(SIZE, dtype=np.int64) % cell
    rows = lattice[at] * (cell - part)[:, None] + lattice[after] * part[:, None]
    smooth = rows[:, at] * (cell - part) + rows[:, after] * part
    return np.asarray(smooth // (cell * cell), np.int64)


@lru_cache(maxsize=4)
def texture(name: str) -> npt.NDArray[np.int16]:
    """A tiling texture.

    Args:
        name: "soft" (clouds, stains), "leaf" (foliage) or "grain" (asphalt, brick).

    Returns:
        int16, shape (256, 256), from -128 to 127.
    """
    weights = {
        "soft": ((64, 4), (32, 3), (16, 2), (8, 1)),
        "leaf": ((32, 2), (16, 2), (8, 3), (4, 3)),
        "grain": ((16, 1), (4, 2), (2, 3), (1, 4)),
    }[name]
    random = Random(0, f"texture {name}")
    total = np.zeros((SIZE, SIZE), np.int64)
    for cell, weight in weights:
        total += weight * _octave(random, cell)
    low, high = int(total.min()), int(total.max())
    return ((total - low) * 255 // (high - low) - 128).astype(np.int16)


def sample(
    name: str, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
) -> npt.NDArray[np.int16]:
    """Look a texture up at the crossings of row and column coordinates (texels, wrapped)."""
    table: npt.NDArray[np.int16] = texture(name)[rows & (SIZE - 1)][:, cols & (SIZE - 1)]
    return table
