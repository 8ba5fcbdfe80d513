"""Open-vocabulary segmentation on the edge: freeze a vocabulary, export, quantize, prove, run.

Importing this package needs only numpy. The names below are imported when they are first used:
`Segmenter`, `Bundle`, `Vocabulary`, `evaluate` and `benchmark` never need torch; `load_model`,
`export_bundle` and `calibrate_bundle` need the extra `export`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_ovss._lazy import lazy_names
from edge_ovss._version import VERSION as __version__
from edge_ovss.errors import EdgeOvssError

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.calibration.calibrate import calibrate_bundle
    from edge_ovss.evaluation.benchmark import benchmark
    from edge_ovss.evaluation.evaluate import evaluate
    from edge_ovss.export.bundle_export import export_bundle
    from edge_ovss.models.registry import load_model
    from edge_ovss.runtime.segmenter import Segmenter
    from edge_ovss.vocabulary.vocabulary import Vocabulary

_LAZY = {
    "Bundle": "edge_ovss.bundle.reader",
    "Segmenter": "edge_ovss.runtime.segmenter",
    "Vocabulary": "edge_ovss.vocabulary.vocabulary",
    "benchmark": "edge_ovss.evaluation.benchmark",
    "calibrate_bundle": "edge_ovss.calibration.calibrate",
    "evaluate": "edge_ovss.evaluation.evaluate",
    "export_bundle": "edge_ovss.export.bundle_export",
    "load_model": "edge_ovss.models.registry",
}

__all__ = [
    "Bundle",
    "EdgeOvssError",
    "Segmenter",
    "Vocabulary",
    "__version__",
    "benchmark",
    "calibrate_bundle",
    "evaluate",
    "export_bundle",
    "load_model",
]

# Else ONNX Runtime from 1.31 on reports its use over the network. It reads this when imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
