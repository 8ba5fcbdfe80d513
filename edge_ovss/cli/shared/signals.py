"""Let a request to end be an exception, so that everything half-written is removed on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# "End now" (kill, docker stop, systemd) and "the terminal is gone"; Windows has only the first.
_NAMES = ("SIGTERM", "SIGHUP")


class Terminated(KeyboardInterrupt):
    """A signal asked this process to end; treated like Ctrl-C, with an exit status of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def signals_raise() -> Iterator[None]:
    """Raise `Terminated` in the block where such a signal would end the process at once.

    A signal that is ignored (nohup) or handled already stays so, and so does everything where the
    block does not run in the main thread.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
        before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is signal.SIG_DFL}
    for number in before:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise Terminated(number)
