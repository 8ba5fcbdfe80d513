"""Frames in, label maps out, on a bundle whose right answer is known."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import ArtifactError, MissingDependencyError, PictureError, UsageError
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.backends import REGISTRY, Entry, resolve_backend

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def right_labels(frame: NDArray[np.uint8], outputs: int) -> NDArray[np.int32]:
    labels: NDArray[np.int32] = frame.sum(-1, dtype=np.int32) % outputs
    return labels


@pytest.mark.parametrize("size", [(1, 1), (31, 47), (2, 300), (4000, 3000)])
def test_labels_have_the_frames_size_and_values(
    make_bundle: MakeBundle, size: tuple[int, int]
) -> None:
    frame = picture(*size)
    with Segmenter.open(make_bundle(), threads=2) as segmenter:
        result = segmenter.segment(frame)
    assert result.labels.shape == size
    assert result.labels.dtype == np.uint8
    assert np.array_equal(result.labels, right_labels(frame, 3))


@pytest.mark.parametrize(("outputs", "dtype"), [(255, "uint8"), (256, "uint16"), (300, "uint16")])
def test_labels_are_wide_enough_for_the_vocabulary(
    make_bundle: MakeBundle, outputs: int, dtype: str
) -> None:
    frame = picture(40, 50)
    with Segmenter.open(make_bundle(outputs=outputs)) as segmenter:
        result = segmenter.segment(frame)
    assert result.labels.dtype == dtype
    assert np.array_equal(result.labels, right_labels(frame, outputs))
    assert segmenter.palette.shape == (outputs, 3)


def test_a_frame_that_is_not_contiguous_gives_the_same(make_bundle: MakeBundle) -> None:
    frame = picture(20, 20)[::2, ::-1]
    with Segmenter.open(make_bundle()) as segmenter:
        assert np.array_equal(segmenter.segment(frame).labels, right_labels(frame, 3))


def test_result_carries_names_survivors_counts_and_times(make_bundle: MakeBundle) -> None:
    with Segmenter.open(make_bundle()) as segmenter:
        result = segmenter.segment(picture(4, 4))
    assert result.names == ("thing0", "thing1", "thing2")
    assert result.alive.tolist() == [2, 0]
    assert result.counts.tolist() == [3, 3, 2]
    assert set(result.timings) == {"pre", "infer", "post", "total"}
    assert result.timings["total"] >= result.timings["infer"] > 0
    assert result.scores is None
    assert result.confidence is None


def test_scores_and_confidence_lose_their_batch_axis(make_bundle: MakeBundle) -> None:
    frame = picture(4, 5)
    with Segmenter.open(make_bundle(extras=["confidence", "scores"])) as segmenter:
        result = segmenter.segment(frame)
    assert result.scores is not None
    assert result.scores.shape == (3, 2, 3)
    assert result.confidence is not None
    assert np.allclose(result.confidence, frame.sum(-1) / 765, atol=1e-6)


def test_shares_are_sorted_by_size(make_bundle: MakeBundle) -> None:
    frame = np.zeros((1, 4, 3), np.uint8)
    frame[0, 1:, 0] = 2
    with Segmenter.open(make_bundle()) as segmenter:
        shares = segmenter.segment(frame).shares()
    assert list(shares.items()) == [("thing2", 0.75), ("thing0", 0.25)]


@pytest.mark.parametrize(
    ("mode", "slots", "counts", "overflow"),
    [
        ("slots", [4, 3, 2], (4, 3, 2), False),
        ("slots", [4, 3, 2], (5, 3, 2), True),
        ("slots", [4, 3, 2], (4, 3, 3), True),
        ("none", None, (9, 9, 9), False),
        ("dynamic", None, (9, 9, 9), False),
    ],
)
def test_overflow_compares_each_count_with_its_slots(
    make_bundle: MakeBundle,
    mode: str,
    slots: list[int] | None,
    counts: tuple[int, ...],
    overflow: bool,
) -> None:
    with Segmenter.open(make_bundle(mode=mode, slots=slots, counts=counts)) as segmenter:
        assert segmenter.segment(picture(2, 2)).overflow is overflow


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "dtype 'float32'"),
        (np.zeros((4, 4), np.uint8), "repeat"),
        (np.zeros((4, 4, 4), np.uint8), "alpha"),
        (np.zeros((3, 4, 5), np.uint8), "transpose"),
        (np.zeros((1, 4, 5, 3), np.uint8), "frames[0]"),
        (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
        ([[0, 0, 0]], "type 'list'"),
    ],
    ids=["float", "gray", "rgba", "chw", "batch", "empty", "list"],
)
def test_a_frame_of_another_form_is_refused_with_the_remedy(
    make_bundle: MakeBundle, frame: NDArray[np.uint8], words: str
) -> None:
    with Segmenter.open(make_bundle()) as segmenter, pytest.raises(PictureError) as caught:
        segmenter.segment(frame)
    assert words in str(caught.value)
    assert caught.value.hint


def test_unknown_backend_names_close_ones(make_bundle: MakeBundle) -> None:
    with pytest.raises(UsageError, match="onnxruntime-cuda"):
        Segmenter.open(make_bundle(), backend="onnxruntime-cudda")


def test_cuda_without_its_provider_says_so(make_bundle: MakeBundle) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    with pytest.raises(MissingDependencyError, match="CUDAExecutionProvider"):
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")


def test_auto_is_the_first_usable_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_backend("auto") == "onnxruntime"
    for name in list(REGISTRY):
        entry = Entry(factory="nowhere:None", requires=("no_such_module",), extra="onnxruntime")
        monkeypatch.setitem(REGISTRY, name, entry)
    with pytest.raises(MissingDependencyError, match="pip install"):
        resolve_backend("auto")


def test_threads_must_be_positive(make_bundle: MakeBundle) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Segmenter.open(make_bundle(), threads=0)


def test_a_closed_segmenter_is_a_fault_of_the_caller(make_bundle: MakeBundle) -> None:
    segmenter = Segmenter.open(make_bundle())
    segmenter.close()
    segmenter.close()
    with pytest.raises(RuntimeError, match="close"):
        segmenter.segment(picture(2, 2))


def test_a_graph_that_is_not_the_manifests_is_refused(make_bundle: MakeBundle) -> None:
    plain = Bundle.open(make_bundle("plain.ovss"))
    rich = Bundle.open(make_bundle("rich.ovss", extras=["confidence"]))
    mixed = Bundle(rich.path, plain.manifest, plain.vocabulary, plain.graph)
    with pytest.raises(ArtifactError, match="outputs"):
        Segmenter.open(mixed)


def test_labels_above_the_vocabulary_are_refused(make_bundle: MakeBundle) -> None:
    many = Bundle.open(make_bundle("many.ovss", outputs=200))
    few = Bundle.open(make_bundle("few.ovss", outputs=3))
    manifest = replace(many.manifest, vocabulary=few.manifest.vocabulary)
    mixed = Bundle(many.path, manifest, few.vocabulary, many.graph)
    with Segmenter.open(mixed) as segmenter, pytest.raises(ArtifactError, match="below 3"):
        segmenter.segment(picture(30, 30))


def test_a_graph_that_does_not_load_is_an_artifact_error(make_bundle: MakeBundle) -> None:
    bundle = Bundle.open(make_bundle())
    bundle.graph_path.write_bytes(b"\x08\x0anot a graph")
    with pytest.raises(ArtifactError, match="cannot load"):
        Segmenter.open(bundle)


class Twice:
    """A backend whose frames overflow or not, and that takes a known time."""

    def __init__(
        self, bundle: Bundle, *, count: int, seconds: float, device_ms: float | None
    ) -> None:
        self.bundle, self.name, self.device_ms = bundle, "twice", device_ms
        self.count, self.seconds = count, seconds

    def infer(self, batch: NDArray[np.uint8], thresholds: object) -> dict[str, NDArray[Any]]:
        del thresholds
        time.sleep(self.seconds)
        return {
            "labels": np.zeros(batch.shape[:3], np.uint8),
            "alive": np.array([0, -1], np.int32),
            "counts": np.array([self.count, 1, 1], np.int32),
        }

    def prepare(self, size: tuple[int, int]) -> None:
        del size

    def open(self) -> Twice:
        return self


@pytest.mark.parametrize("device", [True, False])
def test_a_frame_that_is_run_twice_took_both_times(make_bundle: MakeBundle, device: bool) -> None:
    bundle = Bundle.open(make_bundle(slots=[4, 4, 4]))
    first: Any = Twice(bundle, count=5, seconds=0.05, device_ms=2.0 if device else None)
    spare: Any = Twice(bundle, count=4, seconds=0.01, device_ms=3.0 if device else None)
    result = Segmenter(bundle, first, spare).segment(picture(4, 4))
    assert result.reran
    assert result.timings["infer"] >= 60
    assert result.timings["total"] >= result.timings["infer"]
    assert result.timings.get("device") == (5.0 if device else None)
    once = Segmenter(bundle, spare, first).segment(picture(4, 4))
    assert not once.reran
    assert once.timings.get("device") == (3.0 if device else None)


@pytest.mark.parametrize(("outputs", "fits"), [(3, True), (2, False)])
def test_a_label_must_be_below_the_number_of_outputs(
    make_bundle: MakeBundle, outputs: int, fits: bool
) -> None:
    answer: dict[str, NDArray[Any]] = {
        "labels": np.full((1, 2, 2), 2, np.uint8),
        "alive": np.array([outputs - 1, -1], np.int32),
        "counts": np.array([1, 1, 1], np.int32),
    }
    bundle = Bundle.open(make_bundle(outputs=outputs, alive=(0, -1)))
    if fits:
        bundle.manifest.contract.check_answer(answer, (2, 2))
        too_high = {**answer, "alive": np.array([outputs], np.int32)}
        with pytest.raises(ArtifactError, match=r"'alive'.*as high as 3; expected values below 3"):
            bundle.manifest.contract.check_answer(too_high, (2, 2))
    else:
        with pytest.raises(ArtifactError, match=r"'labels'.*as high as 2; expected values below 2"):
            bundle.manifest.contract.check_answer(answer, (2, 2))


def test_closing_frees_the_graph_and_its_spare(make_bundle: MakeBundle) -> None:
    closed: list[str] = []

    class Closing(Twice):
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

    bundle = Bundle.open(make_bundle())
    first: Any = Closing("first")
    spare: Any = Closing("spare")
    Segmenter(bundle, first, spare).close()
    assert closed == ["first", "spare"]
    with Segmenter(bundle, first):
        pass
    assert closed == ["first", "spare", "first"]


def test_onnxruntime_reports_nothing(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """From 1.31 on it keeps what it reports of its use in the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    words = ["selftest", str(make_bundle()), "--backend", "onnxruntime"]
    unset = {"XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"}
    env = {k: v for k, v in os.environ.items() if k not in unset} | {"HOME": str(home)}
    command = [sys.executable, "-m", "edge_ovss", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*onnxruntime*"))
