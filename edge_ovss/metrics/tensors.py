"""Compare two tensors that should be equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class TensorComparison:
    """Differences between a tensor and the expected one.

    Attributes:
        max_error: Largest absolute difference; infinite if a value is not finite.
        relative_l2: ‖given − expected‖ / ‖expected‖, with an optional floor for the denominator;
            infinite if a value is not finite.
        cosine: Cosine of the angle between the two; 0 if a value is not finite.
        finite: Whether all given values are finite.
    """

    max_error: float
    relative_l2: float
    cosine: float
    finite: bool

    def to_json(self) -> dict[str, object]:
        """Return the numbers as a JSON object; infinity, which JSON lacks, becomes None."""
        return {k: None if v in (float("inf"),) else v for k, v in asdict(self).items()}


def compare_tensors(
    given: NDArray[Any], expected: NDArray[Any], *, floor: float = 0.0
) -> TensorComparison:
    """Compare two tensors of the same shape, in float64.

    Args:
        given: Any shape.
        expected: The same shape.
        floor: Least root mean square of `expected` to divide by: rounding errors are not relative
            to scores near zero.
    """
    first, second = given.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    if not np.isfinite(first).all():
        infinite = float("inf")
        return TensorComparison(infinite, infinite, 0.0, finite=False)
    difference = first - second
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    both_zero = max(norms) <= _TINY
    least = max(floor * float(np.sqrt(second.size)), _TINY)
    return TensorComparison(
        max_error=float(np.abs(difference).max(initial=0.0)),
        relative_l2=float(np.linalg.norm(difference)) / max(norms[1], least),
        cosine=1.0 if both_zero else float(first @ second) / max(norms[0] * norms[1], _TINY),
        finite=True,
    )


def compare_layouts(given: NDArray[Any], expected: NDArray[Any]) -> TensorComparison | None:
    """Compare two tensors whose axes may be ordered differently; None if no order fits.

    An exporter may move a transpose across the end of a block: the closest order counts.
    """
    if given.size != expected.size or not given.size:
        return None
    if given.ndim != expected.ndim:
        return compare_tensors(given, expected) if _squeezed(given) == _squeezed(expected) else None
    orders = [
        order
        for order in permutations(range(given.ndim))
        if tuple(given.shape[axis] for axis in order) == expected.shape
    ]
    found = (compare_tensors(given.transpose(order), expected) for order in orders)
    return min(found, key=lambda comparison: comparison.relative_l2, default=None)


def _squeezed(array: NDArray[Any]) -> tuple[int, ...]:
    return tuple(side for side in array.shape if side != 1)
