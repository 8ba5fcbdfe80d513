"""INT8 of DeOP: backbone, pixel decoder and CLIP, in ONNX Runtime, OpenVINO and engines."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.calibration import CalibrateOptions, Recipe, Validation, calibrate_bundle
from edge_ovss.calibration.blocks import find_candidates
from edge_ovss.cli import main
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.frames.images import write_label_map, write_picture
from edge_ovss.graph.model import load_graph
from edge_ovss.models.catalogue import exact_modules
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.synthetic import render_street

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.slow]

PICTURES = "synthetic://street?count=2&seed=100&size=64x96"


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    options = ExportOptions(
        model="deop-tiny", weights="random", size=(64, 96), outputs=("labels", "scores")
    )
    words = "road, sky, building, car, tree, sidewalk"
    return export_bundle(words, tmp_path_factory.mktemp("deop") / "fp32.ovss", options)


def facts_of(bundle: Bundle) -> dict[str, Any]:
    found = bundle.manifest.document["precision"]
    assert isinstance(found, dict)
    return found


def scores_of(bundle: Bundle) -> Any:  # noqa: ANN401
    frame = render_street(seed=7, height=61, width=97).image
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        return segmenter.segment(frame).scores


def test_int8_for_a_cpu_runs_in_both_backends(single: Bundle, tmp_path: Path) -> None:
    options = CalibrateOptions("int8", PICTURES, target="cpu")
    made = calibrate_bundle(single, tmp_path / "int8.ovss", options).bundle
    facts = facts_of(made)
    parts = {block.split(".")[0] for block in facts["quantized"]}
    assert {"backbone", "pixel_decoder", "clip"} <= parts
    assert not parts & {"answer", "fit", "graph"}
    error = np.linalg.norm(scores_of(made) - scores_of(single)) / np.linalg.norm(scores_of(single))
    assert 1e-5 < error < 0.3
    backends = ["onnxruntime"]
    if importlib.util.find_spec("openvino") is not None:
        backends.append("openvino")
    for backend in backends:
        with Segmenter.open(made, backend=backend, threads=1) as segmenter:
            assert run_selftest(segmenter).passed, backend


@pytest.mark.parametrize(("precision", "kind"), [("fp16", "HALF"), ("int8", "INT8")])
def test_engines_have_the_precision(
    single: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    precision: str,
    kind: str,
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    out = tmp_path / "made.ovss"
    calibrate_bundle(single, out, CalibrateOptions(precision, PICTURES))
    capsys.readouterr()
    build = ["build", str(out), "--backend", "tensorrt-rtx", "--json"]
    assert main([*build, "--compute-capability", "8.6,8.9,12.0"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["key"]["capabilities"] == ["8.6", "8.9", "12.0"]
    assert document["precision"] == precision
    kept = facts_of(Bundle.open(out, verify=False)).get("islands", {}).get("family", ())
    parts = {name.partition("/")[0].partition(".")[0] for name in kept}
    assert parts == (set(exact_modules("deop")) if precision == "fp16" else set())
    assert document["layers"][kind] > 20


def test_the_budget_puts_blocks_back_to_float(single: Bundle, tmp_path: Path) -> None:
    """Truth is what float32 says, so every label that INT8 changes costs points."""
    labels_of_float32(single, tmp_path / "own")
    blocks = ("backbone.stages.3.blocks.0", "mask_decoder.layers.0.linear2", "clip.resblocks.0")
    found = find_candidates(load_graph(single.graph_path)).blocks
    recipe = Recipe("deop-tiny", tuple(sorted(set(found) - set(blocks))))
    validation = Validation(str(tmp_path / "own"), layout="folder")
    order: dict[str, Any] = {"target": "cpu", "validation": validation}
    whole = CalibrateOptions("int8", PICTURES, recipe=recipe, **order)
    lost = facts_of(calibrate_bundle(single, tmp_path / "a.ovss", whole).bundle)["loss"]
    assert lost["miou_drop"] > 0
    budget = lost["miou_drop"] / 2
    within = CalibrateOptions("int8", PICTURES, recipe=recipe, max_miou_drop=budget, **order)
    facts = facts_of(calibrate_bundle(single, tmp_path / "b.ovss", within).bundle)
    assert 0 < len(facts["quantized"]) < len(blocks)
    assert facts["loss"]["miou_drop"] <= budget
    assert set(facts["quantized"]) < set(blocks)


def labels_of_float32(bundle: Bundle, folder: Path) -> None:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        for seed in (60, 61):
            frame = render_street(seed=seed, height=64, width=96).image
            labels = segmenter.segment(frame).labels
            write_picture(folder / "images" / f"{seed}.png", frame)
            write_label_map(folder / "labels" / f"{seed}.png", labels)
    names = "\n".join(bundle.vocabulary.outputs)
    (folder / "classes.txt").write_text(f"{names}\n", encoding="utf-8")
