from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import ArtifactError
from edge_ovss.motion.vectors import Motion
from edge_ovss.runtime.stream.background import BackgroundStabilizer
from edge_ovss.runtime.stream.stabilizer import Stabilizer

Bytes = NDArray[np.uint8]


class ByHand(Executor):
    """Runs what is submitted when it is told to; the first at once."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.at_once = True

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as err:  # as a real executor does
                future.set_exception(err)

        if self.at_once:
            work()
        else:
            self.waiting.append(work)
        return future

    def finish(self) -> None:
        self.waiting.pop(0)()


class Moves:
    """Everything moves one pixel to the right from frame to frame; cuts where told."""

    def __init__(self, width: int, cuts: tuple[int, ...] = ()) -> None:
        self._count, self._width, self._cuts = -1, width, cuts

    def advance(self, frame: Bytes) -> Motion | None:
        del frame
        self._count += 1
        if self._count == 0:
            return None
        vectors = np.zeros((1, self._width, 2), np.int16)
        vectors[..., 0] = -32
        valid = np.full((1, self._width), self._count not in self._cuts, np.uint8)
        return Motion(vectors, valid)

    def forget(self) -> None:
        self._count = -1


def picture(number: int, width: int = 8) -> Bytes:
    return np.full((1, width, 3), number, np.uint8)


def columns(image: Bytes) -> Bytes:
    """Labels of a scene that moves one pixel to the right in every frame; 100 comes into view."""
    number, width = int(image[0, 0, 0]), image.shape[1]
    return np.asarray([[col - number if col >= number else 100 for col in range(width)]], np.uint8)


def test_frames_are_answered_while_the_network_is_busy() -> None:
    hands = ByHand()
    stream = BackgroundStabilizer(columns, hold_ms=None, flow=Moves(8), executor=hands)
    assert stream.step(picture(0), time_s=0.0).key
    hands.at_once = False
    for number in (1, 2, 3):
        step = stream.step(picture(number), time_s=number / 10)
        assert not step.key
        assert step.age_ms == pytest.approx(100 * number)
        assert step.labels[0, number:].tolist() == list(range(8 - number))
    assert len(hands.waiting) == 1  # it still looks at frame 1


def test_an_answer_is_moved_along_to_the_newest_frame() -> None:
    hands = ByHand()
    stream = BackgroundStabilizer(columns, hold_ms=None, flow=Moves(8), executor=hands)
    stream.step(picture(0), time_s=0.0)
    hands.at_once = False
    for number in (1, 2, 3):
        stream.step(picture(number), time_s=number / 10)
    hands.finish()
    step = stream.step(picture(4), time_s=0.4)
    assert step.key
    assert step.age_ms == pytest.approx(300)  # from frame 1
    assert step.labels[0, 4:].tolist() == [0, 1, 2, 3]
    assert step.labels[0, 3] == 100  # which only the network's answer to frame 1 knows
    assert len(hands.waiting) == 1  # and now looks at frame 4


def test_a_network_that_is_always_in_time_gives_what_the_stabilizer_gives() -> None:
    random = np.random.default_rng(0)
    answers = [random.integers(0, 3, (1, 8)).astype(np.uint8) for _ in range(12)]
    late = BackgroundStabilizer(
        lambda image: answers[int(image[0, 0, 0])], flow=Moves(8), executor=ByHand()
    )
    # With an executor that works at once, the answer to a frame comes in with the next one.
    steps = [late.step(picture(n), time_s=n / 15) for n in range(12)]
    direct = Stabilizer(flow=Moves(8))
    expected = [
        direct.step(picture(n), lambda image: answers[int(image[0, 0, 0])], time_s=n / 15).labels
        for n in range(12)
    ]
    for n in range(3, 12):
        assert steps[n].labels[0, 1:].tolist() == expected[n - 1][0, :-1].tolist()


def test_a_cut_waits_for_the_network_and_drops_its_older_answer() -> None:
    hands = ByHand()
    stream = BackgroundStabilizer(columns, flow=Moves(8, cuts=(3,)), executor=hands)
    stream.step(picture(0), time_s=0.0)
    hands.at_once = False
    stream.step(picture(1), time_s=0.1)
    hands.finish()
    hands.at_once = True
    step = stream.step(picture(2), time_s=0.2)
    assert step.key
    step = stream.step(picture(3), time_s=0.3)
    assert step.cut
    assert step.key
    assert step.age_ms == 0.0
    assert (step.labels == columns(picture(3))).all()
    assert not stream.step(picture(4), time_s=0.4).key  # the answer to frame 2 is gone


def test_a_new_size_waits_for_the_network_too() -> None:
    stream = BackgroundStabilizer(columns, flow="none", executor=ByHand())
    stream.step(picture(0))
    step = stream.step(picture(1, 5))
    assert step.key
    assert step.labels.shape == (1, 5)


def test_a_network_that_fails_is_an_error_of_a_later_frame() -> None:
    def network(image: Bytes) -> Bytes:
        if image[0, 0, 0]:
            message = "Out of memory."
            raise ArtifactError(message)
        return columns(image)

    stream = BackgroundStabilizer(network, flow="none", executor=ByHand())
    stream.step(picture(0))
    stream.step(picture(1))
    with pytest.raises(ArtifactError, match="Out of memory"):
        stream.step(picture(2))


def test_the_network_runs_in_one_thread_of_its_own() -> None:
    threads = set()
    ready = threading.Event()

    def network(image: Bytes) -> Bytes:
        threads.add(threading.get_ident())
        if image[0, 0, 0]:
            ready.wait(10)
        return columns(image)

    with BackgroundStabilizer(network, hold_ms=None, flow="none") as stream:
        stream.step(picture(0))
        steps = [stream.step(picture(n)) for n in range(1, 6)]
        assert not any(step.key for step in steps)
        ready.set()
    stream.close()
    assert len(threads) == 1
    assert threading.get_ident() not in threads
