"""FP16 islands and Q/DQ placement, on small graphs and on sed-tiny."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")
ort = pytest.importorskip("onnxruntime")

from edge_ovss.calibration.blocks import find_candidates  # noqa: E402
from edge_ovss.calibration.quantize import find_target, quantize, range_tensors  # noqa: E402
from edge_ovss.calibration.ranges import measure_ranges  # noqa: E402
from edge_ovss.errors import ArtifactError, UsageError  # noqa: E402
from edge_ovss.graph import reasons  # noqa: E402
from edge_ovss.graph.confine_qdq import confine_qdq  # noqa: E402
from edge_ovss.graph.emulate_fp16 import emulate_half  # noqa: E402
from edge_ovss.graph.fp16 import HalfReport, convert_to_half  # noqa: E402
from edge_ovss.graph.keep_bias_apart import keep_bias_apart  # noqa: E402
from edge_ovss.graph.model import load_graph, prepare, save_graph  # noqa: E402
from edge_ovss.graph.walk import FLOAT, HALF, array, is_weight, readers  # noqa: E402

FRAMES = [np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8) for seed in range(3)]

# A network in miniature: stem, depthwise, norm, MLP, linear attention, head, answer.
NETWORK = """
<ir_version: 10, opset_import: ["" : 20]>
tiny (uint8[1, H, W, 3] frame) => (uint8[1, 16, 16] labels, float[1, 16, 16, 16] scores)
<float[32, 3, 3, 3] stem_w, float[32, 1, 3, 3] deep_w, float[32] scale, float[32] shift,
 float[32, 64] up_w, float[64] up_b, float[64, 32] down_w, float[32, 32] q_w, float[32, 32] k_w,
 float[32, 32] out_w,
 float[16, 32, 3, 3] head_w, float one, float eps, int64[4] size, int64[3] rows, int64[4] picture,
 int64[1] axis>
{
  [frame/Cast] whole = Cast <to: int = 1> (frame)
  [frame/Transpose] planes = Transpose <perm: ints = [0, 3, 1, 2]> (whole)
  [frame/Resize] small = Resize <mode: string = "linear"> (planes, , , size)
  [stem/Conv] a = Conv <pads: ints = [1, 1, 1, 1]> (small, stem_w)
  [blocks.0.deep/Conv] b = Conv <pads: ints = [1, 1, 1, 1], group: int = 32> (a, deep_w)
  [blocks.0/Transpose] c = Transpose <perm: ints = [0, 2, 3, 1]> (b)
  [blocks.0/Reshape] d = Reshape (c, rows)
  [blocks.0.norm/LayerNormalization] e = LayerNormalization <axis: int = -1> (d, scale, shift)
  [blocks.0.up/MatMul] f = MatMul (e, up_w)
  [blocks.0.up/Add] g = Add (f, up_b)
  [blocks.0/Relu] h = Relu (g)
  [blocks.0.down/MatMul] i = MatMul (h, down_w)
  [blocks.1.q/MatMul] q0 = MatMul (i, q_w)
  [blocks.1/Elu] q1 = Elu (q0)
  [blocks.1/Add] q = Add (q1, one)
  [blocks.1.k/MatMul] k0 = MatMul (i, k_w)
  [blocks.1/Elu_2] k1 = Elu (k0)
  [blocks.1/Add_2] k = Add (k1, one)
  [blocks.1/Transpose] kt = Transpose <perm: ints = [0, 2, 1]> (k)
  [blocks.1/MatMul] kv = MatMul (kt, i)
  [blocks.1/MatMul_2] weighted = MatMul (q, kv)
  [blocks.1/ReduceSum] total = ReduceSum (q, axis)
  [blocks.1/Add_3] safe = Add (total, eps)
  [blocks.1/Div] mixed = Div (weighted, safe)
  [blocks.1.out/MatMul] out = MatMul (mixed, out_w)
  [blocks.1/Add_4] j = Add (i, out)
  [up/Reshape] square = Reshape (j, picture)
  [up/Transpose] features = Transpose <perm: ints = [0, 3, 1, 2]> (square)
  [head/Conv] scores = Conv <pads: ints = [1, 1, 1, 1]> (features, head_w)
  [answer/Sigmoid] sure = Sigmoid (scores)
  [answer/ArgMax] best = ArgMax <axis: int = 1, keepdims: int = 0> (sure)
  [answer/Cast] labels = Cast <to: int = 2> (best)
}
"""
ISLANDS = {
    "blocks.0.norm/LayerNormalization": "norm",
    "blocks.1/MatMul": "linear attention",
    "blocks.1/MatMul_2": "linear attention",
    "blocks.1/ReduceSum": "linear attention",
    "blocks.1/Div": "linear attention",
    "head/Conv": "answer",
    "answer/Sigmoid": "answer",
    "frame/Resize": "frame",
}
HALF_NODES = {
    "stem/Conv",
    "blocks.0.deep/Conv",
    "blocks.0.up/MatMul",
    "blocks.0.up/Add",
    "blocks.0/Relu",
    "blocks.0.down/MatMul",
    "blocks.1.q/MatMul",
    "blocks.1.k/MatMul",
}


def network(**changes: float) -> Any:  # noqa: ANN401
    """The network with weights; `up` scales the first matrix."""
    random = np.random.default_rng(0)
    # The parser takes identifiers for names; ours are paths.
    model = onnx.parser.parse_model(re.sub(r"  \[\S+\]", "", NETWORK))
    for node, name in zip(model.graph.node, re.findall(r"  \[(\S+)\]", NETWORK), strict=True):
        node.name = name
    shapes = {
        "stem_w": (32, 3, 3, 3),
        "deep_w": (32, 1, 3, 3),
        "up_w": (32, 64),
        "up_b": (64,),
        "down_w": (64, 32),
        "q_w": (32, 32),
        "k_w": (32, 32),
        "out_w": (32, 32),
        "head_w": (16, 32, 3, 3),
    }
    values: dict[str, Any] = {
        name: (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]) + 1)).astype(np.float32)
        for name, shape in shapes.items()
    }
    values["stem_w"] /= 100
    values["up_w"] *= np.float32(changes.get("up", 1.0))
    values["scale"], values["shift"] = np.ones(32, np.float32), np.zeros(32, np.float32)
    values["one"], values["eps"] = np.float32(1.0), np.float32(1e-6)
    integers = {"size": [1, 3, 16, 16], "rows": [1, 256, 32], "picture": [1, 16, 16, 32]}
    values |= {name: np.array(v, np.int64) for name, v in {**integers, "axis": [2]}.items()}
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()
    )
    return model


def graph_of(model: Any) -> Any:  # noqa: ANN401
    """The graph of a ModelProto."""
    return prepare(ir.from_proto(model))


def save(model: Any, path: Path) -> Path:  # noqa: ANN401
    path.parent.mkdir(parents=True, exist_ok=True)
    save_graph(model, path, data="model.onnx.data")
    onnx.checker.check_model(str(path), full_check=True)
    return path


def run(path: Path, frame: Any = FRAMES[0]) -> list[Any]:  # noqa: ANN401
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers: list[Any] = session.run(None, {"frame": frame[None]})
    return answers


def halve(**changes: float) -> tuple[Any, HalfReport]:
    model = graph_of(network(**changes))
    return model, convert_to_half(model)


def types(model: Any) -> dict[str, int]:  # noqa: ANN401
    """Types by tensor, inferred from the weights and the inputs alone."""
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    graph = graph_of(proto).graph
    values = [value for node in graph for value in (*node.inputs, *node.outputs) if value]
    return {value.name: int(value.dtype) for value in values}


def names(values: Any) -> list[str]:  # noqa: ANN401
    return [value.name for value in values if value is not None]


def test_norms_attention_and_answer_stay_in_fp32_and_the_rest_does_not() -> None:
    _, report = halve()
    found = {name: report.islands[name].reason for name in ISLANDS}
    assert found == ISLANDS
    assert {island.reason for island in report.islands.values()} <= reasons.ISLANDS.keys()
    assert set(report.half_nodes) >= HALF_NODES
    assert not set(report.half_nodes) & set(ISLANDS)


def test_no_node_meets_two_float_types(tmp_path: Path) -> None:
    model, _ = halve()
    kinds = types(model)
    for node in model.graph:
        if node.op_type in {"Cast", "Resize", "QuantizeLinear", "DequantizeLinear"}:
            continue
        met = {kinds[name] for name in names((*node.inputs, *node.outputs))} & {FLOAT, HALF}
        assert len(met) <= 1, node.name
    save(model, tmp_path / "model.onnx")


def test_inputs_and_outputs_keep_their_types() -> None:
    model, _ = halve()
    ends = {value.name: value.dtype for value in (*model.graph.inputs, *model.graph.outputs)}
    assert ends == {"frame": 2, "labels": 2, "scores": FLOAT}


def test_casts_have_names_of_their_own_and_none_undoes_another() -> None:
    model, report = halve()
    nodes = [node.name for node in model.graph]
    assert len(set(nodes)) == len(nodes)
    casts = [node for node in model.graph if node.name.startswith("precision/")]
    assert len(casts) == report.casts > 0
    for cast in casts:
        before = cast.inputs[0].producer()
        assert before is None or not before.name.startswith("precision/")


def test_half_answers_nearly_as_float_does(tmp_path: Path) -> None:
    whole = run(save(graph_of(network()), tmp_path / "whole" / "model.onnx"))
    half = run(save(halve()[0], tmp_path / "half" / "model.onnx"))
    error = np.linalg.norm(half[1] - whole[1]) / np.linalg.norm(whole[1])
    assert 0 < error < 5e-3
    assert (half[0] == whole[0]).mean() > 0.98


def test_weights_of_half_nodes_are_stored_in_half() -> None:
    model, report = halve()
    for node in model.graph:
        kinds = {value.const_value.dtype for value in node.inputs if is_weight(value)}
        wanted = HALF if node.name in report.half_nodes else FLOAT
        assert kinds & {HALF, FLOAT} <= {wanted}, node.name


def test_tensors_near_overflow_become_islands(tmp_path: Path) -> None:
    path = save(graph_of(network(up=3e4)), tmp_path / "model.onnx")
    model = load_graph(path)
    ranges = measure_ranges(model, FRAMES, ["e", "f", "h"])
    largest = {name: max(-low, high) for name, (low, high) in ranges.items()}
    assert largest["f"] > 32768 > largest["e"]
    report = convert_to_half(model, largest)
    reasons = {name: island.reason for name, island in report.islands.items()}
    for name in ("blocks.0.up/MatMul", "blocks.0.up/Add"):
        assert reasons[name] == "range"
    assert "stem/Conv" in report.half_nodes


@pytest.mark.parametrize(
    ("largest", "island"),
    [(32768.0, None), (np.nextafter(np.float64(32768.0), np.inf), "range"), (65504.0, "range")],
)
def test_half_of_what_overflows_is_the_most_that_is_stored_in_half(
    largest: float, island: str | None
) -> None:
    report = convert_to_half(graph_of(network()), {"f": float(largest), "none_such": 1e9})
    for name in ("blocks.0.up/MatMul", "blocks.0.up/Add"):  # who makes it, and who reads it
        found = report.islands.get(name)
        assert (found.reason if found else None) == island
    assert "blocks.0.deep/Conv" in report.half_nodes


def with_addend(value: Any, *, operator: str = "Add") -> Any:  # noqa: ANN401
    """The network with another constant, added behind its first matrix."""
    model = network()
    tensor = onnx.numpy_helper.from_array(np.asarray(value, np.float32), "addend")
    model.graph.initializer.append(tensor)
    node = next(n for n in model.graph.node if n.name == "blocks.0.up/Add")
    node.op_type, node.input[1] = operator, "addend"
    return graph_of(model)


@pytest.mark.parametrize(
    ("value", "operator", "island"),
    [
        (32768.0, "Add", None),
        (-32768.0, "Add", None),
        (32800.0, "Add", "constant"),
        (-32800.0, "Mul", "constant"),
        (6.2e-5, "Add", None),
        (6.0e-5, "Add", "constant"),
        (-6.0e-5, "Add", "constant"),
        (6.0e-5, "Max", "constant"),
        (6.0e-5, "Mul", None),
        (0.0, "Add", None),
        ([6.0e-5] * 64, "Add", None),
        ([0.0] * 63 + [32800.0], "Add", "constant"),
    ],
)
def test_constants_that_half_cannot_hold_keep_their_node_in_fp32(
    value: Any,  # noqa: ANN401
    operator: str,
    island: str | None,
) -> None:
    report = convert_to_half(with_addend(value, operator=operator))
    found = report.islands.get("blocks.0.up/Add")
    assert (found.reason if found else None) == island
    assert ("blocks.0.up/Add" in report.half_nodes) is (island is None)


def test_what_follows_an_island_is_half_again_unless_the_island_is_sticky() -> None:
    # Behind values that are only read in FP32 the next node computes in FP16 ...
    near_overflow = convert_to_half(graph_of(network()), {"f": 4e4})
    assert near_overflow.islands["blocks.0.up/Add"].reason == "range"
    assert "blocks.0/Relu" in near_overflow.half_nodes
    # ... and behind what may be anything only the next product does.
    model = with_addend(np.zeros(64), operator="Mean")
    unknown = convert_to_half(model)
    assert unknown.islands["blocks.0.up/Add"].reason == "unknown"
    assert "blocks.0/Relu" not in unknown.half_nodes
    assert "blocks.0.down/MatMul" in unknown.half_nodes


def test_emulation_overflows_as_a_device_would(tmp_path: Path) -> None:
    model = graph_of(network(up=3e4))
    report = convert_to_half(graph_of(network(up=3e4)))
    emulate_half(model, report)
    path = save(model, tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="not finite"):
        measure_ranges(load_graph(path), FRAMES, ["f/rounded"])


def test_an_epsilon_that_half_cannot_hold_stays_in_fp32() -> None:
    for eps, expected in ((1e-8, "constant"), (1e-2, None)):
        model = network()
        tensor = onnx.numpy_helper.from_array(np.float32(eps), "tiny_addend")
        model.graph.initializer.append(tensor)
        node = next(n for n in model.graph.node if n.name == "blocks.0.up/Add")
        node.input[1] = "tiny_addend"
        report = convert_to_half(graph_of(model))
        island = report.islands.get("blocks.0.up/Add")
        assert (island.reason if island else None) == expected


def test_weights_that_are_not_finite_are_refused() -> None:
    model = network()
    broken = next(item for item in model.graph.initializer if item.name == "q_w")
    values = onnx.numpy_helper.to_array(broken).copy()
    values[0, 0] = np.nan
    broken.CopyFrom(onnx.numpy_helper.from_array(values, "q_w"))
    with pytest.raises(ArtifactError, match="'q_w'"):
        convert_to_half(graph_of(model))


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ArtifactError, match="ONNX"):
        load_graph(path)


def test_a_graph_with_branches_is_refused() -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 20]>
    g (bool c, float[2] x) => (float[2] y) {
      y = If (c) <then_branch = t () => (float[2] a) { a = Identity(x) },
                  else_branch = e () => (float[2] b) { b = Neg(x) }>
    }"""
    with pytest.raises(ArtifactError, match="graph of its own"):
        graph_of(onnx.parser.parse_model(text))


