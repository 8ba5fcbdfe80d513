"""Silence what C libraries write to standard error, for a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_LOCK = Lock()


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Discard what is written to file descriptor 2; libjpeg offers no switch.

    This affects the whole process, so keep it short. The lock admits one thread at a time: two
    that end in a different order than they began would leave the descriptor closed.
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
