from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError, UsageError
from edge_ovss.motion.vectors import Motion
from edge_ovss.runtime.stream.stabilizer import Stabilizer, Step

Bytes = NDArray[np.uint8]


class Told:
    """A flow whose motion is given frame by frame; None for frames that have none."""

    def __init__(self, motions: Iterable[Motion | None]) -> None:
        self._motions = iter(motions)

    def advance(self, frame: Bytes) -> Motion | None:
        del frame
        return next(self._motions)

    def forget(self) -> None:
        pass


class Network:
    """Says the labels that it is given, and counts how often it was asked."""

    def __init__(self, *labels: int) -> None:
        self._labels = iter(labels)
        self.calls = 0

    def __call__(self, frame: Bytes) -> Bytes:
        self.calls += 1
        return np.full(frame.shape[:2], next(self._labels), np.uint8)


def frame(height: int = 4, width: int = 6) -> Bytes:
    return np.zeros((height, width, 3), np.uint8)


def lost(share: float) -> Motion:
    """A motion of 4 x 6 pixels that cannot be trusted in a share of them."""
    valid = np.ones(24, np.uint8)
    valid[: round(24 * share)] = 0
    return Motion(np.zeros((4, 6, 2), np.int16), valid.reshape(4, 6))


def run(stabilizer: Stabilizer, network: Network, count: int, fps: float = 15) -> list[Step]:
    return [stabilizer.step(frame(), network, time_s=n / fps) for n in range(count)]


def shown(steps: list[Step]) -> list[int]:
    return [int(step.labels[0, 0]) for step in steps]


def test_the_first_frame_is_what_the_network_says() -> None:
    step = Stabilizer(flow="none").step(frame(), Network(7), time_s=0.0)
    assert (step.labels == 7).all()
    assert (step.key, step.cut, step.held, step.age_ms) == (True, False, 0.0, 0.0)


def test_a_label_that_flashes_is_held_and_a_change_shows_after_two_inferences() -> None:
    network = Network(4, 4, 4, 7, 4, 4, 7, 7, 7)
    steps = run(Stabilizer(flow="none"), network, 9)
    assert shown(steps) == [4, 4, 4, 4, 4, 4, 4, 4, 7]
    assert [step.held for step in steps] == [0, 0, 0, 1, 0, 0, 1, 1, 0]
    assert all(step.key for step in steps)


def test_without_a_hold_the_network_is_always_right() -> None:
    network = Network(4, 4, 4, 7, 4)
    assert shown(run(Stabilizer(hold_ms=None, flow="none"), network, 5)) == [4, 4, 4, 7, 4]


