"""What the verbs print: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


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
        """Print the result of a verb: `text` for people, or `document` as JSON."""
        print(json.dumps(document, indent=2, sort_keys=False) if self.json else text)

    def note(self, text: str) -> None:
        """Print a message for the user on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a warning on stderr, even when quiet."""
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def progress(self, items: Iterable[Item], label: str) -> Iterator[Item]:
        """Yield `items`, showing how far it got on stderr (a live line only on a terminal)."""
        total = len(items) if isinstance(items, Sized) else None
        live = sys.stderr.isatty() and not self.quiet
        start = time.monotonic()
        done = 0
        for done, item in enumerate(items, 1):
            yield item
            if live:
                of = f"/{total}" if total is not None else ""
                elapsed = time.monotonic() - start
                print(f"\r{label} {done}{of} {elapsed:.0f} s", end="", file=sys.stderr, flush=True)
        if live and done:
            print(file=sys.stderr)
