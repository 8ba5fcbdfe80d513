"""Warnings about engines, logged once per process.

Without a logging configuration, Python prints the bare message on stderr.
"""

from __future__ import annotations

import logging

from edge_ovss.bundle.reader import Bundle
from edge_ovss.runtime.trt.commands import rebuild_command, selftest_command
from edge_ovss.runtime.trt.engine_store import Engine

_log = logging.getLogger(__name__)
_said: set[tuple[str, str, str]] = set()


def say_unproved(bundle: Bundle, engine: Engine) -> None:
    """Warn if the engine's output has never been checked."""
    proof = engine.record.proof
    if proof.state == "passed":
        return
    key = engine.record.key
    _say(
        engine,
        "unproved",
        f"The output of engine '{engine.folder.name}' has never been checked. When it was built: "
        f"{proof.reason or 'reason unknown'}. "
        f"Check it: {selftest_command(bundle, key.surroundings.backend)}. "
        f"Check it and record the result: {rebuild_command(bundle, key, overwrite=False)}",
    )


def say_suboptimal(bundle: Bundle, engine: Engine, why: str) -> None:
    """Warn that the library accepts an engine but would build a better one here."""
    command = rebuild_command(bundle, engine.record.key)
    _say(
        engine,
        "suboptimal",
        f"Engine '{engine.folder.name}' works, but one built on this machine would be better "
        f"({why}). Build it again: {command}",
    )


def _say(engine: Engine, what: str, text: str) -> None:
    name = (what, str(engine.folder), engine.record.sha256)
    if name not in _said:
        _said.add(name)
        _log.warning(text)
