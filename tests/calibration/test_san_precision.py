"""SAN in other precisions: blocks with names of their own, and places that stay exact."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.calibration import CalibrateOptions, calibrate_bundle  # noqa: E402
from edge_ovss.calibration.blocks import find_candidates  # noqa: E402
from edge_ovss.export import ExportOptions, Rejection, export_bundle  # noqa: E402
from edge_ovss.graph.model import load_graph  # noqa: E402
from edge_ovss.graph.walk import HALF  # noqa: E402
from edge_ovss.runtime import Segmenter  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402

PICTURES = "synthetic://street?count=2&seed=100&size=96x128"


@pytest.fixture(scope="module")
def san(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(
        model="san-tiny",
        weights="random",
        size=(64, 96),
        rejection=Rejection("none"),
        outputs=("labels", "scores"),
    )
    out = tmp_path_factory.mktemp("san") / "san.ovss"
    return export_bundle("road, sky, car", out, options).path


@pytest.fixture(scope="module")
def half(san: Path) -> Path:
    out = san.with_name("half.ovss")
    return calibrate_bundle(san, out, CalibrateOptions("fp16", PICTURES)).bundle.path


@pytest.mark.slow
def test_every_block_that_may_become_int8_is_a_block_of_the_network(san: Path) -> None:
    found = find_candidates(load_graph(san / "model.onnx")).blocks
    assert "graph" not in found
    for block in ("extractor.resblocks.0", "extractor.resblocks.2", "head.blocks.1"):
        # q, k, v (one product or several), the output projection and the two of the MLP.
        assert len(found[block]) >= 4, block
    assert found["head"] == (found["head"][0],)  # the last projection alone
    names = " ".join(found["head.blocks.0"])
    assert all(f"head.blocks.0.{part}/MatMul" in names for part in "qkv")


@pytest.mark.slow
def test_no_size_or_place_is_a_half(half: Path) -> None:
    """Above 2048 halves skip whole numbers, above 65504 there are none: no frame ends there."""
    graph = load_graph(half / "model.onnx").graph
    made = [value for node in graph for value in node.outputs]
    halves = [v for v in (*made, *graph.initializers.values()) if v.dtype == HALF]
    assert len(halves) > 100
    makers = {value.producer().name for value in halves if value.producer() is not None}
    assert not [name for name in makers if name.startswith(("answer/", "fit/"))]


def resized(width: int) -> Any:  # noqa: ANN401
    """A street of 16 rows, every column repeated: uint8 [16, width, 3]."""
    image = render_street(5, 16, 500).image
    return image.repeat(-(-width // 500), axis=1)[:, :width]


@pytest.mark.slow
@pytest.mark.parametrize("width", [5000, 70000])
def test_half_answers_very_wide_frames_as_float_does(san: Path, half: Path, width: int) -> None:
    frame = np.ascontiguousarray(resized(width))
    scores = []
    for bundle in (san, half):
        with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
            found = segmenter.segment(frame).scores
        assert found is not None
        assert np.isfinite(found).all()
        scores.append(found)
    assert float(np.ptp(scores[0], axis=2).max()) > 0  # it is not one value everywhere
    error = np.linalg.norm(scores[0] - scores[1]) / np.linalg.norm(scores[0])
    assert error < 2e-2
