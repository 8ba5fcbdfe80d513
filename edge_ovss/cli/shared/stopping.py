"""Ctrl-C and other requests to end, in a loop: what was begun is finished, and then it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from edge_ovss.cli.shared.signals import Terminated

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last


class Stop:
    """Whether a signal asked to stop, and which."""

    def __init__(self) -> None:
        self._number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether it did."""
        return self._number is not None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; who repeats it does not want to wait.

        Raises:
            KeyboardInterrupt: It is the second one.
        """
        del frame
        self.check()
        self._number = number

    def check(self) -> None:
        """Stop here if it was asked for.

        Raises:
            KeyboardInterrupt: It was, by SIGINT.
            Terminated: It was, by another signal.
        """
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._number is not None:
            raise Terminated(self._number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Give what tells of such signals while the block runs; their handlers are put back then.

    A signal that is ignored, as SIGINT is under nohup, stays ignored. In other threads than the
    main one there is no telling, and a signal does what it did.
    """
    stop = Stop()
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stop.ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
