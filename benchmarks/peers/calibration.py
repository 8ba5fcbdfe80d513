"""The images that the packages measure INT8 ranges on: the same for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.wish import Wish


def write_images(folder: Path, wish: Wish) -> None:
    """Write them as a network takes them, float32 [N, 3, h, w], in `calibration.npy`."""
    from benchmarks.shared.plain import image_of
    from edge_ovss.calibration.images import collect_pictures

    facts = json.loads((folder / "setting.json").read_text())
    pictures = collect_pictures(wish.calibration, count=wish.count, seed=0)
    images = [image_of(picture, facts) for picture in pictures]
    np.save(folder / "calibration.npy", np.concatenate(images))


def read_images(folder: Path) -> list[NDArray[np.float32]]:
    """Return them, float32 [1, 3, h, w] each."""
    images: NDArray[np.float32] = np.load(folder / "calibration.npy", mmap_mode="r")
    return [np.ascontiguousarray(image[None]) for image in images]
