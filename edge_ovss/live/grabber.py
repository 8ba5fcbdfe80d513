"""Read one camera in a thread of its own, and open it again when it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import EdgeOvssError, InputError
from edge_ovss.frames.cameras.opening import Camera
from edge_ovss.live.clock import Clock
from edge_ovss.live.newest import Captured, Newest

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
_USUAL = 0.9


@dataclass(frozen=True)
class LiveSource:
    """A camera to be read.

    Attributes:
        label: How it is shown, without secrets.
        stem: Start of the names of its frames.
        open: Opens it; raises an `EdgeOvssError` that says why it cannot.
        ends: Whether its end is expected, so that it is not opened again.
    """

    label: str
    stem: str
    open: Callable[[], Camera]
    ends: bool = False


class Grabber(threading.Thread):
    """Reads frames as fast as they come, until `stop`, the end, or a loss for good.

    Args:
        number: Of the source in the run.
        source: The camera.
        newest: Where frames are put.
        clock: The clock of the run.
        reconnect_s: How long to try to open a lost source again; 0 ends with the loss.
        every: Put every N-th frame only.
        warn: Is told of losses and returns.

    Attributes:
        read: Number of frames read.
        reconnects: How often the source was lost and came back.
        heard_s: When the last frame came, or when reading began.
        interval_s: Usual time between frames in seconds; 0 while unknown.
        failed: Why it ended; None for an expected end.
        trying: Whether the source is lost and being opened again.
    """

    def __init__(
        self,
        number: int,
        source: LiveSource,
        newest: Newest,
        clock: Clock,
        *,
        reconnect_s: float,
        every: int,
        warn: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"camera {number}", daemon=True)
        self.source, self.number = source, number
        self.read = self.reconnects = 0
        self.heard_s, self.interval_s = clock.now(), 0.0
        self.failed: EdgeOvssError | None = None
        self.trying = False
        self._newest, self._clock, self._warn = newest, clock, warn
        self._reconnect_s, self._every = reconnect_s, every
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the thread to end after the frame that it waits for."""
        self._stopping.set()

    def run(self) -> None:
        """Read until there is nothing more; never raises."""
        try:
            self._read_all()
        except EdgeOvssError as err:
            self.failed = err
        except Exception as err:  # the run must learn of it, and its thread cannot raise
            message = f"Reading '{self.source.label}' failed: {err!r}."
            self.failed = InputError(message, hint="Check the camera and its driver.")
        finally:
            self._newest.wake()

    def _read_all(self) -> None:
        camera: Camera | None = self.source.open()
        try:
            while camera is not None and not self._stopping.is_set():
                found = _read(camera)
                if found is not None:
                    self._put(*found)
                    continue
                lost, camera = camera, None
                lost.release()
                camera = self._after_the_end()
        finally:
            if camera is not None:
                camera.release()

    def _put(self, image: NDArray[np.uint8], time_s: float | None) -> None:
        now = self._clock.now()
        if self.read:
            gap = now - self.heard_s
            self.interval_s += (1 - _USUAL) * (gap - self.interval_s) if self.interval_s else gap
        self.heard_s = now
        number, self.read = self.read, self.read + 1
        if number % self._every:
            self._newest.skip(self.number)
        else:
            self._newest.put(Captured(self.number, number, image, now, time.time(), time_s))

    def _after_the_end(self) -> Camera | None:
        """Return the source, opened again; None if this is the end."""
        if not self.read and not self._stopping.is_set():
            message = f"Video source '{self.source.label}' gave no frames."
            raise InputError(message, hint="Try it in a player, and check that it is switched on.")
        if self.source.ends or self._stopping.is_set():
            return None
        self.trying = True
        try:
            return self._open_again()
        finally:
            self.trying = False

    def _open_again(self) -> Camera | None:
        lost_s, wait_s, tries = self._clock.now(), FIRST_WAIT_S, 0
        hint = "Check the camera, or let it be opened again: --reconnect S."
        if self._reconnect_s > 0:
            self._warn(f"{self.source.label} is lost; trying to open it again")
        while self._clock.now() - lost_s < self._reconnect_s:
            if self._clock.sleep(wait_s, self._stopping):
                return None
            tries, wait_s = tries + 1, min(2 * wait_s, LONGEST_WAIT_S)
            try:
                camera = self.source.open()
            except EdgeOvssError as err:
                hint = f"The last try: {err.message}"
                continue
            found = _read(camera)
            if found is None:
                camera.release()
                hint = "The last try: it can be opened, but sends nothing."
                continue
            gone = self._clock.now() - lost_s
            self.reconnects += 1
            self.interval_s = 0.0
            self._put(*found)
            self._warn(f"{self.source.label} is back after {gone:.1f} s")
            return camera
        message = f"Video source '{self.source.label}' ended, or was lost"
        if self._reconnect_s > 0:
            message = f"{message}, and was not back within {self._reconnect_s:g} s ({tries} tries)"
        message = f"{message}."
        raise InputError(message, hint=hint)


def _read(camera: Camera) -> tuple[NDArray[np.uint8], float | None] | None:
    """Return the next frame; a source that fails in OpenCV counts as lost."""
    try:
        return camera.read()
    except EdgeOvssError:
        raise
    except Exception:  # OpenCV raises `cv2.error` where a device goes away at the wrong moment
        return None
