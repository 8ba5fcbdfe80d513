"""What the page knows besides frames: the bundle, the settings and the warnings."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_ovss._version import VERSION
from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.bundle.unknown import UnknownInfo
from edge_ovss.errors import UsageError
from edge_ovss.live.sinks import Settings
from edge_ovss.runtime.overlay import ALPHA
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter

_MOST_WARNINGS = 50


@dataclass(frozen=True)
class UnknownRange:
    """The thresholds that a bundle takes.

    Attributes:
        measure: What is compared with the threshold, such as "score".
        low: Least threshold, at which no pixel is unknown.
        high: Largest threshold.
        start: The threshold that the run began with; None if classes have different ones.
    """

    measure: str
    low: float
    high: float
    start: float | None

    @classmethod
    def of(cls, info: UnknownInfo | None) -> UnknownRange | None:
        """Return it for what a segmenter was opened with; None if it takes no thresholds."""
        if info is None:
            return None
        thresholds = set(info.thresholds)
        start = min(thresholds) if len(thresholds) == 1 else None
        return cls(info.measure, *info.range, start)


@dataclass(frozen=True)
class PageInfo:
    """What a run is about.

    Attributes:
        bundle: Name of the bundle.
        names: The K output names at the beginning.
        palette: uint8 [K, 3], RGB, of these.
        details: Facts to read, such as {"backend": "onnxruntime"}.
        unknown: Thresholds for "unknown"; None if the bundle takes none.
        sources: Labels of the cameras, of which a viewer chooses one; () for a single source.
        alpha: Opacity of the colors that viewers start with, 0 to 1.
    """

    bundle: str
    names: tuple[str, ...]
    palette: NDArray[np.uint8]
    details: Mapping[str, str] = field(default_factory=dict)
    unknown: UnknownRange | None = None
    sources: tuple[str, ...] = ()
    alpha: float = ALPHA

    @classmethod
    def of(
        cls, segmenter: Segmenter, *, sources: Sequence[str] = (), alpha: float = ALPHA
    ) -> PageInfo:
        """Return it for a segmenter; the other arguments are attributes."""
        manifest = segmenter.bundle.manifest
        return cls(
            bundle=segmenter.bundle.path.name,
            names=segmenter.names,
            palette=segmenter.palette,
            details={
                "model": manifest.model.name,
                "precision": segmenter.precision,
                "backend": segmenter.backend,
                "vocabulary": manifest.vocabulary.name,
                **({"source": sources[0]} if len(sources) == 1 else {}),
            },
            unknown=UnknownRange.of(segmenter.unknown),
            sources=tuple(sources),
            alpha=alpha,
        )

    def to_json(self) -> dict[str, object]:
        """Return it as the page gets it."""
        unknown = self.unknown
        return {
            "bundle": self.bundle,
            "names": list(self.names),
            "colors": self.palette.tolist(),
            "details": dict(self.details),
            "unknown": None if unknown is None else vars(unknown),
            "unknown_labels": list(UNKNOWN.values()),
            "sources": list(self.sources),
            "alpha": self.alpha,
            "version": VERSION,
        }


@dataclass(frozen=True)
class Classes:
    """What labels stand for; it changes with the words of an open bundle.

    Attributes:
        number: Which of those that the run has had, from 0.
        names: The K output names.
        palette: uint8 [K, 3], RGB.
    """

    number: int
    names: tuple[str, ...]
    palette: NDArray[np.uint8]

    def following(self, result: Result) -> Classes:
        """Return what the labels of a result stand for: these, or new ones with the next number."""
        colors = result.colors(self.palette)
        if result.names == self.names and np.array_equal(colors, self.palette):
            return self
        return Classes(self.number + 1, result.names, colors)

    def to_json(self) -> dict[str, object]:
        """Return it as the page gets it."""
        colors = self.palette.tolist()
        return {"classes": self.number, "names": list(self.names), "colors": colors}


class Dials:
    """What viewers can change in the run; for any thread."""

    def __init__(self, info: PageInfo) -> None:
        self._range = info.unknown
        self._asked = Settings()

    def settings(self) -> Settings:
        """Return what is asked for now."""
        return self._asked

    def to_json(self) -> dict[str, object]:
        """Return the values as the page shows them; None where nothing was changed."""
        return {"unknown": self._asked.unknown}

    def change(self, asked: object) -> None:
        """Take a change as it comes from outside, such as {"unknown": 0.4}.

        Raises:
            UsageError: It has another form, or a value is out of range.
        """
        if not isinstance(asked, dict) or set(asked) != {"unknown"}:
            message = 'Expected a JSON object like {"unknown": 0.4}.'
            raise UsageError(message)
        self._asked = self._asked.updated(Settings(unknown=self._threshold(asked["unknown"])))

    def _threshold(self, value: object) -> float:
        if self._range is None:
            message = "This bundle has no thresholds for unknown."
            raise UsageError(message)
        low, high = self._range.low, self._range.high
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        message = f"Expected a number from {low:g} to {high:g} for unknown."
        raise UsageError(message)


class Warnings:
    """The last warnings; one that repeats is counted. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[dict[str, object]] = deque(maxlen=_MOST_WARNINGS)

    def add(self, text: str) -> dict[str, object]:
        """Take a warning, and return it as the page gets it."""
        with self._lock:
            same = next((one for one in self._kept if one["text"] == text), None)
            count = 1
            if same is not None:
                self._kept.remove(same)
                count += int(str(same["count"]))
            entry: dict[str, object] = {"text": text, "at": round(time.time(), 3), "count": count}
            self._kept.append(entry)
            return entry

    def to_json(self) -> list[dict[str, object]]:
        """Return them, the oldest first."""
        with self._lock:
            return list(self._kept)


def run_id() -> str:
    """Return a name for this run, so that a page notices another one."""
    return secrets.token_hex(8)
