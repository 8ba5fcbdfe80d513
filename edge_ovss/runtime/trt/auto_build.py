"""Build a missing engine while a bundle is open, by the command that an error would suggest.

The build is a process of its own, `edge-ovss build`: this process may not have the memory for it,
and what is built is checked and recorded as always.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
import time

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, EdgeOvssError, ParityError
from edge_ovss.runtime.trt.commands import build_command
from edge_ovss.runtime.trt.engine_store import read_engines
from edge_ovss.runtime.trt.frame_sizes import FrameRange, Size
from edge_ovss.runtime.trt.variants import FLAVORS

_log = logging.getLogger(__name__)
_PROGRAM = (sys.executable, "-m", "edge_ovss")
_WRONG = 6  # exit status of an engine with a wrong output
_SHOWN = 12


def auto_build(bundle: Bundle, backend: str, size: Size) -> None:
    """Build the engine of a bundle for frames of one size, and say what and how long.

    Args:
        bundle: The bundle; it must be writable.
        backend: "tensorrt" or "tensorrt-rtx".
        size: (height, width) of the frames.

    Raises:
        ParityError: The engine's output is wrong.
        ArtifactError: The build fails; the message has the command and what it printed.
    """
    command = build_command(bundle, backend, frames=FrameRange.pinned(size))
    _log.warning("Building an engine, %s: %s", _expected(bundle, backend), command)
    start = time.monotonic()
    done = subprocess.run(
        [*_PROGRAM, *shlex.split(command)[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise _failure(command, done.returncode, done.stderr)
    seconds = time.monotonic() - start
    _log.warning("The engine was built in %.0f s and is kept for the next start.", seconds)


def _expected(bundle: Bundle, backend: str) -> str:
    """Return how long a build takes here, from the last one if there was one."""
    engines, _ = read_engines(bundle, backend)
    spent = [engine.record.seconds.get("build") for engine in engines]
    last = next((value for value in spent if isinstance(value, int | float)), None)
    if last is not None:
        return f"which took {last:.0f} s the last time"
    return "which takes minutes" if FLAVORS[backend].needs_gpu else "which takes seconds"


def _failure(command: str, status: int, said: str) -> EdgeOvssError:
    lines = [line for line in said.strip().splitlines() if line.strip()][-_SHOWN:]
    message = "\n  ".join([f"No engine could be built (status {status}):", *lines])
    kind = ParityError if status == _WRONG else ArtifactError
    return kind(message, hint=f"Build it by hand: {command}")
