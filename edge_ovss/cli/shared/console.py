"""Print for the verbs: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from edge_ovss._addresses import without_secrets
from edge_ovss._files import output_error
from edge_ovss._progress import Bar, open_bar
from edge_ovss._safe_text import json_ready, shown_text

Item = TypeVar("Item")

_STDOUT = Path("/dev/stdout")


@dataclass(frozen=True)
class Console:
    """The output of a verb.

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
        """Yield `items`, with a live progress line on stderr if that is a terminal."""
        if self.quiet:
            yield from items
            return
        bar = open_bar(label, len(items) if isinstance(items, Sized) else None)
        try:
            for item in items:
                yield item
                bar.advance()
        finally:
            bar.close()

    def counter(self, label: str) -> Callable[[int, int], None] | None:
        """Return a function that shows a count on stderr; None if that is not a terminal."""
        if self.quiet or sys.stderr is None or not sys.stderr.isatty():
            return None
        bars: list[Bar] = []
        before = 0

        def show(done: int, total: int) -> None:
            nonlocal before
            if not bars:
                bars.append(open_bar(label, total))
            bars[0].advance(done - before)
            before = done
            if done >= total:
                bars.pop().close()
                before = 0

        return show


def next_step(*words: object) -> str:
    """Return a line with the next command, quoted so that it can be pasted into a shell.

    Args:
        words: The verb and its arguments; those in capitals are placeholders.
    """
    return f"Next: edge-ovss {shlex.join(map(str, words))}"


def put(text: str, *, end: str = "\n") -> None:
    """Print on stdout, unbuffered and in one write.

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


def say(text: str, *, live: bool = False, secret: bool = False) -> None:
    """Print on stderr, with the secrets in addresses removed; failures are ignored.

    Args:
        text: One line or several.
        live: Whether it replaces the line before.
        secret: Whether it is the one place where a secret is told: it is not removed.
    """
    start, end = ("\r", "") if live else ("", "\n")
    text = text if secret else without_secrets(text)
    try:
        print(start + shown_text(text), end=end, file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def prepare_streams() -> None:
    """Make both streams escape characters that they cannot encode, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def finish_stdout() -> int:
    """Flush stdout; return the exit status that this gives."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as err:
        return give_up_stdout(err)
    return 0


def give_up_stdout(err: OSError) -> int:
    """Report that stdout cannot be written, and return the exit status.

    If the reader of a pipe has left (`edge-ovss … | head`), that is no failure.
    """
    _drop(sys.stdout)
    if isinstance(err, BrokenPipeError):
        return 0
    failure = output_error(_STDOUT, err)
    say(f"error: {failure}")
    return failure.status


def _drop(stream: TextIO) -> None:
    """Send a stream that cannot be written to the null device; else Python retries at exit."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
    except (OSError, ValueError):  # it has no descriptor
        return
