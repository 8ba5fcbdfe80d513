from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError, PictureError, UsageError
from edge_ovss.frames.sources import Frame, open_source
from edge_ovss.runtime import Result, Segmenter
from edge_ovss.runtime.result_writer import frame_facts
from edge_ovss.runtime.stream_segmenter import StreamOptions, StreamSegmenter

pytest.importorskip("cv2")

MakeBundle = Callable[..., Path]
Image = NDArray[np.uint8]


def image(value: int, width: int = 32) -> Image:
    return np.full((24, width, 3), value, np.uint8)


class Counted:
    """Answers that say which inference they come from."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: Image) -> Result:
        self.calls += 1
        return Result(
            labels=np.full(frame.shape[:2], self.calls, np.uint8),
            names=tuple("abcdefgh"),
            alive=np.asarray([self.calls], np.int32),
            counts=np.asarray([1, 1, 1], np.int32),
            slots=None,
            timings={"pre": 1.0, "infer": 20.0, "post": 1.0, "total": 22.0},
            confidence=np.ones(frame.shape[:2], np.float32),
        )


def test_frames_between_key_frames_have_no_inference() -> None:
    network = Counted()
    stream = StreamSegmenter(network, StreamOptions(hold_ms=None, keyframe=2))
    results = [stream.segment(image(9), time_s=n / 10) for n in range(4)]
    assert network.calls == 2
    assert [int(r.labels[0, 0]) for r in results] == [1, 1, 2, 2]
    assert [r.stream.key for r in results if r.stream] == [True, False, True, False]
    assert [r.timings["infer"] for r in results] == [20.0, 0.0, 20.0, 0.0]
    assert [r.confidence is None for r in results] == [False, True, False, True]
    assert all(r.timings["total"] > 0 for r in results)


def test_facts_of_a_frame_say_key_age_and_held() -> None:
    stream = StreamSegmenter(Counted(), StreamOptions(keyframe=2, flow="none"))
    frame = Frame("a", "a #0", lambda: image(1), 0.0)
    for number in range(2):
        result = stream.segment(image(1), time_s=number / 10)
    facts = frame_facts(frame, result)
    assert (facts["key"], facts["age_ms"], facts["held"]) == (False, 100.0, 0.0)
    plain = frame_facts(frame, Counted()(image(1)))
    assert not {"key", "age_ms", "held"} & set(plain)


def test_every_source_is_a_stream_of_its_own() -> None:
    network = Counted()
    stream = StreamSegmenter(network, StreamOptions(hold_ms=None, keyframe=9, flow="none"))
    for source, width in (("left", 32), ("right", 48), ("left", 32), ("right", 48)):
        result = stream.segment(image(1, width), source=source)
        assert result.labels.shape == (24, width)
    assert network.calls == 2
    with pytest.raises(InputError, match="back"):
        for time_s in (5.0, 4.0):
            stream.segment(image(1), time_s=time_s, source="left")
    stream.segment(image(1, 48), time_s=1.0, source="right")


def test_other_words_between_two_frames_start_the_stream_anew() -> None:
    names, may_answer = ["abc"], Event()
    may_answer.set()

    def network(frame: Image) -> Result:
        may_answer.wait(60)
        label = 2 if names[0] == "abc" else 0
        labels = np.full(frame.shape[:2], label, np.uint8)
        return replace(Counted()(frame), labels=labels, names=tuple(names[0]))

    options = StreamOptions(hold_ms=10_000, keyframe=None, flow="none")
    with StreamSegmenter(network, options) as stream:
        for number in range(3):
            stream.segment(image(1), time_s=number / 10)
            stream._thread.submit(lambda: None).result()  # the network has answered
        names[0] = "x"
        may_answer.clear()
        found = []
        for number in range(3, 6):
            found.append(stream.segment(image(1), time_s=number / 10))
            may_answer.set()
            stream._thread.submit(lambda: None).result()
    assert found[-1].names == ("x",)
    assert all(int(each.labels.max()) < len(each.names) for each in found)


def test_the_network_in_its_own_thread_answers_later() -> None:
    network = Counted()
    with StreamSegmenter(network, StreamOptions(hold_ms=None, keyframe=None)) as stream:
        first = stream.segment(image(1), time_s=0.0)
        assert first.stream is not None
        assert first.stream.key
        results = [stream.segment(image(1), time_s=n / 10) for n in range(1, 30)]
    assert network.calls >= 2
    assert all(r.confidence is None and r.timings["infer"] == 0.0 for r in results)
    stream.close()


def test_images_with_nothing_in_common_get_a_warning() -> None:
    network = Counted()
    stream = StreamSegmenter(network)
    for frame in open_source("synthetic://street?count=5&size=96x128"):
        stream.segment(frame.image, source="folder")
    (warning,) = stream.warnings()
    assert warning.startswith("folder: 4 of 4 frames have nothing in common")


@pytest.mark.parametrize("options", [{"keyframe": 0}, {"hold_ms": 0.0}, {"flow": "raft"}])
def test_wrong_options_are_refused_before_the_first_frame(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        StreamSegmenter(Counted(), StreamOptions(**options))  # type: ignore[arg-type]


def test_a_frame_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(PictureError):
        StreamSegmenter(Counted()).segment(np.zeros((4, 4), np.uint8))


def test_a_bundle_without_memory_and_a_stream_of_one_frame_agree(make_bundle: MakeBundle) -> None:
    pytest.importorskip("onnxruntime")
    frame = next(open_source("synthetic://street?size=32x48")).image
    with Segmenter.open(make_bundle(), threads=1) as segmenter:
        stream = StreamSegmenter(segmenter.segment)
        assert (stream.segment(frame).labels == segmenter.segment(frame).labels).all()
