"""Bundles against torch: the same answer passes, a broken bundle fails and says where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss._files import sha256_of_file
from edge_ovss.bundle.tolerances import LIMITS, tolerance_for
from edge_ovss.cli import main
from edge_ovss.datasets.opening import open_dataset, open_pictures
from edge_ovss.errors import CheckpointError, ParityError, UsageError
from edge_ovss.metrics.tensors import compare_layouts, compare_tensors
from edge_ovss.parity.bisection import ANSWER, PREPARE, Bisection, bisect
from edge_ovss.parity.compare import compare_backends
from edge_ovss.parity.results import BackendParity, numbers_of_all
from edge_ovss.parity.torch_reference import TorchReference
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.backends import compute_precision

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

STREETS = "synthetic://street?count=2&size=120x160"

Break = Callable[[Any], None]


@pytest.fixture(scope="module")
def reference(tiny_bundle: Path) -> TorchReference:
    return TorchReference.open(Bundle.open(tiny_bundle), threads=1)


def held(bundle: Path, reference: TorchReference, **options: Any) -> BackendParity:  # noqa: ANN401
    with Segmenter.open(bundle, threads=1) as segmenter:
        (parity,) = compare_backends(reference, [segmenter], open_dataset(STREETS), **options)
    return parity


def broken(bundle: Path, out: Path, change: Break) -> Path:
    """Copy a bundle, change its graph, and bring the checksums of its manifest in line."""
    shutil.copytree(bundle, out)
    model = onnx.load(str(out / "model.onnx"))
    change(model)
    (out / "model.onnx.data").unlink()
    onnx.save_model(
        model, out / "model.onnx", save_as_external_data=True, location="model.onnx.data"
    )
    manifest = json.loads((out / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        entry["sha256"] = sha256_of_file(out / name)
        entry["bytes"] = (out / name).stat().st_size
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


def constant(model: Any, name: str) -> Any:  # noqa: ANN401 (a TensorProto)
    return next(item for item in model.graph.initializer if item.name == name)


def change_constant(model: Any, name: str, change: Callable[[Any], Any]) -> None:  # noqa: ANN401
    tensor = constant(model, name)
    values = change(np.array(onnx.numpy_helper.to_array(tensor)))
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))


def swap_colors(model: Any) -> None:  # noqa: ANN401
    order = onnx.numpy_helper.from_array(np.array([2, 1, 0], np.int64), "bgr")
    model.graph.initializer.append(order)
    for node in model.graph.node:
        node.input[:] = ["swapped" if name == "frame" else name for name in node.input]
    gather = onnx.helper.make_node("Gather", ["frame", "bgr"], ["swapped"], axis=3)
    model.graph.node.insert(0, gather)


def shift_labels(model: Any) -> None:  # noqa: ANN401
    change_constant(model, "output_map", lambda values: np.roll(values, 1))


BLOCK = "visual.trunk.stages.1.blocks.0.mlp.fc1"


def perturb_weight(model: Any) -> None:  # noqa: ANN401
    node = next(n for n in model.graph.node if n.name.startswith(f"{BLOCK}/MatMul"))

    def change(values: Any) -> Any:  # noqa: ANN401
        values[0, 0] += 3
        return values

    change_constant(model, node.input[1], change)


def fold_scale(model: Any) -> None:  # noqa: ANN401
    """Double the output of a normalization, and halve the matrix that reads it."""
    block = "visual.trunk.stages.0.blocks.0"
    names = {node.name.rpartition("_")[0]: node for node in model.graph.node}
    norm, matrix = names[f"{block}.norm/LayerNormalization"], names[f"{block}.mlp.fc1/MatMul"]
    for name in norm.input[1:3]:
        change_constant(model, name, lambda values: values * 2)
    change_constant(model, matrix.input[1], lambda values: values / 2)


def put_nan(model: Any) -> None:  # noqa: ANN401
    node = next(n for n in model.graph.node if n.name.startswith("layers.1.up/ConvTranspose"))
    change_constant(model, node.input[2], lambda values: values * np.float32("nan"))


def test_an_exported_bundle_agrees_with_torch(tiny_bundle: Path, reference: TorchReference) -> None:
    parity = held(tiny_bundle, reference)
    assert parity, parity.failures()
    numbers = parity.numbers()
    assert set(numbers) == set(numbers_of_all([parity]))
    assert numbers["score_error"] is not None
    assert numbers["score_error"] < 1e-4
    assert numbers["miou_drop"] == pytest.approx(0, abs=0.05)
    change = parity.change()
    assert change.low <= change.points <= change.high
    assert len(parity.examples) == 2


@pytest.mark.parametrize(
    ("change", "where", "finite"),
    [
        (swap_colors, PREPARE, True),
        (shift_labels, ANSWER, True),
        (perturb_weight, BLOCK, True),
        (put_nan, "layers.1.up", False),
    ],
    ids=["colors", "labels", "weight", "nan"],
)
def test_a_broken_bundle_fails_and_the_block_is_named(
    tiny_bundle: Path,
    reference: TorchReference,
    tmp_path: Path,
    change: Break,
    where: str,
    finite: bool,
) -> None:
    path = broken(tiny_bundle, tmp_path / "broken.ovss", change)
    parity = held(path, reference)
    assert not parity
    limit = parity.tolerance.block_error
    found = bisect(Bundle.open(path), reference, parity.examples[0].frame, limit=limit)
    assert found.first == where
    assert found.blocks[-1].comparison.finite is finite
    if where != ANSWER:
        assert found.blocks[-1].path == where
        assert all(block.comparison.relative_l2 <= limit for block in found.blocks[:-1])
    else:
        assert len(found.blocks) > 50
        assert parity.numbers()["score_error"] == pytest.approx(0, abs=1e-4)


def test_a_rewrite_inside_a_block_is_no_departure(
    tiny_bundle: Path, reference: TorchReference, tmp_path: Path
) -> None:
    """A graph may compute 2x + 2y where torch has 2(x + y): only ends of blocks must agree."""
    path = broken(tiny_bundle, tmp_path / "folded.ovss", fold_scale)
    found = bisect(
        Bundle.open(path), reference, held(path, reference).examples[0].frame, limit=1e-3
    )
    moved = {b.path for b in found.blocks if b.comparison.relative_l2 > 0.1}
    assert moved == {"visual.trunk.stages.0.blocks.0.norm"}
    assert found.first == ANSWER


def test_the_verb_fails_on_a_broken_bundle_and_says_where(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken(tiny_bundle, tmp_path / "broken.ovss", put_nan)
    assert main(["parity", str(path), "--data", STREETS, "--json"]) == 6
    captured = capsys.readouterr()
    (result,) = json.loads(captured.out)["results"]
    assert result["passed"] is False
    assert result["bisection"]["first"] == "layers.1.up"
    assert "block 'layers.1.up': values are not finite" in captured.err
    assert "Traceback" not in captured.err


def test_the_verb_compares_and_gates(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["parity", str(tiny_bundle), "--data", STREETS, "--out", str(tmp_path)]
    assert main([*command, "--gate", "label_agreement>=0.999,miou_drop<=0.5"]) == 0
    assert "agrees with torch" in capsys.readouterr().out
    document = json.loads((tmp_path / "parity.json").read_text())
    assert document["results"][0]["passed"] is True
    assert len(document["examples"]) == 2
    for example in document["examples"]:
        assert all((tmp_path / file).is_file() for file in example["files"].values())


def test_a_gate_of_the_verb_fails_with_status_6(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["parity", str(tiny_bundle), "--data", STREETS, "--out", str(tmp_path)]
    assert main([*command, "--limit", "1", "--gate", "miou>=101"]) == 6
    assert "miou>=101: FAILED" in capsys.readouterr().err


def test_pictures_without_labels_are_held_against_torchs_own(
    tiny_bundle: Path, reference: TorchReference
) -> None:
    with Segmenter.open(tiny_bundle, threads=1) as segmenter:
        (parity,) = compare_backends(reference, [segmenter], open_pictures(STREETS), labeled=False)
    assert parity.scores()[0].miou() == 1.0
    assert parity.numbers()["miou"] == pytest.approx(100, abs=0.5)
    assert parity.to_json()["truth"] == "labels of torch"


@pytest.mark.parametrize("labeled", [True, False])
def test_unknown_is_compared_too(
    tiny_bundle: Path, reference: TorchReference, labeled: bool
) -> None:
    measure = Bundle.open(tiny_bundle).reference().measure
    assert measure is not None
    unknown = float(np.median(measure))
    with Segmenter.open(tiny_bundle, unknown=unknown) as segmenter:
        data = open_dataset(STREETS) if labeled else open_pictures(STREETS)
        (parity,) = compare_backends(reference, [segmenter], data, labeled=labeled)
        assert parity
        assert parity.label_agreement == 1.0
        assert any(np.any(example.backend == 255) for example in parity.examples)
        assert sum(frame.after[:, -1].sum() for frame in parity.frames) > 0
        # Whoever does not compare gives words where torch says unknown.
        backend, real = segmenter._backend, segmenter._backend.infer
        zeros = np.zeros(len(segmenter.names), np.float32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend, "infer", lambda frame, _: real(frame, zeros))
            (wrong,) = compare_backends(reference, [segmenter], data, labeled=labeled)
    assert not wrong
    assert "(unknown)" in wrong.failures()[0]


def test_nothing_compared_is_a_failure(tiny_bundle: Path, reference: TorchReference) -> None:
    empty = replace(open_dataset(STREETS), samples=())
    with Segmenter.open(tiny_bundle) as segmenter, pytest.raises(ParityError, match="nothing"):
        compare_backends(reference, [segmenter], empty)
    parity = replace(held(tiny_bundle, reference), frames=())
    assert not parity
    assert parity.failures() == ("nothing was compared",)


def test_the_weights_must_be_those_of_the_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    with pytest.raises(UsageError, match="random weights"):
        TorchReference.open(bundle, checkpoint=tmp_path / "a.pth")
    weights = replace(bundle.manifest.model.weights, source="checkpoint", file="a.pth")
    manifest = replace(bundle.manifest, model=replace(bundle.manifest.model, weights=weights))
    with pytest.raises(UsageError, match=r"'a\.pth'"):
        TorchReference.open(replace(bundle, manifest=manifest))
    weights = replace(bundle.manifest.model.weights, sha256="0" * 64)
    manifest = replace(bundle.manifest, model=replace(bundle.manifest.model, weights=weights))
    with pytest.raises(CheckpointError, match="sha256"):
        TorchReference.open(replace(bundle, manifest=manifest))


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--gate", "agreement>=1"], 2, "label_agreement"),
        (["--protocol", "pascal"], 2, "d2-main"),
        (["--data", STREETS, "--pictures", STREETS], 2, "one of them"),
        (["--backend", "tensor"], 2, "no backend 'tensor'"),
        (["--data", "nowhere", "--layout", "folder"], 4, "not a folder"),
    ],
)
def test_bad_options_are_refused(
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    words: str,
) -> None:
    assert main(["parity", str(tiny_bundle), *options]) == status
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_tensors_that_are_equal_have_no_error() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    comparison = compare_tensors(values, values)
    assert (comparison.max_error, comparison.relative_l2) == (0, 0)
    assert comparison.cosine == pytest.approx(1)


def test_tensor_errors_are_those_of_the_definition() -> None:
    comparison = compare_tensors(np.array([3.0, 4.0]), np.array([3.0, 0.0]))
    assert comparison.max_error == 4
    assert comparison.relative_l2 == pytest.approx(4 / 3)
    assert comparison.cosine == pytest.approx(3 / 5)


def test_values_that_are_not_finite_never_agree() -> None:
    comparison = compare_tensors(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))
    assert not comparison.finite
    assert comparison.relative_l2 == np.inf
    assert json.loads(json.dumps(comparison.to_json()))["relative_l2"] is None


def test_a_transposed_tensor_is_compared_in_its_best_order() -> None:
    values = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
    moved = compare_layouts(values.transpose(0, 3, 2, 1), values)
    assert moved is not None
    assert moved.relative_l2 == 0
    assert compare_layouts(values[:, :2], values) is None


@pytest.mark.parametrize("name", ["fp32", "FP16", "int8-cpu", "bf16", "int8+fp16"])
def test_every_precision_has_a_tolerance(name: str) -> None:
    assert tolerance_for(name) in [limits.torch for limits in LIMITS.values()]


def test_a_backend_that_computes_in_less_is_held_to_less() -> None:
    assert tolerance_for(compute_precision("openvino-bf16", "fp32")) is LIMITS["bf16"].torch
    assert tolerance_for(compute_precision("tensorrt-rtx", "fp32")) is LIMITS["fp32"].torch
    assert tolerance_for(compute_precision("openvino-bf16", "int8")) is LIMITS["int8"].torch


def test_a_precision_without_a_tolerance_is_refused() -> None:
    with pytest.raises(UsageError, match="fp4"):
        tolerance_for("fp4")


def test_a_bisection_says_in_words_where_it_departs() -> None:
    assert "color order" in Bisection(PREPARE, _blocks(PREPARE), 1e-3).text
    assert "block 'a.b': relative L2 0.5" in Bisection("a.b", _blocks("a.b"), 1e-3).text
    assert "argmax" in Bisection(ANSWER, _blocks("a.b"), 1.0).text


def _blocks(path: str) -> tuple[Any, ...]:
    from edge_ovss.parity.bisection import BlockParity

    return (BlockParity(path, compare_tensors(np.array([1.5]), np.array([1.0]))),)
