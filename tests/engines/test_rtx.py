"""TensorRT for RTX builds our graphs, without a GPU; whether it runs them right shows on one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ovss.cli import main

pytest.importorskip("tensorrt_rtx_bindings")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
BUILD = ["--backend", "tensorrt-rtx", "--json"]


@pytest.fixture(scope="module")
def rejecting_none(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole sed-tiny with random weights that keeps every category to the end."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from edge_ovss.export import ExportOptions, Rejection, export_bundle

    options = ExportOptions(weights="random", size=(96, 128), rejection=Rejection("none"))
    out = tmp_path_factory.mktemp("none") / "none.ovss"
    return export_bundle("person, car, road", out, options).path


def build(bundle: Path, capsys: Capture, *options: str) -> dict[str, Any]:
    assert main(["build", str(bundle), *BUILD, *options]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("capability", ["8.6", "8.9", "12.0"])
def test_sed_tiny_with_slots_builds(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture, capability: str
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "b.ovss"))
    document = build(bundle, capsys, "--compute-capability", capability, "--size", "480x640")
    plan = Path(document["folder"]) / "model.plan"
    assert plan.stat().st_size == document["plan"]["bytes"] > 1 << 20
    assert document["key"]["capabilities"] == [capability]
    assert document["key"]["library"].startswith("1.")
    assert document["labels"] == "uint8"
    assert document["layers"]["FLOAT"] > 300
    assert document["proof"]["state"] == "not run"


@pytest.mark.slow
def test_sed_tiny_without_rejection_builds_for_three_gpus_and_a_range(
    rejecting_none: Path, capsys: Capture
) -> None:
    sizes = ("--min", "240x320", "--opt", "480x640", "--max", "720x1280")
    document = build(rejecting_none, capsys, "--compute-capability", "sm_86,sm_89,sm_120", *sizes)
    assert document["key"]["capabilities"] == ["8.6", "8.9", "12.0"]
    assert document["key"]["frames"] == {"min": [240, 320], "opt": [480, 640], "max": [720, 1280]}


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "kind"), [("fp16", "HALF"), ("int8", "INT8")])
def test_calibrated_bundles_build_in_their_precision(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture, precision: str, kind: str
) -> None:
    pytest.importorskip("onnxruntime")
    bundle = tmp_path / "calibrated.ovss"
    arguments = ["calibrate", str(tiny_bundle), "--precision", precision, "--out", str(bundle)]
    assert main([*arguments, "--calibration", "synthetic://street?count=2"]) == 0
    capsys.readouterr()
    document = build(bundle, capsys, "--compute-capability", "8.6,8.9,12.0")
    assert document["precision"] == precision
    assert document["layers"][kind] > 50
    assert document["layers"]["HALF"] > 300


def test_wide_labels_build_only_because_they_are_widened(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    bundle = make_bundle(outputs=300)
    assert build(bundle, capsys, "--compute-capability", "8.6")["labels"] == "int32"
    request = {
        "module": "tensorrt_rtx_bindings",
        "graph": str(bundle / "model.onnx"),
        "plan": str(tmp_path / "plan"),
        "input": "frame",
        "frames": [[20, 30]] * 3,
        "fixed": {},
        "capabilities": ["8.6"],
        "widen_labels": False,
        "optimization_level": None,
        "workspace_mib": None,
        "tf32": False,
        "timing_cache": None,
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    done = run_child(tmp_path / "request.json")
    assert done.returncode == 1
    failed = json.loads(done.stdout.splitlines()[-1])
    assert (failed["event"], failed["step"]) == ("failed", "reading")
    assert not (tmp_path / "plan").exists()


def run_child(request: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ovss.engines.build_worker", str(request)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_knobs_reach_the_builder(make_bundle: MakeBundle, capsys: Capture) -> None:
    knobs = ("--optimization-level", "1", "--workspace", "512", "--tf32")
    flags = build(make_bundle(), capsys, "--compute-capability", "8.9", *knobs)["key"]["flags"]
    assert flags == {"optimization_level": 1, "workspace_mib": 512, "tf32": True}


def test_without_a_list_the_gpu_at_hand_or_three_generations(
    make_bundle: MakeBundle, capsys: Capture
) -> None:
    from edge_ovss.runtime.trt.gpu import DESKTOP, local_gpu

    gpu = local_gpu()
    if gpu is not None and gpu.capability not in DESKTOP:
        pytest.skip("the GPU of this machine is not one of TensorRT for RTX")
    document = build(make_bundle(), capsys)
    expected = DESKTOP if gpu is None else (gpu.capability,)
    assert tuple(document["key"]["capabilities"]) == expected
    again = build(make_bundle("again.ovss"), capsys)
    assert again["digest"] == document["digest"]


def test_a_damaged_graph_is_refused_before_the_builder_sees_it(
    make_bundle: MakeBundle, capsys: Capture
) -> None:
    bundle = make_bundle()
    graph = bundle / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[200] ^= 1
    graph.write_bytes(bytes(data))
    assert main(["build", str(bundle), *BUILD]) == 5
    assert "has been changed" in capsys.readouterr().err
    assert not (bundle / "engines").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sed-base", "san-base"])
def test_the_published_sizes_build_in_every_precision(
    tmp_path: Path, capsys: Capture, model: str
) -> None:
    """Whole networks with random weights; a small picture changes their shapes, not their nodes."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from edge_ovss.export import ExportOptions, export_bundle

    size = (96, 128) if model == "sed-base" else None
    plain = tmp_path / "fp32.ovss"
    export_bundle("person, car, road", plain, ExportOptions(model, weights="random", size=size))
    sizes = {"fp32": build(plain, capsys, "--compute-capability", "8.6,8.9,12.0")["plan"]["bytes"]}
    for precision in ("fp16", "int8"):
        bundle = tmp_path / f"{precision}.ovss"
        arguments = ["calibrate", str(plain), "--precision", precision, "--out", str(bundle)]
        assert main([*arguments, "--calibration", "synthetic://street?count=2"]) == 0
        capsys.readouterr()
        document = build(bundle, capsys, "--compute-capability", "8.6,8.9,12.0")
        sizes[precision] = document["plan"]["bytes"]
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]


