"""The frames of a video file, read again whenever they are needed and never kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._safe_text import file_stem, shown
from edge_ovss.errors import InputError, PictureError, VideoError
from edge_ovss.frames.sources import Frame
from edge_ovss.frames.video.mpeg_streams import OPEN_FRAME
from edge_ovss.frames.video.reader import VideoReader


class VideoFrames:
    """The frames of a video file by number; one decoder walks forward through the file.

    Seeking is left alone: by OpenCV it lands on another frame in some containers. Reading in order
    costs one pass, and going back starts from the first frame.

    Args:
        path: The file.

    Attributes:
        shortfall: What is missing, where frames cannot be decoded; None if nothing is.

    Raises:
        InputError: It is cut off, cannot be opened, or gives no frame.
        MissingDependencyError: OpenCV is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._video = VideoReader(path)
        if self._video.cut not in (None, OPEN_FRAME):
            message = f"Video '{shown(path)}' is cut off: {self._video.cut}."
            raise VideoError(message, hint="Copy it again, or convert what is left of it.")
        while self._video.grab():
            pass
        self._count = self._video.read
        self.shortfall = self._video.shortfall()
        if not self._count:
            message = f"Video '{shown(path)}' gave no frame."
            raise InputError(message, hint="Try another player; if none shows it, record it again.")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Frame:
        """Return a frame by its number from 0; it is read when it is asked for."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        name = f"{file_stem(self._path.stem)}-{index:06d}"
        return Frame(name, f"{shown(self._path)} #{index}", partial(self.read, index))

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return a frame by its number, uint8 [H, W, 3] RGB.

        Raises:
            PictureError: It cannot be read; with the path and the number.
        """
        if index < self._video.read - 1:
            self._video.release()
            self._video = VideoReader(self._path)
        while self._video.read <= index and self._video.grab():
            pass
        image = self._video.retrieve() if self._video.read == index + 1 else None
        if image is None:
            message = f"Frame {index} of the video '{shown(self._path)}' cannot be read."
            raise PictureError(message, hint="Convert the video again, or give its images.")
        return image
