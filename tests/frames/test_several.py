"""Several sources in one run, and patterns of file names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ovss.errors import InputError, UsageError
from edge_ovss.frames.images import write_picture
from edge_ovss.frames.several import expand, open_sources

pytest.importorskip("cv2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/x.png", "a/x.png", "a/y.png", "a/z[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_picture(tmp_path / name, np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "a/notes.md").touch()
    return tmp_path


def test_a_pattern_is_replaced_by_what_can_be_read(folder: Path) -> None:
    assert expand([f"{folder}/*/x.*"]) == [f"{folder}/a/x.png", f"{folder}/b/x.png"]
    assert expand([f"{folder}/a/*"]) == [f"{folder}/a/{name}.png" for name in ("x", "y", "z[1]")]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    assert expand([f"{folder}/a/z[1].png"]) == [f"{folder}/a/z[1].png"]


def test_a_pattern_that_matches_nothing_lists_the_grammar(folder: Path) -> None:
    with pytest.raises(InputError, match=r"matches '.*' \(1 files do\)[\s\S]*rtsp://"):
        expand([f"{folder}/a/*.md"])


def test_images_of_equal_name_are_kept_apart(folder: Path) -> None:
    specs = expand([f"{folder}/*/x.png"])
    assert [frame.name for frame in open_sources(specs)] == ["0000-x.png", "0001-x.png"]


def test_other_sources_follow_one_another_with_their_number(folder: Path) -> None:
    specs = [f"{folder}/a", "synthetic://street?count=2&size=8x8", f"{folder}/a"]
    names = [frame.name for frame in open_sources(specs)]
    assert names[:4] == ["0-x", "0-y", "0-z[1]", "1-street-0000"]
    assert len(names) == len(set(names)) == 8


def test_a_missing_source_is_found_before_the_first_frame(folder: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_sources([f"{folder}/a", f"{folder}/nowhere"])


@pytest.mark.parametrize(
    ("specs", "words"),
    [(["0", "a.mp4"], "in two runs"), (["0", "1", "0"], "given twice")],
)
def test_cameras_stand_alone_and_once(specs: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        expand(specs)
