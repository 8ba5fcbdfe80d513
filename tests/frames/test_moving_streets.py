from __future__ import annotations

import numpy as np
import pytest

from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import EdgeOvssError, PictureError, UsageError
from edge_ovss.frames.moving_streets import address_of, street_at
from edge_ovss.frames.sources import open_source
from edge_ovss.synthetic import Drive, MovingStreet

STREET = "synthetic://street?frames=3&fps=10&speed=8&seed=4&size=32x48"


def test_frames_come_in_order_with_their_times() -> None:
    frames = list(open_source(STREET))
    assert [frame.time_s for frame in frames] == [0.0, 0.1, 0.2]
    assert [frame.name for frame in frames] == [f"street-0004-00000{n}" for n in range(3)]
    drawn = MovingStreet(Drive(4, frames=3, fps=10, speed=800, height=32, width=48))
    for number, frame in enumerate(frames):
        assert (frame.image == drawn.scene(number).image).all()


def test_one_option_of_motion_is_enough_and_the_others_have_defaults() -> None:
    assert len(list(open_source("synthetic://street?fps=30"))) == 60
    street = street_at("synthetic://street?frames=9")
    assert street is not None
    assert street.drive == Drive(0, frames=9, fps=15, speed=800, height=360, width=480)


def test_without_such_an_option_a_street_stands_still() -> None:
    assert street_at("synthetic://street?count=4&seed=2") is None
    frames = list(open_source("synthetic://street?count=2&seed=2&size=32x48"))
    assert [frame.time_s for frame in frames] == [None, None]


@pytest.mark.parametrize("speed", ["8", "2.5", "0", "0.25", "13.05"])
def test_an_address_names_every_option(speed: str) -> None:
    street = street_at(f"synthetic://street?frames=5&speed={speed}")
    assert street is not None
    again = street_at(address_of(street.drive))
    assert again is not None
    assert again.drive == street.drive
    assert f"speed={speed}&" in address_of(street.drive)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ("frames=0", UsageError, "at least 1"),
        ("frames=4&count=2", UsageError, "not both"),
        ("frames=x", UsageError, "whole number"),
        ("frames=99999999999999999999999", UsageError, "at most"),
        ("frames=4&speed=fast", UsageError, "metres per second"),
        ("frames=4&speed=-3", UsageError, "metres per second"),
        ("frames=4&fps=1000", PictureError, "1 to 240"),
        ("frames=9999", PictureError, "1000 m"),
        ("frame=4", UsageError, "no option 'frame'"),
        ("frames=4&size=8x8", PictureError, "at least 16x16"),
    ],
)
def test_wrong_options_are_refused(options: str, error: type[EdgeOvssError], words: str) -> None:
    with pytest.raises(error, match=words):
        open_source(f"synthetic://street?{options}")
    with pytest.raises(error, match=words):
        open_dataset(f"synthetic://street?{options}")


def test_a_data_set_of_a_drive_has_labels_and_exact_motion() -> None:
    data = open_dataset(STREET)
    assert data.fps == 10
    drawn = MovingStreet(Drive(4, frames=3, fps=10, speed=800, height=32, width=48))
    for number, sample in enumerate(data.samples):
        assert (sample.raw_labels() == drawn.scene(number).labels).all()
        assert sample.motion is not None
        motion, exact = sample.motion(), drawn.motion(number)
        if number == 0:
            assert motion is None
            assert exact is None
        else:
            assert motion is not None
            assert exact is not None
            assert np.array_equal(motion.vectors, exact.vectors)
            assert np.array_equal(motion.valid, exact.valid)


def test_a_data_set_of_stills_has_no_rate() -> None:
    data = open_dataset("synthetic://street?count=2&size=32x48")
    assert data.fps is None
    assert data.samples[0].motion is None
