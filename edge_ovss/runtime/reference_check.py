"""When an answer is as good as the reference answer of a bundle: the one place that says so.

The reference is what torch, or for a precision below FP32 ONNX Runtime on a CPU, gave for the same
graph. So what is allowed here is another rounding, not the loss of the precision: that is measured
against torch (`edge_ovss.parity.tolerances`) and on labelled pictures. A label counts where the
reference is decided (`edge_ovss.bundle.decisive`). FP32 differs between devices in its last digits
only, and must give the same categories. In FP16 and INT8 a rounding may change which of two
categories that hardly matter survives, and how many wanted to; what such a change does to the
picture is held by the labels. What is asked stands here and not in the bundle: a manifest may ask
for more, never for less. The C++ library has the same rule (runtime/src/acceptance.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import tolerance_of
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.runtime.result import Result

MIN_LABEL_AGREEMENT = {"fp32": 0.999, "fp16": 0.995, "bf16": 0.97, "int8": 0.98}
"""Least share of equal labels, of those that count, by precision; manifests repeat it."""

EXACT = "fp32"
"""The precision in which the same categories must survive."""


@dataclass(frozen=True)
class Reference:
    """A frame and its answer.

    Attributes:
        frame: uint8 [H, W, 3].
        labels: [H, W].
        alive: int32 [n].
        counts: int32 [3].
        lead: [H, W] in [0, 1], by how much the label leads; None where it is not known, as in
            bundles of versions before it: then every label counts.
    """

    frame: NDArray[np.uint8]
    labels: NDArray[Any]
    alive: NDArray[np.int32]
    counts: NDArray[np.int32]
    lead: NDArray[Any] | None = None


@dataclass(frozen=True)
class Rule:
    """What is asked of an answer.

    Attributes:
        min_agreement: Least share of equal labels among those that count.
        same_survivors: Whether the same categories must survive, and the counts be equal.
        precision: In which the answer is computed; tells which labels count.
    """

    min_agreement: float
    same_survivors: bool
    precision: str = EXACT


@dataclass(frozen=True)
class Verdict:
    """A comparison with the reference answer.

    Attributes:
        rule: What was asked.
        agreement: Share of equal labels among those that count, 0 to 1; 1 where none does.
        same_alive: Whether the surviving categories are the same set.
        same_counts: Whether the counts are equal.
        undecided: Share of pixels whose label does not count; None where that is not known.
    """

    rule: Rule
    agreement: float
    same_alive: bool
    same_counts: bool
    undecided: float | None = None

    @property
    def survivors_count(self) -> bool:
        """Whether the survivors must be the same; where no label counts they are all there is."""
        return self.rule.same_survivors or self.undecided == 1.0

    def __bool__(self) -> bool:
        survivors = (self.same_alive and self.same_counts) or not self.survivors_count
        return self.agreement >= self.rule.min_agreement and survivors


def rule_for(manifest: Manifest, backend: str = "") -> Rule:
    """Return the rule of a bundle.

    Args:
        manifest: Of the bundle. It may ask for more than the code does, not for less; in a
            precision that is not known it is held to what FP32 is.
        backend: One that computes an FP32 graph in less says so at the end of its name, as
            "openvino-bf16" does.
    """
    own = backend.rpartition("-")[2]
    known = manifest.precision if manifest.precision in MIN_LABEL_AGREEMENT else EXACT
    if known == EXACT and own in MIN_LABEL_AGREEMENT and own != EXACT:
        return Rule(MIN_LABEL_AGREEMENT[own], same_survivors=False, precision=own)
    least = max(MIN_LABEL_AGREEMENT[known], manifest.reference.min_label_agreement)
    return Rule(least, same_survivors=known == EXACT, precision=known)


def judge(result: Result, reference: Reference, rule: Rule) -> Verdict:
    """Compare an answer with the reference; labels must be of one size."""
    equal, lead = result.labels == reference.labels, reference.lead
    undecided = None
    if lead is not None:
        counts = lead > tolerance_of(lead, rule.precision)
        equal, undecided = equal[counts], 1.0 - float(np.mean(counts))
    return Verdict(
        rule=rule,
        agreement=float(np.mean(equal)) if equal.size else 1.0,
        same_alive=set(result.alive.tolist()) == set(reference.alive.tolist()),
        same_counts=result.counts.tolist() == reference.counts.tolist(),
        undecided=undecided,
    )
