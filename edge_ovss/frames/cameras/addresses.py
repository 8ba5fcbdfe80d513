"""The grammar of live sources. The C++ program reads the same addresses."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qsl

from edge_ovss._addresses import shown_address
from edge_ovss._safe_text import file_stem, shown
from edge_ovss.errors import UsageError
from edge_ovss.frames.source_kinds import is_number

V4L2, CSI, GST = "v4l2", "csi", "gst"
DEVICE = "/dev/video"
_OPTIONS = {V4L2: ("size", "fps", "format"), CSI: ("size", "fps", "flip")}
_LARGEST = 32768
_FASTEST = 1000.0
_CODE = re.compile(r"[A-Z0-9]{3,4}")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
# A pipeline that reads a file, or counts its frames, ends; all others are expected to go on.
_ENDS = re.compile(
    r"\b((push|multi)?file|image|splitmux)src\b|\bnum-buffers=\d"
    r"|\b(uridecodebin3?|playbin3?|urisourcebin|giosrc)\b.*\bfile:",
    re.DOTALL,
)


class Transport(Enum):
    """How OpenCV opens a live source."""

    DEVICE = "V4L2"
    NETWORK = "FFmpeg"
    PIPELINE = "GStreamer"


@dataclass(frozen=True)
class CameraAddress:
    """A live source.

    Attributes:
        transport: How it is opened.
        place: What OpenCV is given: a path, an address with its password, or a pipeline.
        label: How it is shown to people: without user name and password.
        stem: Start of the names of its files.
        ends: Whether an end is expected, so that it is not opened again.
        height: Requested height in pixels; None for the camera's own.
        width: Requested width in pixels; None for the camera's own.
        fps: Requested frames per second; None for the camera's own.
        code: Requested pixel format, such as "MJPG"; None for the camera's own.
    """

    transport: Transport
    place: str
    label: str
    stem: str
    ends: bool = False
    height: int | None = None
    width: int | None = None
    fps: float | None = None
    code: str | None = None


def parse_camera(spec: str) -> CameraAddress:
    """Return the camera that an address names; nothing is opened.

    Args:
        spec: A number, a device, or an address with "://", as in `edge_ovss.frames.grammar`.

    Raises:
        UsageError: An option is unknown or has a wrong value.
    """
    scheme, separator, rest = spec.partition("://")
    scheme = scheme.lower()
    if not separator:
        device = f"{DEVICE}{int(spec)}" if is_number(spec) else str(Path(spec).expanduser())
        stem = "video" + spec if is_number(spec) else Path(spec).name
        return CameraAddress(Transport.DEVICE, device, shown(device), file_stem(stem))
    if scheme == V4L2:
        return _device(spec, rest)
    if scheme == CSI:
        return _csi(spec, rest)
    if scheme == GST:
        return _pipeline(spec, rest)
    place = f"{scheme}{separator}{rest}"
    return CameraAddress(Transport.NETWORK, place, shown(shown_address(spec)), scheme)


def _device(spec: str, rest: str) -> CameraAddress:
    place, options = _split(V4L2, spec, rest)
    if is_number(place):
        place = f"{DEVICE}{int(place)}"
    if not place.startswith("/"):
        message = f"'{shown(spec)}' names no device."
        hint = "Expected v4l2:///dev/video0 (three slashes) or v4l2://0."
        raise UsageError(message, hint=hint)
    height, width = _size(spec, options)
    return CameraAddress(
        Transport.DEVICE,
        place,
        shown(place),
        file_stem(Path(place).name),
        height=height,
        width=width,
        fps=_fps(spec, options),
        code=_code(spec, options),
    )


def _csi(spec: str, rest: str) -> CameraAddress:
    number, options = _split(CSI, spec, rest)
    if not is_number(number):
        message = f"'{shown(spec)}' names no CSI camera."
        raise UsageError(message, hint="Expected the number of the sensor, such as csi://0.")
    height, width = _size(spec, options)
    height, width, fps = height or 1080, width or 1920, _fps(spec, options) or 30.0
    flip = options.get("flip", "0")
    if not re.fullmatch("[0-7]", flip):
        message = f"Option 'flip' of '{shown(spec)}' is '{shown(flip)}'."
        raise UsageError(message, hint="Expected the flip-method of nvvidconv, 0 to 7.")
    caps = f"video/x-raw(memory:NVMM),width={width},height={height},framerate={_rate(fps)}"
    source = f"nvarguscamerasrc sensor-id={int(number)} ! {caps}"
    place = f"{source} ! nvvidconv flip-method={flip} ! video/x-raw,format=BGRx ! {_TAIL}"
    return CameraAddress(Transport.PIPELINE, place, f"csi://{int(number)}", f"csi{int(number)}")


# One buffer, and old frames dropped: a queue here would make every frame late.
_TAIL = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def _pipeline(spec: str, rest: str) -> CameraAddress:
    text = rest.strip()
    if not text:
        message = "The pipeline of 'gst://' is empty."
        raise UsageError(message, hint="Expected gst://SOURCE ! ..., as for gst-launch-1.0.")
    place = text if re.search(r"\bappsink\b", text) else f"{text} ! {_TAIL}"
    label = shown(f"gst://{shown_address(text)}") if "://" in text else shown(spec)
    return CameraAddress(Transport.PIPELINE, place, label, GST, ends=bool(_ENDS.search(text)))


def _split(scheme: str, spec: str, rest: str) -> tuple[str, dict[str, str]]:
    """Return what stands before "?" and the options after it."""
    place, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _OPTIONS[scheme]:
            close = difflib.get_close_matches(key, _OPTIONS[scheme], n=1)
            known = ", ".join(_OPTIONS[scheme])
            hint = f"Did you mean '{close[0]}'?" if close else f"Options: {known}."
            message = f"{scheme}:// has no option '{shown(key)}'."
            raise UsageError(message, hint=hint)
        if key in options:
            message = f"Option '{key}' is given twice in '{shown(spec)}'."
            raise UsageError(message, hint="Give it once.")
        options[key] = value
    return place.rstrip("/") if place.strip("/") else place, options


def _size(spec: str, options: Mapping[str, str]) -> tuple[int | None, int | None]:
    text = options.get("size")
    if text is None:
        return None, None
    found = _SIZE.fullmatch(text)
    if not found or not all(0 < int(part) <= _LARGEST for part in found.groups()):
        message = f"Option 'size' of '{shown(spec)}' is '{shown(text)}'."
        raise UsageError(message, hint="Expected height x width in pixels, such as 720x1280.")
    return int(found[1]), int(found[2])


def _fps(spec: str, options: Mapping[str, str]) -> float | None:
    text = options.get("fps")
    if text is None:
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = math.nan
    if not 0.0 < fps <= _FASTEST:
        message = f"Option 'fps' of '{shown(spec)}' is '{shown(text)}'."
        raise UsageError(message, hint="Expected frames per second, such as 30.")
    return fps


def _code(spec: str, options: Mapping[str, str]) -> str | None:
    text = options.get("format")
    if text is None:
        return None
    code = text.upper()
    if not _CODE.fullmatch(code):
        message = f"Option 'format' of '{shown(spec)}' is '{shown(text)}'."
        hint = "Expected a format of V4L2 such as MJPG or YUYV; see v4l2-ctl --list-formats."
        raise UsageError(message, hint=hint)
    return code.ljust(4)


def _rate(fps: float) -> str:
    """Return a rate as GStreamer writes it: "30/1", or "2997/100"."""
    return f"{int(fps)}/1" if fps == int(fps) else f"{round(fps * 100)}/100"
