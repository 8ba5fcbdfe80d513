"""A bootstrap interval over images for a change of mIoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError
from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.miou import require_protocol
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL

ROUNDS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Change:
    """A change of mIoU in percentage points, with its interval.

    Attributes:
        points: The change over all images; negative is a loss.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Share of resampled data sets whose change is inside.
        rounds: Number of resamplings.
        pictures: Number of images.
    """

    points: float
    low: float
    high: float
    level: float
    rounds: int
    pictures: int

    def to_json(self) -> dict[str, object]:
        """Return the change as a JSON object."""
        return asdict(self)


def miou_change(
    before: Sequence[Confusion],
    after: Sequence[Confusion],
    *,
    protocol: str = DEFAULT_PROTOCOL,
    classes: int | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Change:
    """Compare two runs over the same images; every resampling is applied to both runs.

    Args:
        before: Confusion matrices by image, int64 [K, K] or, with "unknown", [K + 1, K + 1].
        after: Confusion matrices of the same images in the same order.
        protocol: Protocol of the mean.
        classes: K, so that "unknown" is in no mean; None for all rows.
        rounds: Number of resamplings; at least 1.
        seed: Seed of the resampling.

    Raises:
        InputError: There are no images, or the two numbers differ.
        UsageError: There is no such protocol.
    """
    require_protocol(protocol)
    if not before or len(before) != len(after):
        message = f"{len(before)} images are compared with {len(after)}; expected the same images."
        raise InputError(message)
    first, second = _counts(before, classes), _counts(after, classes)
    count = len(before)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=rounds)
    everything = np.ones((1, count), np.int64)
    points = _mious(second, everything, protocol) - _mious(first, everything, protocol)
    changes = _mious(second, draws, protocol) - _mious(first, draws, protocol)
    low, high = np.quantile(changes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Change(float(points[0]), low, high, LEVEL, rounds, count)


def _counts(matrices: Sequence[Confusion], classes: int | None) -> NDArray[np.int64]:
    """Return true, predicted and correct pixels by image and category, int64 [3, images, K]."""
    rows = [(m.sum(1), m.sum(0), np.diagonal(m)) for m in matrices]
    counts: NDArray[np.int64] = np.asarray(rows, np.int64).transpose(1, 0, 2)
    return counts[..., :classes]


def _mious(
    counts: NDArray[np.int64], draws: NDArray[np.int64], protocol: str
) -> NDArray[np.float64]:
    """Return the mIoU of every draw in percent, float64 [rounds]; `draws` are weights of images."""
    truth, predicted, right = (draws @ part for part in counts)
    union = truth + predicted - right
    iou = np.divide(right, union, out=np.zeros(union.shape), where=union > 0)
    present = truth > 0
    counted = present if protocol == "d2-main" else union > 0
    # A draw may have no labeled pixel: its mean is 0 in both runs, and so is its change.
    means: NDArray[np.float64] = (iou * present).sum(1) / np.maximum(counted.sum(1), 1)
    return 100 * means
