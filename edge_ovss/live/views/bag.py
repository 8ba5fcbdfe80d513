"""Write the label maps of a run as a recording of ROS 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_ovss.frames.bags.writing import LabelBag
from edge_ovss.frames.sources import Stamp
from edge_ovss.live.sinks import LiveFrame


class BagFile:
    """A view that keeps label maps for ROS.

    Args:
        path: The folder of the recording; it must not exist.
        names: The K output names.

    Raises:
        OutputError: It exists, or cannot be written.
        MissingDependencyError: rosbags is not installed.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._bag, self._last = LabelBag(path, names), -1

    def show(self, frame: LiveFrame) -> None:
        """Write a label map with the stamp of its image.

        Raises:
            OutputError: It cannot be written.
        """
        stamp = frame.stamp or Stamp(self._time(frame), "")
        self._last = stamp.nanoseconds
        self._bag.rename(frame.result.names)
        self._bag.add(frame.result.labels, stamp, frame.result.confidence)

    def _time(self, frame: LiveFrame) -> int:
        """Return the time of a frame without a stamp: of its capture, else of its recording."""
        seconds = frame.facts.get("unix_s", frame.time_s)
        if isinstance(seconds, int | float):
            return round(seconds * 1e9)
        return self._last + 1

    def close(self) -> None:
        """Finish the recording.

        Raises:
            OutputError: Its end cannot be written.
        """
        self._bag.close()
