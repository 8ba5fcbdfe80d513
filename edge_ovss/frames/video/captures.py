"""Open video files as OpenCV captures, without output on stderr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import InputError

_SILENT = 0


def open_capture(path: str) -> Any:  # noqa: ANN401 (cv2.VideoCapture, imported late)
    """Open a video file with OpenCV.

    Raises:
        InputError: It cannot be opened.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = require("cv2", extra="onnxruntime")
    with quiet(cv2):
        capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        capture.release()
        message = f"Video source '{shown(path)}' cannot be opened."
        raise InputError(message, hint="Check the path; OpenCV must know the format.")
    return capture


@contextmanager
def quiet(cv2: Any) -> Iterator[None]:  # noqa: ANN401 (the module)
    """Keep OpenCV and FFmpeg from printing addresses, which may contain a password.

    FFmpeg reads its level once, with the first capture; a level set by the user stays.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging = getattr(cv2.utils, "logging", cv2)  # the place depends on the version
    before = logging.getLogLevel()
    logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
