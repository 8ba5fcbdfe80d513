"""What the user of an engine should know and would not see, said by `logging`, once in a process.

A program that sets up no logging gets the bare sentence on stderr.
"""

from __future__ import annotations

import logging

from edge_ovss.bundle.reader import Bundle
from edge_ovss.runtime.trt.commands import rebuild_command, selftest_command
from edge_ovss.runtime.trt.engine_store import Engine

_log = logging.getLogger(__name__)
_said: set[tuple[str, str, str]] = set()


def say_unproved(bundle: Bundle, engine: Engine) -> None:
    """Say so if no machine has compared the engine's answer with the right one."""
    proof = engine.record.proof
    if proof.state == "passed":
        return
    key = engine.record.key
    _say(
        engine,
        "unproved",
        f"Engine '{engine.folder.name}' runs here without its answer having been compared; where "
        f"it was built: {proof.reason or 'not said'}. "
        f"Compare: {selftest_command(bundle, key.surroundings.backend)}. "
        f"Compare, and keep that it was right: {rebuild_command(bundle, key, overwrite=False)}",
    )


def say_suboptimal(bundle: Bundle, engine: Engine, why: str) -> None:
    """Say that the library takes an engine, but would make a better one here."""
    command = rebuild_command(bundle, engine.record.key)
    _say(
        engine,
        "suboptimal",
        f"Engine '{engine.folder.name}' runs here, but not as well as one that is built here "
        f"({why}). Build it again: {command}",
    )


def _say(engine: Engine, what: str, text: str) -> None:
    name = (what, str(engine.folder), engine.record.sha256)
    if name not in _said:
        _said.add(name)
        _log.warning(text)
