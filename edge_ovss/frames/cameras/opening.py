"""Open live sources with OpenCV, and read frames from them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import InputError, MissingDependencyError
from edge_ovss.frames.cameras.addresses import DEVICE, CameraAddress, Transport, parse_camera
from edge_ovss.frames.grammar import GRAMMAR
from edge_ovss.frames.source_notes import note
from edge_ovss.frames.video.captures import quiet

_ENDLESS = 1e9
_STREAM_HINT = (
    "Check the address, the user name and the password, and that it can be reached and sends "
    "frames in time."
)
_NO_GSTREAMER = (
    "On a Jetson, use the OpenCV of JetPack: a virtual environment with --system-site-packages, "
    "without a package of OpenCV of its own. On Debian or Ubuntu: apt install python3-opencv "
    "gstreamer1.0-plugins-good. The packages of OpenCV for pip have no GStreamer."
)


class Camera(Protocol):
    """An open live source."""

    def read(self) -> tuple[NDArray[np.uint8], float | None] | None:
        """Wait for the next frame.

        Returns:
            uint8 [H, W, 3] RGB, and its time in the stream in seconds or None; or None at the
            end, or when the source is lost.
        """

    def release(self) -> None:
        """Close the device or the connection."""


def open_camera(address: CameraAddress, timeout_s: float) -> Camera:
    """Open a live source.

    Args:
        address: What `parse_camera` returned.
        timeout_s: How long opening, and every frame of a stream, may take.

    Raises:
        InputError: It does not exist, is in use, may not be read, or does not answer.
        MissingDependencyError: OpenCV is not installed, or has no GStreamer for a pipeline.
    """
    cv2 = require("cv2", extra="onnxruntime")
    if address.transport is Transport.DEVICE:
        _check_device(address)
    if address.transport is Transport.PIPELINE and not _has(cv2, cv2.CAP_GSTREAMER):
        message = f"'{address.label}' needs GStreamer, which OpenCV {cv2.__version__} here lacks."
        raise MissingDependencyError(message, hint=_NO_GSTREAMER)
    with quiet(cv2):
        capture = _opened(cv2, address, timeout_s)
    if not capture.isOpened():
        capture.release()
        raise _not_opened(address)
    if address.transport is Transport.DEVICE:
        _ask(cv2, capture, address)
    return _OpenCamera(cv2, capture, timed=address.transport is Transport.NETWORK)


def is_recording(spec: str, timeout_s: float) -> bool:
    """Whether an address of the web is that of a video file, which ends, and not of a camera.

    Raises:
        InputError: It cannot be opened.
        MissingDependencyError: OpenCV is not installed.
    """
    if not spec.lower().startswith(("http://", "https://")):
        return False
    camera = open_camera(parse_camera(spec), timeout_s)
    try:
        return isinstance(camera, _OpenCamera) and camera.frames > 0
    finally:
        camera.release()


class _OpenCamera:
    def __init__(self, cv2: Any, capture: Any, *, timed: bool) -> None:  # noqa: ANN401 (OpenCV)
        self._cv2, self._capture, self._timed = cv2, capture, timed

    @property
    def frames(self) -> int:
        """How many frames the source says it has; 0 for one without an end."""
        count = self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if 0 < count < _ENDLESS else 0

    def read(self) -> tuple[NDArray[np.uint8], float | None] | None:
        done, image = self._capture.read()
        if not done or image is None:
            return None
        if image.ndim == 2:  # a camera that sends gray
            image = np.repeat(image[:, :, None], 3, axis=2)
        # The clock of a device starts with the computer, that of a stream with the stream.
        time_s = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000 if self._timed else None
        return np.ascontiguousarray(image[:, :, ::-1]), time_s

    def release(self) -> None:
        self._capture.release()


def _opened(cv2: Any, address: CameraAddress, timeout_s: float) -> Any:  # noqa: ANN401 (OpenCV)
    if address.transport is Transport.PIPELINE:
        return cv2.VideoCapture(address.place, cv2.CAP_GSTREAMER)
    if address.transport is Transport.NETWORK:
        if not _has(cv2, cv2.CAP_FFMPEG):  # it may have GStreamer, which takes no timeout
            return cv2.VideoCapture(address.place)
        wait = max(1, round(timeout_s * 1000))
        asked = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
        return cv2.VideoCapture(address.place, cv2.CAP_FFMPEG, asked)
    # A link keeps its name when cameras are plugged in another order, so it is followed each time.
    device = str(Path(address.place).resolve())
    number = device.removeprefix(DEVICE)
    # An OpenCV with GStreamer would prefer it, which heeds no sizes.
    way = cv2.CAP_V4L2 if _has(cv2, cv2.CAP_V4L2) else cv2.CAP_ANY
    return cv2.VideoCapture(int(number) if number.isdecimal() else device, way)


def _ask(cv2: Any, capture: Any, address: CameraAddress) -> None:  # noqa: ANN401 (OpenCV)
    """Ask a device for its settings; the format first, since it decides about the sizes."""
    # One buffer, so that a frame is not old when it is read; not every driver listens.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if address.code:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*address.code))
    if address.height and address.width:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, address.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, address.height)
    if address.fps:
        capture.set(cv2.CAP_PROP_FPS, address.fps)
    _note_other_size(cv2, capture, address)


def _note_other_size(cv2: Any, capture: Any, address: CameraAddress) -> None:  # noqa: ANN401
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    asked = (address.height, address.width)
    if asked == (None, None) or asked == (height, width) or not height or not width:
        return
    turned = address.height > address.width and width > height  # type: ignore[operator]
    advice = f"; size is height x width, such as size={asked[1]}x{asked[0]}" if turned else ""
    note(
        f"'{address.label}' gives {height} x {width} pixels (height x width), not "
        f"{asked[0]} x {asked[1]} as asked{advice}"
    )


def _has(cv2: Any, backend: int) -> bool:  # noqa: ANN401 (OpenCV)
    # The list of backends names those too that would be plug-ins, but are not there.
    return bool(cv2.videoio_registry.hasBackend(backend))


def _check_device(address: CameraAddress) -> None:
    """Say what is wrong with a device, which OpenCV does not.

    Raises:
        InputError: It is not there, not a device, not readable, or in use.
    """
    path = Path(address.place)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISCHR(mode):
            message = f"'{address.label}' is not a camera."
            raise InputError(message, hint=GRAMMAR)
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError as err:
        message = f"Video source '{address.label}' cannot be opened: there is no such camera."
        raise InputError(message, hint=f"{_there()} Check the cable.") from err
    except OSError as err:
        raise _refused(address, err) from err


def _refused(address: CameraAddress, err: OSError) -> InputError:
    start = f"Video source '{address.label}' cannot be opened"
    if err.errno == errno.EBUSY:
        return InputError(f"{start}: it is in use.", hint="End the other program that reads it.")
    if err.errno in (errno.EACCES, errno.EPERM):
        hint = "Add yourself to the group 'video', and log in again; in a container, pass --device."
        return InputError(f"{start}: permission is denied.", hint=hint)
    return InputError(f"{start}: {err.strerror or err}.", hint="Check the cable and the driver.")


def _there() -> str:
    found = sorted(path.name for path in Path("/dev").glob("video*"))
    return f"Cameras here: {', '.join(found)}." if found else "There is no camera here."


def _not_opened(address: CameraAddress) -> InputError:
    message = f"Video source '{address.label}' cannot be opened."
    if address.transport is Transport.NETWORK:
        return InputError(message, hint=_STREAM_HINT)
    if address.transport is Transport.PIPELINE:
        hint = "Try the pipeline with gst-launch-1.0, and 'fakesink' in place of 'appsink'."
        return InputError(message, hint=hint)
    hint = "Check that no other program uses it, and the permissions (group 'video')."
    return InputError(message, hint=hint)
