"""The programs that a benchmark races: each in a process of its own, called in turn.

A contestant is a function that gets ready and returns a function from nothing to (labels,
survivors). Processes keep memory and threads apart, so that peak memory is a contestant's own.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]
Run = Callable[[], tuple[Labels, list[int]]]


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
        failure: Why it did not run, or None.
    """

    name: str
    prepare: Callable[[Path, int], Run]
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    survivors: list[int] = field(default_factory=list)
    labels: Labels | None = None
    failure: str | None = None


def race(contestants: list[Contestant], folder: Path, *, repeats: int, threads: int) -> None:
    """Run all contestants in turn, `repeats` times after one warm-up each; fills them in."""
    context = multiprocessing.get_context("spawn")
    lines: list[tuple[Contestant, Connection, Any]] = []
    for contestant in contestants:
        ours, theirs = context.Pipe()
        arguments = (contestant.prepare, folder, threads, theirs)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        lines.append((contestant, ours, process))
    for turn in range(repeats + 1):
        for contestant, line, _ in lines:
            if contestant.failure is None:
                _take_turn(contestant, line, counted=turn > 0)
    for _, line, process in lines:
        line.close()
        process.join(timeout=10)
        process.terminate()


def _take_turn(contestant: Contestant, line: Connection, *, counted: bool) -> None:
    try:
        line.send("run")
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
    except Exception:  # whatever it is, the others go on and the table says so
        line.send(traceback.format_exc().strip().splitlines()[-1])


def _peak_mib() -> float:
    # Not getrusage: its maximum is inherited from the process that started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")
