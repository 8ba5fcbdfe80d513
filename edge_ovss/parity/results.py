"""The results of comparing bundles with torch, their numbers for gates, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.tolerances import Tolerance
from edge_ovss.metrics.bootstrap import Change, miou_change
from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.label_comparison import LabelComparison, Pair, join_pairs
from edge_ovss.metrics.miou import Scores, score_confusion
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL, PARITY
from edge_ovss.metrics.tensors import TensorComparison
from edge_ovss.parity.bisection import Bisection

Labels = NDArray[Any]

"""Numbers of a comparison that a gate may name."""


@dataclass(frozen=True)
class FrameParity:
    """One frame through torch and through a backend.

    Attributes:
        name: Name of the sample.
        size: (height, width) of the frame.
        labels: Comparison of the labels; torch is the reference.
        scores: Comparison of the scores; None if the bundle does not output them.
        same_survivors: Whether the same categories are alive, and the counts are equal.
        before: Confusion of torch with the truth; without a truth, of torch with itself.
        after: Confusion of the backend with the truth; without a truth, with torch.
    """

    name: str
    size: tuple[int, int]
    labels: LabelComparison
    scores: TensorComparison | None
    same_survivors: bool
    before: Confusion
    after: Confusion

    @property
    def pixels(self) -> int:
        """Number of pixels of the frame."""
        return self.size[0] * self.size[1]

    def to_json(self) -> dict[str, object]:
        """Return the frame as a JSON object, without the confusions."""
        return {
            "name": self.name,
            "height": self.size[0],
            "width": self.size[1],
            "label_agreement": self.labels.agreement,
            "undecided": 1 - self.labels.counted,
            "scores": None if self.scores is None else self.scores.to_json(),
            "same_survivors": self.same_survivors,
            "ties": [pair.to_json() for pair in self.labels.ties],
            "flips": [pair.to_json() for pair in self.labels.flips],
        }


@dataclass(frozen=True)
class Example:
    """A frame with both label maps, kept for a report: uint8 [H, W, 3], labels [H, W] twice."""

    name: str
    agreement: float
    frame: NDArray[np.uint8]
    torch: Labels
    backend: Labels


@dataclass(frozen=True)
class BackendParity:
    """A bundle on a backend, compared with torch.

    Attributes:
        bundle: Name of the bundle's folder.
        graph_sha256: Hash of the graph; a report shows only measurements of its own graph.
        precision: Precision of the graph.
        backend: Registered name of the backend.
        names: The K categories that are scored.
        truth: Whether the truth is the labels of the data set; else it is torch's labels.
        frames: One entry per sample.
        tolerance: The limits to meet.
        examples: The frames that agree least, the worst first.
        protocol: Protocol of the mean.
        bisection: Where a failure begins, if searched for.
        scope: Qualifier of every mIoU, as in `Alignment.scope`.
        left_out: Categories of the data set that are not scored.
        engines: sha256 of each plan that was there to run, by the name of its engine.
    """

    bundle: str
    graph_sha256: str
    precision: str
    backend: str
    names: tuple[str, ...]
    truth: bool
    frames: tuple[FrameParity, ...]
    tolerance: Tolerance
    examples: tuple[Example, ...] = ()
    protocol: str = DEFAULT_PROTOCOL
    bisection: Bisection | None = None
    scope: str = ""
    left_out: tuple[str, ...] = ()
    engines: Mapping[str, str] = field(default_factory=dict)

    @property
    def label_agreement(self) -> float:
        """Share of equal labels among the pixels that count, over all frames; 1 if none does."""
        counted = [frame.labels.counted * frame.pixels for frame in self.frames]
        if not sum(counted):
            return 1.0
        return float(np.average([f.labels.agreement for f in self.frames], weights=counted))

    @property
    def undecided(self) -> float:
        """Share of pixels that do not count, over all frames."""
        pixels = [frame.pixels for frame in self.frames]
        return 1.0 - float(np.average([f.labels.counted for f in self.frames], weights=pixels))

    def ties(self) -> tuple[Pair, ...]:
        """Return the ties of all frames, the most frequent first."""
        return join_pairs([(frame.pixels, frame.labels.ties) for frame in self.frames])

    def flips(self) -> tuple[Pair, ...]:
        """Return the flips of all frames, the most frequent first."""
        return join_pairs([(frame.pixels, frame.labels.flips) for frame in self.frames])

    def failures(self) -> tuple[str, ...]:
        """Return what exceeds the tolerance, in words; comparing nothing is a failure too."""
        if not self.frames:
            return ("nothing was compared",)
        found, limit = [], self.tolerance
        if not self.label_agreement >= limit.label_agreement:
            found.append(f"labels agree on {self.label_agreement:.6f} of the decided pixels, ")
            found[-1] += f"expected {limit.label_agreement}{_most_often(self.flips())}"
        elif self.undecided == 1.0 and not any(frame.scores for frame in self.frames):
            found.append("every label is undecided and there are no scores: nothing was compared")
        errors = [frame.scores.relative_l2 for frame in self.frames if frame.scores]
        if errors and not max(errors) <= limit.score_error:
            found.append(f"relative L2 of the scores is {max(errors):.3g}, ")
            found[-1] += f"expected at most {limit.score_error}"
        others = sum(not frame.same_survivors for frame in self.frames)
        if limit.same_survivors and others:
            found.append(f"different categories survive in {others} of {len(self.frames)} frames")
        return tuple(found)

    def __bool__(self) -> bool:
        return not self.failures()

    def scores(self) -> tuple[Scores, Scores]:
        """Return the scores of torch and of the backend."""
        before = np.stack([frame.before for frame in self.frames]).sum(0)
        after = np.stack([frame.after for frame in self.frames]).sum(0)
        return score_confusion(before, self.names), score_confusion(after, self.names)

    def change(self) -> Change:
        """Return the change of mIoU from torch to the backend, with its interval."""
        before = [frame.before for frame in self.frames]
        after = [frame.after for frame in self.frames]
        return miou_change(before, after, protocol=self.protocol, classes=len(self.names))

    def numbers(self) -> dict[str, float | None]:
        """Return the `PARITY`, for gates."""
        before, after = self.scores()
        change, tensors = self.change(), [frame.scores for frame in self.frames if frame.scores]
        drops = 100 * (before.iou - after.iou)[before.truth_pixels > 0]
        return {
            "frames": float(len(self.frames)),
            "label_agreement": self.label_agreement,
            "label_agreement_min": min(frame.labels.agreement for frame in self.frames),
            "undecided": self.undecided,
            "score_error": max((t.relative_l2 for t in tensors), default=None),
            "score_max_error": max((t.max_error for t in tensors), default=None),
            "score_cosine": min((t.cosine for t in tensors), default=None),
            "miou": 100 * after.miou(self.protocol),
            "miou_torch": 100 * before.miou(self.protocol),
            "miou_drop": -change.points,
            "miou_drop_high": -change.low,
            "worst_category_drop": float(drops.max()),
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but images as a JSON object."""
        before, after = self.scores()
        numbers = {k: v if v is None or np.isfinite(v) else None for k, v in self.numbers().items()}
        return {
            "bundle": self.bundle,
            "graph_sha256": self.graph_sha256,
            "precision": self.precision,
            "backend": self.backend,
            "engines": dict(self.engines),
            "passed": bool(self),
            "failures": list(self.failures()),
            "tolerance": self.tolerance.to_json(),
            "protocol": self.protocol,
            "truth": "labels of the data set" if self.truth else "labels of torch",
            "scope": self.scope.strip(),
            "categories_left_out": list(self.left_out),
            "numbers": numbers,
            "miou_change": self.change().to_json(),
            "ties": [pair.to_json() for pair in self.ties()],
            "flips": [pair.to_json() for pair in self.flips()],
            "by_category": _by_category(before, after),
            "frames": [frame.to_json() for frame in self.frames],
            "bisection": None if self.bisection is None else self.bisection.to_json(),
        }


