"""The window, the video and the painter: what they show, and what they say when they cannot."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretended_camera import NAMES, PALETTE, live_frame

from edge_ovss.errors import MissingDependencyError, OutputError, UsageError
from edge_ovss.live.views import window as windows
from edge_ovss.live.views.painting import Painter
from edge_ovss.live.views.rerun_log import RerunLog
from edge_ovss.live.views.video import VideoFile
from edge_ovss.live.views.window import Window

cv2: Any = pytest.importorskip("cv2")


def test_pictures_have_one_even_size_whatever_the_legend() -> None:
    painter = Painter(NAMES, PALETTE)
    frames = [live_frame(number, 0.0, (45, 63)) for number in range(3)]
    frames[1].result.labels[:9] = 1  # one more line in the legend
    sizes = {painter.paint(frame).shape for frame in frames}
    assert len(sizes) == 1
    height, width, _ = sizes.pop()
    assert height % 2 == width % 2 == 0
    assert height > 45 and width >= 63


def test_a_result_brings_its_own_colors() -> None:
    frame = live_frame(0, 0.0)
    other = np.full((len(NAMES), 3), 7, np.uint8)
    recolored = replace(frame, result=replace(frame.result, palette=other))
    painter = Painter(NAMES, PALETTE, alpha=1.0, apart=True)
    assert painter.paint(recolored)[4, 4].tolist() == [7, 7, 7]
    assert painter.paint(frame)[4, 4].tolist() != [7, 7, 7]


def test_a_frame_of_another_size_is_scaled_into_the_first() -> None:
    painter = Painter(NAMES, PALETTE)
    first = painter.paint(live_frame(0, 0.0, (48, 64)))
    assert painter.paint(live_frame(1, 0.0, (480, 640))).shape == first.shape
    assert painter.paint(live_frame(2, 0.0, (480, 640), "other")).shape != first.shape


def test_a_frame_is_drawn_once_for_all_views() -> None:
    painter, frame = Painter(NAMES, PALETTE), live_frame(0, 0.0)
    assert painter.paint(frame) is painter.paint(frame)
    painter.alpha = 0.0
    assert painter.paint(live_frame(1, 0.0))[0, 0].tolist() == [90, 90, 90]


TIMES = [100.0, 100.04, 100.5, 103.0, 103.033]


def _decoded(path: Path) -> tuple[list[float], list[Any]]:
    av = pytest.importorskip("av")
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    return [float(f.pts * f.time_base) for f in frames], [
        f.to_ndarray(format="rgb24") for f in frames
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_video_has_the_real_times_of_its_frames(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("av")
    painter = Painter(NAMES, PALETTE)
    video = VideoFile(tmp_path / f"a{suffix}", painter, live=True)
    for number, time_s in enumerate(TIMES):
        video.show(live_frame(number, time_s))
    video.close()
    times, pictures = _decoded(tmp_path / f"a{suffix}")
    assert times == pytest.approx([time_s - 100 for time_s in TIMES], abs=0.0011)
    wanted = painter.paint(live_frame(0, 0.0)).astype(int)
    assert np.abs(pictures[-1].astype(int) - wanted).mean() < 8


def test_several_sources_have_a_video_each(tmp_path: Path) -> None:
    pytest.importorskip("av")
    video = VideoFile(tmp_path / "a.mp4", Painter(NAMES, PALETTE), live=True)
    for number in range(4):
        video.show(live_frame(number, float(number), label=f"camera {number % 2}"))
    video.close()
    assert video.written == [tmp_path / "a.mp4", tmp_path / "a-2.mp4"]
    assert [len(_decoded(path)[0]) for path in video.written] == [2, 2]


def test_a_video_can_be_played_without_its_end(tmp_path: Path) -> None:
    pytest.importorskip("av")
    video = VideoFile(tmp_path / "a.mp4", Painter(NAMES, PALETTE), live=True)
    for number in range(400):
        video.show(live_frame(number, number / 30))
    data = (tmp_path / "a.mp4").read_bytes()  # as a power cut would leave it
    video.close()
    (tmp_path / "copy.mp4").write_bytes(data)
    assert len(_decoded(tmp_path / "copy.mp4")[0]) > 200


def test_a_disk_that_fills_is_an_error_and_not_a_saved_video(tmp_path: Path) -> None:
    pytest.importorskip("av")
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    video = VideoFile(tmp_path / "full.mp4", Painter(NAMES, PALETTE), live=True)
    with pytest.raises(OutputError, match="the disk is full"):
        for number in range(200):
            video.show(live_frame(number, number / 30))
        video.close()
    video.close()


def test_a_video_needs_a_known_suffix_and_a_folder_that_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.mp4"):
        VideoFile(tmp_path / "a.gif", Painter(NAMES, PALETTE), live=True)
    pytest.importorskip("av")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        VideoFile(tmp_path / "file/a.mp4", Painter(NAMES, PALETTE), live=True)


class FakeWindows:
    """OpenCV with windows."""

    WINDOW_NORMAL, WINDOW_KEEPRATIO, WND_PROP_VISIBLE = 0, 0, 4

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.keys: list[int] = []
        self.visible = 1.0

    def getBuildInformation(self) -> str:
        return "  GUI:                           QT5\n"

    def namedWindow(self, *_: object) -> None:
        """Open it."""

    def resizeWindow(self, *_: object) -> None:
        """Take a size."""

    def getWindowProperty(self, *_: object) -> float:
        return self.visible

    def imshow(self, title: str, picture: Any) -> None:  # noqa: ANN401 (an array)
        self.shown.append(picture)

    def waitKey(self, _: int) -> int:
        return self.keys.pop(0) if self.keys else -1

    def destroyAllWindows(self) -> None:
        self.shown.clear()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeWindows:
    made = FakeWindows()
    monkeypatch.setattr(windows, "require", lambda *_, **__: made)
    monkeypatch.setattr(windows, "_check_screen", lambda: None)
    return made


def test_the_window_shows_overlays_and_heeds_its_keys(fake: FakeWindows) -> None:
    painter = Painter(NAMES, PALETTE)
    window = Window(painter)
    window.show(live_frame(0, 0.0))
    assert fake.shown[0][0, 0].tolist() == painter.paint(live_frame(0, 0.0))[0, 0, ::-1].tolist()
    assert not window.settings().stop
    fake.keys = [ord(" "), ord(" "), ord("q")]
    asked = []
    for number in range(1, 4):
        window.show(live_frame(number, 0.0))
        asked.append((window.settings().paused, window.settings().stop))
    assert asked == [(True, False), (False, False), (False, True)]
    window.close()


def test_closing_the_window_ends_the_run(fake: FakeWindows) -> None:
    window = Window(Painter(NAMES, PALETTE))
    window.show(live_frame(0, 0.0))
    fake.visible = 0.0
    window.show(live_frame(1, 0.0))
    assert window.settings().stop
    assert len(fake.shown) == 1


def test_without_windows_or_a_screen_the_error_says_what_to_do(
    fake: FakeWindows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fake, "getBuildInformation", lambda: "  GUI:    NONE\n")
    with pytest.raises(MissingDependencyError, match="built without") as failed:
        Window(Painter(NAMES, PALETTE))
    assert "pip install opencv-python" in str(failed.value)


@pytest.mark.parametrize("display", ["", ":4711"])
def test_a_screen_that_is_not_there_is_found_before_qt_ends_the_process(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingDependencyError, match="needs a screen"):
        windows._check_screen()


def test_a_screen_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0/tmp/.X11-unix/X4712")
        listener.listen()
        monkeypatch.setenv("DISPLAY", ":4712")
        windows._check_screen()
        assert windows._answers("/tmp/.X11-unix/X4712")


def test_rerun_gets_frames_labels_and_times(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    log = RerunLog(str(tmp_path / "a.rrd"), PALETTE)
    for number in range(3):
        log.show(live_frame(number, number / 10, label="/dev/video0"))
    log.close()
    data = (tmp_path / "a.rrd").read_bytes()
    assert data.startswith(b"RRF")
    assert all(word in data for word in (b"dev/video0", b"labels", b"latency_ms"))


def test_rerun_wants_a_place() -> None:
    with pytest.raises(UsageError, match=r"FILE\.rrd"):
        RerunLog("somewhere", PALETTE)
