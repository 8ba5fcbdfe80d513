"""Find installed packages that cannot be imported, for `edge-ovss doctor`.

They are imported in a child process: they are large, and a package that crashes (a library for a
different processor) must not end doctor.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from edge_ovss._strict_parsing import DocumentError, parse_json

# open_clip is imported in the one way that works here (models/_open_clip.py).
_CODE = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
for name in sys.argv[2:]:
    print(json.dumps(["import", name]), flush=True)
    try:
        if name == "open_clip":
            from edge_ovss.models._open_clip import import_open_clip
            import_open_clip()
        else:
            importlib.import_module(name)
    except BaseException as err:
        err = err.__cause__ or err if name == "open_clip" else err
        text = " ".join(f"{type(err).__name__}: {err}".split())
        print(json.dumps(["fault", name, text]), flush=True)
print(json.dumps(["end"]), flush=True)
"""
_SECONDS = 120.0
_LONGEST = 300


def import_problems(modules: Sequence[str], *, seconds: float = _SECONDS) -> dict[str, str]:
    """Import modules in a child process; the result is cached per modules and search path.

    Args:
        modules: Installed modules.
        seconds: Time limit for all of them.

    Returns:
        The error of each module that cannot be imported, on one line.
    """
    return dict(_import_problems(tuple(modules), tuple(sys.path), seconds))


@cache
def _import_problems(
    modules: tuple[str, ...], path: tuple[str, ...], seconds: float
) -> dict[str, str]:
    problems: dict[str, str] = {}
    left = list(modules)
    while left:
        events, end = _import_all(left, path, seconds)
        problems |= {event[1]: _shortened(event[2]) for event in events if event[0] == "fault"}
        if end is None:
            break
        reached = [event[1] for event in events if event[0] == "import"]
        if not reached:
            return dict.fromkeys(left, f"the import {end}")
        problems.setdefault(reached[-1], f"the import {end}")
        left = left[left.index(reached[-1]) + 1 :]
    return problems


def _import_all(
    modules: Sequence[str], path: tuple[str, ...], seconds: float
) -> tuple[list[list[Any]], str | None]:
    """Return the events of the process, and how it ended if it did not finish."""
    command = [sys.executable, "-c", _CODE, json.dumps(path), *modules]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        said = err.stdout.decode(errors="replace") if isinstance(err.stdout, bytes) else ""
        return _events(said), f"does not end within {seconds:g} s"
    except OSError as err:
        return [], f"cannot be tried: {err.strerror or err}"
    events = _events(done.stdout)
    return events, None if ["end"] in events else _ending(done.returncode)


def _events(text: str) -> list[list[Any]]:
    """Return our own lines; a package may print more while it is imported."""
    events = []
    for line in text.splitlines():
        try:
            event = parse_json(line)
        except DocumentError:
            continue
        if isinstance(event, list) and event and event[0] in ("import", "fault", "end"):
            events.append(event)
    return events


def _ending(status: int) -> str:
    if status < 0:
        return f"ends the process with {signal.Signals(-status).name}"
    return f"ends the process with status {status}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
