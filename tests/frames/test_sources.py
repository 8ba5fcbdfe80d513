"""Frames come in order, under names that cannot collide, from every kind of source."""

from __future__ import annotations

import os
import weakref
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import InputError, PictureError, UsageError
from edge_ovss.frames.images import write_picture
from edge_ovss.frames.source_notes import SourceNote
from edge_ovss.frames.sources import open_source

cv2: Any = pytest.importorskip("cv2")


def put(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        write_picture(folder / name, np.full((2, 3, 3), index, np.uint8))


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    put(tmp_path, "a.b.png")
    frames = list(open_source(str(tmp_path / "a.b.png")))
    assert [frame.name for frame in frames] == ["a.b"]
    assert frames[0].image.shape == (2, 3, 3)


def test_a_folder_is_sorted_and_only_its_pictures(tmp_path: Path) -> None:
    put(tmp_path / "in", "b.png", "a.PNG", "c.jpg")
    (tmp_path / "in" / "notes.txt").write_text("x")
    put(tmp_path / "in" / "deeper", "d.png")
    frames = list(open_source(str(tmp_path / "in")))
    assert [frame.name for frame in frames] == ["a", "b", "c"]


def test_names_that_would_collide_keep_their_suffix(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.jpg", "a.png", "a.jpg.png", "b.png", "B.jpg", "c.png")
    names = [frame.name for frame in open_source(str(tmp_path / "in"))]
    assert len({name.casefold() for name in names}) == 6
    assert "c" in names
    assert {"a.jpg", "a.png"} <= set(names)


def test_a_list_gives_its_pictures_in_its_order(tmp_path: Path) -> None:
    put(tmp_path / "x", "a.png", "b.png")
    put(tmp_path / "y", "a.png")
    (tmp_path / "list.txt").write_text("y/a.png\n# not this\n\nx/b.png\nx/a.png\n")
    frames = list(open_source(str(tmp_path / "list.txt")))
    assert [frame.name for frame in frames] == ["0000-a.png", "b", "0002-a.png"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("# nothing", InputError, "is empty"),
        ("gone.png", PictureError, r"do not exist: .*gone\.png"),
        ("\udcff", InputError, "not UTF-8"),
    ],
)
def test_a_list_without_pictures_is_an_error(
    tmp_path: Path, text: str, kind: type[Exception], words: str
) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(kind, match=words):
        open_source(str(path))


def test_a_bad_picture_does_not_end_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.png", "c.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    frames = list(open_source(str(tmp_path / "in")))
    with pytest.raises(PictureError):
        _ = frames[1].image
    assert frames[2].image.shape == (2, 3, 3)


def test_pictures_are_not_kept_after_their_turn(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.png", "b.png")
    frames = open_source(str(tmp_path / "in"))
    first = next(frames)
    assert first.image.size
    kept = weakref.ref(first)
    del first
    next(frames)
    assert kept() is None


def test_sources_that_are_not_there_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_source(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="no images"):
        open_source(str(tmp_path))
    with pytest.raises(InputError, match="cannot be opened"):
        open_source("/dev/video987")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("gopher://x", "'gopher://'"),
        ("synthetic://city", "no synthetic source 'city'"),
        ("synthetic://street?counts=2", "no option 'counts'"),
        ("synthetic://street?count=0", "at least 1"),
        ("synthetic://street?count=", "at least 1"),
        ("synthetic://street?seed=-1", "at least 0"),
        ("synthetic://street?size=360", "height x width"),
        ("synthetic://street?size=0x480", "height x width"),
        ("synthetic://street?size=\u0663x\u0663", "height x width"),
        (f"synthetic://street?size={'1' * 5000}x480", "height x width"),
        (f"synthetic://street?count={'1' * 5000}", "at least 1"),
        (f"synthetic://street?frames=2&seed={'1' * 5000}", "at least 0"),
    ],
)
def test_wrong_addresses_are_wrong_use(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_source(spec)


def test_streets_are_drawn_to_order() -> None:
    pytest.importorskip("edge_ovss.synthetic")
    frames = list(open_source("synthetic://street?count=2&seed=7&size=64x96"))
    assert [frame.name for frame in frames] == ["street-0007", "street-0008"]
    assert frames[0].image.shape == (64, 96, 3)
    assert frames[0].image.dtype == np.uint8
    assert not np.array_equal(frames[0].image, frames[1].image)
    again = next(open_source("synthetic://street?count=1&seed=8&size=64x96"))
    assert np.array_equal(again.image, frames[1].image)


def test_a_video_gives_its_frames_in_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 16))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    for _ in range(3):
        writer.write(np.full((16, 32, 3), (0, 0, 240), np.uint8))
    writer.release()
    frames = list(islice(open_source(str(path)), 5))
    assert [frame.name for frame in frames] == ["a-000000", "a-000001", "a-000002"]
    assert frames[0].image.shape == (16, 32, 3)
    assert frames[0].image[0, 0, 0] > 200 > 40 > frames[0].image[0, 0, 2]


