"""Open files, cameras and streams as OpenCV captures, without output on stderr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_ovss._addresses import shown_address
from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import InputError
from edge_ovss.frames.source_kinds import SourceKind, source_kind

_DEVICE = "/dev/video"
_SILENT = 0
_HINTS = {
    SourceKind.CAMERA: "Check the cable and the permissions (group 'video'), and that no other "
    "program uses it.",
    SourceKind.STREAM: "Check the address, the user name and the password.",
}


def open_capture(address: str) -> Any:  # noqa: ANN401 (cv2.VideoCapture, imported late)
    """Open a video file, a camera (`/dev/video0`, or a link to one) or a stream with OpenCV.

    Raises:
        InputError: It cannot be opened.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = require("cv2", extra="onnxruntime")
    kind = source_kind(address)
    with _quiet(cv2):
        capture = cv2.VideoCapture(_place(address, kind))
    if not capture.isOpened():
        capture.release()
        message = f"Video source '{shown(shown_address(address))}' cannot be opened."
        hint = _HINTS.get(kind, "Check the path; OpenCV must know the format.")
        raise InputError(message, hint=hint)
    return capture


def _place(address: str, kind: SourceKind) -> str | int:
    """Return what OpenCV opens: the number of a camera, or a path or address."""
    if kind is SourceKind.STREAM:
        scheme, separator, rest = address.partition("://")
        return f"{scheme.lower()}{separator}{rest}"
    if kind is not SourceKind.CAMERA:
        return address
    device = str(Path(address).expanduser().resolve())
    number = device.removeprefix(_DEVICE)
    return int(number) if device != number and number.isdigit() else device


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:  # noqa: ANN401 (the module)
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