def test_the_cap_follows_the_rate_of_inferences() -> None:
    # At 60 frames per second 150 ms are nine inferences: it takes nine to change a label.
    labels = [4] * 20 + [7] * 12
    steps = run(Stabilizer(flow="none"), Network(*labels), 32, fps=60)
    assert shown(steps).index(7) == 29
    # At 2 per second the cap is the least, 2: one contradiction is held.
    steps = run(Stabilizer(flow="none"), Network(4, 4, 7, 7), 4, fps=2)
    assert shown(steps) == [4, 4, 4, 7]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_the_network_sees_every_nth_frame(every: int) -> None:
    network = Network(*range(1, 9))
    steps = run(Stabilizer(hold_ms=None, keyframe=every, flow="none"), network, 7)
    assert [step.key for step in steps] == [n % every == 0 for n in range(7)]
    assert network.calls == len(range(0, 7, every))
    assert shown(steps) == [1 + n // every for n in range(7)]
    ages = [round(step.age_ms or 0.0) for step in steps]
    assert ages == [round(1000 / 15 * (n % every)) for n in range(7)]


def test_between_key_frames_labels_move_along() -> None:
    vectors = np.zeros((4, 6, 2), np.int16)
    vectors[..., 0] = -32
    moves = [None, *[Motion(vectors, np.ones((4, 6), np.uint8))] * 2]
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    stabilizer = Stabilizer(keyframe=9, flow=Told(moves))
    steps = [stabilizer.step(frame(), lambda _: labels) for _ in range(3)]
    assert steps[2].labels[0].tolist() == [0, 0, 0, 1, 2, 3]
    assert steps[2].age_ms is None


@pytest.mark.parametrize(("share", "cut"), [(0.5, False), (0.55, True), (1.0, True)])
def test_more_than_half_of_the_pixels_lost_is_a_cut(share: float, cut: bool) -> None:
    flow = Told([None, lost(0), lost(0), lost(share), lost(0)])
    network = Network(4, 4, 4, 7, 7)
    steps = run(Stabilizer(flow=flow), network, 5)
    assert [step.cut for step in steps] == [False, False, False, cut, False]
    bottom = [int(step.labels[3, 5]) for step in steps]
    assert bottom == [4, 4, 4, 7 if cut else 4, 7 if cut else 4]


def test_a_cut_between_key_frames_asks_the_network_at_once() -> None:
    flow = Told([None, lost(0), lost(0.9), lost(0), lost(0), lost(0)])
    network = Network(4, 7, 8)
    steps = run(Stabilizer(keyframe=3, flow=flow), network, 6)
    assert [step.key for step in steps] == [True, False, True, False, False, True]
    assert shown(steps) == [4, 4, 7, 7, 7, 8]


def test_another_size_starts_anew_with_labels_of_that_size() -> None:
    stabilizer, network = Stabilizer(keyframe=5, flow="none"), Network(4, 7)
    stabilizer.step(frame(), network)
    stabilizer.step(frame(), network)
    step = stabilizer.step(frame(3, 9), network)
    assert step.key
    assert not step.cut
    assert step.labels.shape == (3, 9)
    assert (step.labels == 7).all()


def test_a_still_camera_calms_down_and_stays_calm() -> None:
    pytest.importorskip("cv2")
    scene = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    random = np.random.default_rng(1)

    def network(image: Bytes) -> Bytes:
        labels = np.full(image.shape[:2], 3, np.uint8)
        labels[random.random(labels.shape) < 0.1] = 5
        return labels

    stabilizer = Stabilizer()
    steps = [stabilizer.step(scene, network, time_s=n / 15) for n in range(30)]
    assert not any(step.cut for step in steps)
    assert np.mean([(step.labels != 3).mean() for step in steps[10:]]) < 0.02


def test_images_with_nothing_in_common_are_called_that() -> None:
    flow = Told([None, *[lost(0.9)] * 6, lost(0)])
    stabilizer = Stabilizer(flow=flow)
    network = Network(*[1] * 8)
    for _ in range(3):
        stabilizer.step(frame(), network)
    assert not stabilizer.scenes.unrelated  # two are too few to tell
    for _ in range(5):
        stabilizer.step(frame(), network)
    assert stabilizer.scenes.unrelated
    assert stabilizer.scenes.warning().startswith("6 of 7 frames have nothing in common")


def test_a_video_with_some_cuts_is_still_a_video() -> None:
    flow = Told([None, lost(0), lost(0.9), lost(0), lost(0.9), lost(0)])
    stabilizer = Stabilizer(flow=flow)
    for _ in range(6):
        stabilizer.step(frame(), Network(1))
    assert not stabilizer.scenes.unrelated


def test_time_that_goes_back_is_refused_until_a_new_stream_begins() -> None:
    stabilizer, network = Stabilizer(flow="none"), Network(1, 1, 2)
    stabilizer.step(frame(), network, time_s=1.9)
    stabilizer.step(frame(), network, time_s=2.0)  # sure by now
    with pytest.raises(InputError, match=r"back, from 2\.000 s to 1\.500 s"):
        stabilizer.step(frame(), network, time_s=1.5)
    stabilizer.forget()
    step = stabilizer.step(frame(), network, time_s=0.5)
    assert step.key
    assert (step.labels == 2).all()


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(time: float) -> None:
    with pytest.raises(InputError, match="expected seconds"):
        Stabilizer(flow="none").step(frame(), Network(1), time_s=time)


def test_frames_without_times_are_taken_as_fifteen_per_second() -> None:
    stabilizer, network = Stabilizer(flow="none"), Network(4, 4, 4, 7, 7, 7)
    steps = [stabilizer.step(frame(), network) for _ in range(6)]
    assert shown(steps) == [4, 4, 4, 4, 4, 7]
    assert {step.age_ms for step in steps} == {None}


def test_key_frames_without_times_are_as_many_fewer_inferences() -> None:
    # Every second of fifteen frames: the cap is 2, so that one contradiction is held.
    stabilizer, network = Stabilizer(keyframe=2, flow="none"), Network(4, 4, 4, 7, 7)
    steps = [stabilizer.step(frame(), network) for _ in range(9)]
    assert shown(steps)[::2] == [4, 4, 4, 4, 7]


def test_frames_of_the_same_time_say_nothing_of_the_rate() -> None:
    stabilizer, network = Stabilizer(flow="none"), Network(4, 4, 4, 7, 7, 7)
    steps = [stabilizer.step(frame(), network, time_s=3.0) for _ in range(6)]
    assert shown(steps) == [4, 4, 4, 4, 4, 7]
    assert {step.age_ms for step in steps} == {0.0}


@pytest.mark.parametrize("every", [0, -1])
def test_key_frames_at_no_distance_are_refused(every: int) -> None:
    with pytest.raises(UsageError, match="expected 1 or more"):
        Stabilizer(keyframe=every)


@pytest.mark.parametrize("hold", [0.0, -5.0, 20_000.0, float("nan")])
def test_a_hold_out_of_range_is_refused(hold: float) -> None:
    with pytest.raises(UsageError, match="more than 0"):
        Stabilizer(hold_ms=hold)


def test_the_memory_of_a_stream_does_not_grow() -> None:
    import tracemalloc

    flow = Told(Motion.still() if n else None for n in range(10_001))
    stabilizer = Stabilizer(flow=flow)
    network = Network(*[1] * 10_001)
    small = frame(8, 8)
    for n in range(500):
        stabilizer.step(small, network, time_s=n / 15)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for n in range(500, 10_000):
        stabilizer.step(small, network, time_s=n / 15)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
