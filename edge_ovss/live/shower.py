"""Draw, show and write results in a thread of their own, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from edge_ovss.live.sinks import LiveFrame, Sink, close_all


class Shower(threading.Thread):
    """Passes results to the views; none is left out, and at most one waits.

    Args:
        sinks: The views, in order.
        shown: Called after all views have taken a frame.
    """

    def __init__(self, sinks: Sequence[Sink], shown: Callable[[LiveFrame], None]) -> None:
        super().__init__(name="views", daemon=True)
        self._sinks, self._shown = sinks, shown
        self._next: Callable[[], LiveFrame] | None = None
        self._ending = False
        self._failed: BaseException | None = None
        self._changed = threading.Condition()

    def free(self, wait_s: float) -> bool:
        """Wait until a result can be given, at most `wait_s` real seconds; return whether it can.

        Raises:
            BaseException: What a view raised.
        """
        with self._changed:
            if self._next is not None and self._failed is None:
                self._changed.wait(wait_s)
            if self._failed is not None:
                raise self._failed
            return self._next is None

    def give(self, make: Callable[[], LiveFrame]) -> None:
        """Give a result, as a function that is called when its turn comes."""
        with self._changed:
            self._next = make
            self._changed.notify_all()

    def run(self) -> None:
        """Show what is given until `finish`; never raises."""
        try:
            while (make := self._taken()) is not None:
                frame = make()
                for sink in self._sinks:
                    sink.show(frame)
                self._shown(frame)
        except BaseException as err:  # it is raised again in the main thread
            with self._changed:
                self._failed, self._next = err, None
                self._changed.notify_all()

    def _taken(self) -> Callable[[], LiveFrame] | None:
        """Return the next result, waiting for it; None at the end."""
        with self._changed:
            while self._next is None and not self._ending:
                self._changed.wait()
            make, self._next = self._next, None
            self._changed.notify_all()
            return make

    def finish(self) -> None:
        """Show what was given, end the thread, and close all views, whatever happens.

        Raises:
            BaseException: The first error of a view, also of closing one.
        """
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self.is_alive():
            self.join()
        close_all(self._sinks, self._failed)
