"""The plain export in INT8 by NNCF, for OpenVINO: as its guide says, and under accuracy control."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.calibration import read_images
from benchmarks.peers.programs import graph_path, note_path
from benchmarks.peers.wish import Wish
from edge_ovss._optional import require

MAX_DROP = 0.01
"""Share of labels that accuracy control may change."""

CONTROL_MINUTES = 10.0
"""After so long accuracy control takes what it has. For every operation that could go back to FP32
(130 in sed-tiny) it compiles and runs a graph, and again for all of them after each step that made
the labels worse."""

RANKED_ON = 1
"""Images that it ranks operations on."""


def quantized(folder: Path) -> None:
    """Write the graph of `nncf.quantize` with its own defaults."""
    nncf, openvino = require("nncf", extra="bench"), require("openvino", extra="openvino")
    images = read_images(folder)
    model = openvino.Core().read_model(str(graph_path(folder, "plain")))
    found = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    openvino.save_model(found, str(graph_path(folder, "nncf")), compress_to_fp16=False)


def controlled(folder: Path, *, minutes: float = CONTROL_MINUTES) -> None:
    """Write the graph of `nncf.quantize_with_accuracy_control`.

    It goes back to FP32, operation by operation, until at most `MAX_DROP` of the labels at the
    network's own resolution differ from those of the graph in FP32, or the time is up.

    Args:
        folder: Of the race.
        minutes: What it may take; a note says where it has taken what it had.
    """
    nncf, openvino = require("nncf", extra="bench"), require("openvino", extra="openvino")
    images = read_images(folder)
    core = openvino.Core()
    model = core.read_model(str(graph_path(folder, "plain")))
    checked = images[: Wish.of(folder).checked]
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pairs = [(image, _labels(compiled, image)) for image in checked]
    check = BoundedCheck(minutes)
    found = nncf.quantize_with_accuracy_control(
        model,
        calibration_dataset=nncf.Dataset(images),
        validation_dataset=nncf.Dataset(pairs, lambda pair: pair[0]),
        validation_fn=check,
        subset_size=len(images),
        max_drop=MAX_DROP,
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
            ranking_subset_size=RANKED_ON
        ),
    )
    openvino.save_model(found, str(graph_path(folder, "nncf-control")), compress_to_fp16=False)
    if check.note is not None:
        note_path(folder, "nncf-control").write_text(check.note)


class BoundedCheck:
    """Checks labels until the time is up, and then is content with everything.

    That ends NNCF's search, which has no limit of its own.

    Args:
        minutes: From now on.

    Attributes:
        note: Why it ended, for the table; None if the search has ended by itself.
    """

    def __init__(self, minutes: float) -> None:
        self.note: str | None = None
        self._minutes, self._end = minutes, time.monotonic() + 60 * minutes
        self._checks = 0

    def __call__(
        self,
        compiled: Any,  # noqa: ANN401 (a model of OpenVINO)
        pairs: Iterable[tuple[NDArray[np.float32], NDArray[Any]]],
    ) -> tuple[float, list[float]]:
        """Return what `agreement` does; 1 once the time is up."""
        if time.monotonic() < self._end:
            self._checks += 1
            return agreement(compiled, pairs)
        self.note = f"stopped after {self._minutes:g} minutes and {self._checks} checks"
        shares = [1.0 for _ in pairs]
        return 1.0, shares


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
