"""How far a backend may be from torch in FP32, by precision: the one place that says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from edge_ovss.errors import UsageError


@dataclass(frozen=True)
class Tolerance:
    """Limits of a comparison with torch.

    Attributes:
        label_agreement: Least share of equal labels over all pixels.
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


TOLERANCES: dict[str, Tolerance] = {
    # What the published reference answers are held to as well.
    "fp32": Tolerance(0.999, 1e-3, 1e-3, same_survivors=True),
    # Half precision may flip a rank among categories that hardly matter.
    "fp16": Tolerance(0.995, 2e-2, 5e-2, same_survivors=False),
    "bf16": Tolerance(0.97, 1e-1, 2e-1, same_survivors=False),
    # Labels alone say little about INT8: it is held by its loss of mIoU (--gate miou_drop<=1).
    "int8": Tolerance(0.95, 3e-1, 5e-1, same_survivors=False),
}


def tolerance_for(precision: str, backend: str = "") -> Tolerance:
    """Return the tolerance of a precision; "int8-cpu" and the like count by their first word.

    Args:
        precision: Of the graph.
        backend: One that computes an FP32 graph in less says so at the end of its name, as
            "openvino-bf16" does.

    Raises:
        UsageError: The precision is unknown.
    """
    own = backend.rpartition("-")[2]
    if precision == "fp32" and own in TOLERANCES:
        return TOLERANCES[own]
    first = precision.lower().replace("_", "-").split("-")[0].split("+")[0]
    if first not in TOLERANCES:
        message = f"There is no tolerance for precision '{precision}'."
        raise UsageError(message, hint=f"Known: {', '.join(TOLERANCES)}.")
    return TOLERANCES[first]
