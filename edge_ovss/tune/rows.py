"""What was measured of a candidate, and the numbers that follow from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ovss.evaluation.latency import summarize
from edge_ovss.metrics.reported import TUNING
from edge_ovss.tune.candidate import Candidate


@dataclass(frozen=True)
class Rung:
    """How thoroughly candidates are measured.

    Attributes:
        number: 0 for the cheapest.
        images: Labeled images; 0 without labels.
        cycles: Repetitions of the timing.
    """

    number: int
    images: int
    cycles: int


@dataclass(frozen=True)
class Row:
    """A measurement of a candidate, as it stands in the journal.

    Attributes:
        candidate: The candidate.
        rung: Number of the rung.
        found: What the runner found; "error" says why there is nothing.
    """

    candidate: Candidate
    rung: int
    found: Mapping[str, Any]

    @property
    def error(self) -> str | None:
        """Why it failed; None if it did not."""
        return self.found.get("error")

    @property
    def ratio(self) -> float:
        """Its time, as a multiple of that of the default export in the same minute.

        The median over pairs of neighbors, so that a slow spell of the machine cancels.
        """
        size = self.found["cycle"]
        times, base = self.found["ms"], self.found["base_ms"]
        cycles = [statistics.fmean(times[i : i + size]) for i in range(0, len(times), size)]
        pairs = zip(cycles, base, strict=True)
        middle: float = statistics.median(own / other for own, other in pairs)
        return round(middle, 6)

    @property
    def drop(self) -> float | None:
        """Points of mIoU that it loses; None without labels."""
        change = self.found.get("miou_change")
        return None if change is None else 0.0 - change["points"]

    @property
    def least_drop(self) -> float | None:
        """Points that it loses at least, by the interval; None without labels."""
        change = self.found.get("miou_change")
        return None if change is None else 0.0 - change["high"]

    def numbers(self, base_ms: float) -> dict[str, float | None]:
        """Return the values of all `TUNING`.

        Args:
            base_ms: The median time of the default export over the whole run; its times while
                this candidate was measured are compared with it.
        """
        ratio = self.ratio if self.candidate.settings else 1.0
        scale = base_ms / statistics.median(self.found["base_ms"])
        times = summarize([time * scale for time in self.found["ms"]])
        change = self.found.get("miou_change")
        values = {
            **{f"{name}_ms": times[name] for name in ("mean", "p90", "p99")},
            "p50_ms": ratio * base_ms if self.found["cycle"] == 1 else times["p50"],
            "throughput_fps": 1e3 / times["mean"],
            "speedup_p50": 1 / ratio,
            "miou_drop": self.drop,
            "miou_drop_high": None if change is None else 0.0 - change["low"],
            **{k: self.found.get(k) for k in ("peak_mib", "bundle_mib", "miou", "overflow_share")},
        }
        return {name: values[name] for name in TUNING}

    def to_json(self) -> dict[str, object]:
        """Return the line of the journal."""
        return {"settings": dict(self.candidate.settings), "rung": self.rung, **self.found}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Row:
        """Read what `to_json` wrote."""
        found = {k: v for k, v in document.items() if k not in ("settings", "rung")}
        return cls(Candidate(document["settings"]), document["rung"], found)


def base_median(rows: Sequence[Row]) -> float:
    """Return the median time of the default export, over all measurements."""
    each = [statistics.median(row.found["base_ms"]) for row in rows if row.error is None]
    return float(statistics.median(each))