def _most_often(flips: Sequence[Pair]) -> str:
    if not flips:
        return ""
    expected, given = flips[0].outputs
    return f", most often '{given}' for '{expected}'"


def _by_category(before: Scores, after: Scores) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for index, name in enumerate(before.names):
        torch, backend = 100 * float(before.iou[index]), 100 * float(after.iou[index])
        if before.truth_pixels[index] or not np.isnan(backend):
            known = not np.isnan(torch) and not np.isnan(backend)
            rows.append(
                {
                    "name": name,
                    "iou_torch": None if np.isnan(torch) else torch,
                    "iou": None if np.isnan(backend) else backend,
                    "change": backend - torch if known else None,
                }
            )
    return rows


def numbers_of_all(parities: Sequence[BackendParity]) -> dict[str, float | None]:
    """Return the worst value of every number over several backends, for gates; None if unknown."""
    worst: dict[str, float | None] = {}
    high = {"frames", "label_agreement", "label_agreement_min", "score_cosine", "miou"}
    high |= {"miou_torch"}  # more is better; for the others, such as "undecided", less is
    for name in PARITY:
        values = [parity.numbers()[name] for parity in parities]
        known = [value for value in values if value is not None]
        choose = min if name in high else max
        worst[name] = choose(known) if len(known) == len(values) and known else None
    return worst


_HEADERS = (
    "bundle",
    "precision",
    "backend",
    "mIoU torch",
    "mIoU d2-main",
    "mIoU d2-0.6+mmseg",
    "pixel accuracy",
    "change of mIoU [95 %]",
    "labels equal to torch",
    "worst category",
)


def render_table(parities: Sequence[BackendParity]) -> str:
    """Return a Markdown table with one row per comparison; mIoU and accuracies in percent."""
    lines = [_HEADERS, tuple("---" for _ in _HEADERS), *map(_row, parities)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _row(parity: BackendParity) -> tuple[str, ...]:
    before, after = parity.scores()
    change = parity.change()
    return (
        parity.bundle,
        parity.precision,
        parity.backend,
        f"{100 * before.miou(parity.protocol):.2f}{parity.scope}",
        f"{100 * after.miou('d2-main'):.2f}{parity.scope}",
        f"{100 * after.miou('d2-0.6+mmseg'):.2f}{parity.scope}",
        f"{100 * after.pixel_accuracy:.2f}",
        f"{change.points:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
        f"{100 * parity.label_agreement:.3f} %",
        _loser(parity),
    )


def _loser(parity: BackendParity) -> str:
    """Return the category that loses most, with its loss in points."""
    before, after = parity.scores()
    present = [index for index, pixels in enumerate(before.truth_pixels) if pixels]
    worst = min(present, key=lambda index: after.iou[index] - before.iou[index])
    change = 100 * float(after.iou[worst] - before.iou[worst])
    return f"{parity.names[worst].strip()} {change:+.2f}"
