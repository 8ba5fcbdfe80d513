"""How far a right backend may be off, by the precision in which it computes: the only table.

Two comparisons are made. With the reference answer of its own bundle, a graph differs in rounding
only: what its precision costs is in that answer already. With torch in FP32 it differs by that cost
too. The C++ library has the limits of the first (runtime/src/acceptance.cpp).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from edge_ovss.errors import UsageError

EXACT = "fp32"
"""The precision in which the same categories must survive."""


@dataclass(frozen=True)
class Tolerance:
    """Limits of a comparison with torch.

    Attributes:
        label_agreement: Least share of equal labels, of those that count.
        score_error: Largest relative L2 error of the scores of a frame.
        block_error: Relative L2 error above which a block counts as departed, when a failure is
            traced; looser than the scores', because errors inside may cancel out.
        same_survivors: Whether the same categories must survive the rejection.
    """

    label_agreement: float
    score_error: float
    block_error: float
    same_survivors: bool

    def to_json(self) -> dict[str, object]:
        """Return the limits as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Limits:
    """Limits of one precision.

    Attributes:
        reference_agreement: Least share of labels equal to those of the reference answer, of those
            that count; manifests repeat it.
        lead: Largest lead of the best score that is rounding (`bundle.decisive`).
        torch: Limits of a comparison with torch.
    """

    reference_agreement: float
    lead: float
    torch: Tolerance


LIMITS: dict[str, Limits] = {
    # What the published answers are compared with as well; scores may differ by the lead.
    "fp32": Limits(0.999, 1e-3, Tolerance(0.999, 1e-3, 1e-3, same_survivors=True)),
    # FP16 keeps 11 bits of logits of up to 16: half a per cent of a score for every rounding,
    # either way. It may flip a rank among categories that hardly matter.
    "fp16": Limits(0.995, 2e-2, Tolerance(0.995, 2e-2, 5e-2, same_survivors=False)),
    # BF16 keeps 8 bits, and INT8 no more.
    "bf16": Limits(0.97, 1e-1, Tolerance(0.97, 1e-1, 2e-1, same_survivors=False)),
    # Labels alone say little about INT8: its loss of mIoU decides (--gate miou_drop<=1).
    "int8": Limits(0.98, 1e-1, Tolerance(0.95, 3e-1, 5e-1, same_survivors=False)),
}


def tolerance_for(precision: str) -> Tolerance:
    """Return the limits against torch; "int8-cpu" and the like count by their first word.

    Args:
        precision: In which the labels are computed, see `Segmenter.precision`.

    Raises:
        UsageError: The precision is unknown.
    """
    first = precision.lower().replace("_", "-").split("-")[0].split("+")[0]
    if first not in LIMITS:
        message = f"There is no tolerance for precision '{precision}'."
        raise UsageError(message, hint=f"Known: {', '.join(LIMITS)}.")
    return LIMITS[first].torch
