"""End a loop on Ctrl-C and other signals, after the current item is finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from edge_ovss.cli.shared.signals import Terminated

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last


class Stop:
    """The signal that asked to stop, if any."""

    def __init__(self) -> None:
        self._number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal asked to stop."""
        return self._number is not None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; a second one stops at once.

        Raises:
            KeyboardInterrupt: The first one was SIGINT.
            Terminated: The first one was a different signal.
        """
        del frame
        self.check()
        self._number = number

    def check(self) -> None:
        """Stop here if a signal asked for it.

        Raises:
            KeyboardInterrupt: The signal was SIGINT.
            Terminated: It was a different one.
        """
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._number is not None:
            raise Terminated(self._number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Collect such signals while the block runs, and restore their handlers afterwards.

    An ignored signal stays ignored, as SIGINT under nohup. Outside the main thread nothing changes.
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
