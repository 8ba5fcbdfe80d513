"""The outcome of a run: rows with numbers, the front, the recommendation; as JSON and as text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ovss._machine import machine_facts, package_versions
from edge_ovss.evaluation.gates import Gate, Verdict, check_gates
from edge_ovss.tune.candidate import Candidate
from edge_ovss.tune.commands import commands_of
from edge_ovss.tune.ranking import SAME, TIE, WORTH, Numbers, front_of, recommend
from edge_ovss.tune.rows import Row, base_median, with_earlier
from edge_ovss.tune.subject import Subject


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes:
        rows: The most thorough row of every candidate, from fast to slow; failures last.
        last: Number of the rung on all images; that of a play-off is one more.
        gates: The limits that were checked.
        unchecked: The limits that need labels, where there are none.
        subject: What was tuned.
        complete: Whether the time sufficed.
        notes: Sentences on what was left out, or spoils a number.
        sizes: (height, width) of the frames that were timed.
    """

    rows: tuple[Row, ...]
    last: int
    gates: tuple[Gate, ...]
    unchecked: tuple[Gate, ...]
    subject: Subject
    complete: bool
    notes: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, rows: Mapping[tuple[Candidate, int], Row], last: int, **rest: Any) -> Outcome:  # noqa: ANN401 (the other fields)
        """Collect the rows of a search."""
        best: dict[Candidate, Row] = {}
        for (candidate, _), row in rows.items():
            known = best.get(candidate)
            if known is None or known.error is not None or row.rung > known.rung:
                best[candidate] = row if row.error is None or known is None else known
        done = [with_earlier(row, rows) for row in best.values() if row.error is None]
        good = sorted(done, key=lambda row: row.ratio)
        bad = [row for row in best.values() if row.error is not None]
        return cls((*good, *bad), last, **rest)

    @property
    def base_ms(self) -> float:
        """The median time of the default export."""
        return base_median(self.rows)

    @property
    def finals(self) -> list[Row]:
        """The rows that were measured on everything."""
        return [row for row in self.rows if row.error is None and row.rung >= self.last]

    @property
    def front(self) -> list[Row]:
        """The Pareto front, from fast to slow."""
        return front_of(self.finals)

    @property
    def recommended(self) -> Row | None:
        """The row to recommend; None if none meets the budget."""
        return recommend(self.finals, [self.numbers(row) for row in self.finals], self.gates)

    @property
    def noise(self) -> float | None:
        """The time of the default export against itself, in a process of its own."""
        return next((row.ratio for row in self.finals if not row.candidate.settings), None)

    @property
    def is_noisy(self) -> bool:
        """Whether the default export differs from itself by as much as a useful setting gains."""
        return self.noise is not None and not 1 / WORTH <= self.noise <= WORTH

    def numbers(self, row: Row) -> Numbers:
        """Return the numbers of a row."""
        return row.numbers(self.base_ms)

    def closest(self) -> tuple[Row, tuple[Verdict, ...]] | None:
        """Return what misses the fewest limits; of those the fastest."""
        judged = [(row, check_gates(self.gates, self.numbers(row))) for row in self.finals]
        order = [(sum(not v.passed for v in verdicts), r.ratio) for r, verdicts in judged]
        return judged[order.index(min(order))] if judged else None

    def to_json(self) -> dict[str, object]:
        """Return everything as a JSON object."""
        best = self.recommended
        data = self.subject.data
        return {
            "kind": "tune",
            "model": self.subject.model or None,
            "bundles": list(self.subject.bundles),
            "graphs": sorted({str(r.found["graph_sha256"]) for r in self.finals}),
            "data": None if data is None else data.data,
            "speed_only": data is None,
            "complete": self.complete,
            "budget": [str(gate) for gate in self.gates],
            "not_checked": [str(gate) for gate in self.unchecked],
            "rule": RULE,
            "default_p50_ms": self.base_ms,
            "default_against_itself": self.noise,
            "noisy": self.is_noisy,
            "notes": list(self.notes),
            "candidates": [self._row_json(row) for row in self.rows],
            "front": [row.candidate.key for row in self.front],
            "recommended": None if best is None else self._recommended_json(best),
            "environment": {"machine": machine_facts(), "packages": package_versions()},
        }

    def _recommended_json(self, row: Row) -> dict[str, object]:
        verdicts = check_gates(self.gates, self.numbers(row))
        return {
            "candidate": row.candidate.key,
            "title": row.candidate.title,
            "settings": dict(row.candidate.settings),
            "numbers": dict(self.numbers(row)),
            "gates": [verdict.to_json() for verdict in verdicts],
            "commands": self.commands(row),
        }

    def commands(self, row: Row) -> list[str]:
        """Return what makes and runs a candidate, quoted for a shell."""
        rank = row.found.get("template_rank")
        words = commands_of(row.candidate, self.subject, rank, self.sizes)
        return [shlex.join(each) for each in words]

    def _row_json(self, row: Row) -> dict[str, object]:
        common = {
            "candidate": row.candidate.key,
            "title": row.candidate.title,
            "settings": dict(row.candidate.settings),
            "rung": row.rung,
            "measured_on_all": row.error is None and row.rung >= self.last,
        }
        if row.error is not None:
            return {**common, "error": row.error}
        return {
            **common,
            "backend": row.found["backend"],
            "graph_sha256": row.found["graph_sha256"],
            "engines": row.found.get("engines", {}),
            "images": row.found.get("images", 0),
            "repetitions": len(row.found["base_ms"]),
            "numbers": dict(self.numbers(row)),
            "miou_change": row.found.get("miou_change"),
        }


