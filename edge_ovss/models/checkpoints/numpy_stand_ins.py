"""NumPy values beside the tensors of a torch file: read as data, without running NumPy's own code.

Training programs keep best scores and step counts as NumPy scalars, and some keep weights as
arrays. The functions that rebuild them in a pickle are not safe for untrusted files (a crafted
dtype makes NumPy follow any address), so torch refuses all of them. Here harmless classes stand in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import torch

_MAKERS = ("scalar", "_reconstruct")
_NAMES = (
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{part}" for core in ("core", "_core") for part in _MAKERS),
)
_DTYPES = ("f2", "f4", "f8")
_ORDERS = ("<", "|", "=", ">")


class StandIn:
    """Takes what a NumPy object is rebuilt from, and does nothing with it but keep it.

    Attributes:
        parts: Arguments of the constructor.
        state: The stored state.
    """

    parts: tuple[object, ...]
    state: object

    def __new__(cls, *parts: object) -> StandIn:
        """Make one; the unpickler may call this without `__init__`."""
        made = super().__new__(cls)
        made.parts = parts
        made.state = ()
        return made

    def __setstate__(self, state: object) -> None:
        """Keep the state as it is."""
        self.state = state


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Stand in for `_codecs.encode`, by which protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        message = "bytes are stored in an unknown encoding"
        raise ValueError(message)
    return text.encode("latin1")


def safe_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return the stand-ins under the names of NumPy 1 and 2, for `torch.serialization`."""
    return [(_encode, "_codecs.encode"), *((StandIn, name) for name in _NAMES)]


def tensor_of(value: object) -> torch.Tensor | None:
    """Return the float tensor of an array's stand-in; None where it is none of a plain array."""
    if not isinstance(value, StandIn) or not isinstance(value.state, tuple):
        return None
    if len(value.state) != 5 or not isinstance(value.state[2], StandIn):
        return None
    _, shape, dtype, by_column, data = value.state
    text = _dtype_text(dtype)
    if text is None or not isinstance(data, bytes):
        return None
    sizes = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    if not sizes or math.prod(shape) * int(text[-1]) != len(data):
        return None
    array = numpy.frombuffer(data, dtype=text).reshape(shape, order="F" if by_column else "C")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


def _dtype_text(dtype: StandIn) -> str | None:
    """Return such as "<f4" of a dtype's stand-in: its name, and the order that its state holds."""
    name = dtype.parts[0] if dtype.parts else None
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "="
    return f"{order}{name}" if name in _DTYPES and order in _ORDERS else None
