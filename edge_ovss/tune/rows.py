"""What was measured of a candidate, and the numbers that follow from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_ovss.evaluation.latency import summarize
from edge_ovss.metrics.reported import TUNING
from edge_ovss.tune.candidate import Candidate

TOGETHER = "together"
"""In what was found in a play-off: the keys of all that took part."""

# Two halves of a measurement that differ by less are steady.
_STEADY = 1.06


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
        earlier: Less thorough measurements of the same candidate, each in processes of its own.
    """

    candidate: Candidate
    rung: int
    found: Mapping[str, Any]
    earlier: tuple[Row, ...] = ()

    @property
    def error(self) -> str | None:
        """Why it failed; None if it did not."""
        return self.found.get("error")

    @property
    def ratio(self) -> float:
        """Its time, as a multiple of that of the default export in the same minute.

        The median over all its measurements: two processes of the same program differ by more
        than what repetitions in one of them can average out.
        """
        own = ratio_of(self.found["ms"], self.found["base_ms"], self.found["cycle"])
        return round(statistics.median([own, *(row.ratio for row in self.earlier)]), 6)

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
        times = self._times(base_ms, ratio)
        change = self.found.get("miou_change")
        values = {
            **{f"{name}_ms": times[name] for name in ("mean", "p50", "p90", "p99")},
            "throughput_fps": 1e3 / times["mean"],
            "speedup_p50": 1 / ratio,
            "miou_drop": self.drop,
            "miou_drop_high": None if change is None else 0.0 - change["low"],
            **{k: self.found.get(k) for k in ("peak_mib", "bundle_mib", "miou", "overflow_share")},
        }
        return {name: values[name] for name in TUNING}

    def _times(self, base_ms: float, ratio: float) -> Mapping[str, float]:
        """Return milliseconds by name; of a stream, whose frames differ, relative to the base."""
        own = summarize(self.found["ms"])
        scale = base_ms / statistics.median(self.found["base_ms"])
        if self.found["cycle"] == 1:
            scale = ratio * base_ms / own["p50"]
        return {name: scale * time for name, time in own.items()}

    def to_json(self) -> dict[str, object]:
        """Return the line of the journal."""
        return {"settings": dict(self.candidate.settings), "rung": self.rung, **self.found}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Row:
        """Read what `to_json` wrote."""
        found = {k: v for k, v in document.items() if k not in ("settings", "rung")}
        return cls(Candidate(document["settings"]), document["rung"], found)


def ratio_of(times: Sequence[float], base: Sequence[float], cycle: int) -> float:
    """Return times as a multiple of those of the default export, measured in turns with it.

    Both at their lower quartile: what else runs on the machine only ever adds time, and a slow
    spell adds to both.

    Args:
        times: `cycle` for each of `base`.
        base: Times of the default export.
        cycle: Frames in one cycle of a stream, of which the mean counts.
    """
    cycles = [statistics.fmean(times[i : i + cycle]) for i in range(0, len(times), cycle)]
    return _lower(cycles) / _lower(base)


def is_steady(times: Sequence[float], base: Sequence[float], cycle: int) -> bool:
    """Return whether both halves of the measurement, each second turn, say about the same."""
    turns = range(0, len(times), cycle)
    cycles = [statistics.fmean(times[i : i + cycle]) for i in turns]
    one, other = (ratio_of(cycles[part::2], base[part::2], 1) for part in (0, 1))
    return max(one, other) <= _STEADY * min(one, other)


def _lower(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 4]


def base_median(rows: Sequence[Row]) -> float:
    """Return the median time of the default export, over all measurements."""
    each = [statistics.median(row.found["base_ms"]) for row in rows if row.error is None]
    return float(statistics.median(each))


def with_earlier(row: Row, rows: Mapping[tuple[Candidate, int], Row]) -> Row:
    """Return a row that knows the less thorough measurements of its candidate.

    One of a play-off is compared with what ran in the same minute, so it stands for itself.
    """
    if TOGETHER in row.found:
        return row
    known = [rows.get((row.candidate, rung)) for rung in range(row.rung)]
    return replace(row, earlier=tuple(r for r in known if r is not None and r.error is None))
