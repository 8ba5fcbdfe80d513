"""Which products may become INT8: how small, how grouped, and in which block."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from edge_ovss.calibration.blocks import find_candidates  # noqa: E402
from edge_ovss.graph.model import prepare  # noqa: E402

MIDDLE = "blocks.0.mid/Conv"


def chain(
    inputs: int, outputs: int, *, group: int = 1, name: str = MIDDLE, similar: str = ""
) -> Any:  # noqa: ANN401
    """A stem, a convolution of 3x3 in the middle, and a head."""
    before = {
        "": "b = Identity (a)",
        "norm": "n = ReduceL2 <keepdims: int = 1> (a, axis)\n b = Div (a, n)",
        "no division": "n = ReduceL2 <keepdims: int = 1> (a, axis)\n b = Mul (a, n)",
        "no norm": "n = ReduceSum <keepdims: int = 1> (a, axis)\n b = Div (a, n)",
    }[similar]
    text = f"""
    <ir_version: 10, opset_import: ["" : 20]>
    tiny (uint8[1, 8, 8, 3] frame) => (float[1, 16, 8, 8] scores)
    <float[{inputs}, 3, 1, 1] stem, float[{outputs}, {inputs // group}, 3, 3] mid,
     float[16, {outputs}, 1, 1] head, int64[1] axis>
    {{
      whole = Cast <to: int = 1> (frame)
      planes = Transpose <perm: ints = [0, 3, 1, 2]> (whole)
      a = Conv (planes, stem)
      {before}
      c = Conv <pads: ints = [1, 1, 1, 1], group: int = {group}> (b, mid)
      d = Relu (c)
      scores = Conv (d, head)
    }}
    """
    model = onnx.parser.parse_model(text)
    shapes = {"stem": (inputs, 3, 1, 1), "mid": (outputs, inputs // group, 3, 3)}
    shapes |= {"head": (16, outputs, 1, 1)}
    values = {key: np.ones(shape, np.float32) for key, shape in shapes.items()}
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), key)
        for key, value in {**values, "axis": np.array([1], np.int64)}.items()
    )
    for node in model.graph.node:
        node.name = name if "mid" in node.input else f"{node.output[0]}/{node.op_type}"
    return prepare(ir.from_proto(model))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [(16, 16, None), (15, 16, "small"), (16, 15, "small"), (3, 64, "small"), (64, 32, None)],
)
def test_products_of_fewer_than_16_channels_stay_in_float(
    inputs: int, outputs: int, reason: str | None
) -> None:
    found = find_candidates(chain(inputs, outputs))
    assert found.excluded.get(MIDDLE) == reason
    assert found.nodes == ((MIDDLE,) if reason is None else ())


@pytest.mark.parametrize("group", [2, 16, 32])
def test_a_convolution_of_groups_counts_as_depthwise(group: int) -> None:
    assert find_candidates(chain(32, 32, group=group)).excluded[MIDDLE] == "depthwise"


@pytest.mark.parametrize(
    ("similar", "reason"), [("norm", "similarity"), ("no division", None), ("no norm", None)]
)
def test_what_reads_unit_vectors_compares_and_stays_in_float(
    similar: str, reason: str | None
) -> None:
    assert find_candidates(chain(32, 32, similar=similar)).excluded.get(MIDDLE) == reason


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("backbone.stages.1.blocks.7.mlp.fc1/MatMul", "backbone.stages.1.blocks.7"),
        ("clip.transformer.resblocks.11.attn/MatMul", "clip.transformer.resblocks.11"),
        ("decoder.layers.2.attention.q/MatMul", "decoder.layers.2.attention"),
        ("decoder.layers.2.0/Conv", "decoder.layers.2"),
        ("backbone.stages.3.downsample.1/Conv", "backbone.stages.3.downsample"),
        ("decoder.guidance.1.0/Conv", "decoder.guidance.1"),
        ("decoder.conv1/Conv", "decoder.conv1"),
    ],
)
def test_a_block_is_named_after_its_place_in_the_network(name: str, block: str) -> None:
    assert find_candidates(chain(32, 32, name=name)).blocks == {block: (name,)}


def test_stem_and_head_stay_in_float_however_many_channels_they_have() -> None:
    found = find_candidates(chain(32, 32))
    assert found.excluded == {"a/Conv": "stem", "scores/Conv": "head"}
    assert not re.search("stem|head", " ".join(found.nodes))
