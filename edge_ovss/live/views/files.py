"""Write files of live frames, and count them."""

from __future__ import annotations

from edge_ovss.frames.sources import Frame
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.runtime.result_writer import AnswerWriter


class SavedFrames:
    """Writes what was asked for of every segmented frame.

    Args:
        writer: Writes the files of a frame.

    Attributes:
        count: Number of frames whose files are all written.
    """

    def __init__(self, writer: AnswerWriter) -> None:
        self.count = 0
        self._writer = writer

    def show(self, frame: LiveFrame) -> None:
        """Write the files of a frame.

        Raises:
            OutputError: One cannot be written.
        """
        name, origin = str(frame.facts["name"]), str(frame.facts["source"])
        self._writer.write(Frame(name, origin, lambda: frame.frame, frame.time_s), frame.result)
        self.count += 1

    def close(self) -> None:
        """Nothing is held open."""
