"""Calibrating a bundle: what comes out, what the manifest says of it, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
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
    calibrate_bundle,
)
from edge_ovss.calibration.accuracy import Accuracy
from edge_ovss.calibration.budget import BlockCost, keep_within
from edge_ovss.calibration.tables import markdown, plot
from edge_ovss.cli import main
from edge_ovss.errors import ArtifactError, GateError, InputError, UsageError
from edge_ovss.export import ExportOptions, Rejection, export_bundle
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.synthetic import render_street

pytestmark = pytest.mark.usefixtures("own_cache")

PICTURES = "synthetic://street?count=3&seed=100&size=96x128"
LABELED = Validation("synthetic://street?count=2&seed=900&size=96x128")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sed-tiny with random weights, small pictures and the words of the street."""
    out = tmp_path_factory.mktemp("source") / "tiny.ovss"
    options = ExportOptions(
        weights="random",
        size=(96, 128),
        rejection=Rejection("slots", topk=2, slots=(8, 8, 8)),
        outputs=("labels", "confidence"),
    )
    export_bundle("camvid", out, options)
    return out


def section(bundle: Bundle) -> dict[str, Any]:
    found = bundle.manifest.document["precision"]
    assert isinstance(found, dict)
    return found


def options(precision: str = "int8", **changes: Any) -> CalibrateOptions:  # noqa: ANN401
    return CalibrateOptions(precision, changes.pop("calibration", PICTURES), **changes)


