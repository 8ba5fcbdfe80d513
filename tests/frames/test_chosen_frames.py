"""Calibration images from a video: streamed, the same at every reading, and whole."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import FRAME_BYTES, Image, images, write_video

from edge_ovss.calibration.images import collect_pictures
from edge_ovss.calibration.warnings import CalibrationWarning
from edge_ovss.datasets.opening import open_pictures
from edge_ovss.errors import InputError, PictureError, UsageError, VideoError
from edge_ovss.frames.images import picture_hash
from edge_ovss.frames.video.chosen_frames import VideoFrames
from edge_ovss.frames.video.lengths import stated_bytes
from edge_ovss.frames.video.reader import Shortfall

cv2: Any = pytest.importorskip("cv2")


def decode(path: Path) -> list[Image]:
    """Return the frames as OpenCV gives them one after the other, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    while True:
        done, image = capture.read()
        if not done:
            return frames
        frames.append(image[:, :, ::-1])


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "drive.avi", images(30))


def test_a_video_gives_its_frames_in_order_each_time_it_is_read(video: Path) -> None:
    found, wanted = collect_pictures(str(video)), decode(video)
    assert [frame.name for frame in found.frames] == [f"drive-{i:06d}" for i in range(30)]
    assert found.hashes == tuple(picture_hash(np.ascontiguousarray(each)) for each in wanted)
    for _ in range(2):
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert found.promised is None
    assert "promised" not in found.to_json()


def test_frames_of_a_video_may_be_asked_for_in_any_order(tmp_path: Path) -> None:
    # Frames that are stored as changes to the ones before: where a wrong seek would show.
    path = write_video(tmp_path / "drive.mp4", images(30), code="mp4v")
    frames, wanted = VideoFrames.count(path), decode(path)
    for index in (7, 7, 3, 29, 0, 28):
        assert np.array_equal(frames[index].read(), wanted[index])


def test_a_choice_from_a_video_depends_on_the_seed_alone(video: Path) -> None:
    first, again, other = (collect_pictures(str(video), count=5, seed=s) for s in (1, 1, 2))
    names = [frame.name for frame in first.frames]
    assert names == sorted(names) == [frame.name for frame in again.frames]
    assert first.hashes == again.hashes
    assert set(first.hashes) != set(other.hashes)
    assert (len(first), first.found) == (5, 30)


def test_frames_that_show_the_same_count_once(tmp_path: Path) -> None:
    standing = images(1) * 6 + images(3)[1:]
    found = collect_pictures(str(write_video(tmp_path / "a.avi", standing)))
    assert (len(found), found.found, found.duplicates) == (3, 8, 5)


@pytest.mark.parametrize("count", [2, None])
def test_the_frames_of_a_video_are_not_held_in_memory(tmp_path: Path, count: int | None) -> None:
    path = write_video(tmp_path / "long.avi", images(200))
    collect_pictures(str(path), count=1)  # imports are not what is measured
    tracemalloc.start()
    try:
        found = collect_pictures(str(path), count=count)
        assert sum(1 for _ in found) == (count or 200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * FRAME_BYTES


def test_more_frames_than_a_video_has_is_refused(video: Path) -> None:
    with pytest.raises(InputError, match=r"31 images of .* it has 30"):
        collect_pictures(str(video), count=31)


@pytest.mark.parametrize(
    ("suffix", "code"), [("avi", "MJPG"), ("mp4", "mp4v"), ("mkv", "MJPG"), ("webm", "VP80")]
)
def test_a_video_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, code: str) -> None:
    path = write_video(tmp_path / f"cut.{suffix}", images(30), code=code)
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[: whole // 2])
    with pytest.raises(InputError, match=rf"cut\.{suffix}' is cut off: .* has {whole // 2}"):
        collect_pictures(str(path))


def test_frames_that_cannot_be_decoded_are_warned_about_and_recorded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "hole.mkv", images(30))
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data) - 3) if data[at : at + 3] == b"\xff\xd8\xff"]
    for lost in (7, 8, 20):
        data[starts[lost] : starts[lost + 1] - 60] = bytes(starts[lost + 1] - 60 - starts[lost])
    path.write_bytes(data)
    with pytest.warns(CalibrationWarning, match="27 of 30 frames could be read, 3 are lost"):
        found = collect_pictures(str(path))
    assert (found.promised, found.found) == (30, 27)
    assert found.to_json()["promised"] == 30


