"""Run the building child process, forward its events, and explain its failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from edge_ovss._files import output_error
from edge_ovss._progress import Note
from edge_ovss._strict_parsing import parse_json
from edge_ovss.engines.build_request import DONE, FAILED, PHASE, BuildOutcome, BuildRequest
from edge_ovss.engines.lifeline import FLAG
from edge_ovss.errors import ArtifactError, EdgeOvssError, OutputError

CHILD = "edge_ovss.engines.build_worker"
MEMORY_ADVICE = (
    "Close other programs, and the desktop too (sudo systemctl isolate multi-user.target); add "
    "swap on a disk (not zram); give a smaller --size, --workspace 1024 or --optimization-level 1."
)
_NO_MEMORY = ("out of memory", "outofmemory", "bad_alloc", "memoryerror", "cannot allocate memory")
_SHOWN = 8
_DOCTOR = "Run edge-ovss doctor to see what is installed."

# (message, hint) by the step in which the child failed; its own lines follow.
_REFUSALS = {
    "starting": ("The build could not start:", _DOCTOR),
    "reading": (
        "TensorRT cannot read the graph:",
        "Export the bundle again with --reject slots or none; docs/engines.md has the rules.",
    ),
    "building": (
        "TensorRT failed while building:",
        "Try --optimization-level 1 or a pinned --size; docs/engines.md has the rules.",
    ),
    "writing": (
        "The engine was built but cannot be written into the bundle:",
        "Free space on the disk of the bundle (see df -h), or copy the bundle to another disk.",
    ),
}


def run_child(request: BuildRequest, folder: Path, note: Note) -> BuildOutcome:
    """Build in a child process, which ends when this one ends.

    Args:
        request: What to build.
        folder: Folder for the request.
        note: Called with one line of text at every phase.

    Raises:
        ArtifactError: The child refuses, fails, or dies; the message says so if memory ran out.
        OutputError: The plan was built but cannot be written.
    """
    path = folder / "request.json"
    try:
        path.write_text(request.to_json(), encoding="utf-8")
    except OSError as err:
        raise output_error(path, err) from err
    command = [sys.executable, "-m", CHILD, str(path), FLAG, str(os.getpid())]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            errors="replace",
        ) as child:
            try:
                last = _follow(child.stdout or (), note)
            except BaseException:
                child.kill()
                raise
        path.unlink(missing_ok=True)
        if last.get("event") == DONE and child.returncode == 0:
            return _outcome(last)
        raise _failure(last, child.returncode, _tail(complaints))


def _follow(lines: Iterable[str], note: Note) -> dict[str, Any]:
    """Forward phases; return the last event that ends a build, or {}."""
    last: dict[str, Any] = {}
    for line in lines:
        try:
            event = parse_json(line)
        except ValueError:  # a library that prints
            continue
        if not isinstance(event, dict):
            continue
        if event.get("event") == PHASE:
            note(str(event["name"]))
        elif event.get("event") in (DONE, FAILED):
            last = event
    return last


def _outcome(event: dict[str, Any]) -> BuildOutcome:
    return BuildOutcome(
        seconds=event["seconds"],
        layers=event["layers"],
        labels=event["labels"],
        warnings=tuple(event["warnings"]),
        inspection=event["inspection"],
        precisions=event["precisions"],
    )


def _failure(event: dict[str, Any], status: int, complaints: list[str]) -> EdgeOvssError:
    if event.get("event") == FAILED:
        return _refusal(str(event["step"]), list(event["lines"]))
    if status == -signal.SIGKILL:
        message = "The build was killed (signal 9), as happens when memory runs out."
        return ArtifactError(message, hint=MEMORY_ADVICE)
    if status < 0:
        name = signal.Signals(-status).name
        message = f"The build crashed with {name} inside the TensorRT library."
        hint = "Try --optimization-level 1, or another version of TensorRT."
        return ArtifactError(_with(message, complaints), hint=hint)
    if _is_memory(complaints):
        return ArtifactError(_with("The build ran out of memory.", complaints), hint=MEMORY_ADVICE)
    message = f"The build ended with status {status} and no result."
    return ArtifactError(_with(message, complaints), hint=_DOCTOR)


def _refusal(step: str, lines: list[str]) -> EdgeOvssError:
    if _is_memory(lines):
        return ArtifactError(_with("The build ran out of memory.", lines), hint=MEMORY_ADVICE)
    message, hint = _REFUSALS.get(step, _REFUSALS["building"])
    kind = OutputError if step == "writing" else ArtifactError
    return kind(_with(message, lines), hint=hint)


def _is_memory(lines: list[str]) -> bool:
    text = "\n".join(lines).lower()
    return any(sign in text for sign in _NO_MEMORY)


def _with(message: str, lines: list[str]) -> str:
    shown = [f"  {line}" for line in lines[:_SHOWN] if line.strip()]
    return "\n".join([message, *shown])


def _tail(stream: IO[str]) -> list[str]:
    stream.seek(0)
    return stream.read().strip().splitlines()[-_SHOWN:]