def test_candidates_leave_out_what_int8_harms() -> None:
    found = find_candidates(graph_of(network()))
    assert found.blocks == {
        "blocks.0": ("blocks.0.up/MatMul", "blocks.0.down/MatMul"),
        "blocks.1": ("blocks.1.q/MatMul", "blocks.1.k/MatMul", "blocks.1.out/MatMul"),
    }
    assert found.excluded == {
        "stem/Conv": "stem",
        "blocks.0.deep/Conv": "depthwise",
        "blocks.1/MatMul": "attention",
        "blocks.1/MatMul_2": "attention",
        "head/Conv": "head",
    }
    assert set(found.excluded.values()) <= reasons.NOT_INT8.keys()


@pytest.fixture
def quantized(tmp_path: Path) -> Callable[[str], Any]:
    path = save(graph_of(network()), tmp_path / "whole" / "model.onnx")
    model = load_graph(path)
    candidates = find_candidates(model)
    ranges = measure_ranges(model, FRAMES, range_tensors(model, candidates))

    def make(target: str) -> Any:  # noqa: ANN401
        return quantize(model, candidates.nodes, ranges, find_target(target))

    return make


def test_tensorrt_gets_symmetric_int8_without_quantized_bias(
    quantized: Callable[[str], Any], tmp_path: Path
) -> None:
    model = quantized("tensorrt")
    dequantizers = [node for node in model.graph if node.op_type == "DequantizeLinear"]
    assert dequantizers
    for node in dequantizers:
        zero = array(node.inputs[2])
        assert zero.dtype == np.int8
        assert not zero.any()
        assert (array(node.inputs[1]) > 0).all()
    per_channel = [array(n.inputs[1]).size for n in dequantizers if is_weight(n.inputs[0])]
    assert sorted(per_channel) == [32, 32, 32, 32, 64]
    save(model, tmp_path / "q" / "model.onnx")


