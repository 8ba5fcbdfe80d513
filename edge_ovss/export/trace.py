"""From a torch module to an ONNX model in memory."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from edge_ovss._optional import require
from edge_ovss.graph.passes import apply_passes

# The newest opset that TensorRT 10.3 parses; it has Gelu as one operator.
OPSET = 20


def trace(
    graph: nn.Module, frame: Tensor, *, outputs: tuple[str, ...], metadata: dict[str, str]
) -> Any:  # noqa: ANN401
    """Export a frozen graph.

    Args:
        graph: Module from `frame` to the outputs, in eval mode.
        frame: uint8 [1, H, W, 3], an example; H and W become free.
        outputs: Names of what the module returns, in order.
        metadata: Key-value pairs for the model's metadata.

    Returns:
        An `onnx_ir.Model` with `frame` as its input and weights in memory.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    require("onnxscript", extra="export")
    sides = {1: torch.export.Dim("H", min=1), 2: torch.export.Dim("W", min=1)}
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            graph,
            (frame,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame"],
            output_names=list(outputs),
            dynamic_shapes={"frame": sides},
            verbose=False,
        )
    if program is None:
        message = "torch.onnx.export returned nothing"
        raise RuntimeError(message)
    model = program.model
    apply_passes(model)
    model.producer_name, model.producer_version = "edge-ovss", metadata["edge_ovss.version"]
    model.graph.name = "edge_ovss"
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # The exporter reports on its own insides, by warnings, by logging and by print: a user can
    # do nothing about any of it, and its answer is compared with torch afterwards anyway.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