RULE = (
    "of those that meet the budget, and without a limit on accuracy of those within "
    f"{SAME} points of the most accurate one, the fastest; times within "
    f"{100 * (TIE - 1):.0f} % of it are equal, and of equal ones the one that differs least from "
    "the default export is taken, then the one that loses least, then the first"
)
NOISY = (
    "the machine was busy with other programs: close times decide nothing, so run it again when it "
    "is quiet (--fresh)"
)
_HEAD = ("", "mIoU", "change", "p50 ms", "p99 ms", "x", "peak MiB", "MiB", "images")
_WIDTHS = (7, 7, 8, 8, 6, 9, 8, 7)


def table_of(outcome: Outcome) -> str:
    """Return the table of all candidates; * is the front, > what is recommended."""
    front, best = outcome.front, outcome.recommended
    wide = max(7, *(len(row.candidate.title) for row in outcome.rows))
    lines = [_line(_HEAD, wide)]
    for row in outcome.rows:
        mark = ">" if row is best else "*" if row in front else " "
        title = f"{mark} {row.candidate.title}"
        if row.error is not None:
            lines.append(f"{title:<{wide + 2}}  failed: {row.error}")
            continue
        lines.append(_line((title, *_cells(row, outcome)), wide))
    return "\n".join(lines)


def _cells(row: Row, outcome: Outcome) -> tuple[str, ...]:
    found = outcome.numbers(row)
    change = None if found["miou_drop"] is None else 0.0 - found["miou_drop"]
    return (
        _number(found["miou"], 2),
        "-" if change is None else f"{change:+.2f}",
        _number(found["p50_ms"], 1),
        _number(found["p99_ms"], 1),
        _number(found["speedup_p50"], 2),
        _number(found["peak_mib"], 0),
        _number(found["bundle_mib"], 1),
        str(row.found.get("images", 0)),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str], wide: int) -> str:
    rest = " ".join(f"{cell:>{width}}" for cell, width in zip(cells[1:], _WIDTHS, strict=True))
    return f"{cells[0]:<{wide + 2}} {rest}"


def text_of(outcome: Outcome) -> str:
    """Return what is printed: the table, what it says, and the commands."""
    lines = [table_of(outcome), ""]
    noise = outcome.noise
    if noise is not None:
        lines.append(
            f"times relative to the default export, {outcome.base_ms:.1f} ms (p50); against "
            f"itself it takes {noise:.2f} x"
        )
    if outcome.is_noisy:
        lines.append(NOISY)
    lines += outcome.notes
    best = outcome.recommended
    if best is None:
        return "\n".join([*lines, "recommended  nothing meets the budget"])
    lines.append(f"recommended  {best.candidate.title}")
    verdicts = check_gates(outcome.gates, outcome.numbers(best))
    lines += [f"  {verdict.text}" for verdict in verdicts]
    lines += [f"  {gate}: not checked, there are no labels" for gate in outcome.unchecked]
    return "\n".join([*lines, *(f"  {command}" for command in outcome.commands(best))])
