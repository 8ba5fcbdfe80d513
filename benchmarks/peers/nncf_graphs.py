"""The plain export in INT8 by NNCF, for OpenVINO: as its guide says, and under accuracy control."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.calibration import read_images
from benchmarks.peers.programs import graph_path
from benchmarks.peers.wish import Wish
from edge_ovss._optional import require

MAX_DROP = 0.01
"""Share of labels that accuracy control may change."""


def quantized(folder: Path) -> None:
    """Write the graph of `nncf.quantize` with its own defaults."""
    nncf, openvino = require("nncf", extra="bench"), require("openvino", extra="openvino")
    images = read_images(folder)
    model = openvino.Core().read_model(str(graph_path(folder, "plain")))
    found = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    openvino.save_model(found, str(graph_path(folder, "nncf")), compress_to_fp16=False)


def controlled(folder: Path) -> None:
    """Write the graph of `nncf.quantize_with_accuracy_control`.

    It goes back to FP32, operation by operation, until at most `MAX_DROP` of the labels at the
    network's own resolution differ from those of the graph in FP32.
    """
    nncf, openvino = require("nncf", extra="bench"), require("openvino", extra="openvino")
    images = read_images(folder)
    core = openvino.Core()
    model = core.read_model(str(graph_path(folder, "plain")))
    checked = images[: Wish.of(folder).checked]
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pairs = [(image, _labels(compiled, image)) for image in checked]
    found = nncf.quantize_with_accuracy_control(
        model,
        calibration_dataset=nncf.Dataset(images),
        validation_dataset=nncf.Dataset(pairs, lambda pair: pair[0]),
        validation_fn=agreement,
        subset_size=len(images),
        max_drop=MAX_DROP,
    )
    openvino.save_model(found, str(graph_path(folder, "nncf-control")), compress_to_fp16=False)


def agreement(
    compiled: Any,  # noqa: ANN401 (a model of OpenVINO)
    pairs: Iterable[tuple[NDArray[np.float32], NDArray[Any]]],
) -> tuple[float, list[float]]:
    """Return the share of equal labels, of 1, over all images and by image."""
    shares = [float(np.mean(_labels(compiled, image) == labels)) for image, labels in pairs]
    return float(np.mean(shares)), shares


def _labels(compiled: Any, image: NDArray[np.float32]) -> NDArray[Any]:  # noqa: ANN401
    labels: NDArray[Any] = np.asarray(compiled([image])[compiled.output(0)])[0].argmax(0)
    return labels