def test_no_score_head_reads_or_writes_int8(quantized: Callable[[str], Any]) -> None:
    for target in ("tensorrt", "cpu"):
        model = quantized(target)
        head = next(node for node in model.graph if node.name == "head/Conv")
        after = readers(head.outputs[0])
        near = [head.inputs[0].producer(), *after, *readers(after[0].outputs[0])]
        assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in near}


def test_int8_on_half_has_one_float_type_per_node_and_answers_alike(
    quantized: Callable[[str], Any], tmp_path: Path
) -> None:
    model = quantized("tensorrt")
    whole = run(save(model, tmp_path / "q" / "model.onnx"))
    mixed = quantized("tensorrt")
    report = convert_to_half(mixed)
    half = run(save(mixed, tmp_path / "qh" / "model.onnx"))
    assert "blocks.0.up/MatMul" in report.half_nodes
    kinds = types(mixed)
    for node in mixed.graph:
        if node.op_type == "DequantizeLinear":
            assert kinds[node.inputs[1].name] == kinds[node.outputs[0].name]
        if node.op_type == "QuantizeLinear":
            assert kinds[node.inputs[0].name] == kinds[node.inputs[1].name]
    assert (half[0] == whole[0]).mean() > 0.97


def test_a_scale_that_half_would_round_to_zero_is_the_least_that_it_has(
    quantized: Callable[[str], Any],
) -> None:
    mixed = quantized("tensorrt")
    scales = {n.inputs[1].name for n in mixed.graph if n.op_type == "DequantizeLinear"}
    for name, value in mixed.graph.initializers.items():
        if name in scales:
            value.const_value = ir.tensor(np.full_like(array(value), 1e-9), name=name)
        elif name == "up_b":  # no scale: what vanishes here is no division by zero
            value.const_value = ir.tensor(np.full(64, -1e-9, np.float32), name=name)
    convert_to_half(mixed)
    least = np.float16(2.0**-24)
    found = [
        array(node.inputs[1])
        for node in mixed.graph
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}
    ]
    halves = [scale for scale in found if scale.dtype == np.float16]
    assert halves
    assert all((scale == least).all() for scale in halves)
    add = next(node for node in mixed.graph if node.name == "blocks.0.up/Add")
    assert not array(add.inputs[1]).any()


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_every_output_channel_has_the_scale_of_its_own_weights(
    quantized: Callable[[str], Any], target: str
) -> None:
    whole = {node.name: node for node in graph_of(network()).graph}
    checked = 0
    for node in quantized(target).graph:
        before, maker = whole.get(node.name), node.inputs[-1].producer()
        if before is None or maker is None or not is_weight(before.inputs[-1]):
            continue
        if maker.op_type != "DequantizeLinear":
            continue
        weights = array(before.inputs[-1])
        axes = (1, 2, 3) if node.op_type == "Conv" else (0,)
        scale = array(maker.inputs[1])
        assert scale == pytest.approx(np.abs(weights).max(axis=axes) / 127, rel=0.01)
        checked += 1
    assert checked == 5


