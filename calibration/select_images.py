"""Choose calibration images that differ from each other, and write them as a list.

    python calibration/select_images.py IMAGES --count 300 --out calibration.txt

Neighboring frames of a drive look alike and add nothing. An image is skipped if its 16x16 gray
thumbnail is within --distance gray levels (mean) of one that was already chosen.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import write_bytes
from edge_ovss.errors import EdgeOvssError, InputError, UsageError
from edge_ovss.frames.images import read_picture
from edge_ovss.frames.source_kinds import PICTURE_SUFFIXES, is_picture

_SIDE = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Choose and write; return the exit status."""
    try:
        args = _parse(argv)
        paths = find_images(args.folder)
        chosen = choose(paths, count=args.count, distance=args.distance, seed=args.seed)
        write_list(args.out, chosen)
    except EdgeOvssError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.status
    print(f"{len(chosen)} of {len(paths)} images -> {args.out}")
    if len(chosen) < args.count:
        print(f"Only {len(chosen)} differ by {args.distance:g} gray levels or more.")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="searched with its subfolders")
    parser.add_argument("--count", type=int, default=300, help="default 300")
    parser.add_argument(
        "--distance", type=float, default=4.0, help="gray levels, 0 to 255 (default 4)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the order (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="list file, one path per line")
    args = parser.parse_args(argv)
    if args.count < 1:
        message = f"--count is {args.count}; expected at least 1."
        raise UsageError(message)
    if not 0 <= args.distance <= 255:
        message = f"--distance is {args.distance}; expected gray levels from 0 to 255."
        raise UsageError(message)
    return args


def find_images(folder: Path) -> list[Path]:
    """Return the images in a folder and its subfolders, sorted.

    Raises:
        InputError: The folder does not exist, or has no images.
    """
    if not folder.is_dir():
        message = f"'{folder}' is not a folder; expected one with images."
        raise InputError(message, hint="Check the path.")
    paths = sorted(path for path in folder.rglob("*") if is_picture(path))
    if not paths:
        message = f"Folder '{folder}' has no images, nor have its subfolders."
        raise InputError(message, hint=f"Images end in {' '.join(sorted(PICTURE_SUFFIXES))}.")
    return paths


def write_list(out: Path, chosen: Sequence[Path]) -> None:
    """Write paths relative to the list, so that images and list can be moved together.

    Raises:
        OutputError: The list cannot be written.
    """
    start = out.absolute().parent
    names = sorted(Path(os.path.relpath(path.absolute(), start)).as_posix() for path in chosen)
    write_bytes(out, ("\n".join(names) + "\n").encode("utf-8"))


def choose(paths: list[Path], *, count: int, distance: float, seed: int) -> list[Path]:
    """Return up to `count` images that differ from each other, in an order set by `seed`.

    Raises:
        PictureError: An image cannot be read; the message has its path.
    """
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
    """Shrink uint8 [H, W, 3] to gray float32 [16, 16] by picking pixels."""
    rows = np.linspace(0, image.shape[0] - 1, _SIDE).astype(int)
    columns = np.linspace(0, image.shape[1] - 1, _SIDE).astype(int)
    small: NDArray[np.float32] = image[rows][:, columns].mean(-1, dtype=np.float32)
    return small


if __name__ == "__main__":
    sys.exit(main())
