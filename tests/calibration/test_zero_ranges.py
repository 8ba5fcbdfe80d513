"""All-black pictures: products that read nothing but zeros have no scale, and stay in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from edge_ovss.calibration import CalibrateOptions  # noqa: E402
from edge_ovss.calibration.int8 import Quantizer  # noqa: E402
from edge_ovss.errors import ArtifactError  # noqa: E402
from edge_ovss.graph.model import load_graph, save_graph  # noqa: E402
from edge_ovss.graph.tensor_probe import Look, TensorProbe, extremes, samples  # noqa: E402

BLACK = [np.zeros((16, 16, 3), np.uint8)] * 2
BRIGHT = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)

# The first matrix multiplies the picture itself and sees zeros; the second sees the bias.
NETWORK = """
<ir_version: 10, opset_import: ["" : 20]>
tiny (uint8[1, 16, 16, 3] frame) => (float[1, 16, 16, 32] scores)
<float[3, 32] stem_w, float[32, 64] up_w, float[64] up_b, float[64, 32] down_w,
 float[32, 32] head_w>
{
  whole = Cast <to: int = 1> (frame)
  stem = MatMul (whole, stem_w)
  up = MatMul (stem, up_w)
  moved = Add (up, up_b)
  hidden = Relu (moved)
  down = MatMul (hidden, down_w)
  scores = MatMul (down, head_w)
}
"""
NAMES = (
    *("frame/Cast", "stem/MatMul", "blocks.0.up/MatMul", "blocks.0.up/Add", "blocks.0/Relu"),
    *("blocks.0.down/MatMul", "head/MatMul"),
)


def network(path: Path, *, bias: float) -> Path:
    model = onnx.parser.parse_model(NETWORK)
    for node, name in zip(model.graph.node, NAMES, strict=True):
        node.name = name
    random = np.random.default_rng(1)
    shapes = {"stem_w": (3, 32), "up_w": (32, 64), "down_w": (64, 32), "head_w": (32, 32)}
    values = {name: random.normal(size=shape) / 100 for name, shape in shapes.items()}
    values["up_b"] = np.full(64, bias)
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value.astype(np.float32), name)
        for name, value in values.items()
    )
    onnx.save(model, str(path))
    return path


def quantizer(path: Path, target: str, base: str | None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(path.parent / "cache"))
    options = CalibrateOptions("int8", "none", target=target, base=base)
    return Quantizer.measure(load_graph(path), options, BLACK, key="black")


@pytest.mark.parametrize(
    ("target", "base"), [("tensorrt", "fp32"), ("tensorrt", "fp16"), ("cpu", None)]
)
def test_what_reads_only_zeros_stays_in_float_and_answers_other_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, base: str | None
) -> None:
    path = network(tmp_path / "model.onnx", bias=1.0)
    made = quantizer(path, target, base, monkeypatch)
    assert made.candidates.excluded["blocks.0.up/MatMul"] == "zero range"
    assert made.candidates.nodes == ("blocks.0.down/MatMul",)
    model, _ = made.make(tuple(made.candidates.blocks), base=base or "fp32")
    new = tmp_path / "new.onnx"
    save_graph(model, new, data="new.onnx.data")
    onnx.checker.check_model(str(new), full_check=True)
    products = {node.name: node for node in model.graph if node.op_type == "MatMul"}
    assert products["blocks.0.down/MatMul"].inputs[0].producer().op_type == "DequantizeLinear"
    makers = [value.producer() for value in products["blocks.0.up/MatMul"].inputs]
    assert "DequantizeLinear" not in {maker.op_type for maker in makers if maker is not None}
    for frame in (BLACK[0], BRIGHT):
        answer = run(new, frame)
        assert np.isfinite(answer).all()
    assert np.allclose(run(new, BLACK[0]), run(path, BLACK[0]), atol=1e-2)


def run(path: Path, frame: Any) -> Any:  # noqa: ANN401
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"frame": frame[None]})[0]


def test_nothing_but_zeros_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = network(tmp_path / "model.onnx", bias=-1.0)
    with pytest.raises(ArtifactError, match="always zero"):
        quantizer(path, "tensorrt", None, monkeypatch)


@pytest.mark.parametrize("look", [extremes, samples])
def test_a_tensor_is_looked_at_before_the_next_one_is_made(tmp_path: Path, look: Look) -> None:
    """Looked at in the end, all tensors of a graph would be in memory at once."""
    path = network(tmp_path / "model.onnx", bias=1.0)
    probe = TensorProbe(load_graph(path), ["stem", "hidden", "down"], look=look)
    made = {node.name: node.outputs[0].name for node in probe.model.graph}
    order = [made[n].split("/")[1] if made[n].startswith("probe/") else n for n in made]
    places = [order.index(name) for name in ("stem", "hidden", "down")]
    makers = [
        order.index(name) for name in ("stem/MatMul", "blocks.0/Relu", "blocks.0.down/MatMul")
    ]
    assert places == [place + 1 for place in makers]
    assert order[-1] == "head/MatMul"
    found = dict(probe.run(BRIGHT))
    assert set(found) == {"stem", "hidden", "down"}
    assert found["hidden"].min() >= 0