@pytest.mark.parametrize("outputs", [3, 300])
def test_thresholds_stay_an_input(make_bundle: MakeBundle, capsys: Capture, outputs: int) -> None:
    """A parser that took the input for a constant would build a graph without it."""
    import tensorrt_rtx_bindings as library

    bundle = make_bundle(outputs=outputs, unknown=[0.5])
    document = build(bundle, capsys, "--compute-capability", "8.6,8.9,12.0")
    assert document["key"]["capabilities"] == ["8.6", "8.9", "12.0"]
    logger = library.Logger(library.Logger.ERROR)
    builder = library.Builder(logger)
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(network, logger)
    parser.parse_from_file(str(bundle / "model.onnx"))
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    shapes = {each.name: tuple(each.shape) for each in inputs}
    assert shapes == {"frame": (1, -1, -1, 3), "thresholds": (outputs,)}


@pytest.mark.slow
def test_open_bundles_build_in_every_precision(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from edge_ovss.export import ExportOptions, Rejection, export_bundle

    options = ExportOptions(
        size=(96, 128), rejection=Rejection("slots", slots=(10, 9, 8)), open_places=16
    )
    plain = export_bundle("person, car, road", tmp_path / "open.ovss", options).path
    for precision, kind in (("fp32", "FLOAT"), ("fp16", "HALF"), ("int8", "INT8")):
        bundle = plain
        if precision != "fp32":
            bundle = tmp_path / f"{precision}.ovss"
            words = ["calibrate", str(plain), "--precision", precision, "--out", str(bundle)]
            assert main([*words, "--calibration", "synthetic://street?count=1"]) == 0
            capsys.readouterr()
        document = build(bundle, capsys, "--compute-capability", "8.6,8.9,12.0")
        assert document["layers"][kind] > 20
