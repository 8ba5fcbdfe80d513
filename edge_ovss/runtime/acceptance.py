"""When an answer is as good as the reference answer of a bundle: the one place that says so.

The reference is what ONNX Runtime on a CPU gave for the same graph in the same precision. So what
is allowed here is another rounding, not the loss of the precision: that is measured against torch
(`edge_ovss.evaluation.tolerances`) and on labelled pictures. FP32 differs between devices in its
last digits only, and must give the same categories. In FP16 and INT8 a rounding may change which of
two categories that hardly matter survives, and how many wanted to; what such a change does to the
picture is held by the labels. The C++ library has the same rule (runtime/src/selftest.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.runtime.manifest import Manifest
from edge_ovss.runtime.result import Result

MIN_LABEL_AGREEMENT = {"fp32": 0.999, "fp16": 0.995, "bf16": 0.97, "int8": 0.98}
"""Least share of equal labels by precision; exporters write it into the manifest."""

EXACT = "fp32"
"""The precision in which the same categories must survive."""


@dataclass(frozen=True)
class Reference:
    """A frame and its answer: uint8 [H, W, 3], labels [H, W], ids int32 [n], counts int32 [3]."""

    frame: NDArray[np.uint8]
    labels: NDArray[Any]
    alive: NDArray[np.int32]
    counts: NDArray[np.int32]


@dataclass(frozen=True)
class Rule:
    """What is asked of an answer.

    Attributes:
        min_agreement: Least share of equal labels.
        same_survivors: Whether the same categories must survive, and the counts be equal.
    """

    min_agreement: float
    same_survivors: bool


@dataclass(frozen=True)
class Verdict:
    """A comparison with the reference answer.

    Attributes:
        rule: What was asked.
        agreement: Share of equal labels, 0 to 1.
        same_alive: Whether the surviving categories are the same set.
        same_counts: Whether the counts are equal.
    """

    rule: Rule
    agreement: float
    same_alive: bool
    same_counts: bool

    def __bool__(self) -> bool:
        survivors = (self.same_alive and self.same_counts) or not self.rule.same_survivors
        return self.agreement >= self.rule.min_agreement and survivors


def rule_for(manifest: Manifest, backend: str = "") -> Rule:
    """Return the rule of a bundle.

    Args:
        manifest: Of the bundle.
        backend: One that computes an FP32 graph in less says so at the end of its name, as
            "openvino-bf16" does.
    """
    own = backend.rpartition("-")[2]
    least = manifest.reference.min_label_agreement
    if manifest.precision == EXACT and own in MIN_LABEL_AGREEMENT:
        return Rule(min(least, MIN_LABEL_AGREEMENT[own]), same_survivors=own == EXACT)
    return Rule(least, same_survivors=manifest.precision == EXACT)


def judge(result: Result, reference: Reference, rule: Rule) -> Verdict:
    """Compare an answer with the reference; labels must be of one size."""
    return Verdict(
        rule=rule,
        agreement=float(np.mean(result.labels == reference.labels)),
        same_alive=set(result.alive.tolist()) == set(reference.alive.tolist()),
        same_counts=result.counts.tolist() == reference.counts.tolist(),
    )
