from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edge_ovss.errors import PictureError
from edge_ovss.synthetic import Drive, MovingStreet

SMALL = {"height": 90, "width": 120}

DIGESTS = {
    (0, 0): "50d7edd70caf8e0f",
    (0, 7): "ca3e811bb73ab3cd",
    (5, 59): "d0ff60f966ac91f5",
}


def digest(street: MovingStreet, number: int) -> str:
    scene, motion = street.scene(number), street.motion(number)
    parts = [scene.image.tobytes(), scene.labels.tobytes()]
    if motion is not None:
        parts += [motion.vectors.astype("<i2").tobytes(), motion.valid.tobytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


@pytest.mark.parametrize("case", DIGESTS, ids=str)
def test_frames_and_flow_are_the_same_on_every_platform(case: tuple[int, int]) -> None:
    seed, number = case
    assert digest(MovingStreet(Drive(seed, **SMALL)), number) == DIGESTS[case]


def test_frames_do_not_depend_on_the_order_in_which_they_are_drawn() -> None:
    one, other = MovingStreet(Drive(3, **SMALL)), MovingStreet(Drive(3, **SMALL))
    forwards = [digest(one, number) for number in (4, 5, 6)]
    assert [digest(other, number) for number in (6, 4, 5)] == [
        forwards[2],
        forwards[0],
        forwards[1],
    ]


@pytest.mark.parametrize("seed", range(4))
def test_labels_follow_the_exact_flow_without_exception(seed: int) -> None:
    street = MovingStreet(Drive(seed, frames=24, **SMALL))
    for number in range(1, 24, 5):
        motion = street.motion(number)
        assert motion is not None
        sources = motion.sources(90, 120)
        before, now = street.scene(number - 1).labels, street.scene(number).labels
        moved = before.ravel()[sources.index]
        assert (moved == now)[sources.trusted].all()
        assert sources.lost < 0.3


@pytest.mark.parametrize("seed", range(4))
def test_colors_follow_the_exact_flow_much_better_than_standing_still(seed: int) -> None:
    street = MovingStreet(Drive(seed, frames=20))
    before, now = (street.scene(n).image.astype(np.int16) for n in (11, 12))
    motion = street.motion(12)
    assert motion is not None
    sources = motion.sources(360, 480)
    moved = before.reshape(-1, 3)[sources.index]
    ground = sources.trusted & (np.abs(motion.vectors).max(2) > 32)
    followed = np.abs(moved - now).mean(2)[ground].mean()
    stood = np.abs(before - now).mean(2)[ground].mean()
    assert followed < 0.6 * stood


def test_flow_of_a_camera_that_stands_is_zero_but_for_what_moves_itself() -> None:
    street = MovingStreet(Drive(0, speed=0, frames=10, **SMALL))
    motion = street.motion(5)
    assert motion is not None
    labels = street.scene(5).labels
    still = np.isin(labels, (0, 1, 2, 3, 4, 5))  # sky, building, road, sidewalk, grass, tree
    assert not motion.vectors[still].any()


def test_ground_flows_as_a_pinhole_camera_says() -> None:
    street = MovingStreet(Drive(2, fps=10, speed=1000, **SMALL))
    motion = street.motion(3)
    assert motion is not None
    camera = street.camera
    road = street.scene(3).labels == 2
    row, col = (int(v[-1]) for v in np.nonzero(road & (motion.valid > 0)))
    below = (2 * row + 1) * 4096 // 180 - camera.horizon
    depth = camera.height * camera.focal / below
    # One metre farther away in the frame before.
    earlier = camera.height * camera.focal / (depth + 100)
    rows = (earlier - below) * 90 / 4096
    assert motion.vectors[row, col, 1] / 32 == pytest.approx(rows, abs=1 / 32)


def test_first_frame_has_no_flow() -> None:
    assert MovingStreet(Drive(1, **SMALL)).motion(0) is None


def test_seeds_give_different_drives() -> None:
    assert len({digest(MovingStreet(Drive(seed, **SMALL)), 1) for seed in range(8)}) == 8


def test_people_are_met_all_along_the_way() -> None:
    late = MovingStreet(Drive(0, frames=200, fps=10, **SMALL))
    assert any((late.scene(n).labels == 14).any() for n in range(150, 200, 5))


@pytest.mark.parametrize(
    ("drive", "words"),
    [
        ({"frames": 0}, "at least 1 frame"),
        ({"fps": 0}, "1 to 240"),
        ({"fps": 241}, "1 to 240"),
        ({"speed": -1}, "no negative speed"),
        ({"frames": 3000}, "1000 m long"),
        ({"height": 8}, "at least 16x16"),
    ],
)
def test_impossible_drives_are_refused(drive: dict[str, int], words: str) -> None:
    with pytest.raises(PictureError, match=words):
        Drive(0, **drive)


@pytest.mark.parametrize("number", [-1, 60])
def test_frames_outside_the_drive_are_refused(number: int) -> None:
    street = MovingStreet(Drive(0, **SMALL))
    for ask in (street.scene, street.motion):
        with pytest.raises(PictureError, match="60 frames"):
            ask(number)
