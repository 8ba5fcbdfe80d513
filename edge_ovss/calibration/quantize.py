"""FP32 graph → Q/DQ graph, by ONNX Runtime's quantizer with the settings that a target takes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ovss._optional import require
from edge_ovss.calibration.blocks import Candidates
from edge_ovss.calibration.histograms import Range
from edge_ovss.errors import UsageError
from edge_ovss.graph.model import prepare
from edge_ovss.graph.walk import activations, float_outputs

if TYPE_CHECKING:
    import onnx_ir as ir

_OPERATORS = ("Conv", "MatMul", "Gemm")
# Output channel of a weight by operator; Gemm is written with transB = 1 by the exporter.
_AXES = {"Conv": 0, "MatMul": 1, "Gemm": 0}


@dataclass(frozen=True)
class Target:
    """How a runtime wants Q/DQ.

    Attributes:
        name: Value of --target.
        symmetric: Whether activations are int8 around 0; otherwise uint8 with a zero point.
        quantized_outputs: Operators whose output is quantized as well.
        integer_bias: Whether biases become int32.
        about: One line for people.
    """

    name: str
    symmetric: bool
    quantized_outputs: tuple[str, ...]
    integer_bias: bool
    about: str


TARGETS = {
    target.name: target
    for target in (
        Target(
            "tensorrt",
            symmetric=True,
            quantized_outputs=(),
            integer_bias=False,
            about="symmetric int8, per-channel weights, biases and outputs in float",
        ),
        Target(
            "cpu",
            symmetric=False,
            quantized_outputs=("Conv",),
            integer_bias=True,
            about="uint8 activations, per-channel int8 weights (ONNX Runtime with VNNI or AMX)",
        ),
    )
}


def find_target(name: str) -> Target:
    """Return a target by name.

    Raises:
        UsageError: There is none.
    """
    if name not in TARGETS:
        message = f"Target '{name}' is unknown; expected one of: {', '.join(TARGETS)}."
        raise UsageError(message)
    return TARGETS[name]


def range_tensors(model: ir.Model, candidates: Candidates) -> list[str]:
    """Return the tensors whose ranges the quantizer needs: inputs and outputs of candidates."""
    wanted = set(candidates.nodes)
    found: dict[str, None] = {}
    for node in model.graph:
        if node.name in wanted:
            near = (*activations(node), *float_outputs(node))
            found.update(dict.fromkeys(str(value.name) for value in near))
    return list(found)


def zero_range_nodes(
    model: ir.Model, candidates: Candidates, ranges: Mapping[str, Range]
) -> list[str]:
    """Return the candidates that read nothing but zeros: they have no scale."""
    wanted = set(candidates.nodes)
    return [
        str(node.name)
        for node in model.graph
        if node.name in wanted
        and any(ranges[value.name] == (0.0, 0.0) for value in activations(node))
    ]


def quantize(
    model: ir.Model, nodes: Sequence[str], ranges: Mapping[str, Range], target: Target
) -> ir.Model:
    """Return a copy of a graph with Q/DQ around products.

    Args:
        model: A float32 graph.
        nodes: Names of the nodes to quantize.
        ranges: (lowest, highest) by tensor.
        target: The runtime's rules.
    """
    ir = require("onnx_ir", extra="export")
    copy = model.clone()
    if not nodes:
        return copy
    quantizer = require("onnxruntime.quantization.qdq_quantizer", extra="export")
    kinds = require("onnxruntime.quantization", extra="export").QuantType
    with _quiet():
        worker = quantizer.QDQQuantizer(
            # It takes protobuf only, with the weights in it.
            ir.to_proto(ir.external_data.load_to_model(copy)),
            per_channel=True,
            reduce_range=False,
            weight_qType=kinds.QInt8,
            activation_qType=kinds.QInt8 if target.symmetric else kinds.QUInt8,
            tensors_range=_tensors_range(ranges),
            nodes_to_quantize=list(nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=list(_OPERATORS),
            extra_options={
                "ActivationSymmetric": target.symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": target.integer_bias,
                "AddQDQPairToWeight": False,
                "DedicatedQDQPair": False,
                "OpTypesToExcludeOutputQuantization": [
                    kind for kind in _OPERATORS if kind not in target.quantized_outputs
                ],
                "QDQOpTypePerChannelSupportToAxis": dict(_AXES),
            },
        )
        worker.quantize_model()
    return prepare(ir.from_proto(worker.model.model))


def _tensors_range(ranges: Mapping[str, Range]) -> Any:  # noqa: ANN401 (a class of onnxruntime)
    calibrate = require("onnxruntime.quantization.calibrate", extra="export")
    data = {
        name: calibrate.TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    return calibrate.TensorsData(calibrate.CalibrationMethod.MinMax, data)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # Through the root logger, it recommends a preprocessing that the exporter has already done.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
