"""Motion from a file, such as that of a flow network or of a camera's own hardware.

The file is one numpy array [N, h, w, 2] or [N, h, w, 3]: for each of N frames, in order, where its
pixels were in the frame before, (x, y), and whether that can be trusted (not 0). That of the first
frame is not used. Floating point numbers are pixels of the frame, and what is not finite cannot be
trusted; int16 numbers are 1/32 pixel, as `Motion` has them.

It is mapped into memory, so it may be larger than that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError
from edge_ovss.motion.vectors import Motion

SUFFIX = ".npy"
_HINT = "Save one with numpy.save: float or int16 [N, h, w, 2 or 3]; docs/video.md has the form."


def is_stored(flow: str) -> bool:
    """Return whether the name of a flow is that of a file."""
    return flow.endswith(SUFFIX)


class StoredFlow:
    """Hands on the motion of one frame after the other.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read, or holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._array = _opened(self._path)
        self._next = 0
        self._size = (0, 0)

    def __len__(self) -> int:
        """For how many frames it has motion."""
        return len(self._array)

    def advance(self, frame: NDArray[np.uint8]) -> Motion | None:
        """Return the motion of the next frame; None for the first, and after another size.

        Raises:
            InputError: There are more frames than the file has motion for.
        """
        number, known = self._next, self._size
        if number >= len(self):
            message = f"Flow '{self._path}' has motion for {len(self)} frames; this is one more."
            raise InputError(message, hint="Give one array of vectors for each frame.")
        self._next, self._size = number + 1, (frame.shape[0], frame.shape[1])
        return self._motion(number) if known == self._size else None

    def forget(self) -> None:
        """Take the next frame as the first of a stream; its motion is the next in the file."""
        self._size = (0, 0)

    def _motion(self, number: int) -> Motion:
        row = np.array(self._array[number])  # a copy, whatever becomes of the file
        vectors = np.ascontiguousarray(row[..., :2])
        valid = np.ones(row.shape[:2], np.bool_) if row.shape[2] == 2 else row[..., 2] != 0
        if vectors.dtype == np.int16:
            return Motion(vectors, valid)
        return Motion.of_pixels(vectors, valid)


def _opened(path: Path) -> NDArray[np.int16] | NDArray[np.floating]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as err:
        why = err.strerror if isinstance(err, OSError) and err.strerror else "it is no numpy array"
        message = f"Flow '{path}' cannot be read: {why}."
        raise InputError(message, hint=_HINT) from err
    if not isinstance(array, np.ndarray):
        array.close()
        message = f"Flow '{path}' holds several arrays; expected one."
        raise InputError(message, hint=_HINT)
    known = array.dtype == np.int16 or array.dtype.kind == "f"
    if not known or array.ndim != 4 or array.shape[3] not in (2, 3) or not array.size:
        message = (
            f"Flow '{path}' is {array.dtype} {list(array.shape)}; expected floating point or int16 "
            "[N, h, w, 2 or 3]."
        )
        raise InputError(message, hint=_HINT)
    return array
