"""Measure a candidate in a process of its own, in turns with the default export."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder, write_bytes
from edge_ovss._free_memory import free_bytes
from edge_ovss.errors import ArtifactError
from edge_ovss.report.data import SCORES
from edge_ovss.runtime.backends import AUTO
from edge_ovss.tune.candidate import KEYFRAME, Candidate
from edge_ovss.tune.measuring.making import is_made, place_of
from edge_ovss.tune.measuring.process import CandidateError, Worker
from edge_ovss.tune.measuring.scoring import compare
from edge_ovss.tune.rows import Rung, is_steady
from edge_ovss.tune.subject import Subject

_WARMUP = 2
# Timing a candidate takes about as long as this many milliseconds of the default export.
_LONGEST_MS = 20_000.0
_LONGEST_PLAYOFF_MS = 60_000.0
_LEAST_CYCLES = 3
# So many times the repetitions of a rung, while other programs disturb the measurement.
_PATIENCE = 3


class Runner(Protocol):
    """Makes and measures candidates."""

    def make(self, candidate: Candidate) -> Path:
        """Make what a candidate lacks, and return its bundle.

        Raises:
            CandidateError: It cannot be made.
        """
        ...

    def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        """Return what was found; "error" where the candidate failed."""
        ...

    def race(self, candidates: Sequence[Candidate], cycles: int) -> list[dict[str, Any]]:
        """Return the times of candidates that take turns with each other and the default export.

        Raises:
            CandidateError: One of them failed.
        """
        ...

    def free_mib(self) -> float | None:
        """Return the memory that programs can get in MiB; None if unknown."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...


