"""Print for the verbs: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from edge_ovss._addresses import without_secrets
from edge_ovss._files import output_error
from edge_ovss._safe_text import json_ready, shown_text

Item = TypeVar("Item")

_STDOUT = Path("/dev/stdout")


@dataclass(frozen=True)
class Console:
    """Where a verb writes.

    Attributes:
        json: Print one JSON document on stdout instead of text.
        quiet: Print no progress and no notes.
    """

    json: bool = False
    quiet: bool = False

    def result(self, text: str, document: object) -> None:
        """Print the result of a verb: `text` for people, or `document` as JSON.

        Raises:
            OutputError: The standard output cannot be written, as on a full disk.
            BrokenPipeError: Its reader left.
        """
        if self.json:
            text = json.dumps(json_ready(document), indent=2, sort_keys=False)
        put(text)

    def note(self, text: str) -> None:
        """Print a message for the user on stderr."""
        if not self.quiet:
            say(text)

    def warn(self, text: str) -> None:
        """Print a warning on stderr, even when quiet."""
        say(f"warning: {text}")

    def progress(self, items: Iterable[Item], label: str) -> Iterator[Item]:
        """Yield `items`, showing how far it got on stderr (a live line only on a terminal)."""
        total = len(items) if isinstance(items, Sized) else None
        live = sys.stderr is not None and sys.stderr.isatty() and not self.quiet
        start = time.monotonic()
        done = 0
        for done, item in enumerate(items, 1):
            yield item
            if live:
                of = f"/{total}" if total is not None else ""
                say(f"{label} {done}{of} {time.monotonic() - start:.0f} s", live=True)
        if live and done:
            say("")

    def counter(self, label: str) -> Callable[[int, int], None] | None:
        """Return a function that shows how many of how many are done; None off a terminal."""
        if self.quiet or sys.stderr is None or not sys.stderr.isatty():
            return None

        def show(done: int, total: int) -> None:
            say(f"  {done}/{total} {label}", live=True)
            if done >= total:
                say("")

        return show


def next_step(*words: object) -> str:
    """Return the line that says what to do next, quoted so that it can be pasted into a shell.

    Args:
        words: The verb and its arguments; those in capitals stand for something.
    """
    return f"Next: edge-ovss {shlex.join(map(str, words))}"


def put(text: str, *, end: str = "\n") -> None:
    """Print on stdout, at once and in one piece.

    Raises:
        OutputError: The standard output cannot be written, as on a full disk.
        BrokenPipeError: Its reader left.
    """
    try:
        print(shown_text(text) + end, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as err:
        raise output_error(_STDOUT, err) from err


def say(text: str, *, live: bool = False) -> None:
    """Print on stderr, without what is secret in addresses.

    Where that cannot be written, nobody is there to be told.

    Args:
        text: Of one line or several.
        live: Whether it takes the place of the line before.
    """
    start, end = ("\r", "") if live else ("", "\n")
    try:
        print(start + shown_text(without_secrets(text)), end=end, file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def prepare_streams() -> None:
    """Let both streams escape what their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def finish_stdout() -> int:
    """Write what is left of stdout; return the exit status that this gives."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as err:
        return give_up_stdout(err)
    return 0


def give_up_stdout(err: OSError) -> int:
    """Say that stdout cannot be written, and return the exit status.

    The reader of a pipe may have left (`edge-ovss … | head`): then nobody is there to be told.
    """
    _drop(sys.stdout)
    if isinstance(err, BrokenPipeError):
        return 0
    failure = output_error(_STDOUT, err)
    say(f"error: {failure}")
    return failure.status


def _drop(stream: TextIO) -> None:
    """Lead a stream that cannot be written nowhere, or the interpreter would try again at exit."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
    except (OSError, ValueError):  # it has no descriptor
        return