def test_a_file_that_is_no_video_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"a\.mp4' cannot be opened"):
        collect_pictures(str(tmp_path / "a.mp4"))


def test_a_video_that_changed_in_between_is_an_error_with_the_frame(video: Path) -> None:
    frames = VideoFrames.count(video)
    write_video(video, images(2))
    with pytest.raises(PictureError, match=r"Frame 20 of the video .*drive\.avi"):
        frames[20].read()


def test_a_frame_that_a_video_does_not_have_is_an_index_error(video: Path) -> None:
    with pytest.raises(IndexError):
        VideoFrames.count(video)[30]


def box(kind: bytes, size: int, *, stated: int | None = None) -> bytes:
    return struct.pack(">I", size if stated is None else stated) + kind + bytes(size - 8)


FTYP = box(b"ftyp", 16)
LONG = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 5000)
LENGTHS = {
    "whole": (FTYP + box(b"mdat", 40), 56),
    "cut off": (FTYP + box(b"mdat", 40, stated=400), 416),
    "64 bits": (FTYP + LONG, 5016),
    "up to the end": (FTYP + box(b"mdat", 40, stated=0), 16),
    "zeros behind": (FTYP + bytes(32), 16),
    "something else behind": (FTYP + b"\xff" * 32, 16),
    "no video": (b"no video at all", 0),
    "empty": (b"", 0),
    "riff": (b"RIFF" + struct.pack("<I", 100) + bytes(20), 108),
    "riff from a pipe": (b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + bytes(20), 0),
    "two riffs": (b"RIFF\x04\0\0\0AVI RIFF\x90\0\0\0AVIX", 164),
}


@pytest.mark.parametrize("what", LENGTHS)
def test_how_long_a_video_says_that_it_is(what: str) -> None:
    data, stated = LENGTHS[what]
    assert stated_bytes(io.BytesIO(data)) == stated


LIVE = (
    "/dev/video0",
    "/dev/null",
    "camera:0",
    "rtsp://me:secret@gate/1",
    "RTSP://me:secret@gate/1",
    "srt://me:secret@gate",
    "udp://239.0.0.1:1234",
    "http://a/b?token=secret",
)


@pytest.mark.parametrize("source", LIVE)
def test_what_never_ends_is_refused_before_it_is_opened(source: str) -> None:
    with pytest.raises(UsageError, match="live and never ends") as refused:
        collect_pictures(source)
    assert "Record a video" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_link_to_a_camera_is_live_too(tmp_path: Path) -> None:
    link = tmp_path / "usb-camera"
    link.symlink_to("/dev/null")
    with pytest.raises(UsageError, match="usb-camera', which is live"):
        collect_pictures(str(link))
    with pytest.raises(UsageError, match=r"Images cannot be read from .* live"):
        open_pictures(str(link))


def test_images_without_labels_keep_no_frame_of_a_video(video: Path) -> None:
    expected = decode(video)
    dataset = open_pictures(str(video))
    assert [sample.name for sample in dataset.samples[:2]] == ["drive-000000", "drive-000001"]
    tracemalloc.start()
    for sample, image in zip(dataset.samples, expected, strict=True):
        assert np.array_equal(sample.frame(), image)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * FRAME_BYTES
    assert np.array_equal(dataset.samples[3].frame(), expected[3])  # read once more


def test_images_without_labels_come_from_a_whole_video_only(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = Shortfall("ends early", 30, 31)
    monkeypatch.setattr("edge_ovss.frames.video.reader.VideoReader.shortfall", lambda _: lacking)
    with pytest.raises(VideoError, match=r"30 of 31 frames could be read, 1 are lost"):
        open_pictures(str(video))