def test_the_cpu_file_differs_and_answers_alike(
    quantized: Callable[[str], Any], tmp_path: Path
) -> None:
    model = quantized("cpu")
    zeros = [array(n.inputs[2]) for n in model.graph if n.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.uint8)}
    answers = run(save(model, tmp_path / "q" / "model.onnx"))
    whole = run(tmp_path / "whole" / "model.onnx")
    assert np.linalg.norm(answers[1] - whole[1]) / np.linalg.norm(whole[1]) < 0.2


def test_onnx_runtime_runs_the_cpu_file_in_integers(
    quantized: Callable[[str], Any], tmp_path: Path
) -> None:
    used = {}
    for name, widened in (("plain", False), ("widened", True)):
        model = quantized("cpu")
        if widened:
            assert keep_bias_apart(model, ["blocks.0.up/MatMul", "blocks.0.down/MatMul"]) == 1
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        options.log_severity_level = 3
        path = save(model, tmp_path / name / "model.onnx")
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(str(tmp_path / f"{name}.onnx"), load_external_data=False).graph
        used[name] = [node.op_type for node in graph.node]
    assert "Gemm" in used["plain"]
    assert "Gemm" not in used["widened"]
    integers = [names.count("MatMulIntegerToFloat") for names in used.values()]
    assert integers[1] == integers[0] + 1


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="'npu'"):
        find_target("npu")


