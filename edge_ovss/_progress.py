"""How long work reports to whoever waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")

Note = Callable[[str], None]
"""Takes one line about the step that begins."""

CountProgress = Callable[[int, int], None]
"""Takes how many items are done, and of how many."""

_PAUSE_S = 0.1
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class Progress(Protocol):
    """Wraps the items that a loop works on, to show how far it is."""

    def __call__(self, items: Iterable[Item], label: str, /) -> Iterable[Item]:
        """Return the same items in the same order; `label` names one of them."""
        ...


class Bar(Protocol):
    """A line on a terminal that says how far work is."""

    def advance(self, count: int = 1) -> None:
        """Say that `count` more items are done."""

    def close(self) -> None:
        """Leave the line as it is, and end it."""


def silent(_: str) -> None:
    """Take a note and say nothing."""


@contextmanager
def no_bars() -> Iterator[None]:
    """Show no bars in this block."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def open_bar(label: str, total: int | None, *, is_bytes: bool = False, done: int = 0) -> Bar:
    """Return a bar on stderr, of tqdm where that is installed; an empty one without a terminal.

    Args:
        label: What is counted, such as "image".
        total: Number of items; None if unknown.
        is_bytes: Show mega- and gigabytes.
        done: Items that were done before.
    """
    if _quiet.get() or sys.stderr is None or not sys.stderr.isatty():
        return _NoBar()
    try:
        from tqdm import tqdm
    except ImportError:
        return _PlainBar(label, total, is_bytes=is_bytes, done=done)
    settings: dict[str, Any] = {"unit": "it"}
    if is_bytes:
        settings = {"unit": "B", "unit_scale": True, "unit_divisor": 1000}
    bar = tqdm(total=total, desc=label, initial=done, file=sys.stderr, **settings)
    return _TqdmBar(bar)


class _NoBar:
    def advance(self, count: int = 1) -> None:
        del count

    def close(self) -> None:
        return


class _TqdmBar:
    def __init__(self, bar: Any) -> None:  # noqa: ANN401 (tqdm)
        self._bar = bar

    def advance(self, count: int = 1) -> None:
        self._bar.update(count)

    def close(self) -> None:
        self._bar.close()


class _PlainBar:
    """The same with what Python has: count, total, rate, and the time that is left."""

    def __init__(self, label: str, total: int | None, *, is_bytes: bool, done: int) -> None:
        self._label, self._total, self._is_bytes = label, total, is_bytes
        self._done = self._before = done
        self._start = self._shown = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._shown >= _PAUSE_S:
            self._shown = now
            self._show(now - self._start, "")

    def close(self) -> None:
        if self._done > self._before:
            self._show(time.monotonic() - self._start, "\n")

    def _show(self, seconds: float, end: str) -> None:
        rate = (self._done - self._before) / max(seconds, 1e-9)
        parts = [f"{self._label} {self._count(self._done)}"]
        if self._total:
            parts[0] += f"/{self._count(self._total)} {100 * self._done // self._total} %"
        parts.append(f"{self._count(rate)}/s")
        left = (self._total - self._done) / rate if self._total and rate else None
        if end:
            parts.append(f"in {clock_text(seconds)}")
        elif left is not None:
            parts.append(f"{clock_text(left)} left")
        try:
            print(f"\r{', '.join(parts)}\033[K", end=end, file=sys.stderr, flush=True)
        except OSError:  # the terminal is gone
            return

    def _count(self, number: float) -> str:
        if self._is_bytes:
            return f"{number / 1e6:.1f} MB"
        return str(number) if isinstance(number, int) else f"{number:.1f}"


def clock_text(seconds: float) -> str:
    """Return a duration as minutes and seconds, such as "3:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
