"""Play-offs: candidates that are close run in turns in the same minute, each in its own process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_ovss._progress import Note
from edge_ovss.tune.candidate import Candidate
from edge_ovss.tune.journal import RunJournal
from edge_ovss.tune.measuring.process import CandidateError
from edge_ovss.tune.measuring.runner import Runner
from edge_ovss.tune.rows import TOGETHER, Row

# As many are open at the same time, besides the default export.
_MOST = 6


class Seconds(Protocol):
    """A clock."""

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        ...


class Playoffs:
    """The play-offs of a search.

    Args:
        runner: Measures.
        journal: Keeps what is measured.
        known: What earlier runs measured.
    """

    def __init__(self, runner: Runner, journal: RunJournal, known: Sequence[Row]) -> None:
        self._runner, self._journal = runner, journal
        self._known: dict[tuple[str, ...], dict[Candidate, Row]] = {}
        for row in known:
            if TOGETHER in row.found:
                keys = tuple(row.found[TOGETHER])
                self._known.setdefault(keys, {})[row.candidate] = row
        self._done: set[tuple[str, ...]] = set()

    def group(self, close: Sequence[Row], best: Row | None) -> list[Row]:
        """Return those that are to run now; [] if they did, or one alone is close.

        Args:
            close: What may win, those with few settings first.
            best: What would win now; always among them.
        """
        first = [row for row in close if best is not None and row.candidate == best.candidate]
        rest = [row for row in close if row not in first]
        chosen = self._fitting([*first, *rest][:_MOST])
        if len(chosen) < 2 or _keys(chosen) in self._done:
            return []
        return chosen

    def _fitting(self, rows: Sequence[Row]) -> list[Row]:
        """Leave out the last ones where they do not fit into half of the free memory together."""
        room = self._runner.free_mib()
        kept, taken = [], 0.0
        for row in rows:
            taken += float(row.found["peak_mib"] or 0.0)
            if room is None or taken <= room / 2:
                kept.append(row)
        return kept

    def is_known(self, group: Sequence[Row]) -> bool:
        """Whether an earlier run has had this play-off, to its end."""
        return set(self._known.get(_keys(group), {})) == {row.candidate for row in group}

    def run(
        self, group: Sequence[Row], rung: int, cycles: int, clock: Seconds, note: Note
    ) -> list[Row]:
        """Return the rows with new times; [] where one of them failed, which is noted.

        Args:
            group: The last row of each candidate.
            rung: Number that the new rows get.
            cycles: Turns of each.
            clock: How much time is gone.
            note: Takes a line.
        """
        keys = _keys(group)
        self._done.add(keys)
        if self.is_known(group):
            return list(self._known[keys].values())
        note(f"play-off: {'; '.join(row.candidate.title for row in group)}")
        start = clock.seconds
        try:
            times = self._runner.race([row.candidate for row in group], cycles)
        except CandidateError as err:
            note(f"the play-off failed, and earlier times count: {err}")
            return []
        seconds = round((clock.seconds - start) / len(group), 3)
        more = {TOGETHER: list(keys), "seconds": seconds}
        rows = [
            Row(row.candidate, rung, {**row.found, **found, **more})
            for row, found in zip(group, times, strict=True)
        ]
        for row in rows:
            self._journal.add(row.to_json())
        fastest = min(rows, key=lambda row: row.ratio)
        note(f"play-off: {fastest.candidate.title} is {1 / fastest.ratio:.2f} x as fast")
        return rows


def _keys(group: Sequence[Row]) -> tuple[str, ...]:
    return tuple(sorted(row.candidate.key for row in group))