def test_ranges_are_read_from_the_cache_and_not_for_other_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))
    path = save(graph_of(network()), tmp_path / "model.onnx")
    model = load_graph(path)
    first = measure_ranges(model, FRAMES, ["e", "h"], key="a")
    black = [np.zeros_like(FRAMES[0])]
    assert measure_ranges(model, black, ["e", "h"], key="a") == first
    assert measure_ranges(model, black, ["e", "h"], key="b") != first
    for file in (tmp_path / "cache" / "ranges").iterdir():
        file.write_text("{}")
    assert measure_ranges(model, FRAMES, ["e", "h"], key="a") == first


@pytest.mark.parametrize(("folder", "key"), [("cache", None), ("", "k" * 64)])
def test_ranges_are_kept_nowhere_without_a_key_or_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, key: str | None
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / folder) if folder else "")
    monkeypatch.chdir(tmp_path)
    path = save(graph_of(network()), tmp_path / "model.onnx")
    before = sorted(tmp_path.rglob("*"))
    model = load_graph(path)
    first, second = (
        measure_ranges(model, frames, ["a"], key=key) for frames in (FRAMES[:1], FRAMES[1:])
    )
    assert first != second
    assert sorted(tmp_path.rglob("*")) == before


WITH_QDQ = """
<ir_version: 10, opset_import: ["" : 20]>
tiny (float[4, 4] x) => (float[4, 4] y, float[4, 4] z, float[4, 4] float_product)
<float one = {1.0}, int8 nothing = {0}, float[4, 4] w>
{
  xq = QuantizeLinear (x, one, nothing)
  xd = DequantizeLinear (xq, one, nothing)
  wq = QuantizeLinear (w, one, nothing)
  wd = DequantizeLinear (wq, one, nothing)
  first = MatMul (xd, wd)
  float_product = MatMul (xd, wd)
  firstq = QuantizeLinear (first, one, nothing)
  firstd = DequantizeLinear (firstq, one, nothing)
  y = MatMul (firstd, wd)
  z = Relu (firstd)
}
"""


@pytest.mark.parametrize(("outputs", "relu_reads"), [((), "first"), (("MatMul",), "firstd")])
def test_only_quantized_products_read_dequantized_activations(
    outputs: tuple[str, ...], relu_reads: str
) -> None:
    proto = onnx.parser.parse_model(WITH_QDQ)
    for node in proto.graph.node:
        node.name = node.output[0]
    weight = np.eye(4, dtype=np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    model = graph_of(proto)
    changed = confine_qdq(model, {"first", "y"}, outputs)
    reads = {node.name: names(node.inputs) for node in model.graph}
    assert reads["first"] == ["xd", "wd"]
    assert reads["float_product"] == ["x", "wd"]  # weights are read as they are stored
    assert reads["y"] == ["firstd", "wd"]
    assert reads["z"] == [relu_reads]
    assert changed == (1 if outputs else 2)
