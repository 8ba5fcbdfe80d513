"""Measure a bundle: mIoU on data sets, latency, cold start, and gates on the results."""

from edge_ovss.datasets.dataset import Dataset, LabelRule, Sample
from edge_ovss.datasets.layouts import LAYOUTS, Layout
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from edge_ovss.evaluation.gates import Gate, Verdict, check_gates, parse_gates, require_passed
from edge_ovss.metrics.miou import Scores, score_confusion
from edge_ovss.metrics.reported import PROTOCOLS

__all__ = [
    "LAYOUTS",
    "PROTOCOLS",
    "Dataset",
    "Evaluation",
    "EvaluationOptions",
    "Gate",
    "LabelRule",
    "Layout",
    "Sample",
    "Scores",
    "Verdict",
    "check_gates",
    "evaluate",
    "open_dataset",
    "parse_gates",
    "require_passed",
    "score_confusion",
]
