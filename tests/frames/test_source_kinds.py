"""One function says what a source is: by suffix, then by the first bytes."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from edge_ovss.frames.source_kinds import (
    SourceKind,
    file_kind,
    is_picture,
    looks_like_video,
    picture_format,
    source_kind,
)

# The same words as the C++ programs are tested with.
TABLE = json.loads((Path(__file__).parents[1] / "data/source_kinds.json").read_text("utf-8"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
JPEG = b"\xff\xd8\xff\xe0" + bytes(28)
BMP = b"BM" + struct.pack("<IHHIIii", 100, 0, 0, 54, 40, 4, 4)
MP4 = b"\0\0\0\x18ftypisom" + bytes(20)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("synthetic://street?count=2", SourceKind.STREET),
        ("rtsp://camera/1", SourceKind.STREAM),
        ("https://host/a.png", SourceKind.STREAM),
        ("gopher://host/a.png", SourceKind.UNKNOWN_SCHEME),
        ("bag://a?topic=/b", SourceKind.BAG),
        ("csi://0", SourceKind.CAMERA),
        ("gst://videotestsrc", SourceKind.CAMERA),
        ("nowhere/*.png", SourceKind.GLOB),
        ("/dev/video9", SourceKind.CAMERA),
        ("/dev/null", SourceKind.CAMERA),
        ("/nothing/at/all.png", SourceKind.MISSING),
        ("x" * 300 + ".png", SourceKind.MISSING),
        ("a\0b.png", SourceKind.MISSING),
    ],
)
def test_addresses_and_devices(spec: str, kind: SourceKind) -> None:
    assert source_kind(spec) is kind


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.JPG", b"whatever", SourceKind.PICTURE),
        ("a.jfif", JPEG, SourceKind.PICTURE),
        ("a.gif", b"GIF89a", SourceKind.PICTURE),
        ("a.avif", b"", SourceKind.PICTURE),
        ("a.3gp", MP4, SourceKind.VIDEO),
        ("a.flv", b"", SourceKind.VIDEO),
        ("a.txt", PNG, SourceKind.LIST),
        ("a.HEIC", JPEG, SourceKind.UNREAD),
        ("a.dng", b"II*\0" + bytes(28), SourceKind.UNREAD),
        ("frame", PNG, SourceKind.PICTURE),
        ("frame.0001", JPEG, SourceKind.PICTURE),
        ("a.x", BMP, SourceKind.PICTURE),
        ("a.x", b"P6\n4 4\n255\n" + bytes(48), SourceKind.PICTURE),
        ("a.x", b"\0\0\0\x1cftypheic" + bytes(20), SourceKind.UNREAD),
        ("clip", MP4, SourceKind.VIDEO),
        ("clip.x", b"\x1a\x45\xdf\xa3" + bytes(28), SourceKind.VIDEO),
        ("a.x", b"BMW and P5 cars are no pictures", SourceKind.OTHER),
        ("a.x", b"P5 cars are no pictures either", SourceKind.OTHER),
        ("a.x", b"", SourceKind.OTHER),
    ],
)
def test_a_suffix_decides_and_else_the_first_bytes(
    tmp_path: Path, name: str, content: bytes, kind: SourceKind
) -> None:
    (tmp_path / name).write_bytes(content)
    assert file_kind(tmp_path / name) is kind
    assert source_kind(str(tmp_path / name)) is kind


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["given"])
def test_words_mean_what_the_table_says(
    row: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = row.get("content")
    if content in ("folder", "bag"):
        Path(row["given"]).mkdir()
    elif content is not None:
        Path(row["given"]).write_bytes(bytes.fromhex(content))
    if content == "bag":
        Path(row["given"], "metadata.yaml").write_text("rosbag2_bagfile_information:\n")
    assert source_kind(row["given"]) is SourceKind(row["kind"])


def test_links_are_followed_and_a_pipe_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "camera").symlink_to("/dev/null")
    (tmp_path / "folder").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert file_kind(tmp_path / "camera") is SourceKind.CAMERA
    assert file_kind(tmp_path / "folder") is SourceKind.FOLDER
    assert file_kind(tmp_path / "pipe") is SourceKind.OTHER


def test_hidden_files_and_folders_are_no_pictures_but_a_dead_link_is(tmp_path: Path) -> None:
    for name in ("._a.jpg", ".a.png", ".hidden"):
        (tmp_path / name).write_bytes(PNG)
        assert not is_picture(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dead.png").symlink_to("nowhere")
    (tmp_path / "dead.mp4").symlink_to("nowhere")
    (tmp_path / "000001").write_bytes(PNG)
    assert not is_picture(tmp_path / "folder.png")
    assert is_picture(tmp_path / "dead.png")
    assert not is_picture(tmp_path / "dead.mp4")
    assert is_picture(tmp_path / "000001")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (PNG, "PNG"),
        (JPEG, "JPEG"),
        (BMP, "BMP"),
        (b"RIFF\1\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"P7\nWIDTH 3", "PNM"),
        (b"P4\n# made by hand", "PNM"),
        (b"P8\n3 3", None),
        (b"RIFF\1\0\0\0AVI LIST", None),
        (MP4, None),
        (b"P", None),
        (b"", None),
    ],
)
def test_formats_by_their_first_bytes(head: bytes, name: str | None) -> None:
    assert picture_format(head) == name


@pytest.mark.parametrize(
    ("head", "video"),
    [
        (MP4, True),
        (b"RIFF\1\0\0\0AVI LIST", True),
        (b"RIFF\1\0\0\0WAVEfmt ", False),
        (b"\0\0\0\x1cftypheic", False),
        (b"plain text", False),
    ],
)
def test_videos_by_their_first_bytes(head: bytes, video: bool) -> None:
    assert looks_like_video(head) is video
