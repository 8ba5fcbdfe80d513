"""The live loop: newest frame wins, what is lost is counted, and it ends cleanly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pretended_camera import Kept, PretendedCamera, number_of, result_of, source

from edge_ovss.errors import InputError, OutputError
from edge_ovss.live.clock import Clock
from edge_ovss.live.grabber import LiveSource
from edge_ovss.live.loop import LiveOptions, LiveRun
from edge_ovss.live.sinks import LiveFrame, Settings, Sink
from edge_ovss.runtime.result import Result, StreamFacts

Segment = Callable[[NDArray[np.uint8]], Result]


class Run(LiveRun):
    """A run that keeps its warnings."""

    def __init__(
        self,
        sources: Sequence[LiveSource],
        sinks: Sequence[Sink],
        segment: Segment = result_of,
        clock: Clock | None = None,
        **options: Any,  # noqa: ANN401 (those of LiveOptions)
    ) -> None:
        self.warnings: list[str] = []
        self.settings: list[Settings] = []
        super().__init__(
            sources,
            lambda frame, /, **_: segment(frame),
            sinks,
            LiveOptions(**options),
            warn=self.warnings.append,
            on_settings=self.settings.append,
            clock=clock,
        )


def nothing() -> None:
    """Do not end the run."""


def adds_up(run: LiveRun) -> bool:
    return all(
        each.read == each.segmented + each.dropped + each.skipped for each in run.summary.sources
    )


def slowly(seconds: float) -> Segment:
    def segment(frame: NDArray[np.uint8], **_: object) -> Result:
        time.sleep(seconds)
        return result_of(frame)

    return segment


def test_a_source_that_ends_ends_the_run_and_its_last_frame_is_shown() -> None:
    camera, kept = PretendedCamera(Clock(), count=50), Kept()
    run = Run([source(camera, ends=True)], [kept], slowly(0.002))
    run.run(nothing)
    assert kept.numbers == sorted(set(kept.numbers))
    assert kept.numbers[-1] == 49
    assert kept.closed == camera.released == 1
    (facts,) = run.summary.sources
    assert (facts.read, facts.segmented, facts.error) == (50, len(kept.numbers), None)
    assert adds_up(run)
    assert kept.last is not None
    assert kept.last.dropped == facts.dropped == 50 - len(kept.numbers)


def test_the_frame_that_is_taken_is_the_newest_there_is() -> None:
    camera, behind = PretendedCamera(Clock(), fps=500), []

    def segment(frame: NDArray[np.uint8], **_: object) -> Result:
        behind.append(camera.sent - 1 - number_of(frame))
        time.sleep(0.02)
        return result_of(frame)

    run = Run([source(camera)], [Kept()], segment, limit=40)
    run.run(nothing)
    # The camera may send one while this one is on its way.
    assert sorted(behind)[-5] <= 1
    assert run.summary.sources[0].dropped > 40
    assert adds_up(run)


def test_a_slow_view_delays_but_loses_no_result() -> None:
    kept = Kept(lambda _: time.sleep(0.01))
    run = Run([source(PretendedCamera(Clock(), fps=1000))], [kept], limit=20)
    run.run(nothing)
    assert len(kept.numbers) == run.summary.sources[0].segmented == 20
    assert run.summary.age.count == 20
    assert adds_up(run)


def test_drawing_overlaps_with_inference() -> None:
    segmenting, together = threading.Event(), []

    def segment(frame: NDArray[np.uint8]) -> Result:
        segmenting.set()
        time.sleep(0.02)
        segmenting.clear()
        return result_of(frame)

    kept = Kept(lambda _: together.append(segmenting.wait(0.1)))
    Run([source(PretendedCamera(Clock(), fps=1000))], [kept], segment, limit=20).run(nothing)
    assert sum(together) > 10, "while a result is drawn, the next frame is segmented"


def test_several_cameras_take_turns() -> None:
    cameras = [PretendedCamera(Clock(), fps=400) for _ in range(3)]
    kept = Kept()
    sources = [source(camera, f"camera {n}") for n, camera in enumerate(cameras)]
    run = Run(sources, [kept], slowly(0.01), limit=30)
    run.run(nothing)
    counts = [kept.sources.count(f"camera {n}") for n in range(3)]
    assert max(counts) - min(counts) <= 2
    assert [facts.segmented for facts in run.summary.sources] == counts
    assert adds_up(run)


def test_every_and_max_fps_leave_frames_out_without_calling_them_dropped() -> None:
    kept = Kept()
    run = Run([source(PretendedCamera(Clock(), count=60), ends=True)], [kept], every=7)
    run.run(nothing)
    assert all(number % 7 == 0 for number in kept.numbers)
    assert adds_up(run)
    paced = Run([source(PretendedCamera(Clock(), fps=300))], [Kept()], max_fps=50, duration_s=0.5)
    paced.run(nothing)
    (facts,) = paced.summary.sources
    assert 3 <= facts.segmented <= 26
    assert facts.skipped > 3 * facts.segmented
    assert facts.dropped <= facts.segmented
    assert adds_up(paced)


def test_the_duration_ends_the_run() -> None:
    run = Run([source(PretendedCamera(Clock(), fps=200))], [Kept()], duration_s=0.3)
    run.run(nothing)
    assert 0.3 <= run.summary.seconds < 2


def test_an_interruption_ends_cleanly_and_keeps_the_summary() -> None:
    kept = Kept()

    def check() -> None:
        if len(kept.numbers) >= 5:
            raise KeyboardInterrupt

    camera = PretendedCamera(Clock(), fps=300)
    run = Run([source(camera)], [kept])
    with pytest.raises(KeyboardInterrupt):
        run.run(check)
    assert kept.closed == camera.released == 1
    assert run.summary.sources[0].segmented == len(kept.numbers)
    assert adds_up(run)
    assert not any(thread.name in ("views", "camera 0") for thread in threading.enumerate())


def test_a_camera_that_comes_back_goes_on() -> None:
    clock = Clock(speed=20)
    camera = PretendedCamera(clock, fps=100)
    seen = []

    def then(frame: LiveFrame) -> None:
        seen.append(frame.index)
        if len(seen) == 20:
            camera.gone.set()
            threading.Timer(0.2, camera.gone.clear).start()

    run = Run([source(camera)], [Kept(then)], clock=clock, limit=40)
    run.run(nothing)
    assert (camera.opened, run.summary.sources[0].reconnects) == (2, 1)
    assert "is lost; trying" in run.warnings[0]
    assert "is back after" in run.warnings[1]
    assert adds_up(run)


def test_a_camera_that_stays_away_ends_the_run_with_an_error() -> None:
    clock = Clock(speed=50)
    camera = PretendedCamera(clock, fps=100)
    kept = Kept(lambda frame: camera.gone.set() if frame.index > 2 else None)
    run = Run([source(camera)], [kept], clock=clock, reconnect_s=6)
    with pytest.raises(InputError, match=r"not back within 6 s \(\d+ tries\)") as failed:
        run.run(nothing)
    assert "The last try" in str(failed.value)
    assert kept.closed == 1
    assert run.summary.sources[0].error is not None


def test_without_reconnecting_the_loss_is_the_end() -> None:
    run = Run([source(PretendedCamera(Clock(), count=3))], [Kept()], reconnect_s=0)
    with pytest.raises(InputError, match="ended, or was lost"):
        run.run(nothing)
    assert run.warnings == []


def test_the_other_cameras_go_on_when_one_is_lost() -> None:
    short, long = PretendedCamera(Clock(), count=5), PretendedCamera(Clock(), fps=200)
    run = Run([source(short, "a"), source(long, "b")], [Kept()], reconnect_s=0, limit=60)
    with pytest.raises(InputError, match="'a' ended"):
        run.run(nothing)
    assert sum(facts.segmented for facts in run.summary.sources) == 60
    assert any("The other sources go on" in text for text in run.warnings)


def test_a_source_that_cannot_be_opened_ends_the_run_at_once() -> None:
    camera = PretendedCamera(Clock())
    camera.gone.set()
    with pytest.raises(InputError, match="cannot be opened"):
        Run([source(camera)], [Kept()]).run(nothing)


def test_a_source_that_never_sends_is_an_error_after_the_timeout() -> None:
    clock = Clock(speed=20)
    camera = PretendedCamera(clock)
    camera.hangs.set()
    with pytest.raises(InputError, match="has sent nothing for"):
        Run([source(camera)], [Kept()], clock=clock, timeout_s=3).run(nothing)
    camera.hangs.clear()


def test_a_source_that_opens_and_has_no_frames_is_an_error() -> None:
    class Empty(PretendedCamera):
        def read(self) -> None:
            return None

    with pytest.raises(InputError, match="gave no frames"):
        Run([source(Empty(Clock()))], [Kept()]).run(nothing)


def test_the_watchdog_says_once_that_a_camera_stalls_and_that_it_sends_again() -> None:
    clock = Clock(speed=20)
    camera = PretendedCamera(clock, fps=100)

    def then(frame: LiveFrame) -> None:
        if frame.index == 10:
            camera.hangs.set()
            threading.Timer(0.4, camera.hangs.clear).start()

    run = Run([source(camera)], [Kept(then)], clock=clock, limit=30)
    run.run(nothing)
    assert [text.split(":")[0].split(" after")[0] for text in run.warnings] == [
        "pretended stalls",
        "pretended sends again",
    ]
    assert run.summary.stalls == 1


def test_a_view_that_fails_ends_the_run_and_the_others_are_closed() -> None:
    def fail(frame: LiveFrame) -> None:
        if frame.index == 3:
            message = "Cannot write 'x': the disk is full."
            raise OutputError(message)

    kept = Kept()
    run = Run([source(PretendedCamera(Clock(), fps=300))], [Kept(fail), kept])
    with pytest.raises(OutputError, match="the disk is full"):
        run.run(nothing)
    assert kept.closed == 1
    assert len(kept.numbers) == 3
    assert adds_up(run)


class Dial(Kept):
    """A view with controls."""

    asked = Settings()
    warnings: tuple[str, ...] = ()

    def settings(self) -> Settings:
        return self.asked

    def warn(self, text: str) -> None:
        self.warnings += (text,)


def test_a_view_pauses_changes_and_ends_the_run() -> None:
    dial = Dial()
    run = Run([source(PretendedCamera(Clock(), fps=300))], [dial])
    steps = iter([Settings(alpha=0.2, paused=True), Settings(paused=False), Settings(stop=True)])

    def turn() -> None:
        for asked in steps:
            time.sleep(0.3)
            dial.asked = asked

    turner = threading.Thread(target=turn)
    turner.start()
    run.run(nothing)
    turner.join()
    gaps = [b - a for a, b in zip(dial.numbers, dial.numbers[1:], strict=False)]
    assert max(gaps) > 40, "nothing was segmented while it was paused"
    assert run.settings[0].alpha == 0.2
    assert run.settings[-1].stop
    assert run.summary.sources[0].skipped > 40
    assert adds_up(run)


def test_views_that_listen_hear_the_warnings() -> None:
    dial = Dial()
    run = Run([source(PretendedCamera(Clock(), count=3), "a")], [dial], reconnect_s=0.6)
    with pytest.raises(InputError):
        run.run(nothing)
    assert dial.warnings == tuple(run.warnings) != ()


def test_the_facts_of_a_frame_are_those_of_jsonl() -> None:
    kept = Kept()
    Run([source(PretendedCamera(Clock(), fps=300))], [kept], limit=3).run(nothing)
    assert kept.last is not None
    facts = dict(kept.last.facts)
    assert facts["name"] == f"pretended-{kept.numbers[-1]:06d}"
    assert facts["index"] == 2
    assert facts["dropped"] == kept.last.dropped
    assert facts["age_ms"] == pytest.approx(1000 * kept.last.age_s, abs=0.001)


def test_the_age_of_a_frame_counts_that_of_its_labels() -> None:
    def segment(frame: NDArray[np.uint8]) -> Result:
        return replace(result_of(frame), stream=StreamFacts(False, 70.0, 0.0, False))

    kept = Kept()
    Run([source(PretendedCamera(Clock(), fps=300))], [kept], segment, limit=3).run(nothing)
    assert kept.last is not None
    assert kept.last.facts["age_ms"] == pytest.approx(1000 * kept.last.age_s + 70, abs=0.001)
