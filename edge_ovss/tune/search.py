"""Successive halving: many candidates on few images, few candidates on all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_ovss._progress import Note, clock_text
from edge_ovss.evaluation.gates import Gate
from edge_ovss.tune.budget import largest_drop
from edge_ovss.tune.candidate import DROP, PRECISION, Candidate
from edge_ovss.tune.journal import RunJournal
from edge_ovss.tune.measuring.runner import Runner
from edge_ovss.tune.playoff import Playoffs
from edge_ovss.tune.ranking import (
    SLACK,
    Numbers,
    close_ones,
    front_of,
    is_hopeless,
    meets,
    recommend,
    wants_accuracy,
)
from edge_ovss.tune.rows import TOGETHER, Row, Rung, base_median, with_earlier
from edge_ovss.tune.space import Space, combinations

_IMAGES = (12, 36)
_CYCLES = (8, 16, 40)
# So many candidates are measured on the second rung, and on the last one at least.
_SECOND, _LAST = 10, 6
# Parts of the time that is left, after which a step stops adding candidates: what it has found goes
# on, so that there is always something that was measured on all images. The rest is another pass.
_SINGLES, _GENTLER, _COMBINED, _HALVED = 0.5, 0.55, 0.65, 0.8
# The last rung goes on to candidates that are slower than the best by this factor.
_WIDE = 1.2
# So many play-offs at most: each may bring a new winner, with new candidates close to it.
_ROUNDS = 3
_PLAYOFF_CYCLES = 100


def rungs_for(images: int) -> tuple[Rung, ...]:
    """Return the rungs for so many labeled images (0 for none)."""
    counts = [count for count in _IMAGES if 2 * count <= images] if images else [0]
    counts.append(images)
    cycles = (*_CYCLES[: len(counts) - 1], _CYCLES[-1])
    pairs = zip(counts, cycles, strict=True)
    return tuple(Rung(number, count, cycle) for number, (count, cycle) in enumerate(pairs))


class OutOfTime(Exception):
    """The time limit is reached."""


@dataclass
class Clock:
    """The time that measuring takes, over all runs that a journal has seen.

    Attributes:
        limit_s: The most seconds; None for no limit.
        spent_s: Seconds of earlier runs.
    """

    limit_s: float | None = None
    spent_s: float = 0.0
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._start = self.now()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.spent_s + self.now() - self._start

    def is_over(self, share: float = 1.0, since_s: float = 0.0) -> bool:
        """Whether this share of the time that was left at `since_s` is gone."""
        if self.limit_s is None:
            return False
        return self.seconds >= since_s + share * (self.limit_s - since_s)


class Search:
    """One search; `run` fills `rows`.

    Args:
        runner: Measures candidates.
        journal: Knows what was measured, and keeps what is.
        rungs: From cheap to thorough.
        gates: The budget.
        clock: How long it may take.
        note: Takes one line per measurement.

    Attributes:
        rows: Everything that was measured or read, in the order of this search.
        complete: Whether the time sufficed.
    """

    def __init__(
        self,
        runner: Runner,
        journal: RunJournal,
        rungs: Sequence[Rung],
        gates: Sequence[Gate],
        clock: Clock,
        note: Note,
    ) -> None:
        self._runner, self._journal, self._rungs = runner, journal, rungs
        self._gates, self._clock, self._note = gates, clock, note
        known = [Row.from_json(document) for document in journal.rows]
        # Nothing can be compared with a default export that failed, so it is tried again.
        of_use = [row for row in known if row.error is None or row.candidate.settings]
        alone = [row for row in of_use if TOGETHER not in row.found]
        self._known = {(row.candidate, row.rung): row for row in alone}
        self._playoffs = Playoffs(runner, journal, of_use)
        self._expected = self._measured = 0
        self._since_s = 0.0
        self.rows: dict[tuple[Candidate, int], Row] = {}
        self.complete = True

    @property
    def last(self) -> int:
        """Number of the most thorough rung."""
        return self._rungs[-1].number

    def default(self) -> Row:
        """Measure the default export, on all images at once: everything is compared with it."""
        self._expected = 1
        if self._known:
            self._note(f"{len(self._known)} measurements are from the journal")
        return self._measure(Candidate(), self.last)

    def run(self, space: Space) -> None:
        """Search until enough is known, or the time is over."""
        while True:
            known, self.complete, self._since_s = len(self.rows), True, self._clock.seconds
            self._pass(space)
            if self.complete or self._clock.is_over() or len(self.rows) == known:
                return

    def _pass(self, space: Space) -> None:
        """Go through all rungs once, each with its share of the time that is left."""
        singles = self._all([Candidate(), *space.singles()], 0, _SINGLES)
        if not singles or singles[0].candidate.settings:
            return
        limit = largest_drop(self._gates)
        singles += self._all(_gentler(singles, limit), 0, _GENTLER)
        combined = self._all(combinations(singles, limit=limit), 0, _COMBINED)
        self._finish(self._halve([*singles, *combined]))
        self._decide()

    def _halve(self, rows: Sequence[Row]) -> list[Row]:
        """Measure what is promising on the next rung; return all with what is known best."""
        for rung in self._rungs[1:-1]:
            best = [row.candidate for row in self._promising(rows)[:_SECOND]]
            better = self._all(best, rung.number, _HALVED)
            found = {row.candidate: row for row in better if row.error is None}
            rows = [found.get(row.candidate, row) for row in rows]
        return list(rows)

    def _finish(self, rows: Sequence[Row]) -> None:
        """Measure on all images what may be recommended, and what looks to be on the front."""
        promising = self._promising(rows)
        if wants_accuracy(promising, self._gates):
            useful = front_of(promising)[::-1]
            self._all([row.candidate for row in useful[:_LAST]], self.last)
        else:
            self._fastest(promising)
        front = front_of([row for row in rows if row.error is None])
        self._all([row.candidate for row in front[:_LAST]], self.last)

    def _fastest(self, promising: Sequence[Row]) -> None:
        """Measure on all images, from fast to slow, until no slower one can be recommended."""
        best: float | None = None
        self._expect([(row.candidate, self.last) for row in promising[:_LAST]])
        for row in promising:
            if best is not None and row.ratio > _WIDE * best:
                break
            done = self._try(row.candidate, self.last)
            if done is not None and done.error is None and meets(self._numbers(done), self._gates):
                best = min(best or done.ratio, done.ratio)

    def _decide(self) -> None:
        """Let everything that is close run at the same time, until that changes nothing.

        The whole machine is faster or slower for minutes, and not for all candidates alike.
        """
        for _ in range(_ROUNDS):
            self._simplify()
            finals = self._finals()
            close = close_ones(finals, [self._numbers(row) for row in finals], self._gates)
            if not self.complete or not (group := self._playoffs.group(close, self._best())):
                return
            if self._clock.is_over() and not self._playoffs.is_known(group):
                self.complete = False
                return
            self._play_off(group)

    def _play_off(self, group: Sequence[Row]) -> None:
        found = self._playoffs.run(group, self.last + 1, _PLAYOFF_CYCLES, self._clock, self._note)
        self.rows |= {(row.candidate, row.rung): row for row in found}

    def _simplify(self) -> None:
        """Measure what is recommended without its settings, as long as that may tie.

        A setting that gains less than a tie is to lose against the same candidate without it in
        every run, not only where that one was measured on all images by chance.
        """
        best = self._best()
        waiting = [] if best is None else [best.candidate]
        while waiting and best is not None:
            simpler = [each for each in waiting.pop().simpler() if self._may_tie(each, best)]
            self._all(simpler, self.last)
            waiting += [each for each in simpler if self._may_tie(each, best)]

    def _finals(self) -> list[Row]:
        """Return what is known best of everything that was measured on all images, fast first."""
        found: dict[Candidate, Row] = {}
        for row in sorted(self.rows.values(), key=lambda row: row.rung):
            if row.rung >= self.last and row.error is None:
                found[row.candidate] = with_earlier(row, self.rows)
        return sorted(found.values(), key=lambda row: row.ratio)

    def _best(self) -> Row | None:
        """Return what would be recommended now."""
        finals = self._finals()
        return recommend(finals, [self._numbers(row) for row in finals], self._gates)

    def _may_tie(self, candidate: Candidate, best: Row) -> bool:
        """Return whether nothing known says that a candidate is too slow, or fails."""
        known = [row for (one, _), row in self.rows.items() if one == candidate]
        return all(row.error is None and row.ratio <= SLACK * best.ratio for row in known)

    def _promising(self, rows: Sequence[Row]) -> list[Row]:
        """Return what may meet the budget, from fast to slow, or from accurate to less so."""
        kept = [
            row
            for row in rows
            if row.error is None and not is_hopeless(row, self._numbers(row), self._gates)
        ]
        if wants_accuracy(kept, self._gates):
            return sorted(kept, key=lambda row: (max(0.0, row.drop or 0.0), row.ratio))
        return sorted(kept, key=lambda row: row.ratio)

    def _numbers(self, row: Row) -> Numbers:
        return row.numbers(base_median(list(self.rows.values())))

    def _all(self, candidates: Sequence[Candidate], rung: int, share: float = 1.0) -> list[Row]:
        """Measure candidates, until this share of the time is gone; then only read the journal."""
        self._expect([(candidate, rung) for candidate in candidates])
        found = [self._try(candidate, rung, share) for candidate in candidates]
        return [row for row in found if row is not None]

    def _try(self, candidate: Candidate, rung: int, share: float = 1.0) -> Row | None:
        try:
            return self._measure(candidate, rung, share)
        except OutOfTime:
            self.complete = False
            return None

    def _expect(self, places: Sequence[tuple[Candidate, int]]) -> None:
        self._expected = self._measured + len(set(places) - set(self.rows))

    def _measure(self, candidate: Candidate, rung: int, share: float = 1.0) -> Row:
        place = (candidate, rung)
        if place in self.rows:
            return self.rows[place]
        self._measured += 1
        self._expected = max(self._expected, self._measured)
        row = self._known.get(place)
        if row is None:
            # Without the default export, which is the first, there is nothing to say.
            if self._clock.is_over(share, self._since_s) and self.rows:
                raise OutOfTime
            row = self._new(candidate, self._rungs[rung])
            self.rows[place] = row
            self._note(self._line(row))
        self.rows[place] = row
        return row

    def _new(self, candidate: Candidate, rung: Rung) -> Row:
        start = self._clock.seconds
        found = self._runner.measure(candidate, rung)
        seconds = self._clock.seconds - start
        row = Row(candidate, rung.number, {**found, "seconds": round(seconds, 3)})
        self._journal.add(row.to_json())
        return row

    def _line(self, row: Row) -> str:
        """Say what was measured, how far the search is, and how long this step may still take."""
        spent = self._clock.seconds
        each = sum(r.found["seconds"] for r in self.rows.values()) / len(self.rows)
        left = max(0, self._expected - self._measured) * each
        at = f"rung {row.rung + 1} of {len(self._rungs)}, {self._measured} of {self._expected}"
        times = f"{clock_text(spent)} gone, about {clock_text(left)} left in this rung"
        if row.error is not None:
            return f"[{at}; {times}] {row.candidate.title}: failed: {row.error}"
        lost = "" if row.drop is None else f", {0.0 - row.drop:+.2f} points"
        return f"[{at}; {times}] {row.candidate.title}: {1 / row.ratio:.2f} x as fast{lost}"


def _gentler(rows: Sequence[Row], limit: float | None) -> list[Candidate]:
    """Return INT8 with blocks left in float, where INT8 is faster but loses too much."""
    if limit is None or limit < 0:
        return []
    return [
        row.candidate.with_(Candidate({DROP: f"{limit:g}"}))
        for row in rows
        if row.error is None
        and row.candidate.settings.get(PRECISION) == "int8"
        and row.ratio < 1
        and (row.drop or 0.0) > limit
    ]
