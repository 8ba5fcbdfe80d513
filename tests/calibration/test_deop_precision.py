"""DeOP in other precisions: blocks with names of their own, and places that stay exact."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
onnx_ir = pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.calibration.blocks import find_candidates  # noqa: E402
from edge_ovss.export.families import family_export  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.graph_files import run_graph, trace  # noqa: E402
from edge_ovss.export.manifest import describe, graph_metadata  # noqa: E402
from edge_ovss.graph.fp16 import convert_to_half  # noqa: E402
from edge_ovss.graph.model import load_graph  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.catalogue import exact_modules  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

WORDS = ["road", "sky", "car", "tree"]
SIZE = (64, 96)
# A mask logit whose sigmoid is 0 in half and in single precision.
EMPTY = -200.0


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph in float32 whose masks are all empty, as those of idle queries are."""
    model = load_model("deop-tiny", weights="random")
    head = model.sem_seg_head["predictor"].mask_embed.layers[2]
    features = model.sem_seg_head["pixel_decoder"].mask_features
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-EMPTY / len(head.bias))
        features.weight.mul_(0.01)
        features.bias.fill_(-1.0)
    vocabulary = Vocabulary.from_names(WORDS)
    loaded = LoadedModel(
        family_export("deop"), model, vocabulary, model.encode_text(vocabulary), SIZE
    )
    rejection = Rejection("none").fit(len(WORDS))
    graph = loaded.freeze(rejection, ("labels", "alive", "counts", "scores"))
    facts = describe(loaded, rejection=rejection, outputs=graph.outputs)
    image = torch.from_numpy(street())[None]
    metadata = graph_metadata(facts, vocabulary)
    traced = trace(graph, image, outputs=graph.outputs, metadata=metadata)
    path = tmp_path_factory.mktemp("idle") / "float.onnx"
    onnx_ir.save(traced, path)
    return path


def street() -> NDArray[np.uint8]:
    return render_street(seed=3, height=SIZE[0], width=SIZE[1]).image


def test_every_block_that_may_become_int8_is_a_block_of_the_network(idle: Path) -> None:
    found = find_candidates(load_graph(idle)).blocks
    assert len(found["backbone.stages.2.blocks.0"]) == 4  # three convolutions and the shortcut
    assert len(found["backbone.stages.2.blocks.1"]) == 3
    assert len(found["clip.resblocks.1"]) == 4  # q, k and v in one, output, two of the MLP
    assert {"pixel_decoder.layers.0", "pixel_decoder.adapters.2"} <= set(found)
    assert {"mask_decoder.layers.1.self_attn", "mask_decoder.layers.1.cross_attn"} <= set(found)
    assert not [name for name in found if name.startswith(("answer", "fit", "graph"))]


def test_masks_what_they_are_made_of_and_what_they_weigh_are_no_halves(idle: Path) -> None:
    model = load_graph(idle)
    half = convert_to_half(model, exact=exact_modules("deop")).half_nodes
    for module in ("pixel_decoder.layers.0", "clip.resblocks.0/MatMul", "anchors.layers.0"):
        assert any(name.startswith(module) for name in half), module
    exact = ("answer/", "fit/", "backbone", "mask_decoder")
    pooling = ("graph/Exp", "graph/Log", "anchors/MatMul", "anchors/Mul", "anchors/Div")
    assert not [name for name in half if name.startswith((*exact, *pooling))]


def test_empty_masks_everywhere_make_no_nan(idle: Path) -> None:
    model = load_graph(idle)
    convert_to_half(model, exact=exact_modules("deop"))
    half = idle.with_name("half.onnx")
    onnx_ir.save(model, half)
    single, halved = (run_graph(path, [street()])[0] for path in (idle, half))
    for answer in (single, halved):
        assert np.isfinite(answer["scores"]).all()
    assert float(single["scores"].max()) < 1e-20
    assert np.array_equal(single["labels"], halved["labels"])