@pytest.fixture(scope="module")
def half(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("half") / "half.ovss"
    return calibrate_bundle(source, out, options("fp16")).bundle


@pytest.fixture(scope="module")
def int8(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("int8") / "int8.ovss"
    made = options(validation=LABELED, method=RangeMethod("percentile"))
    return calibrate_bundle(source, out, made).bundle


def test_a_half_bundle_says_what_it_is_and_passes_its_selftest(half: Bundle, source: Path) -> None:
    facts = section(half)
    assert half.manifest.precision == "fp16"
    assert {"norm", "linear attention", "answer"} <= set(facts["islands"])
    assert facts["calibration"]["count"] == 3
    assert facts["loss"]["emulated_label_agreement"] > 0.9
    assert "edge_ovss.precision" in half.graph.metadata
    with Segmenter.open(half) as segmenter:
        assert run_selftest(segmenter)
    sizes = [Bundle.open(p).manifest.files["model.onnx.data"].bytes for p in (source, half.path)]
    assert sizes[1] < 0.6 * sizes[0]


def test_labels_may_be_unknown_in_every_precision(half: Bundle, int8: Bundle) -> None:
    for bundle in (half, int8):
        measure = bundle.reference().measure
        assert measure is not None
        assert [each.name for each in bundle.graph.inputs] == ["frame", "thresholds"]
        for share in (0.3, 0.7):
            unknown = float(np.quantile(measure, share))
            with Segmenter.open(bundle, unknown=unknown) as segmenter:
                assert 0.1 < segmenter.segment(bundle.reference().frame).unknown < 0.9
                assert run_selftest(segmenter)


def test_the_given_bundle_is_not_changed(half: Bundle, source: Path) -> None:
    assert Bundle.open(source).manifest.precision == "fp32"
    assert half.manifest.vocabulary == Bundle.open(source).manifest.vocabulary


def test_an_int8_bundle_says_what_is_quantized_how_from_what_and_at_which_loss(
    int8: Bundle,
) -> None:
    facts = section(int8)
    assert facts["name"] == "int8"
    assert (facts["target"], facts["base"]) == ("tensorrt", "fp16")
    assert "visual.trunk.stages.2.blocks.3" in facts["quantized"]
    assert set(facts["excluded"].values()) >= {"depthwise", "stem", "head", "similarity"}
    assert all(low <= 0 <= high for low, high in facts["ranges"].values())
    assert facts["calibration"]["method"] == "percentile 99.99"
    assert len(facts["calibration"]["sha256"]) == 64
    assert facts["loss"]["pictures"] == 2
    assert {"fp32_miou", "miou", "miou_drop", "losers"} <= set(facts["loss"])
    with Segmenter.open(int8) as segmenter:
        assert run_selftest(segmenter)


def test_no_score_head_is_quantized(int8: Bundle) -> None:
    import onnx

    graph = onnx.load(str(int8.graph_path), load_external_data=False).graph
    maker = {name: node for node in graph.node for name in node.output}
    scoring = {"first_score.whole", "first_score.rows.0", "first_score.corners.3"}
    scoring |= {"layers.1.head", "layers.2.head", "decoder.head"}
    products = [node for node in graph.node if node.op_type in {"Conv", "ConvTranspose"}]
    heads = [node for node in products if node.name.rpartition("/")[0] in scoring]
    assert {node.name.rpartition("/")[0] for node in heads} == scoring
    for head in heads:
        assert maker[head.input[0]].op_type != "DequantizeLinear"
    for node in graph.node:
        if node.op_type in {"Sigmoid", "ArgMax", "TopK", "LayerNormalization"}:
            before = maker.get(node.input[0])
            assert before is None or before.op_type != "DequantizeLinear"


@pytest.mark.parametrize("name", ["half", "int8"])
def test_tensorrt_for_rtx_parses_it_strongly_typed(
    name: str, request: pytest.FixtureRequest
) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings")
    bundle: Bundle = request.getfixturevalue(name)
    logger = trt.Logger(trt.Logger.ERROR)
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = trt.Builder(logger).create_network(flags)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(bundle.graph_path)), parser.get_error(0)


@pytest.mark.slow
def test_a_recipe_keeps_its_blocks_in_float(
    int8: Bundle, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe("sed-tiny", ("layers.0.cnext", "visual.trunk.stages.2.blocks.3"))
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(recipe.to_json()))
    made = options(recipe=Recipe.load(file), target="cpu")
    done = calibrate_bundle(source, tmp_path / "b.ovss", made)
    facts = section(done.bundle)
    assert not set(recipe.excluded) & set(facts["quantized"])
    assert "recipe" in facts["excluded"].values()
    assert set(Recipe.load(done.bundle.path).excluded) == set(recipe.excluded)
    assert set(facts["recipe"]["excluded"]) == set(recipe.excluded)
    assert facts["speed"]["factor"] > 0
    assert Recipe.load(int8.path).excluded == ()
    for path, target in ((int8.path, "tensorrt, the rest in fp16"), (done.bundle.path, "cpu")):
        assert main(["inspect", str(path)]) == 0
        assert f"int8 for {target}" in capsys.readouterr().out


def test_a_recipe_for_another_model_is_refused(source: Path, tmp_path: Path) -> None:
    made = options(recipe=Recipe("san-base", ("blocks.99",)))
    with pytest.raises(InputError, match=r"blocks\.99"):
        calibrate_bundle(source, tmp_path / "b.ovss", made)
    assert not (tmp_path / "b.ovss").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 9, "kind": "recipe"}'])
def test_a_damaged_recipe_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(text)
    with pytest.raises(InputError, match="not a recipe"):
        Recipe.load(file)


def judged(miou: float) -> Accuracy:
    return Accuracy(agreement=0.9, worst_agreement=0.8, pictures=1, miou=miou, iou={})


COSTS = [BlockCost(name, 1, 0.9, drop) for name, drop in (("a", 3.0), ("b", 1.0), ("c", 0.1))]


