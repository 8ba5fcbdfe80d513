"""Print what the library reports through Python's own warnings as the verbs print theirs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from edge_ovss.cli.shared.console import Console
from edge_ovss.frames.source_notes import PictureWarning, SourceNote

_SHOWN = 3


@contextmanager
def warnings_handled(handle: Callable[[type[Warning], str], bool]) -> Iterator[None]:
    """Give every warning of the block to `handle`; where that returns False, it passes."""
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not handle(category, str(message)):
                before(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


@contextmanager
def shown_notes(console: Console) -> Iterator[None]:
    """Print notes and warnings about sources; other warnings pass.

    Of many images with the same problem the first few are named, and the others counted.
    """
    warned: set[str] = set()

    def handle(category: type[Warning], text: str) -> bool:
        if issubclass(category, SourceNote):
            console.note(f"note: {text}")
        elif not issubclass(category, PictureWarning):
            return False
        elif text not in warned:
            warned.add(text)
            if len(warned) <= _SHOWN:
                console.warn(text)
        return True

    with warnings_handled(handle):
        warnings.simplefilter("default", SourceNote)
        warnings.simplefilter("always", PictureWarning)
        yield
    if len(warned) > _SHOWN:
        console.warn(f"{len(warned) - _SHOWN} more images have such warnings")


@contextmanager
def shown_cautions(console: Console, category: type[Warning]) -> Iterator[list[str]]:
    """Print the warnings of one category at once, and collect them; others pass."""
    said: list[str] = []

    def handle(found: type[Warning], text: str) -> bool:
        if not issubclass(found, category):
            return False
        said.append(text)
        console.warn(text)
        return True

    with warnings_handled(handle):
        warnings.simplefilter("default", category)
        yield said
