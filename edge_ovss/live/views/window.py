"""Show overlays in a window, where OpenCV has one."""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import Any

from edge_ovss._optional import require
from edge_ovss.errors import MissingDependencyError
from edge_ovss.live.sinks import LiveFrame, Settings
from edge_ovss.live.views.painting import Painter

_ELSEWHERE = "Without a screen, use --video FILE.mp4."
_NO_WINDOWS = "pip uninstall opencv-python-headless; pip install opencv-python. " + _ELSEWHERE
_ESCAPE, _SPACE = 27, 32
_DISPLAY = re.compile(r"(?:unix)?:(\d+)(?:\.\d+)?")


class Window:
    """A window with the newest overlay: q or Esc ends the run, the space bar pauses it.

    It is made in the thread that shows the first frame, since OpenCV wants one thread for all.

    Args:
        painter: Draws the overlays.
        title: Of the window.

    Raises:
        MissingDependencyError: OpenCV has no windows, or there is no screen.
    """

    def __init__(self, painter: Painter, title: str = "edge-ovss") -> None:
        self._painter, self._title = painter, title
        self._cv2: Any = require("cv2", extra="onnxruntime")
        self._is_open = self._stop = self._paused = False
        _check_windows(self._cv2)
        _check_screen()

    def show(self, frame: LiveFrame) -> None:
        """Draw the frame, and heed the keys that were pressed."""
        cv2 = self._cv2
        if self._is_open and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            self._stop = True  # the user closed it
            return
        if not self._is_open:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            picture = self._painter.paint(frame)
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            self._is_open = True
        cv2.imshow(self._title, self._painter.paint(frame)[:, :, ::-1])
        self._heed(cv2.waitKey(1) & 0xFF)

    def _heed(self, key: int) -> None:
        if key in (ord("q"), _ESCAPE):
            self._stop = True
        elif key == _SPACE:
            self._paused = not self._paused

    def settings(self) -> Settings:
        """Return what the keys asked for."""
        return Settings(stop=self._stop, paused=self._paused)

    def close(self) -> None:
        """Close the window."""
        if self._is_open:
            self._cv2.destroyAllWindows()


def _check_windows(cv2: Any) -> None:  # noqa: ANN401 (the module)
    found = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if found is not None and found[1] == "NONE":
        message = "--show needs an OpenCV with windows; this one is built without."
        raise MissingDependencyError(message, hint=_NO_WINDOWS)


def _check_screen() -> None:
    """Check that a window can be opened: Qt ends the process where it cannot."""
    if not sys.platform.startswith("linux"):
        return
    display = os.environ.get("DISPLAY", "")
    if not display and not os.environ.get("WAYLAND_DISPLAY"):
        message = "--show needs a screen; DISPLAY is not set."
        raise MissingDependencyError(message, hint=_ELSEWHERE)
    local = _DISPLAY.fullmatch(display)
    if local is not None and not _answers(f"/tmp/.X11-unix/X{local[1]}"):
        message = f"--show needs a screen; display '{display}' does not answer."
        raise MissingDependencyError(message, hint=_ELSEWHERE)


def _answers(path: str) -> bool:
    # Linux also listens at a name without a file, which containers often have alone.
    for place in (path, "\0" + path):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(place)
            except OSError:
                continue
            return True
    return False
