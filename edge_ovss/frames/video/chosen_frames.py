"""The frames of a video file by number, decoded on demand and never kept."""

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

    OpenCV's seek is not used: in some containers it lands on the wrong frame. Reading in order
    costs one pass; going back restarts from the first frame.

    Args:
        path: The file.
        video: Its reader, at the end of the file.

    Attributes:
        shortfall: What is missing if frames cannot be decoded, else None.
    """

    def __init__(self, path: Path, video: VideoReader) -> None:
        self._path, self._video, self._count = path, video, video.read
        self.shortfall = video.shortfall()

    @classmethod
    def count(cls, path: Path) -> VideoFrames:
        """Read a video from its first frame to its last.

        Raises:
            InputError: It is cut off, cannot be opened, or has no frames.
            MissingDependencyError: OpenCV is not installed.
        """
        video = VideoReader(path)
        if video.cut not in (None, OPEN_FRAME):
            message = f"Video '{shown(path)}' is cut off: {video.cut}."
            raise VideoError(message, hint="Copy it again, or convert the part that is there.")
        while video.grab():
            pass
        if not video.read:
            message = f"Video '{shown(path)}' has no frames."
            hint = "Try it in a player; if that fails too, record it again."
            raise InputError(message, hint=hint)
        return cls(path, video)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Frame:
        """Return a frame by its number from 0; it is read on first access."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        name = f"{file_stem(self._path.stem)}-{index:06d}"
        return Frame(name, f"{shown(self._path)} #{index}", partial(self.read, index))

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return a frame by its number, uint8 [H, W, 3] RGB.

        Raises:
            PictureError: It cannot be read; the message has the path and the number.
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