def test_the_budget_loop_gives_up_the_worst_blocks_first_and_no_more_than_needed() -> None:
    tried: list[tuple[str, ...]] = []

    def attempt(blocks: Sequence[str]) -> Accuracy:
        tried.append(tuple(blocks))
        return judged(50.0 - sum(cost.drop or 0 for cost in COSTS if cost.block in blocks))

    found = keep_within(1.2, COSTS, judged(50.0), attempt, note=lambda _: None)
    assert found.blocks == ("b", "c")
    assert tried == [("a", "b", "c"), ("b", "c")]
    assert found.steps[-1].back_to_float == ("a",)
    text = markdown(COSTS, found.steps, "t")
    assert "| `a` | 1 | 90.00 | 3.00 | float |" in text
    assert plot(COSTS, found.steps, "a < b").count("#e07b00") == 1


def test_a_budget_that_no_block_keeps_is_a_failed_gate() -> None:
    with pytest.raises(GateError, match=r"0\.01"):
        keep_within(0.01, COSTS, judged(50.0), lambda _: judged(40.0), note=lambda _: None)


@pytest.mark.slow
def test_sensitivity_writes_a_table_and_a_plot(source: Path, tmp_path: Path) -> None:
    recipe = Recipe("sed-tiny", tuple(_blocks_but(source, keep=2)))
    made = options(validation=LABELED, recipe=recipe, sensitivity=True, base="fp32")
    done = calibrate_bundle(source, tmp_path / "b.ovss", made)
    table = json.loads((done.bundle.path / "reports/sensitivity.json").read_text())
    assert len(table["blocks"]) == 2
    assert "](" not in (done.bundle.path / "reports/sensitivity.md").read_text()
    assert (done.bundle.path / "reports/sensitivity.svg").read_text().startswith("<svg")


def _blocks_but(source: Path, *, keep: int) -> list[str]:
    from edge_ovss.calibration.blocks import find_candidates
    from edge_ovss.graph.model import load_graph

    return list(find_candidates(load_graph(Bundle.open(source).graph_path)).blocks)[keep:]


def test_inspect_says_why_parts_stay_in_fp32(
    half: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(half.path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("in FP32: ")]
    nodes = len(section(half)["islands"]["norm"])
    expected = f"{nodes} nodes: sums of squares over a whole layer overflow in FP16"
    assert [row.partition("norm")[2].strip() for row in rows if "FP32: norm " in row] == [expected]


def test_a_bundle_that_is_not_float32_is_refused(half: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is in fp16"):
        calibrate_bundle(half, tmp_path / "b.ovss", options())


def test_calibration_pictures_in_the_validation_set_are_refused(
    source: Path, tmp_path: Path
) -> None:
    made = options(validation=Validation("synthetic://street?count=2&seed=102&size=96x128"))
    with pytest.raises(InputError, match="street-0102"):
        calibrate_bundle(source, tmp_path / "b.ovss", made)
    assert not any(tmp_path.iterdir())


def test_validation_without_labels_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    made = options(validation=Validation(str(tmp_path), layout="folder"))
    with pytest.raises(InputError, match="validation"):
        calibrate_bundle(source, tmp_path / "b.ovss", made)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp8"},
        {"target": "npu"},
        {"base": "bf16"},
        {"max_miou_drop": 1.0},
        {"max_miou_drop": -1.0, "validation": LABELED},
        {"precision": "fp16", "target": "cpu"},
        {"target": "cpu", "base": "fp16"},
        {"precision": "fp16", "sensitivity": True},
        {"require_faster": True},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        options(**changes)


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "kept"), [(0.5, False), (1.0, True), (None, True)])
def test_half_precision_keeps_the_accuracy_budget_too(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: float | None, kept: bool
) -> None:
    from edge_ovss.calibration.accuracy import Baseline

    def loses_a_point(self: Baseline, path: Path) -> Accuracy:
        assert self.accuracy.miou is not None
        return replace(self.accuracy, miou=self.accuracy.miou - 0.75)

    monkeypatch.setattr(Baseline, "compare", loses_a_point)
    made = options("fp16", validation=LABELED, max_miou_drop=budget)
    if kept:
        done = calibrate_bundle(source, tmp_path / "b.ovss", made)
        assert done.judged.drop_from(done.base) == pytest.approx(0.75)
        return
    with pytest.raises(GateError, match=r"fp16 loses 0\.75 mIoU points on 2 images; .* is 0\.5"):
        calibrate_bundle(source, tmp_path / "b.ovss", made)
    assert list(tmp_path.iterdir()) == []


