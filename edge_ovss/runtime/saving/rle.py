"""Masks as COCO's run-length encoding, as pycocotools reads it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BITS = 5
_CHUNK, _MORE = (1 << _BITS) - 1, 1 << _BITS
_FIRST_CHAR = 48
_DELTAS_FROM = 3


def encode(mask: NDArray[np.bool_]) -> dict[str, object]:
    """Return a mask [H, W] as {"size": [H, W], "counts": text}.

    Runs go down the columns and begin with zeros. From the fourth on, a run is written as the
    difference from the run two before it, in groups of five bits as printable characters.
    """
    flat = np.ravel(mask, order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate(([0], edges, [flat.size]))
    runs = np.diff(ends).tolist()
    if flat.size and flat[0]:
        runs.insert(0, 0)
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": _text(runs)}


def _text(runs: list[int]) -> str:
    chars: list[str] = []
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place >= _DELTAS_FROM else run
        while True:
            chunk, value = value & _CHUNK, value >> _BITS
            # Done when what is left only repeats the sign, which is the chunk's highest bit.
            done = value == (-1 if chunk >> (_BITS - 1) else 0)
            chars.append(chr(_FIRST_CHAR + (chunk if done else chunk | _MORE)))
            if done:
                break
    return "".join(chars)


def coco_annotations(labels: NDArray[np.integer], names: Sequence[str]) -> list[dict[str, object]]:
    """Return one annotation for each output that occurs, in the form of COCO's results.

    Args:
        labels: uint8 or uint16 [H, W]; values that are not in `names` are unknown, and left out.
        names: The K output names; "category_id" is the index.
    """
    found = []
    for label in np.unique(labels).tolist():
        if label < len(names):
            mask = labels == label
            found.append(_annotation(mask, label, names[label]))
    return found


def _annotation(mask: NDArray[np.bool_], label: int, name: str) -> dict[str, object]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
    return {
        "category_id": label,
        "category_name": name,
        "segmentation": encode(mask),
        "area": int(np.count_nonzero(mask)),
        "bbox": box,
        "iscrowd": 1,
    }
