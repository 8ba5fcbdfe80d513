"""Keep what C libraries write to the standard error output away from the user, for a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_LOCK = Lock()


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Drop what is written to file descriptor 2, of which libjpeg asks nobody.

    It is the whole process's, so keep this short. One thread at a time: two that took turns in
    another order than they began would leave it closed.
    """
    with _LOCK:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # there is none
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(sink)
            os.close(kept)