def test_pictures_count_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_ovss.calibration import accuracy

    class Session:
        def __init__(self, path: Path) -> None:
            self.wrong = path.name == "wrong"

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name="frame")]

        def get_outputs(self) -> list[Any]:
            return [SimpleNamespace(name="labels")]

        def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
            labels = np.zeros(feed["frame"].shape[:3], np.uint8)
            if labels.size == 1:  # the small picture is wrong
                labels += self.wrong
            return [labels]

    monkeypatch.setattr(accuracy, "open_session", Session)
    frames = [np.zeros((1, 1, 3), np.uint8), np.zeros((9, 11, 3), np.uint8)]
    found = accuracy.Baseline.measure(Path("right"), frames).compare(Path("wrong"))
    assert found.agreement == pytest.approx(0.99)
    assert found.pictures == 2


@pytest.mark.slow
def test_require_faster_refuses_what_is_slower(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_ovss.calibration import calibrate
    from edge_ovss.calibration.race import Race

    monkeypatch.setattr(calibrate, "race", lambda *_, **__: Race(10.0, 11.0, runs=1, threads=1))
    made = options(target="cpu", require_faster=True)
    with pytest.raises(GateError, match=r"11\.0 ms"):
        calibrate_bundle(source, tmp_path / "b.ovss", made)
    slow = calibrate_bundle(source, tmp_path / "b.ovss", options(target="cpu"))
    assert any("not faster" in warning for warning in slow.warnings)
    assert any("300" in warning for warning in slow.warnings)


@pytest.mark.slow
def test_the_command_line_calibrates_and_says_what_is_next(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "half.ovss"
    arguments = ["calibrate", str(source), "--precision", "fp16", "--calibration", PICTURES]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "Next: edge-ovss selftest" in capsys.readouterr().out
    assert Bundle.open(out).manifest.precision == "fp16"
    assert main([*arguments, "--out", str(out)]) == 4  # already there
    assert main([*arguments, "--limit", "3", "--out", str(tmp_path / "x.ovss")]) == 2


EXPORT = ["export", "--weights", "random", "--vocab", "road, sky, car", "--size", "96x128"]


@pytest.mark.parametrize(
    "extra",
    [
        ["--precision", "int8"],
        ["--precision", "int8", "--calibration", PICTURES, "--max-miou-drop", "1"],
        ["--calibration", PICTURES],
        ["--max-miou-drop", "1"],
        ["--require-faster"],
    ],
    ids=" ".join,
)
def test_export_refuses_a_precision_it_cannot_make(
    extra: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*EXPORT, *extra, "--out", str(tmp_path / "b.ovss")]) == 2
    assert "Hint:" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_export_makes_another_precision_in_one_go(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(_: object, out: Path, *_rest: object, **_options: object) -> Bundle:
        return Bundle.open(shutil.copytree(source, out))

    monkeypatch.setattr("edge_ovss.export.export_bundle", copied)
    out = tmp_path / "b.ovss"
    extra = ["--precision", "fp16", "--calibration", PICTURES, "--topk", "2", "--out", str(out)]
    assert main([*EXPORT, *extra]) == 0
    assert Bundle.open(out).manifest.precision == "fp16"
    assert [path.name for path in tmp_path.iterdir()] == ["b.ovss"]


def test_labels_of_another_precision_are_those_of_the_right_scene(
    half: Bundle, source: Path
) -> None:
    frame = render_street(seed=901, height=96, width=128).image
    answers = []
    for bundle in (source, half.path):
        with Segmenter.open(bundle) as segmenter:
            answers.append(segmenter.segment(frame).labels)
    assert float(np.mean(answers[0] == answers[1])) > 0.9
