"""A video that lacks frames is told from one that is whole, by the file and not by a guess."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import HEIGHT, WIDTH, images, write_video

from edge_ovss.errors import InputError, VideoError
from edge_ovss.frames.sources import Frame, open_source
from edge_ovss.frames.video.lengths import is_damaged
from edge_ovss.frames.video.reader import Clock, Shortfall, VideoReader

cv2: Any = pytest.importorskip("cv2")


KINDS = (
    ("mp4", "mp4v"),
    ("mkv", "MJPG"),
    ("webm", "VP80"),
    ("avi", "MJPG"),
    ("ts", "mp4v"),
    ("flv", "FLV1"),
    ("wmv", "WMV2"),
    ("mpg", "mpg2"),
)


def cut(path: Path, share: float) -> Path:
    """Leave the first `share` of a file, 0 to 1, but never whole transport packets only."""
    data = path.read_bytes()
    end = int(len(data) * share)
    path.write_bytes(data[: end - (end % 188 == 0)])
    return path


def spoil_jpegs(path: Path, numbers: Iterable[int]) -> Path:
    """Make frames of a video of JPEG pictures impossible to decode; sizes stay."""
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data) - 3) if data[at : at + 3] == b"\xff\xd8\xff"]
    for number in numbers:
        count = starts[number + 1] - 60 - starts[number]
        data[starts[number] : starts[number] + count] = bytes(count)
    path.write_bytes(data)
    return path


def stretch_matroska(path: Path, factor: int) -> Path:
    """Show every frame of a Matroska video `factor` times as late, but the second as before.

    The header goes on stating the rate, so that the number of frames that it promises is too high.
    All frames must be in one cluster.
    """
    data = bytearray(path.read_bytes())
    blocks = [at for at in range(len(data) - 5) if data[at] == 0xA3 and _is_block(data, at)]
    for block in blocks[2:]:
        at = block + _header(data, block) + 1
        (time,) = struct.unpack(">h", data[at : at + 2])
        data[at : at + 2] = struct.pack(">h", time * factor)
    duration = data.index(b"\x44\x89\x88") + 3
    (length,) = struct.unpack(">d", data[duration : duration + 8])
    data[duration : duration + 8] = struct.pack(">d", length * factor)
    path.write_bytes(data)
    return path


def _is_block(data: bytearray, at: int) -> bool:
    return data[at + _header(data, at)] == 0x81


def _header(data: bytearray, at: int) -> int:
    """Return how many bytes stand before the track number of a block."""
    first = data[at + 1]
    return 1 + (9 - first.bit_length() if first else 1)


def read(path: Path) -> tuple[int, Shortfall | None]:
    """Return how many frames there are, and what is missing."""
    video = VideoReader(path)
    while video.grab():
        assert video.retrieve() is not None
    return video.read, video.shortfall()


@pytest.mark.parametrize(("suffix", "code"), KINDS)
def test_a_whole_video_lacks_nothing(tmp_path: Path, suffix: str, code: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", images(24), code=code)
    assert read(path) == (24, None)
    assert not is_damaged(path)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.97])
@pytest.mark.parametrize(("suffix", "code"), KINDS)
def test_a_video_that_is_cut_anywhere_is_told(
    tmp_path: Path, suffix: str, code: str, share: float
) -> None:
    path = cut(write_video(tmp_path / f"a.{suffix}", images(24), code=code), share)
    with pytest.raises(VideoError, match="is cut off: it"):
        list(open_source(str(path)))


@pytest.mark.parametrize(("suffix", "code"), [("mkv", "MJPG"), ("avi", "MJPG"), ("flv", "FLV1")])
def test_how_many_frames_a_cut_lost_is_said(tmp_path: Path, suffix: str, code: str) -> None:
    path = cut(write_video(tmp_path / f"a.{suffix}", images(24), code=code), 0.5)
    count, shortfall = read(path)
    assert shortfall is not None
    assert 3 <= count <= 13
    assert (shortfall.read, shortfall.expected) == (count, 24)
    assert f"{count} of 24 frames could be read, {24 - count} are lost" in str(
        shortfall.error(path)
    )


def test_the_frames_before_a_cut_are_given_first(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "a.mkv", images(24)), 0.5)
    given: list[Frame] = []
    with pytest.raises(VideoError):
        given.extend(open_source(str(path)))
    assert (given[0].name, given[0].image.shape) == ("a-000000", (HEIGHT, WIDTH, 3))
    assert len(given) >= 8


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_a_frame_that_cannot_be_decoded_is_not_the_end(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", images(24))
    spoil_jpegs(path, (7, 8, 15))
    count, shortfall = read(path)
    assert count == 21
    assert shortfall == Shortfall("has frames that cannot be decoded", 21, 24)


def test_last_frames_that_cannot_be_decoded_are_told(tmp_path: Path) -> None:
    path = spoil_jpegs(write_video(tmp_path / "a.mkv", images(24)), (21, 22))
    assert read(path) == (22, Shortfall("has frames that cannot be decoded", 22, 24))


def test_a_hole_in_a_container_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", images(24), code="VP80")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + len(data) // 6] = bytes(len(data) // 6)
    path.write_bytes(data)
    assert is_damaged(path)
    shortfall = read(path)[1]
    assert shortfall is not None
    assert shortfall.expected == 24


@pytest.mark.parametrize(("kept", "told"), [(12, True), (20, True), (21, False), (23, False)])
def test_a_file_that_ends_between_two_parts_is_told_by_its_header(
    tmp_path: Path, kept: int, told: bool
) -> None:
    path = write_video(tmp_path / "a.flv", images(24), code="FLV1")
    data = path.read_bytes()
    at, tags = int.from_bytes(data[5:9], "big") + 4, []
    while at < len(data):
        tags.append((data[at], at + 15 + int.from_bytes(data[at + 1 : at + 4], "big")))
        at = tags[-1][1]
    pictures = [end for kind, end in tags if kind == 9]
    path.write_bytes(data[: pictures[kept - 1]])
    # A header may round, so less than three frames are not enough to tell.
    shortfall = Shortfall("ends before its header says", kept, 24) if told else None
    assert read(path) == (kept, shortfall)


def test_a_portrait_video_stands_upright(tmp_path: Path) -> None:
    lying = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lying[: HEIGHT // 2, : WIDTH // 2] = 255
    path = write_video(tmp_path / "a.mp4", [lying] * 2, code="mp4v")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, HEIGHT << 16, 0, 1 << 30)
    data[at : at + 36] = quarter
    path.write_bytes(data)
    for frame in open_source(str(path)):
        assert frame.image.shape == (WIDTH, HEIGHT, 3)
        bright = np.argwhere(frame.image[..., 0] > 128).mean(0)
        assert bright[0] < WIDTH / 2 < HEIGHT
        assert bright[1] > HEIGHT / 2


def test_a_variable_rate_is_no_loss(tmp_path: Path) -> None:
    path = stretch_matroska(write_video(tmp_path / "a.mkv", images(1) * 12, code="mp4v"), 3)
    video = VideoReader(path)
    assert video.promised > 12  # what OpenCV makes of the length and the rate
    while video.grab():
        pass
    assert (video.read, video.shortfall()) == (12, None)


def test_frames_that_an_edit_list_leaves_out_are_no_loss(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", images(24), code="mp4v")
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    duration, start = struct.unpack(">Ii", data[at : at + 8])
    scale = struct.unpack(">I", data[(m := data.index(b"mdhd") + 16) : m + 4])[0]
    data[at : at + 8] = struct.pack(">Ii", duration * 2 // 3, start + scale * 8 // 10)
    path.write_bytes(data)
    count, shortfall = read(path)
    assert count == 16
    assert shortfall is None


def test_times_of_frames_are_those_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", images(4), code="mp4v")
    times = [frame.time_s for frame in open_source(str(path))]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_clock_knows_what_is_usual_and_what_tells_nothing() -> None:
    clock = Clock()
    given = [0, 40, 80, 80, 0, 200, 240]
    assert [clock.tick(now) for now in given] == [0.0, 0.04, 0.08, None, None, 0.2, 0.24]
    assert clock.interval(10) == 40
    assert clock.holes(10) == 2
    assert clock.tick(float("nan")) is None
    assert Clock().interval(10) == 100
    assert Clock().holes(0) == 0
    assert Clock().tick(5) == 0.005


@pytest.mark.parametrize("suffix", ["", ".xyz", ".jpg", ".png"])
@pytest.mark.parametrize(("made", "code"), [("mp4", "mp4v"), ("mkv", "MJPG"), ("flv", "FLV1")])
def test_a_video_under_a_foreign_name_is_a_video(
    tmp_path: Path, suffix: str, made: str, code: str
) -> None:
    path = write_video(tmp_path / f"made.{made}", images(3), code=code)
    other = path.rename(tmp_path / f"a{suffix}")
    assert len(list(open_source(str(other)))) == 3


def test_a_transport_stream_without_a_suffix_is_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "made.ts", images(3), code="mp4v")
    assert len(list(open_source(str(path.rename(tmp_path / "a"))))) == 3


def test_a_picture_under_the_name_of_a_video_is_a_picture(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 7, 3), np.uint8))
    path = (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert [frame.image.shape for frame in open_source(str(path))] == [(5, 7, 3)]


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "is empty"), (b"no video", "cannot be opened"), (bytes(4096), "open")]
)
def test_what_is_no_video_is_said_to_be_none(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(InputError, match=words):
        list(open_source(str(tmp_path / "a.mp4")))


def test_words_without_a_known_suffix_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("some words\n" * 50)
    with pytest.raises(InputError, match="not an image"):
        _ = [frame.image for frame in open_source(str(tmp_path / "a.dat"))]


def test_a_character_device_is_never_a_picture() -> None:
    with pytest.raises(InputError, match="'/dev/null' cannot be opened"):
        list(open_source("/dev/null"))


def test_opencv_prints_no_address() -> None:
    # In a process of its own: FFmpeg's level is read once.
    code = """
from edge_ovss.errors import InputError
from edge_ovss.frames.sources import open_source
for address in ("rtsp://me:s3cret@127.0.0.1:9/1?token=s3cret", "HTTP://s3cret@127.0.0.1:9"):
    try:
        open_source(address)
    except InputError as err:
        print(err.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == (
        "Video source 'rtsp://127.0.0.1:9/1' cannot be opened.\n"
        "Video source 'HTTP://127.0.0.1:9' cannot be opened.\n"
    )
