"""The layers of an engine after fusion: read, counted, refused where they fell back to FP32."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine, check_fusion
from edge_ovss.engines.inspection import summarize
from edge_ovss.engines.plan_layers import PlanLayer, layers_of_inspector, layers_of_log
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.trt.frame_sizes import FrameRange

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
SIZE = FrameRange.pinned((20, 30))


def tensor(kind: str) -> str:
    return f"{{ Name: t, Dimensions: [1,4], Strides: [4,1], Datatype: {kind}, Format: (NHWC) x }}"


def line(name: str, kind: str, given: str, made: str, *nodes: str, weights: str = "Float") -> str:
    inputs = ", ".join(tensor(each) for each in given.split())
    said = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {inputs}], Constants: [ {tensor(weights)}], "
        f"Outputs: [ {tensor(made)}], TacticName: x, StreamId: 0, Metadata: {said}"
    )


LOG = "\n".join(
    [
        "Layers:",
        line("stem_0", "correlation", "Half", "Half", "stem/Conv", "relu"),
        line("fc_1", "gemm", "Int8", "Half", "mlp/MatMul"),
        line("head_2", "gemm", "Float", "Float", "head/MatMul"),
        line("body_3", "runtime_fusion", "Float", "Half", "body/MatMul", "body/Gelu"),
        line("q_4", "kgen", "Half", "Int8", "ln", "x_QuantizeLinear"),
        line("dq_5", "kgen", "", "Half", "w_DequantizeLinear", weights="Int8"),
        line("Reformatting CopyNode 6", "Reformat", "Half", "Half"),
        line("idx_7", "kgen", "Int64", "Int64", "gather"),
        "",
        "I/O Tensors:",
        " Name: x, IOMode: Input, DataType: Half, Dimensions: [1,3]",
    ]
)
ASKED = {"stem/Conv": "FP16", "mlp/MatMul": "INT8", "head/MatMul": "FP32", "body/MatMul": "FP16"}


def test_a_product_of_quantized_numbers_is_no_bare_quantization() -> None:
    alone = PlanLayer("DequantizeLinear_3", "cast", ("INT8",), ("FP16",), ())
    fused = PlanLayer("QuantizeLinear_3", "gemm", ("INT8",), ("INT8",), ())
    assert (alone.bare_quantization, fused.bare_quantization) == (True, False)


def test_the_log_of_the_builder_is_read_and_counted() -> None:
    layers = layers_of_log(LOG)
    assert [layer.precision for layer in layers] == [
        *("FP16", "INT8", "FP32", "FP32", "FP16", "FP16", "FP16", "other")
    ]
    found = summarize(layers, ASKED, source="builder log")
    assert found["heavy"] == {"FP32": 2, "FP16": 1, "INT8": 1}
    assert found["float_layers"] == ["body/MatMul"]  # head/MatMul is FP32 in the graph
    assert (found["float_count"], found["float_share"]) == (1, 0.25)
    assert found["unfused_layers"] == ["dq_5"]  # q_4 is fused into a normalization
    assert found["reformats"] == 1
    assert found["asked"] == {"FP16": 2, "INT8": 1, "FP32": 1}


@pytest.mark.parametrize(
    "tensors",
    [
        {"Half": {"Format/Datatype": "Row major linear FP16 format"}},
        {"Half": {"Datatype": "Half", "Format": "Row major linear FP16 format (kLINEAR)"}},
        {"Half": {"Datatype": "FP16", "Format": "kLINEAR"}},
    ],
    ids=["10.3", "RTX", "11"],
)
def test_an_inspector_of_any_version_is_read(tensors: dict[str, Any]) -> None:
    half = [{"Name": "t", "Dimensions": [1, 2], **tensors["Half"]}]
    layer = {
        "Name": "a",
        "LayerType": "CaskGemmMatrixMultiply",
        "Inputs": half,
        "Outputs": half,
        "Metadata": "[ONNX Layer: a/MatMul]\x1e[ONNX Layer: add]",
    }
    (found,) = layers_of_inspector(json.dumps({"Layers": [layer, "only a name"]}))
    assert found == PlanLayer(
        "a", "CaskGemmMatrixMultiply", ("FP16",), ("FP16",), ("a/MatMul", "add")
    )
    assert found.heavy


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"Layers": 3}', '{"Layers": ["a"]}'])
def test_an_inspector_that_knows_nothing_is_no_error(text: str) -> None:
    assert layers_of_inspector(text) == []


LAYERS = [
    {
        "Name": f"block{index}",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Format/Datatype": kind}],
        "Outputs": [{"Format/Datatype": kind}],
        "Metadata": f"[ONNX Layer: block{index}/Conv]",
    }
    for index, kind in enumerate(["FP32 NHWC", "FP16 NHWC", "FP16 NHWC", "Int8 NHWC"])
]


def build(bundle: Path) -> Any:  # noqa: ANN401
    return build_engine(Bundle.open(bundle), "tensorrt", BuildOptions(frames=SIZE)).engine


def test_the_engine_itself_is_asked(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    monkeypatch.setenv("FAKE_TRT_LAYERS", json.dumps(LAYERS))
    engine = build(make_bundle())
    found = json.loads((engine.folder / "build.json").read_text())["inspection"]
    assert found["source"] == "inspector"
    assert found["heavy"] == {"FP16": 2, "FP32": 1, "INT8": 1}
    assert found["size"]["plan"] == engine.plan.stat().st_size
    assert found["size"]["graph"] > 0
    assert found["time"] == {"FP16": 0.5, "INT8": 0.4, "FP32": 0.1}  # 2 + 3, 4 and 1 ms
    record = engine.record
    check_fusion(record, 0.0)  # FP32 is what a float32 bundle asks for
    half = replace(record, precision="fp16")
    with pytest.raises(ArtifactError, match=r"1 heavy layers .* run in FP32") as e:
        check_fusion(half, 24.9)
    assert "block0/Conv" in e.value.message
    assert e.value.hint is not None
    assert "--allow-float 25.1" in e.value.hint
    check_fusion(half, 25.0)


def test_engines_are_shown_without_a_gpu(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    monkeypatch.setenv("FAKE_TRT_LAYERS", json.dumps(LAYERS))
    bundle = make_bundle()
    engine = build(bundle)
    (bundle / "engines" / "tensorrt-0000000000000000").mkdir()
    monkeypatch.undo()
    assert main(["inspect", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert f"engine {engine.folder.name}  tensorrt 10.3.0 for 8.7 (Orin (pretended))" in shown
    assert "has no usable build.json" in shown
    assert main(["inspect", str(bundle), "--json"]) == 0
    engines = json.loads(capsys.readouterr().out)["engines"]
    assert [("problem" in one, one["name"]) for one in engines] == [
        (True, "tensorrt-0000000000000000"),
        (False, engine.folder.name),
    ]
    assert main(["inspect", str(engine.plan)]) == 0
    shown = capsys.readouterr().out
    assert "4 layers, heavy ones: 2 FP16, 1 FP32, 1 INT8; 1 in FP32 against the graph" in shown
    assert "in FP32       block0/Conv" in shown
    assert "20x30" in shown


def test_a_plan_that_is_not_that_of_its_record_is_refused(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    engine = build(make_bundle())
    engine.plan.write_bytes(b"other")
    assert main(["inspect", str(engine.plan)]) == 5
    assert "is not the plan of build.json" in capsys.readouterr().err
    (tmp_path / "model.plan").write_bytes(b"x")
    assert main(["inspect", str(tmp_path / "model.plan")]) == 4
    assert "no build.json beside" in capsys.readouterr().err


@pytest.mark.parametrize(
    "inspection",
    [
        {"layers": {"FP16": 1}},
        {"layers": [1], "heavy": 3, "float_count": "x"},
        {"layers": {"FP16": "many"}, "heavy": {}, "float_count": 0},
        {"size": [1, 2], "float_layers": {"a": 1}},
        {"size": {"ratio": {}}, "float_layers": [{"a": 1}, 3]},
    ],
)
def test_a_record_with_strange_layers_is_shown_all_the_same(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    inspection: dict[str, object],
) -> None:
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    engine = build(make_bundle())
    record = engine.folder / "build.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"inspection": inspection}))
    assert main(["inspect", str(engine.plan)]) == 0
    assert "fused         not known" in capsys.readouterr().out


@pytest.mark.parametrize("share", ["-1", "101", "nan"])
def test_a_share_that_is_none_is_refused(
    make_bundle: MakeBundle, capsys: Capture, share: str
) -> None:
    arguments = ["build", str(make_bundle()), "--backend", "tensorrt", "--allow-float", share]
    assert main(arguments) == 2
    assert "expected a percentage" in capsys.readouterr().err


def test_tensorrt_for_rtx_describes_its_layers_without_a_gpu(
    make_bundle: MakeBundle, capsys: Capture
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    target = ["--backend", "tensorrt-rtx", "--compute-capability", "8.6", "--json"]
    assert main(["build", str(make_bundle()), *target]) == 0
    found = json.loads(capsys.readouterr().out)["inspection"]
    assert found["source"] == "builder log"
    assert sum(found["layers"].values()) >= 1
    assert found["float_count"] == 0