def test_a_video_that_is_none_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(InputError, match="cannot be opened"):
        list(open_source(str(tmp_path / "a.mp4")))


def test_entries_that_are_left_out_are_counted_by_kind(tmp_path: Path) -> None:
    frame = np.zeros((4, 5, 3), np.uint8)
    write_picture(tmp_path / "a.png", frame)
    for name in ("b.jfif", "c.gif", "d.avif", "e.JPE"):
        (tmp_path / name).write_bytes(b"looked at later")
    write_picture(tmp_path / "000001", frame)
    for name in ("f.heic", "g.HEIC", "h.dng", "i.mp4", "._a.jpg", ".j.heic", "k.txt", "l.json"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.warns(SourceNote) as said:
        frames = list(open_source(str(tmp_path)))
    assert [frame.name for frame in frames] == ["000001", "a", "b", "c", "d", "e"]
    texts = sorted(str(warning.message) for warning in said)
    assert len(texts) == 2
    assert texts[0].endswith("images of this kind are not read: .heic (2), .dng (1)")
    assert texts[1].endswith("videos must be given one by one: .mp4 (1)")


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_of_a_folder_of_pictures_and_other_files(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "readme.md").write_text("text")
    (tmp_path / "labels").mkdir()
    assert len(list(open_source(str(tmp_path)))) == 1


def test_subfolders_with_images_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    put(tmp_path / "first", "b.png")
    put(tmp_path / "second", "c.png", "d.png")
    put(tmp_path / ".hidden", "e.png")
    (tmp_path / "empty").mkdir()
    with pytest.warns(SourceNote, match=r"because subfolders are not searched: 2$"):
        frames = list(open_source(str(tmp_path)))
    assert [frame.name for frame in frames] == ["a"]


def test_what_a_pattern_matches_and_is_no_image_is_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "c.txt").write_text("x")
    with pytest.warns(SourceNote, match=r"because they are no images: 1 of 3$"):
        frames = list(open_source(f"{tmp_path}/*"))
    assert [frame.name for frame in frames] == ["a", "b"]


def test_names_that_are_no_text_become_names_of_files_that_are(tmp_path: Path) -> None:
    frame = np.zeros((4, 5, 3), np.uint8)
    for name in (b"a\xdf.png", b"b\n\x1b[31m.png", b"c d.png", "straße.png".encode()):
        write_picture(tmp_path / os.fsdecode(name), frame)
    frames = list(open_source(str(tmp_path)))
    assert [f.name for f in frames] == ["a%DF", "b%0A%1B[31m", "c d", "straße"]
    assert frames[0].origin.endswith(r"a\xdf.png")
    assert frames[1].origin.endswith(r"b\n\x1b[31m.png")
    assert all(np.array_equal(f.image, frame) for f in frames)


def test_escaped_names_do_not_meet_others(tmp_path: Path) -> None:
    for name in (b"a\xdf.png", b"a%DF.png", b"A%df.png"):
        write_picture(tmp_path / os.fsdecode(name), np.zeros((4, 5, 3), np.uint8))
    names = [f.name.casefold() for f in open_source(str(tmp_path))]
    assert len(set(names)) == 3


def test_names_that_differ_by_case_only_are_kept_apart(tmp_path: Path) -> None:
    put(tmp_path / "one", "A.jpg", "a.png", "b.png")
    frames = open_source(str(tmp_path / "one"))
    assert [frame.name for frame in frames] == ["A.jpg", "a.png", "b"]
    put(tmp_path / "two", "a.JPG")
    (tmp_path / "list.txt").write_text("one/A.jpg\none/b.png\ntwo/a.JPG\n")
    frames = open_source(str(tmp_path / "list.txt"))
    assert [frame.name for frame in frames] == ["0000-A.jpg", "b", "0002-a.JPG"]


def test_a_list_is_read_as_all_lists_are(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    text = "\ufeff# mine\r\na.png\r\n\r\n  # not this\r\n b.png \rc.png"
    (tmp_path / "list.txt").write_bytes(text.encode())
    frames = list(open_source(str(tmp_path / "list.txt")))
    assert [frame.name for frame in frames] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "y/" * 3000 + "a.png"])
def test_a_line_of_a_list_that_is_no_name_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.txt").write_text(name)
    with pytest.raises(PictureError, match="do not exist"):
        open_source(str(tmp_path / "list.txt"))
