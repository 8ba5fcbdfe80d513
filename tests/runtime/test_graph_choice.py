"""The small graph of a bundle: when it runs, what a user sees of it, and who leaves it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.backends import REGISTRY
from edge_ovss.runtime.graph_choice import GraphChoice
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest

MakeBundle = Callable[..., Path]
FRAME = np.random.default_rng(1).integers(0, 256, (12, 16, 3), np.uint8)


def running(segmenter: Segmenter) -> str:
    """Return the file of the graph that runs; its room for categories says that it does."""
    backend: Any = segmenter._backend
    room = next(e.shape for e in backend._session.get_outputs() if e.name == "alive")
    assert room == [backend.bundle.manifest.rejection.slots[-1]]
    return str(backend.bundle.graph_path.name)


def test_words_that_all_have_a_slot_run_in_the_small_graph(make_bundle: MakeBundle) -> None:
    small = make_bundle("a.ovss", small=[3, 3, 3])
    with (
        Segmenter.open(small, threads=1) as ours,
        Segmenter.open(make_bundle("b.ovss"), threads=1) as theirs,
    ):
        assert running(ours) == "small.onnx"
        assert running(theirs) == "model.onnx"
        assert run_selftest(ours)
        found, wanted = ours.segment(FRAME), theirs.segment(FRAME)
        assert found.slots == wanted.slots == (4, 4, 4)  # of the bundle, whichever graph runs
        assert found.alive.tolist() == wanted.alive.tolist() == [2, 0]
        assert found.counts.tolist() == wanted.counts.tolist()
        assert np.array_equal(found.labels, wanted.labels)
        assert not found.overflow


@pytest.mark.parametrize(("small", "counts"), [([3, 2, 2], (3, 3, 2)), ([3, 3, 3], (4, 4, 2))])
def test_a_word_without_a_slot_runs_in_the_first_graph(
    make_bundle: MakeBundle, small: list[int], counts: tuple[int, ...]
) -> None:
    path = make_bundle(small=small, counts=counts)  # of as many words as the highest count
    with Segmenter.open(path, threads=1) as segmenter:
        assert running(segmenter) == "model.onnx"
        assert run_selftest(segmenter)


def test_backends_that_read_no_onnx_file_keep_the_first_graph(make_bundle: MakeBundle) -> None:
    bundle = Bundle.open(make_bundle(small=[3, 3, 3]))
    chosen = {name for name in REGISTRY if REGISTRY[name].load().chooses_graph}
    assert chosen == {"onnxruntime", "onnxruntime-cuda", "openvino", "openvino-bf16"}
    for name in REGISTRY:
        choice = GraphChoice.create(name, bundle)  # nothing is opened yet
        first = choice.running.bundle.manifest.graph.file == "model.onnx"
        assert first == (name not in chosen)


def test_openvino_runs_the_small_graph_too(make_bundle: MakeBundle) -> None:
    pytest.importorskip("openvino")
    path = make_bundle(small=[3, 3, 3])
    with Segmenter.open(path, backend="openvino", threads=1) as segmenter:
        assert segmenter._backend.bundle.graph_path.name == "small.onnx"
        assert run_selftest(segmenter)


def test_only_the_graph_that_runs_is_loaded(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    real = REGISTRY["onnxruntime"].load()
    opening = real._open_impl

    def note(self: Any) -> None:  # noqa: ANN401
        loaded.append(self.bundle.graph_path.name)
        opening(self)

    monkeypatch.setattr(real, "_open_impl", note)
    Segmenter.open(make_bundle(small=[3, 3, 3]), threads=1).close()
    assert loaded == ["small.onnx"]


def test_a_small_graph_that_cannot_be_loaded_is_said(make_bundle: MakeBundle) -> None:
    path = make_bundle(small=[3, 3, 3])
    bundle = Bundle.open(path)
    (path / "small.onnx").write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match=r"small\.onnx"):
        Segmenter.open(bundle, threads=1)