class ProcessRunner:
    """Makes and measures candidates; the default export stays open all the time.

    Args:
        subject: What is tuned, and on what.
        folder: Where bundles and scores go.
        frames: Frames that are timed, uint8 [H, W, 3] each.
        fps: Frames per second of videos; None where the images are none.
    """

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        frames: Sequence[NDArray[np.uint8]],
        *,
        fps: float | None,
    ) -> None:
        self.subject, self.folder = subject, folder
        self.bundles = make_folder(folder / "bundles")
        self._common = {
            "backend": subject.backend or AUTO,
            "threads": subject.threads,
            "fps": fps,
        }
        self._frames = folder / "frames.npz"
        packed = io.BytesIO()
        named: dict[str, Any] = {f"frame{number:03d}": f for number, f in enumerate(frames)}
        np.savez(packed, **named)
        write_bytes(self._frames, packed.getvalue())
        self._sizes = [list(frame.shape[:2]) for frame in frames]
        self._base: Worker | None = None

    def make(self, candidate: Candidate) -> Path:
        """Make what a candidate lacks, in a process that may run out of memory.

        Raises:
            CandidateError: It cannot be made.
        """
        if is_made(candidate, self.subject, self.bundles):
            return place_of(candidate, self.subject, self.bundles)
        order: dict[str, object] = {
            "settings": dict(candidate.settings),
            "folder": str(self.bundles),
            "sizes": self._sizes,
        }
        with Worker() as worker:
            answer = worker.ask("make", subject=self.subject.to_json(), **order)
        return Path(answer["bundle"])

    def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        """Return what was found; "error" where the candidate failed.

        Where the default export ended meanwhile, as when memory runs out for both, the candidate
        may not be to blame: it is measured once more.
        """
        for _ in range(2):
            try:
                return self._measured(candidate, rung)
            except CandidateError as err:
                error = str(err)
            if self._is_base_alive():
                break
            self.close()
        return {"error": error}

    def _measured(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        base = self._open_base()
        bundle = self.make(candidate)
        with Worker() as worker:
            opened = self._open(worker, candidate, bundle)
            timed = _time(worker, base, rung, int(candidate.settings.get(KEYFRAME, "1")))
            peak = worker.ask("peak")
            scored = self._score(worker, candidate, rung)
        return {**opened, **timed, **peak, **scored}

    def race(self, candidates: Sequence[Candidate], cycles: int) -> list[dict[str, Any]]:
        """Return the times of candidates that take turns with each other and the default export.

        Raises:
            CandidateError: One of them failed.
        """
        try:
            return self._raced(candidates, cycles)
        except CandidateError:
            if not self._is_base_alive():
                self.close()
            raise

    def _raced(self, candidates: Sequence[Candidate], cycles: int) -> list[dict[str, Any]]:
        own = _Turns(self._open_base(), 1)
        with ExitStack() as stack:
            turns = []
            for candidate in candidates:
                worker = stack.enter_context(Worker())
                self._open(worker, candidate, self.make(candidate))
                turns.append(_Turns(worker, int(candidate.settings.get(KEYFRAME, "1"))))
            _alternate([own, *turns], cycles)
        base = _short(own.times)
        return [{"cycle": one.cycle, "ms": _short(one.times), "base_ms": base} for one in turns]

    def free_mib(self) -> float | None:
        """Return the memory that programs can get in MiB; None if unknown."""
        found = free_bytes()
        return None if found is None else found / 2**20

    def _is_base_alive(self) -> bool:
        try:
            return self._base is not None and bool(self._base.ask("peak"))
        except CandidateError:
            return False

    def _open_base(self) -> Worker:
        if self._base is None:
            base = Worker()
            try:
                self._open(base, Candidate(), self.make(Candidate()))
            except CandidateError as err:
                base.close()
                message = f"The default export cannot be measured: {err}"
                raise ArtifactError(message, hint=err.hint or "Run edge-ovss doctor.") from err
            self._base = base
        return self._base

    def _open(self, worker: Worker, candidate: Candidate, bundle: Path) -> dict[str, Any]:
        order = {"settings": dict(candidate.settings), "bundle": str(bundle), **self._common}
        return worker.ask("open", frames=str(self._frames), **order)

    def _score(self, worker: Worker, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        if self.subject.data is None or not rung.images:
            return {}
        place = self._scores(candidate)
        order: dict[str, object] = {
            "images": rung.images,
            "folder": str(place),
            "settings": dict(candidate.settings),
        }
        found = worker.ask("score", subject=self.subject.to_json(), **order)
        change = compare(
            self._scores(Candidate()), place, rows=found["rows"], classes=found["classes"]
        )
        return {**found, "miou_change": change.to_json()}

    def _scores(self, candidate: Candidate) -> Path:
        return self.folder / SCORES / candidate.key

    def close(self) -> None:
        """End the process of the default export."""
        if self._base is not None:
            self._base.close()
            self._base = None


def _time(worker: Worker, base: Worker, rung: Rung, cycle: int) -> dict[str, Any]:
    """Let both segment frames in turns, whole cycles of a stream each."""
    for _ in range(_WARMUP):
        worker.ask("run", count=cycle)
        first = base.ask("run", count=1)["ms"][0]
    most = max(_LEAST_CYCLES, int(_LONGEST_MS / first))
    times: list[float] = []
    base_times: list[float] = []
    for number in range(min(_PATIENCE * rung.cycles, most)):
        if number >= rung.cycles and is_steady(times, base_times, cycle):
            break
        turns = [(worker, cycle, times), (base, 1, base_times)]
        # The first one changes, because the second finds the machine warmer.
        for who, count, kept in turns if number % 2 else reversed(turns):
            kept.extend(who.ask("run", count=count)["ms"])
    return {"cycle": cycle, "ms": _short(times), "base_ms": _short(base_times)}


@dataclass
class _Turns:
    """A process with the times of its turns; a turn is one cycle of a stream."""

    worker: Worker
    cycle: int
    times: list[float] = field(default_factory=list)

    def take(self) -> None:
        self.times.extend(self.worker.ask("run", count=self.cycle)["ms"])


def _alternate(turns: Sequence[_Turns], cycles: int) -> None:
    """Let all take turns, after a few that do not count, each time in another order."""
    first = 0.0
    for each in turns:
        found = each.worker.ask("run", count=_WARMUP * each.cycle)["ms"]
        first += sum(found) / _WARMUP
    order = random.Random(0)
    for _ in range(min(cycles, max(_LEAST_CYCLES, int(_LONGEST_PLAYOFF_MS / first)))):
        for each in order.sample(turns, len(turns)):
            each.take()


def _short(times: Sequence[float]) -> list[float]:
    return [round(time, 4) for time in times]
