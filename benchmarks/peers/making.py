"""Make what is raced: every step in a process of its own, with a time limit.

A step that fails, or whose package is missing, is a reason that the table gives; the others go on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers.programs import note_path
from benchmarks.peers.roster import Entry

_BEFORE = {
    "setting": (),
    "slots": ("setting",),
    "dynamic": ("setting",),
    "int8": ("setting", "slots"),
    "plain": ("setting",),
    "nncf": ("setting", "plain"),
    "nncf-control": ("setting", "plain"),
    "modelopt-autocast": ("setting", "plain"),
    "modelopt-int8": ("setting", "plain"),
    "modelopt-int8-fp16": ("setting", "plain"),
    "closed": ("setting",),
    "fp16": ("setting", "slots"),
    "int8-gpu": ("setting", "slots"),
    "engine-slots": ("setting", "slots"),
    "engine-fp16": ("setting", "slots", "fp16"),
    "engine-int8-gpu": ("setting", "slots", "int8-gpu"),
    "engine-plain": ("setting", "plain"),
    "engine-modelopt-autocast": ("setting", "plain", "modelopt-autocast"),
    "engine-modelopt-int8": ("setting", "plain", "modelopt-int8"),
    "engine-modelopt-int8-fp16": ("setting", "plain", "modelopt-int8-fp16"),
}
STEPS = tuple(_BEFORE)
ENGINES = tuple(step for step in STEPS if step.startswith("engine-"))
_SHOWN = 600


@dataclass(frozen=True)
class Made:
    """How a step went.

    Attributes:
        seconds: How long it took.
        failure: Why it failed, or None.
    """

    seconds: float
    failure: str | None


def steps_for(entries: Sequence[Entry], engines: Sequence[str] = ()) -> list[str]:
    """Return the steps that contestants and engines need, in order."""
    wanted = [need for entry in entries for need in entry.needs] + list(engines)
    needed = {"setting"}.union(*(({*_BEFORE[step], step}) for step in wanted))
    return [step for step in STEPS if step in needed]


def make_all(
    folder: Path,
    steps: Sequence[str],
    *,
    minutes: float,
    python: Mapping[str, str],
    again: bool = True,
) -> dict[str, Made]:
    """Make each step, unless an earlier run has.

    Args:
        folder: Of the race; it holds the wish.
        steps: In order.
        minutes: What one step may take.
        python: Program that runs Python, by the package that another environment has.
        again: Try again what has failed, and make what is missing; else its reason is that of the
            last time.
    """
    made: dict[str, Made] = {}
    for step in steps:
        broken = [before for before in _BEFORE[step] if made[before].failure is not None]
        if broken:
            made[step] = Made(0.0, f"'{broken[0]}' was not made: {made[broken[0]].failure}")
        else:
            earlier = _earlier(folder, step)
            if earlier is not None and (earlier.failure is None or not again):
                made[step] = earlier
            elif again:
                made[step] = _make(folder, step, minutes, python)
            else:
                made[step] = Made(0.0, "nobody has tried to make it yet")
    return made


def _earlier(folder: Path, step: str) -> Made | None:
    """Return how the step went the last time; None if it was never tried."""
    kept = made_path(folder, step)
    return Made(**json.loads(kept.read_text())) if kept.is_file() else None


def made_path(folder: Path, step: str) -> Path:
    """Return the file that says how a step went."""
    return folder / f"{step}.made.json"


def _make(folder: Path, step: str, minutes: float, python: Mapping[str, str]) -> Made:
    print(f"making {step} ...", end=" ", flush=True)
    note_path(folder, step).unlink(missing_ok=True)
    found = run_step(folder, step, minutes, python)
    print(f"{found.seconds:.0f} s" if found.failure is None else f"failed: {found.failure}")
    made_path(folder, step).write_text(json.dumps(asdict(found)))
    return found


def run_step(folder: Path, step: str, minutes: float, python: Mapping[str, str]) -> Made:
    """Run one step in its process; what it prints is kept in `STEP.log`."""
    command = [sys.executable, "-m", "benchmarks.peers.make", step, str(folder)]
    command += [f"{package}={program}" for package, program in python.items()]
    log = folder / f"{step}.log"
    start = time.monotonic()
    with log.open("wb") as stream:
        # A group of its own: the programs that it starts end with it.
        child = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        try:
            status = child.wait(timeout=60 * minutes)
            failure = None if status == 0 else _reason(log, status)
        except subprocess.TimeoutExpired:
            failure = f"not made within {minutes:g} minutes"
        finally:
            _end(child)
    return Made(time.monotonic() - start, failure)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def _reason(log: Path, status: int) -> str:
    """Return the message in the last line of a log; memory, if the system ended the process."""
    if status == -signal.SIGKILL:
        return "its process was killed (out of memory?)"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    text = lines[-1] if lines else f"its process ended with status {status}"
    return text.removeprefix("error: ")[:_SHOWN]
