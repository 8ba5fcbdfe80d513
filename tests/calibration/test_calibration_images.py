"""Calibration images: what is taken, what is refused."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from edge_ovss.calibration.images import (
    collect_pictures,
    refuse_overlap,
)
from edge_ovss.errors import InputError, PictureError, UsageError
from edge_ovss.frames.images import picture_hash, write_picture


def write(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate("bca"):
        write(tmp_path / "pictures" / f"{name}.png", seed)
    return tmp_path / "pictures"


def test_pictures_are_sorted_counted_and_hashed(folder: Path) -> None:
    found = collect_pictures(str(folder))
    assert [frame.name for frame in found.frames] == ["a", "b", "c"]
    assert len(found) == found.found == 3
    assert found.hashes[1] == picture_hash(next(iter(collect_pictures(str(folder / "b.png")))))


def test_the_hash_is_of_what_is_shown_not_of_where_it_lies(folder: Path, tmp_path: Path) -> None:
    before = collect_pictures(str(folder))
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert collect_pictures(str(moved)).sha256 == before.sha256
    write(moved / "a.png", 77)
    assert collect_pictures(str(moved)).sha256 != before.sha256


def test_a_picture_that_is_there_twice_counts_once(folder: Path) -> None:
    (folder / "z.png").write_bytes((folder / "a.png").read_bytes())
    found = collect_pictures(str(folder))
    assert len(found) == 3
    assert found.duplicates == 1
    assert found.to_json()["duplicates"] == 1


def test_a_list_file_names_pictures_relative_to_itself(folder: Path) -> None:
    listing = folder.parent / "calibration.txt"
    listing.write_text("# two of them\npictures/c.png\n\npictures/a.png\n")
    found = collect_pictures(str(listing))
    assert [frame.name for frame in found.frames] == ["pictures/a.png", "pictures/c.png"]


def test_a_list_file_is_recorded_without_folders_and_equal_names_apart(
    folder: Path, tmp_path: Path
) -> None:
    write(tmp_path / "night" / "a.png", 8)
    write(tmp_path / "night" / "a (2).png", 9)
    places = [folder / "a.png", folder / "b.png", *(tmp_path / "night").iterdir()]
    listing = tmp_path / "calibration.txt"
    listing.write_text("\n".join(str(place.absolute()) for place in places))
    found = collect_pictures(str(listing))
    names = found.to_json()["names"]
    assert names == ["a (2).png", "a.png", "a.png (2)", "b.png"]
    assert str(tmp_path) not in repr(found.to_json())


def test_the_folder_one_is_in_is_recorded_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert collect_pictures(".").to_json()["source"] == "pictures"


def test_a_choice_depends_on_the_seed_alone() -> None:
    source = "synthetic://street?count=12&size=32x48"
    first, again, other = (collect_pictures(source, count=5, seed=s) for s in (1, 1, 2))
    assert first.hashes == again.hashes
    assert set(first.hashes) != set(other.hashes)


def test_no_machine_path_is_recorded(folder: Path) -> None:
    assert str(folder.parent) not in repr(collect_pictures(str(folder)).to_json())


@pytest.mark.parametrize("count", [0, 4])
def test_more_pictures_than_there_are_is_refused(folder: Path, count: int) -> None:
    with pytest.raises(InputError, match="it has 3"):
        collect_pictures(str(folder), count=count)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        collect_pictures(str(tmp_path))


def test_a_broken_picture_is_refused_with_its_path(folder: Path) -> None:
    broken = folder / "b.png"
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(PictureError, match=r"b\.png"):
        collect_pictures(str(folder))


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_list_is_refused(tmp_path: Path, text: str) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text(text)
    with pytest.raises(InputError, match="empty"):
        collect_pictures(str(listing))


def test_a_list_with_a_missing_picture_is_refused(tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("gone.png\n")
    with pytest.raises(PictureError, match=r"gone\.png"):
        collect_pictures(str(listing))


def test_pictures_of_a_single_color_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        write_picture(tmp_path / f"{name}.png", np.full((8, 8, 3), ord(name), np.uint8))
    with pytest.raises(InputError, match="single color"):
        collect_pictures(str(tmp_path))


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(UsageError):
        collect_pictures("gopher://pictures")


def test_validation_pictures_must_not_be_calibrated_on(folder: Path) -> None:
    found = collect_pictures(str(folder))
    refuse_overlap(found, {"0" * 64: "other"})
    with pytest.raises(InputError, match="b = street-1"):
        refuse_overlap(found, {found.hashes[1]: "street-1"})


def select(*words: str) -> int:
    """Run calibration/select_images.py, which is a script and in no package."""
    path = Path(__file__).parents[2] / "calibration" / "select_images.py"
    main = runpy.run_path(str(path))["main"]
    status: int = main(words)
    return status


def test_a_list_of_pictures_that_differ_can_be_calibrated_on(folder: Path, tmp_path: Path) -> None:
    (folder / "z.png").write_bytes((folder / "a.png").read_bytes())
    listing = tmp_path / "list.txt"
    assert select(str(folder), "--out", str(listing)) == 0
    found = collect_pictures(str(listing))
    assert (len(found), found.duplicates) == (3, 0)


@dataclass(frozen=True)
class Choice:
    """Words after the folder, and what is said of them."""

    words: tuple[str, ...]
    status: int
    said: str


CHOICES = {
    "count": Choice(("--count", "0"), 2, "--count is 0"),
    "distance": Choice(("--distance", "-1"), 2, "--distance is -1.0"),
    "missing": Choice((), 4, "is not a folder"),
    "empty": Choice((), 4, "has no images"),
    "broken": Choice((), 4, "b.png"),
}


@pytest.mark.parametrize("what", CHOICES)
def test_a_list_that_cannot_be_made_is_refused_and_not_written(
    what: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"missing": tmp_path / "gone", "empty": tmp_path / "empty"}
    (tmp_path / "empty").mkdir()
    if what == "broken":
        (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:50])
    listing, case = tmp_path / "list.txt", CHOICES[what]
    words = (str(places.get(what, folder)), *case.words, "--out", str(listing))
    assert select(*words) == case.status
    assert case.said in capsys.readouterr().err
    assert not listing.exists()
