"""Labels that are unknown, on bundles whose right answer is known, on every backend at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.reader import Bundle
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.errors import InputError, UsageError
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.runtime.trt.frame_sizes import FrameRange

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]


def picture(seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)


def right_labels(frame: NDArray[np.uint8], thresholds: Sequence[float]) -> NDArray[np.int64]:
    outputs = len(thresholds)
    best = frame.sum(-1, dtype=np.int64) % outputs
    measure = frame.sum(-1).astype(np.float32) * np.float32(1 / 765)
    unknown = 255 if outputs <= 255 else 65535
    return np.where(measure < np.asarray(thresholds, np.float32)[best], unknown, best)


@pytest.mark.parametrize("outputs", [1, 254, 255, 256])
def test_below_its_threshold_a_label_is_unknown(make_bundle: MakeBundle, outputs: int) -> None:
    frame = picture()
    steps = [round(0.3 + 0.4 * (place % 7) / 7, 3) for place in range(outputs)]
    with Segmenter.open(make_bundle(outputs=outputs, unknown=steps)) as segmenter:
        found = segmenter.segment(frame)
        off = segmenter.segment(frame, unknown="off")
        whole = segmenter.segment(frame, unknown=1)
    assert np.array_equal(found.labels, right_labels(frame, steps))
    assert found.labels.dtype == (np.uint8 if outputs <= 255 else np.uint16)
    assert np.array_equal(off.labels, frame.sum(-1, dtype=np.int64) % outputs)
    assert 0 < found.unknown < 1
    assert (off.unknown, whole.unknown) == (0, 1)
    assert sum(found.shares().values()) + found.unknown == pytest.approx(1)
    assert whole.shares() == {}


def test_thresholds_change_from_frame_to_frame(make_bundle: MakeBundle) -> None:
    frame, path = picture(), make_bundle(unknown=[0.5])
    with Segmenter.open(path) as segmenter, Segmenter.open(path, unknown=0.25) as other:
        given = [
            (segmenter, None, [0.5] * 3),
            (segmenter, 0.6, [0.6] * 3),
            (segmenter, {"*": 0.1, "thing1": 0.9}, [0.1, 0.9, 0.1]),
            (segmenter, np.array([0.2, 0.4, 0.6]), [0.2, 0.4, 0.6]),
            (segmenter, None, [0.5] * 3),
            (other, None, [0.25] * 3),
            (other, "0.7", [0.7] * 3),
        ]
        for each, unknown, thresholds in given:
            labels = each.segment(frame, unknown=unknown).labels
            assert np.array_equal(labels, right_labels(frame, thresholds)), unknown


def test_a_bundle_without_thresholds_says_so(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    with pytest.raises(UsageError, match=r"before labels could be unknown") as raised:
        Segmenter.open(path, unknown=0.3)
    assert "Export it again" in str(raised.value)
    with Segmenter.open(path, unknown="off") as segmenter:
        assert segmenter.unknown is None
        assert segmenter.segment(picture()).unknown == 0
        with pytest.raises(UsageError):
            segmenter.segment(picture(), unknown=0.3)


@pytest.mark.parametrize("given", ["1.5", -1, [0.5, 0.5], {"thing0": 0.1}, "auto", [np.nan] * 3])
def test_a_wrong_threshold_is_refused_before_the_graph_is_loaded(
    make_bundle: MakeBundle,
    given: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(UsageError):
        Segmenter.open(make_bundle(unknown=[0.5]), unknown=given, backend="no such")


def test_a_file_for_other_words_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    path, file = make_bundle(unknown=[0.5]), tmp_path / "thresholds.json"
    words = Bundle.open(path).vocabulary
    document = {
        "schema": 1,
        "measure": "score",
        "vocabulary_sha256": words.sha256,
        "model": "sed-tiny",
        "thresholds": {"*": 0.3},
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    with Segmenter.open(path, unknown=file) as segmenter:
        assert segmenter.unknown is not None
        assert (segmenter.unknown.source, segmenter.unknown.thresholds) == ("file", (0.3,))
    file.write_text(json.dumps({**document, "vocabulary_sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(InputError, match="vocabulary_sha256"):
        Segmenter.open(path, unknown=str(file))


@pytest.mark.parametrize("thresholds", [[0.0], [0.5], [0.2, 0.5, 0.8], [1.0]])
def test_selftest_expects_unknown_where_it_should_be(
    make_bundle: MakeBundle, thresholds: list[float]
) -> None:
    with Segmenter.open(make_bundle(unknown=thresholds)) as segmenter:
        report = run_selftest(segmenter)
    assert report
    assert report.agreement == 1.0
    with Segmenter.open(segmenter.bundle, unknown=0.4) as other:
        assert run_selftest(other).agreement == 1.0


def test_selftest_notices_thresholds_that_do_not_work(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Segmenter.open(make_bundle(unknown=[0.5])) as segmenter:
        real = segmenter._backend.infer
        wide: Any = np.zeros(3, np.float64)
        monkeypatch.setattr(segmenter._backend, "infer", lambda frame, _: real(frame, wide))
        with pytest.raises(Exception, match="float"):
            run_selftest(segmenter)
        zeros = np.zeros(3, np.float32)
        monkeypatch.setattr(segmenter._backend, "infer", lambda frame, _: real(frame, zeros))
        assert not run_selftest(segmenter)


def test_openvino_gives_the_same(make_bundle: MakeBundle) -> None:
    pytest.importorskip("openvino")
    frame, steps = picture(), [0.3, 0.5, 0.7]
    with Segmenter.open(make_bundle(unknown=steps), backend="openvino") as segmenter:
        assert np.array_equal(segmenter.segment(frame).labels, right_labels(frame, steps))
        labels = segmenter.segment(frame, unknown=0.6).labels
    assert np.array_equal(labels, right_labels(frame, [0.6] * 3))


@pytest.mark.parametrize("outputs", [3, 256])
@pytest.mark.parametrize("graphs", ["0", "1"])
def test_an_engine_gives_the_same(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    outputs: int,
    graphs: str,
) -> None:
    del trt
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    monkeypatch.setenv("EDGE_OVSS_CUDA_GRAPHS", graphs)
    frame, path = picture(), make_bundle(outputs=outputs, unknown=[0.5])
    build_engine(Bundle.open(path), "tensorrt", BuildOptions(frames=FrameRange.pinned((20, 30))))
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        for unknown, threshold in ((None, 0.5), (0.6, 0.6), ("off", 0.0), (None, 0.5)):
            labels = segmenter.segment(frame, unknown=unknown).labels
            assert np.array_equal(labels, right_labels(frame, [threshold] * outputs)), unknown
        assert labels.dtype == (np.uint8 if outputs <= 255 else np.uint16)
        assert run_selftest(segmenter)
