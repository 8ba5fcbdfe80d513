"""End on Ctrl-C and other signals without leaving partial files or results."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# Sent by kill, docker stop and systemd, and when the terminal closes; Windows has only the first.
_ENDING = ("SIGTERM", "SIGHUP")


class Terminated(KeyboardInterrupt):
    """A signal asked this process to end; like Ctrl-C, but with a different exit status."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


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
def signals_raise() -> Iterator[None]:
    """Raise `Terminated` in the block when such a signal arrives.

    A signal that is already ignored (nohup) or handled stays so. Outside the main thread nothing
    changes.
    """
    with _handled(_ENDING, _raise, replaces=lambda before: before is signal.SIG_DFL):
        yield


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Collect such signals while the block runs, and restore their handlers afterwards.

    An ignored signal stays ignored, as SIGINT under nohup. Outside the main thread nothing changes.
    """
    stop = Stop()
    ignored = (signal.SIG_IGN, None)
    with _handled(("SIGINT", *_ENDING), stop.ask, replaces=lambda before: before not in ignored):
        yield stop


@contextmanager
def _handled(
    names: tuple[str, ...],
    handler: Callable[[int, FrameType | None], None],
    *,
    replaces: Callable[[object], bool],
) -> Iterator[None]:
    """Handle signals whose present handler it `replaces`; restore the handlers afterwards."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if replaces(signal.getsignal(number)):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise Terminated(number)
