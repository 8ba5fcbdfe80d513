"""Read `.npy` files that may come from anywhere: arrays of a bundle.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

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
        refuse_array(name, err.strerror or str(err))
    if len(data) != size:
        refuse_array(name, f"its shape is {shape_text(shape)} and its size does not fit that")
    if len(shape) == rank + 1 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != rank:
        refuse_array(name, f"its shape is {shape_text(shape)}; expected {rank} axes")
    return np.frombuffer(data, dtype).reshape(shape)


def _read_shape(file: IO[bytes], name: str, dtype: str) -> tuple[int, ...]:
    """Return the shape that the header says; the file then stands behind the header."""
    start = file.read(8)
    width = 2 if start[6:7] == b"\1" else 4
    length = int.from_bytes(file.read(width), "little")
    if not start.startswith(b"\x93NUMPY") or length > _LONGEST_HEADER:
        refuse_array(name, "it does not begin like one")
    header = file.read(length).decode("latin-1")
    found = {key: pattern.search(header) for key, pattern in _HEADER.items()}
    given = found["descr"]
    if given is None or given[1] != np.dtype(dtype).str:
        refuse_array(name, f"it holds {given[1] if given else 'something else'}; expected {dtype}")
    shape, order = found["shape"], found["fortran_order"]
    if shape is None or order is None:
        refuse_array(name, "its header has no shape and order of axes")
    sizes = tuple(int(size) for size in re.findall("[0-9]+", shape[1]))
    if order[1] == "True" and len(sizes) > 1:
        refuse_array(name, "it is in Fortran order")
    return sizes


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for a message: "[2, 3]"."""
    return f"[{', '.join(map(str, shape))}]"


def refuse_array(name: str, why: str) -> NoReturn:
    """Raise the error for a file that is no array of the bundle."""
    message = f"'{name}' of the bundle is not a numpy array that fits: {why}."
    raise BundleError(message, hint="Export the bundle again.") from None
