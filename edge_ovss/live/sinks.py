"""What a view gets for every frame, and what it may ask for: the window, a video, the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_ovss.frames.sources import Stamp
from edge_ovss.runtime.result import Result


@dataclass(frozen=True)
class LiveFrame:
    """One segmented frame. Views share its arrays and must not change them.

    Attributes:
        index: Number of the frame among all that were segmented, from 0.
        source: Where it comes from, without user names and passwords, such as "/dev/video0".
        frame: uint8 [H, W, 3], RGB.
        result: The result of the segmenter for it.
        captured_s: When the frame was read, in seconds of `time.monotonic`.
        shown_s: When the result was handed to the views, by the same clock. `shown_s - captured_s`
            is the age of the frame in the views.
        dropped: Frames dropped so far, of all sources, because a newer one was there.
        facts: The line that `--jsonl` writes for it: JSON types only.
        time_s: Its time in the recording or stream in seconds; None if unknown.
        stamp: That of a frame from a recording of ROS; else None.
    """

    index: int
    source: str
    frame: NDArray[np.uint8]
    result: Result
    captured_s: float
    shown_s: float
    dropped: int
    facts: Mapping[str, object]
    time_s: float | None = None
    stamp: Stamp | None = None

    @property
    def age_s(self) -> float:
        """Seconds from reading the frame to showing its result."""
        return self.shown_s - self.captured_s


@dataclass(frozen=True)
class Settings:
    """Changes that a view asks for while frames run; None leaves a thing as it is.

    Attributes:
        alpha: Weight of the colors in overlays, 0 to 1.
        unknown: Threshold below which a pixel is unknown, in the measure of the bundle.
        paused: Whether to stop segmenting; frames are still read, so that the next one is new.
        stop: Whether to end the run, as after Ctrl-C but with status 0.
    """

    alpha: float | None = None
    unknown: float | None = None
    paused: bool | None = None
    stop: bool | None = None

    def updated(self, later: Settings) -> Settings:
        """Return these settings with everything that `later` asks for."""
        asked = {field.name: getattr(later, field.name) for field in fields(later)}
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return Settings(**(kept | {name: v for name, v in asked.items() if v is not None}))


class Closes(Protocol):
    """What is closed at the end of a run."""

    def close(self) -> None:
        """Finish what was written and free everything; called once, after errors too."""


class Sink(Closes, Protocol):
    """A view of the results. The loop calls it from one thread."""

    def show(self, frame: LiveFrame) -> None:
        """Take a result; return soon, since what takes long delays the frames after it.

        Raises:
            EdgeOvssError: The view cannot go on; the run ends with this error.
        """


@runtime_checkable
class Controls(Protocol):
    """A sink that can change the run, by also having this method."""

    def settings(self) -> Settings:
        """Return what it asks for now; called before every frame, also while paused."""


@runtime_checkable
class Listens(Protocol):
    """A sink that also shows warnings, such as that a camera stalls."""

    def warn(self, text: str) -> None:
        """Take a warning: one sentence without secrets; called from any thread."""


def asked_settings(sinks: Iterable[object]) -> Settings:
    """Return what all sinks together ask for; where two differ, the later sink wins."""
    asked = Settings()
    for sink in sinks:
        if isinstance(sink, Controls):
            asked = asked.updated(sink.settings())
    return asked


def close_all(parts: Iterable[Closes], failed: BaseException | None = None) -> None:
    """Close all parts of a run, whatever happens.

    Args:
        parts: What is closed, in order.
        failed: An error from before, which is then the first.

    Raises:
        BaseException: The first error.
    """
    for part in parts:
        try:
            part.close()
        except Exception as err:  # also of a library: the next part has a file to finish
            failed = failed or err
    if failed is not None:
        raise failed
