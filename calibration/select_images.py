"""Choose calibration pictures: different from each other, spread over a folder, written as a list.

    python calibration/select_images.py PICTURES --count 300 --out calibration.txt

Neighbours of a drive look alike and add nothing, so a picture is passed over if its 16x16 grey
thumbnail is within --distance grey levels (mean) of one that is taken already.
"""

from __future__ import annotations

import argparse
import os
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss.runtime.pictures import read_picture
from edge_ovss.runtime.sources import PICTURE_SUFFIXES

_SIDE = 16


def main() -> None:
    """Choose and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="searched with its sub-folders")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--distance", type=float, default=4.0, help="grey levels, 0 to 255")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="list file, one path per line")
    args = parser.parse_args()
    paths = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    chosen = choose(paths, count=args.count, distance=args.distance, seed=args.seed)
    start = args.out.absolute().parent
    names = sorted(os.path.relpath(path.absolute(), start) for path in chosen)
    args.out.write_text("\n".join(names) + "\n", encoding="utf-8")
    print(f"{len(names)} of {len(paths)} pictures -> {args.out}")
    if len(names) < args.count:
        print(f"Only {len(names)} differ by {args.distance:g} grey levels or more.")


def choose(paths: list[Path], *, count: int, distance: float, seed: int) -> list[Path]:
    """Return up to `count` pictures that differ from each other, in an order set by `seed`."""
    shuffled = random.Random(seed).sample(paths, len(paths))
    chosen: list[Path] = []
    seen: list[NDArray[np.float32]] = []
    for path in shuffled:
        small = thumbnail(read_picture(path))
        if all(float(np.abs(small - other).mean()) >= distance for other in seen):
            chosen.append(path)
            seen.append(small)
        if len(chosen) == count:
            break
    return chosen


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shrink uint8 [H, W, 3] to float32 [16, 16] grey by picking pixels."""
    rows = np.linspace(0, image.shape[0] - 1, _SIDE).astype(int)
    columns = np.linspace(0, image.shape[1] - 1, _SIDE).astype(int)
    return image[rows][:, columns].mean(-1, dtype=np.float32)


if __name__ == "__main__":
    main()
