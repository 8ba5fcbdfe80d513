"""Show what the library tells of sources, which it does through Python's own warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from edge_ovss.cli.shared.console import Console
from edge_ovss.frames.source_notes import PictureWarning, SourceNote

_SHOWN = 3


@contextmanager
def shown_notes(console: Console) -> Iterator[None]:
    """Print notes and warnings of sources as the verbs print theirs; other warnings pass.

    Of many pictures that are alike the first few are named, and the others counted.
    """
    dark: set[str] = set()
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
            text = str(message)
            if issubclass(category, SourceNote):
                console.note(f"note: {text}")
            elif not issubclass(category, PictureWarning):
                before(message, category, filename, lineno, file, line)
            elif text not in dark:
                dark.add(text)
                if len(dark) <= _SHOWN:
                    console.warn(text)

        warnings.simplefilter("default", SourceNote)
        warnings.simplefilter("always", PictureWarning)
        warnings.showwarning = show
        yield
    if len(dark) > _SHOWN:
        console.warn(f"{len(dark) - _SHOWN} more pictures are like these")
