"""The views of recordings: what they get, and how fast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pretended_camera import Kept, result_of

from edge_ovss.frames.sources import Frame
from edge_ovss.live.clock import Pace
from edge_ovss.live.ordered import OrderedViews
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.runtime.result import StreamFacts
from edge_ovss.runtime.result_writer import frame_facts


def test_a_view_gets_the_facts_that_are_written() -> None:
    seen: list[LiveFrame] = []
    views = OrderedViews([Kept(seen.append)], lambda _: None)
    image = np.zeros((4, 6, 3), np.uint8)
    for stream in (None, StreamFacts(key=False, age_ms=250.0, held=0.0, cut=False)):
        frame, result = (
            Frame("a", "a.mp4 #1", lambda: image),
            replace(result_of(image), stream=stream),
        )
        facts = frame_facts(frame, result)
        views.show(frame, result, facts, captured_s=0.0)
        assert facts.items() <= seen[-1].facts.items()
    assert [shown.facts["index"] for shown in seen] == [0, 1]
    assert seen[0].facts["age_ms"] == round(1000 * seen[0].age_s, 3)
    assert seen[1].facts["age_ms"] == 250.0


def test_a_late_frame_does_not_make_the_next_one_late() -> None:
    pace, free = Pace(10), Pace(None)
    for start_s, left_s in (
        (100.0, 0.0),  # after a long wait the next one may follow at once
        (100.0, 0.1),
        (100.15, 0.05),  # 50 ms late
        (100.2, 0.1),
        (200.0, 0.0),
    ):
        pace.begin(start_s)
        assert round(pace.left_s(start_s), 6) == left_s
        free.begin(start_s)
        assert free.left_s(start_s) == 0.0
