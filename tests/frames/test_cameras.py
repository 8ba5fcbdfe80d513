"""Addresses of cameras, and what is said when one cannot be opened."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import InputError, MissingDependencyError, UsageError
from edge_ovss.frames.cameras import opening
from edge_ovss.frames.cameras.addresses import CameraAddress, Transport, parse_camera
from edge_ovss.frames.cameras.opening import open_camera
from edge_ovss.frames.source_kinds import SourceKind, is_live, refuse_live, source_kind

cv2: Any = pytest.importorskip("cv2")

TABLE = json.loads((Path(__file__).parents[1] / "data/camera_addresses.json").read_text("utf-8"))


@pytest.mark.parametrize("row", [row for row in TABLE if "error" not in row], ids=str)
def test_addresses_mean_what_the_table_says(row: dict[str, Any]) -> None:
    row = dict(row)
    wanted = CameraAddress(Transport(row.pop("transport")), **_without(row, "given"))
    assert parse_camera(row["given"]) == wanted


def test_a_pipeline_of_several_lines_ends_too() -> None:
    assert parse_camera("gst://uridecodebin3 name=a\n  uri=file:///a.mp4\n! appsink").ends


@pytest.mark.parametrize("row", [row for row in TABLE if "error" in row], ids=str)
def test_wrong_options_are_refused(row: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=row["error"]):
        parse_camera(row["given"])


def _without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def test_a_number_is_a_camera_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_kind("0") is SourceKind.CAMERA
    (tmp_path / "0").mkdir()
    assert source_kind("0") is SourceKind.FOLDER


@pytest.mark.parametrize("spec", ["0", "csi://0", "gst://a", "v4l2://0", "rtsp://gate", "srt://a"])
def test_what_is_live_is_refused_where_a_source_must_end(spec: str) -> None:
    assert is_live(spec)
    with pytest.raises(UsageError, match="never ends"):
        refuse_live(spec, "Images")


class Capture:
    """What OpenCV gives for a camera."""

    opened: list[object]
    ways: list[Any]
    newest: Capture

    def __init__(self, place: object, *way: Any) -> None:  # noqa: ANN401 (as OpenCV takes them)
        Capture.opened.append(place)
        Capture.ways.append(way)
        self.asked: dict[int, float] = {}
        Capture.newest = self

    def isOpened(self) -> bool:
        return True

    def set(self, name: int, value: float) -> None:
        self.asked[name] = value

    def get(self, name: int) -> float:
        return {cv2.CAP_PROP_FRAME_HEIGHT: 480, cv2.CAP_PROP_FRAME_WIDTH: 640}.get(name, 0)

    def read(self) -> tuple[bool, Any]:
        return True, np.array([[[1, 2, 3]]], np.uint8)

    def release(self) -> None:
        """Nothing is held."""


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    Capture.opened, Capture.ways = [], []
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(opening, "_check_device", lambda address: None)
    return Capture.opened


def test_a_link_to_a_device_is_followed_whenever_it_is_opened(
    tmp_path: Path, devices: list[object]
) -> None:
    link = tmp_path / "usb-camera"
    for number in (7, 8):
        link.unlink(missing_ok=True)
        link.symlink_to(f"/dev/video{number}")
        open_camera(parse_camera(str(link)), 1.0)
    open_camera(parse_camera("3"), 1.0)
    open_camera(parse_camera("/dev/media-camera"), 1.0)
    assert devices == [7, 8, 3, "/dev/media-camera"]


@pytest.mark.parametrize(("there", "way"), [(True, cv2.CAP_V4L2), (False, cv2.CAP_ANY)])
def test_devices_are_opened_by_v4l2_where_opencv_has_it(
    there: bool, way: int, monkeypatch: pytest.MonkeyPatch, devices: list[object]
) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: there)
    open_camera(parse_camera("0"), 1.0)
    assert Capture.ways == [(way,)]


def test_a_stream_has_a_time_limit_where_ffmpeg_is(
    monkeypatch: pytest.MonkeyPatch, devices: list[object]
) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: True)
    open_camera(parse_camera("rtsp://gate"), 2.5)
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: False)
    open_camera(parse_camera("rtsp://gate"), 2.5)
    (backend, asked), other = Capture.ways
    assert backend == cv2.CAP_FFMPEG
    assert dict(zip(asked[::2], asked[1::2], strict=True)) == {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: 2500,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: 2500,
    }
    assert other == ()


def test_frames_are_rgb_and_a_device_tells_no_time(devices: list[object]) -> None:
    found = open_camera(parse_camera("0"), 1.0).read()
    assert found is not None
    assert found[0].tolist() == [[[3, 2, 1]]]
    assert found[1] is None


def test_a_device_is_asked_for_its_format_before_its_size(devices: list[object]) -> None:
    open_camera(parse_camera("v4l2://0?size=480x640&fps=25&format=MJPG"), 1.0)
    assert list(Capture.newest.asked.items()) == [
        (cv2.CAP_PROP_BUFFERSIZE, 1),
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
        (cv2.CAP_PROP_FPS, 25.0),
    ]


def test_another_size_than_asked_for_is_said(devices: list[object]) -> None:
    with pytest.warns(UserWarning, match=r"gives 480 x 640 .* not 640 x 480 .* size=480x640"):
        open_camera(parse_camera("v4l2://0?size=640x480"), 1.0)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "in use"),
        (errno.EACCES, "permission is denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_device_that_cannot_be_opened_says_why(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "stat", lambda _: os.stat_result([stat.S_IFCHR] + [0] * 9))
    with pytest.raises(InputError, match=words):
        open_camera(parse_camera("/dev/video0"), 1.0)


def test_a_camera_that_is_not_there_and_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such camera"):
        open_camera(parse_camera("/dev/video987"), 1.0)
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="is not a camera"):
        open_camera(CameraAddress(Transport.DEVICE, str(tmp_path / "x"), "x", "x"), 1.0)


def test_a_pipeline_needs_gstreamer_and_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: False)
    with pytest.raises(MissingDependencyError, match="JetPack") as failed:
        open_camera(parse_camera("csi://0"), 1.0)
    assert "apt install" in str(failed.value)


def test_a_pipeline_is_given_to_gstreamer(
    monkeypatch: pytest.MonkeyPatch, devices: list[object]
) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: True)
    open_camera(parse_camera("gst://videotestsrc ! appsink"), 1.0)
    assert devices == ["videotestsrc ! appsink"]
