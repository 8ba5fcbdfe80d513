"""INT8 of a real graph: who reads it, what the budget loop leaves of it, and that it is finite."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.calibration import (
    CalibrateOptions,
    RangeMethod,
    Recipe,
    Validation,
    calibrate,
    calibrate_bundle,
)
from edge_ovss.calibration.blocks import Candidates, find_candidates
from edge_ovss.calibration.int8 import Quantizer
from edge_ovss.errors import ArtifactError
from edge_ovss.export import ExportOptions, Rejection, export_bundle
from edge_ovss.graph.emulate_fp16 import emulate_half
from edge_ovss.graph.model import load_graph
from edge_ovss.graph.walk import array, is_constant
from edge_ovss.runtime import Bundle

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.slow]

PICTURES = "synthetic://street?count=2&seed=100&size=96x128"
LABELED = Validation("synthetic://street?count=2&seed=900&size=96x128")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """sed-tiny with its own weights, small pictures and the words of the street."""
    out = tmp_path_factory.mktemp("source") / "tiny.ovss"
    rejection = Rejection("slots", topk=2, slots=(8, 8, 8))
    export_bundle("camvid", out, ExportOptions(size=(96, 128), rejection=rejection))
    return Bundle.open(out)


@pytest.fixture(scope="module")
def candidates(source: Bundle) -> Candidates:
    return find_candidates(load_graph(source.graph_path))


def options(**changes: Any) -> CalibrateOptions:  # noqa: ANN401
    return CalibrateOptions("int8", PICTURES, **changes)


def section(bundle: Bundle) -> dict[str, Any]:
    found = bundle.manifest.document["precision"]
    assert isinstance(found, dict)
    return found


def readers_of_int8(model: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Nodes that read a dequantized activation, each with the tensor that was quantized."""
    found = []
    for node in model.graph:
        for value in node.inputs:
            maker = value.producer() if value is not None else None
            if maker is None or maker.op_type != "DequantizeLinear" or is_constant(value):
                continue
            found.append((node, maker.inputs[0].producer().inputs[0]))
    return found


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_only_what_is_quantized_reads_int8(source: Bundle, target: str) -> None:
    frames = [np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)]
    quantizer = Quantizer.measure(
        load_graph(source.graph_path), options(target=target), frames, key="noise"
    )
    model, _ = quantizer.make(tuple(quantizer.candidates.blocks), base="fp32")
    meant = set(quantizer.candidates.nodes)
    found = readers_of_int8(model)
    assert {node.name for node, _ in found} >= meant
    others = [(node, value.producer()) for node, value in found if node.name not in meant]
    heads = {name for name, why in quantizer.candidates.excluded.items() if why == "head"}
    assert not heads & {node.name for node, _ in others}
    # On a CPU a convolution computes in integers only if its answer is in INT8 too, for everybody.
    assert all(maker.name in meant and maker.op_type == "Conv" for _, maker in others)
    assert bool(others) == (target == "cpu")


def test_every_block_is_a_block_of_the_network(candidates: Candidates) -> None:
    roots = ("visual.", "decoder.", "layers.", "conv1")
    assert all(block.startswith(roots) for block in candidates.blocks)
    assert {"layers.0.own", "layers.0.shared", "layers.2.own"} <= set(candidates.blocks)


def test_the_budget_loop_gives_up_blocks_and_its_recipe_makes_the_same_again(
    source: Bundle, candidates: Candidates, tmp_path: Path
) -> None:
    trunk = "visual.trunk.stages"
    kept = (f"{trunk}.0.blocks.0", f"{trunk}.2.blocks.1", "layers.1.cnext")
    recipe = Recipe("sed-tiny", tuple(sorted(set(candidates.blocks) - set(kept))))
    # Two values of five are cut off: the trunk's blocks cost more than a point each.
    rough: dict[str, Any] = {"method": RangeMethod("percentile", 60.0), "base": "fp32"}
    rough["validation"] = LABELED
    made = options(recipe=recipe, max_miou_drop=1.0, **rough)
    first = calibrate_bundle(source, tmp_path / "a.ovss", made).bundle
    facts = section(first)
    assert 0 < len(facts["quantized"]) < len(kept)
    assert facts["loss"]["miou_drop"] <= 1.0
    assert "budget" in facts["excluded"].values()
    assert set(facts["recipe"]["excluded"]) | set(facts["quantized"]) == set(candidates.blocks)
    assert (first.path / "reports/sensitivity.md").is_file()
    again = options(recipe=Recipe.load(first.path), **rough)
    second = calibrate_bundle(source, tmp_path / "b.ovss", again).bundle
    other = section(second)
    for key in ("quantized", "recipe"):
        assert other[key] == facts[key]
    assert second.graph_path.read_bytes() == first.graph_path.read_bytes()


def test_int8_on_half_is_judged_with_the_rounding_of_a_device(
    source: Bundle, tmp_path: Path
) -> None:
    made = calibrate_bundle(source, tmp_path / "a.ovss", options(validation=LABELED))
    loss = section(made.bundle)["loss"]
    assert 0.98 < loss["emulated_label_agreement"] < 1
    assert loss["emulated_miou"] != loss["miou"]


def test_a_bundle_is_calibrated_from_inside_its_folder(
    source: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights' file is beside the graph, whatever else has its name in the current folder."""
    monkeypatch.chdir(source.path)
    made = calibrate_bundle(".", tmp_path / "a.ovss", options(target="cpu"))
    assert made.judged.agreement > 0.9


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_overflows_on_a_device_is_refused(
    source: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    def emulate_more(model: Any, report: Any) -> None:  # noqa: ANN401
        import onnx_ir

        weight = model.graph.initializers["layers.0.own"]
        weight.const_value = onnx_ir.tensor(array(weight) * np.float32(1e5), name=weight.name)
        emulate_half(model, report)

    monkeypatch.setattr(calibrate, "emulate_half", emulate_more)
    recipe = Recipe("sed-tiny", ("layers.0.own",)) if precision == "int8" else None
    made = CalibrateOptions(precision, PICTURES, recipe=recipe)
    with pytest.raises(ArtifactError, match="not finite"):
        calibrate_bundle(source, tmp_path / "a.ovss", made)
    assert not any(tmp_path.iterdir())
