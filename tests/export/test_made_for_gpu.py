"""A graph that is made for a GPU is in larger pieces, and answers as the default one does."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.bundle.reader import Bundle  # noqa: E402
from edge_ovss.errors import UsageError  # noqa: E402
from edge_ovss.export import ExportOptions, Rejection, export_bundle  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.runtime import Segmenter  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

WORDS = Vocabulary.from_names(["road", "sky", "building", "car", "tree", "person", "bus"])
OUTPUTS = ("labels", "alive", "counts", "scores", "confidence")
# What ONNX Runtime joins at once in a CUDA graph.
MOST_JOINED = 32


def _options(model: str, **more: Any) -> ExportOptions:  # noqa: ANN401
    size = (64, 96) if model == "san-tiny" else (96, 128)
    return replace(ExportOptions(model=model, weights="random", size=size), **more)


def _widest_concat(path: Path) -> int:
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    return max(len(node.input) for node in nodes if node.op_type == "Concat")


@pytest.mark.parametrize("model", ["sed-tiny", "san-tiny", "deop-tiny"])
@pytest.mark.parametrize("size", [(1, 1), (61, 83), (200, 160)], ids=str)
def test_it_answers_as_the_default_one(model: str, size: tuple[int, int]) -> None:
    loaded = load_for_export(WORDS, _options(model))
    rejection = _options(model).fit_rejection(len(WORDS))
    street = render_street(seed=2, height=200, width=160).image
    frame = torch.from_numpy(street[: size[0], : size[1]].copy())[None]
    graphs = [each.freeze(rejection, OUTPUTS) for each in (loaded, replace(loaded, made_for="gpu"))]
    with torch.inference_mode():
        expected, given = (dict(zip(OUTPUTS, graph(frame), strict=True)) for graph in graphs)
    assert torch.equal(given["alive"], expected["alive"])
    assert torch.equal(given["counts"], expected["counts"])
    assert torch.allclose(given["scores"], expected["scores"], atol=1e-5)
    assert float((given["labels"] == expected["labels"]).double().mean()) >= 0.999


def test_sed_is_not_cut() -> None:
    loaded = load_for_export(WORDS, _options("sed-tiny"))
    rejection = Rejection("slots", topk=2, slots=(6, 5, 4)).fit(len(WORDS))
    default, whole = (
        each.freeze(rejection, OUTPUTS) for each in (loaded, replace(loaded, made_for="gpu"))
    )
    limits = [
        {block.limit for stage in graph.visual.trunk.stages for block in stage.blocks}
        for graph in (default, whole)
    ]
    assert None not in limits[0]
    assert limits[1] == {None}
    assert {layer.rewrites.piece_bytes for layer in whole.layers} == {None}


def test_masks_are_joined_few_at_a_time_and_the_manifest_says_so(tmp_path: Path) -> None:
    options = _options("san-tiny", made_for="gpu")
    export_bundle(WORDS, tmp_path / "gpu.ovss", options)
    bundle = Bundle.open(tmp_path / "gpu.ovss")
    assert bundle.manifest.graph.made_for == "gpu"
    assert bundle.manifest.document["graph"]["made_for"] == "gpu"  # type: ignore[index]
    assert _widest_concat(bundle.graph_path) <= MOST_JOINED
    loaded = load_for_export(WORDS, _options("san-tiny"))
    rejection = options.fit_rejection(len(WORDS))
    frame = render_street(seed=4, height=75, width=110).image
    graph = loaded.freeze(rejection, OUTPUTS)
    with torch.inference_mode():
        expected = graph(torch.from_numpy(frame)[None])[0][0]
    with Segmenter.open(bundle) as segmenter:
        labels = segmenter.segment(np.array(frame)).labels
    assert (labels == expected.numpy()).mean() >= 0.999


def test_a_device_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="--for is 'tpu'; expected cpu or gpu"):
        ExportOptions(made_for="tpu")


@pytest.mark.slow
def test_sed_tiny_with_its_weights_has_fewer_nodes_and_the_same_labels(tmp_path: Path) -> None:
    vocabulary, slots = Vocabulary.load("ade150"), Rejection("slots", slots=(64, 56, 56))
    labels, nodes = [], []
    frame = np.array(render_street(seed=7, height=480, width=640).image)
    for device in ("cpu", "gpu"):
        options = ExportOptions(rejection=slots, made_for=device)
        bundle = export_bundle(vocabulary, tmp_path / f"{device}.ovss", options)
        assert _widest_concat(bundle.graph_path) <= MOST_JOINED
        model = onnx.load(str(bundle.graph_path), load_external_data=False)
        nodes.append(len(model.graph.node))
        with Segmenter.open(bundle) as segmenter:
            labels.append(segmenter.segment(frame).labels)
    assert nodes[1] < 0.8 * nodes[0]
    assert (labels[0] == labels[1]).mean() >= 0.9999
