"""The programs that a benchmark races: each in a process of its own, called in turn.

A contestant is a function that gets ready and returns a function from nothing to (labels,
survivors). Processes keep memory and threads apart, so that peak memory is a contestant's own.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.reasons import reason_of

# Of a race with an end: the share of its time in which contestants start, and of what is left of
# that, the share of one.
_STARTING, _FAIR = 0.7, 0.5

Labels = NDArray[Any]
Run = Callable[[], tuple[Labels, list[int]]]

TIME_WAS_UP = "skipped: the time was up"


@dataclass
class Contestant:
    """One program of the race.

    Attributes:
        name: What the tables call it.
        prepare: Importable function (folder, threads) -> Run.
        seconds: Time of every counted repetition.
        peak_mib: Peak resident memory of its process.
        survivors: What it said about survivors.
        labels: Its last answer.
        device_mib: Memory of the GPU that it has taken by the end of its warm-up, where known.
        failure: Why it did not run, or None.
    """

    name: str
    prepare: Callable[[Path, int], Run]
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    survivors: list[int] = field(default_factory=list)
    labels: Labels | None = None
    device_mib: float | None = None
    failure: str | None = None


def race(
    contestants: list[Contestant],
    folder: Path,
    *,
    repeats: int,
    threads: int,
    warmups: int = 1,
    device_mib: Callable[[], float | None] | None = None,
    patience: float | None = None,
    until: float | None = None,
) -> None:
    """Run all contestants in turn, `repeats` times after their warm-ups; fills them in.

    Args:
        contestants: They start and warm up one after another.
        folder: What they read.
        repeats: Counted repetitions.
        threads: What they are told to use.
        warmups: Repetitions of each that are not counted.
        device_mib: Memory that is taken on the GPU by all programs, or None where it has none.
        patience: Seconds that a contestant may take to get ready and warm up; None for any.
        until: Time of `time.monotonic` after which no more is repeated once each has been timed.
            Contestants start in a part of the time before it, the first ones first, and none takes
            more than half of what is left of that. None for no end.
    """
    patience = inf if patience is None else patience
    until = inf if until is None else until
    began = time.monotonic()
    starting = until if until == inf else began + _STARTING * (until - began)
    lines: list[tuple[Contestant, Connection, Any]] = []
    for contestant in contestants:
        left = starting - time.monotonic()
        if left <= 0:
            contestant.failure = TIME_WAS_UP
            continue
        before = device_mib() if device_mib else None
        line, process = _start(contestant, folder, threads)
        end = time.monotonic() + min(patience, left if left == inf else max(_FAIR * left, 1.0))
        for _ in range(max(1, warmups)):
            _take_turn(contestant, line, counted=False, end=end)
        after = device_mib() if device_mib else None
        if before is not None and after is not None:
            contestant.device_mib = after - before
        lines.append((contestant, line, process))
        if contestant.failure is not None:  # its memory and threads are in the others' way
            process.terminate()
    for _ in range(repeats):
        for contestant, line, _ in lines:
            _take_turn(contestant, line, counted=True)
        if time.monotonic() >= until:
            break
    for _, line, process in lines:
        line.close()
        process.join(timeout=10)
        process.terminate()


def _start(contestant: Contestant, folder: Path, threads: int) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (contestant.prepare, folder, threads, theirs)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _take_turn(
    contestant: Contestant, line: Connection, *, counted: bool, end: float = inf
) -> None:
    if contestant.failure is not None:
        return
    start = time.monotonic()
    try:
        with suppress(OSError):  # one that has failed already has left its reason to be read
            line.send("run")
        if not line.poll(None if end == inf else max(0.0, end - start)):
            waited = time.monotonic() - start
            contestant.failure = f"skipped: it was not ready after {waited:.0f} s"
            return
        answer = line.recv()
    except (EOFError, OSError):
        contestant.failure = "its process died (out of memory?)"
        return
    if isinstance(answer, str):
        contestant.failure = answer
        return
    seconds, contestant.labels, contestant.survivors, contestant.peak_mib = answer
    if counted:
        contestant.seconds.append(seconds)
    print(f"  {contestant.name}: {seconds:.3f} s", flush=True)


def _serve(
    prepare: Callable[[Path, int], Run], folder: Path, threads: int, line: Connection
) -> None:
    try:
        run = prepare(folder, threads)
        while line.recv() == "run":
            start = time.perf_counter()
            labels, survivors = run()
            seconds = time.perf_counter() - start
            line.send((seconds, np.asarray(labels), survivors, _peak_mib()))
    except EOFError:
        return
    except Exception as err:  # whatever it is, the others go on and the table says so
        line.send(reason_of(err))


def _peak_mib() -> float:
    # Not getrusage: its maximum is inherited from the process that started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")
