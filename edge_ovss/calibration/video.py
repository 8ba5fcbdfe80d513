"""The frames of a video file, read again whenever they are needed and never kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import InputError, PictureError
from edge_ovss.runtime.sources import Frame, open_video

# What stands at the top of an MP4 or QuickTime file; anything else there is not taken for a part.
_BOXES = frozenset(b"ftyp moov mdat free skip wide uuid moof mfra sidx styp udta meta pnot".split())
_UNKNOWN = 0xFFFFFFFF


class VideoFrames:
    """The frames of a video file by number; one decoder walks forward through the file.

    Seeking is left alone: by OpenCV it lands on another frame in some containers. Reading in order
    costs one pass, and going back starts from the first frame.

    Args:
        path: The file.

    Attributes:
        promised: How many frames the file states; 0 where it states none.

    Raises:
        InputError: It is cut off, cannot be opened, or gives no frame.
        MissingDependencyError: OpenCV is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refuse_cut_off()
        self._capture, self._at = open_video(str(path)), -1
        cv2 = require("cv2", extra="onnxruntime")
        self.promised = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        while self._capture.grab():
            self._at += 1
        self._count = self._at + 1
        if not self._count:
            message = f"Video '{path}' gave no frame."
            raise InputError(message, hint="Try another player; if none shows it, record it again.")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Frame:
        """Return a frame by its number from 0; it is read when it is asked for."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        name = f"{self._path.stem}-{index:06d}"
        return Frame(name, f"{self._path} #{index}", partial(self.read, index))

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return a frame by its number, uint8 [H, W, 3] RGB.

        Raises:
            PictureError: It cannot be read; with the path and the number.
        """
        if index < self._at:
            self._capture.release()
            self._capture, self._at = open_video(str(self._path)), -1
        while self._at < index and self._capture.grab():
            self._at += 1
        image = self._capture.retrieve()[1] if self._at == index else None
        if image is None:
            message = f"Frame {index} of the video '{self._path}' cannot be read."
            raise PictureError(message, hint="Convert the video again, or give its pictures.")
        return np.ascontiguousarray(image[:, :, ::-1])

    def _refuse_cut_off(self) -> None:
        stated, there = stated_bytes(self._path), self._path.stat().st_size
        if stated > there:
            message = f"Video '{self._path}' is cut off: it states {stated} bytes and has {there}."
            raise InputError(message, hint="Copy it again, or convert what is left of it.")


def stated_bytes(path: Path) -> int:
    """Return how long an AVI, MP4 or QuickTime file says that it is; 0 for other formats.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            walk = _riffs if file.read(4) == b"RIFF" else _boxes
            return max(walk(file), default=0)
    except OSError as err:
        message = f"Video '{path}' cannot be read: {err.strerror or err}."
        raise InputError(message, hint="Check its permissions.") from err


def _riffs(file: BinaryIO) -> Iterator[int]:
    """Yield where each part of an AVI ends; long ones have several."""
    at = 0
    while len(head := _head(file, at, 8)) == 8 and head[:4] == b"RIFF":
        size = int.from_bytes(head[4:], "little")
        if size in (0, _UNKNOWN):  # written to a pipe
            return
        yield at + 8 + size
        at += 8 + size + size % 2


def _boxes(file: BinaryIO) -> Iterator[int]:
    """Yield where each box at the top of an MP4 ends."""
    at = 0
    while len(head := _head(file, at, 16)) >= 8 and head[4:8] in _BOXES:
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # the true one follows, in 64 bits
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # 0 is up to the end, wherever that is
            return
        yield at + size
        at += size


def _head(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
