"""Write example images of a comparison: the frame, both label maps, and the difference."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder
from edge_ovss.frames.images import write_picture
from edge_ovss.parity.results import BackendParity, Example
from edge_ovss.runtime.overlay import paint

_DIFFERS = (220, 20, 60)
KINDS = ("frame", "torch", "backend", "difference")


def write_examples(
    out: Path, parity: BackendParity, palette: NDArray[np.uint8]
) -> list[dict[str, object]]:
    """Write the examples of a comparison as PNG files into `out`/pictures.

    Returns:
        The facts and the files, relative to `out`, of each example.

    Raises:
        OutputError: A file cannot be written.
    """
    folder = make_folder(out / "pictures")
    rows = []
    for number, example in enumerate(parity.examples):
        stem = _safe(f"{parity.bundle}-{parity.backend}-{number}")
        files = {}
        for kind, picture in zip(KINDS, _pictures(example, palette), strict=True):
            write_picture(folder / f"{stem}-{kind}.png", picture)
            files[kind] = f"pictures/{stem}-{kind}.png"
        rows.append(
            {
                "name": example.name,
                "bundle": parity.bundle,
                "backend": parity.backend,
                "precision": parity.precision,
                "label_agreement": example.agreement,
                "files": files,
            }
        )
    return rows


def _pictures(example: Example, palette: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    # Grayed out, so that the few pixels that differ stand out.
    gray = example.frame.mean(-1, keepdims=True).repeat(3, -1) * 0.5 + 96
    difference = gray.astype(np.uint8)
    difference[_widened(example.torch != example.backend)] = _DIFFERS
    torch, backend = (paint(each, palette) for each in (example.torch, example.backend))
    return example.frame, torch, backend, difference


def _widened(differs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Spread each pixel that differs to its neighbors: a single one would not be visible."""
    padded = np.pad(differs, 1)
    height, width = differs.shape
    wide: NDArray[np.bool_] = np.logical_or.reduce(
        [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    )
    return wide


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)
