"""The arrays of a bundle's reference answer: read without trust, compared with the manifest.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.errors import BundleError

MOST_BYTES = 64 << 20
"""The largest file of a reference; exporters write pictures of 480 x 640."""

_LONGEST_HEADER = 1024
_HEADER = {
    "descr": re.compile(r"'descr': '([^']{1,8})'"),
    "fortran_order": re.compile("'fortran_order': (True|False)"),
    "shape": re.compile(r"'shape': \(((?:[0-9]{1,10}(?:, ?|(?=\)))){0,8})\)"),
}


def read_array(path: Path, name: str, dtype: str, *, rank: int) -> NDArray[Any]:
    """Read a `.npy` file whose header is compared with its size before memory is taken for it.

    Args:
        path: The file.
        name: Its name in the bundle, for messages.
        dtype: What it must hold, such as "uint8".
        rank: How many axes it must have; a leading axis of 1 is dropped.

    Raises:
        BundleError: It is no such array.
    """
    try:
        with path.open("rb") as file:
            shape = _read_shape(file, name, dtype)
            size = math.prod(shape) * np.dtype(dtype).itemsize
            data = file.read(min(size, MOST_BYTES) + 1)
    except OSError as err:
        _refuse(name, err.strerror or str(err))
    if len(data) != size:
        _refuse(name, f"its shape is {_text(shape)} and its size does not fit that")
    if len(shape) == rank + 1 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != rank:
        _refuse(name, f"its shape is {_text(shape)}; expected {rank} axes")
    return np.frombuffer(data, dtype).reshape(shape)


def _read_shape(file: IO[bytes], name: str, dtype: str) -> tuple[int, ...]:
    """Return the shape that the header says; the file then stands behind the header."""
    start = file.read(8)
    width = 2 if start[6:7] == b"\1" else 4
    length = int.from_bytes(file.read(width), "little")
    if not start.startswith(b"\x93NUMPY") or length > _LONGEST_HEADER:
        _refuse(name, "it does not begin like one")
    header = file.read(length).decode("latin-1")
    found = {key: pattern.search(header) for key, pattern in _HEADER.items()}
    given = found["descr"]
    if given is None or given[1] != np.dtype(dtype).str:
        _refuse(name, f"it holds {given[1] if given else 'something else'}; expected {dtype}")
    shape, order = found["shape"], found["fortran_order"]
    if shape is None or order is None:
        _refuse(name, "its header has no shape and order of axes")
    sizes = tuple(int(size) for size in re.findall("[0-9]+", shape[1]))
    if order[1] == "True" and len(sizes) > 1:
        _refuse(name, "it is in Fortran order")
    return sizes


def check_reference(manifest: Manifest, folder: Path) -> None:
    """Compare the reference answer with the manifest and with itself.

    Args:
        manifest: Of the bundle; names and sizes of the files have been checked.
        folder: The bundle.

    Raises:
        BundleError: It is no answer that this bundle could give.
    """
    info, words = manifest.reference, manifest.vocabulary
    frame = read_array(folder / info.frame, info.frame, "uint8", rank=3)
    labels = read_array(folder / info.labels, info.labels, manifest.output.labels_dtype, rank=2)
    alive = read_array(folder / info.alive, info.alive, "int32", rank=1)
    counts = read_array(folder / info.counts, info.counts, "int32", rank=1)
    _check_shapes("frame", frame.shape, (*labels.shape, 3))
    if info.lead is not None:
        lead = read_array(folder / info.lead, info.lead, "uint16", rank=2)
        _check_shapes("lead", lead.shape, labels.shape)
    _check_range(info.labels, labels, 0, words.outputs - 1)
    _check_range(info.alive, alive, -1, words.categories - 1)
    _check_range(info.counts, counts, 0, words.categories)
    _check_places(manifest, alive, counts)


def _check_shapes(what: str, given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if given != expected or 0 in given:
        labels = _text(expected[:2])
        message = f"Reference {what} {_text(given)} and labels {labels} do not fit together."
        raise BundleError(message, hint="Export the bundle again.")


def _check_range(name: str, array: NDArray[Any], low: int, high: int) -> None:
    wrong = array[(array < low) | (array > high)] if array.size else array
    if wrong.size:
        message = f"'{name}' of the bundle holds {int(wrong.flat[0])}; expected {low} to {high}."
        raise BundleError(message, hint="Export the bundle again.")


def _check_places(manifest: Manifest, alive: NDArray[Any], counts: NDArray[Any]) -> None:
    """Compare how many there are with the rejection."""
    info, rejection = manifest.reference, manifest.rejection
    if len(counts) != 3:
        _refuse(info.counts, f"it has {len(counts)} numbers; expected 3")
    if rejection.mode == "slots" and rejection.slots and len(alive) != rejection.slots[-1]:
        slots = rejection.slots[-1]
        _refuse(info.alive, f"it has {len(alive)} places; the manifest says {slots} slots")
    left = alive[alive >= 0]
    if len(np.unique(left)) != len(left):
        _refuse(info.alive, "a category stands in it twice")


def _text(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _refuse(name: str, why: str) -> NoReturn:
    message = f"'{name}' of the bundle is not a numpy array that fits: {why}."
    raise BundleError(message, hint="Export the bundle again.") from None
