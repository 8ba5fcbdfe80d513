from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_ovss.datasets.clips import clips_of
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError

cv2 = pytest.importorskip("cv2")


def write(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (4, 4) if path.suffix == ".png" else (4, 4, 3)
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def write_vspw(root: Path, videos: tuple[str, ...] = ("b_1", "a_2")) -> Path:
    for video in videos:
        for number in (9, 10, 11):
            write(root / f"data/{video}/origin/{number:08d}.jpg")
            write(root / f"data/{video}/mask/{number:08d}.png", number)
    (root / "val.txt").write_text("".join(f"{video}\n" for video in videos[:2]))
    return root


def test_every_folder_is_a_video_and_frames_follow_their_numbers(tmp_path: Path) -> None:
    for video in ("one", "two"):
        for number in (1, 2, 10, 9):
            write(tmp_path / f"images/{video}/f{number}.jpg")
            write(tmp_path / f"labels/{video}/f{number}.png")
    clips = clips_of(open_dataset(str(tmp_path), layout="folder"))
    assert [clip.name for clip in clips] == ["one", "two"]
    names = [sample.name for sample in clips[0].samples]
    assert names == ["one/f1", "one/f2", "one/f9", "one/f10"]


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    for name in ("0016E5_08000", "0016E5_07959"):
        write(tmp_path / f"images/val/{name}.jpg")
        write(tmp_path / f"labels/val/{name}.png")
    data = open_dataset(str(tmp_path), layout="camvid-video")
    assert data.fps == 15
    (clip,) = clips_of(data)
    assert [sample.name for sample in clip.samples] == ["0016E5_07959", "0016E5_08000"]


def test_vspw_is_read_as_published(tmp_path: Path) -> None:
    data = open_dataset(str(write_vspw(tmp_path)), layout="vspw")
    assert [clip.name for clip in clips_of(data)] == ["a_2", "b_1"]
    first = data.samples[0]
    assert first.name == "a_2/00000009"
    assert data.rule.read(first.raw_labels()).tolist() == [[8] * 4] * 4
    assert data.rule.categories(np.array([[0, 255, 1]], np.uint8)).tolist() == [[-1, -1, 0]]


def test_videos_of_vspw_that_are_not_in_the_list_are_left_out(tmp_path: Path) -> None:
    write_vspw(tmp_path, ("b_1", "a_2", "c_3"))
    write(tmp_path / "data/b_1/origin_small/00000009.jpg")
    data = open_dataset(str(tmp_path), layout="vspw")
    assert {clip.name for clip in clips_of(data)} == {"a_2", "b_1"}
    assert data.unlabeled == data.unpaired == ()


def test_a_listed_video_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write_vspw(tmp_path)
    (tmp_path / "val.txt").write_text("b_1\nmissing_7\n")
    with pytest.raises(InputError, match="missing_7"):
        open_dataset(str(tmp_path), layout="vspw")


def test_a_frame_of_vspw_without_a_mask_is_named(tmp_path: Path) -> None:
    write_vspw(tmp_path)
    (tmp_path / "data/b_1/mask/00000010.png").unlink()
    assert open_dataset(str(tmp_path), layout="vspw").unlabeled == ("b_1/00000010",)


def test_a_part_of_a_video_is_its_beginning() -> None:
    data = open_dataset("synthetic://street?frames=9&size=16x16").take(4, seed=3)
    assert [sample.name[-1] for sample in data.samples] == ["0", "1", "2", "3"]
    assert data.subset == "first 4 of 9"


def test_the_beginning_of_a_video_is_that_of_its_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        write(tmp_path / f"images/f{number}.jpg")
        write(tmp_path / f"labels/f{number}.png")
    data = replace(open_dataset(str(tmp_path), layout="folder"), fps=5.0).take(3)
    assert [sample.name for sample in data.samples] == ["f1", "f2", "f9"]


def test_a_listed_video_may_be_written_in_decomposed_letters(tmp_path: Path) -> None:
    composed = "caf\u00e9"
    write_vspw(tmp_path, (composed,))
    (tmp_path / "val.txt").write_text("cafe\u0301\n", encoding="utf-8")
    assert [clip.name for clip in clips_of(open_dataset(str(tmp_path), layout="vspw"))] == [
        composed
    ]
