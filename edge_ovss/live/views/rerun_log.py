"""Log frames, label maps and times to Rerun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder
from edge_ovss._optional import require
from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.errors import OutputError, UsageError
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.runtime.overlay import UNKNOWN_LINE

SPAWN = "spawn"
_FORM = "Expected FILE.rrd, 'spawn', or rerun+http://HOST:9876/proxy."
_QUALITY = 80


class RerunLog:
    """A view in Rerun's viewer: frames, label maps with names and colors, latency and age.

    Args:
        where: FILE.rrd to write a recording, "spawn" to open the viewer, or the address of one.
        palette: uint8 [K, 3], RGB, for results without colors of their own.

    Raises:
        UsageError: `where` is none of these.
        OutputError: The file or the viewer cannot be reached.
        MissingDependencyError: rerun-sdk is not installed.
    """

    def __init__(self, where: str, palette: NDArray[np.uint8]) -> None:
        if where != SPAWN and "://" not in where and not where.endswith(".rrd"):
            message = f"--rerun is '{where}'."
            raise UsageError(message, hint=_FORM)
        self._rerun = require("rerun", extra="rerun")
        self._stream = self._rerun.RecordingStream("edge-ovss")
        try:
            self._connect(where)
        except Exception as err:  # the kinds of its errors are not documented
            message = f"Rerun cannot log to '{where}': {err}."
            raise OutputError(message, hint=_FORM) from err
        self._palette = palette
        self._described: dict[str, tuple[tuple[str, ...], bytes]] = {}

    def _connect(self, where: str) -> None:
        if where == SPAWN:
            self._stream.spawn()
        elif "://" in where:
            self._stream.connect_grpc(where)
        else:
            make_folder(Path(where).parent)
            self._stream.save(where)

    def show(self, frame: LiveFrame) -> None:
        """Log a frame and its result."""
        rerun, place = self._rerun, frame.source.strip("/").replace(" ", "_")
        self._stream.set_time("captured", duration=frame.captured_s)
        self._describe(place, frame)
        self._log(f"{place}/image", rerun.Image(frame.frame).compress(jpeg_quality=_QUALITY))
        self._log(f"{place}/labels", rerun.SegmentationImage(frame.result.labels, opacity=0.5))
        self._log("latency_ms", rerun.Scalars(frame.result.timings["total"]))
        self._log("age_ms", rerun.Scalars(1000 * frame.age_s))

    def close(self) -> None:
        """Send what is still held."""
        self._stream.flush()
        self._stream.disconnect()

    def _describe(self, place: str, frame: LiveFrame) -> None:
        """Log names and colors of the labels from this frame on, if they are others than before."""
        colors = frame.result.colors(self._palette)
        classes = frame.result.names, colors.tobytes()
        if self._described.get(place) != classes:
            self._described[place] = classes
            self._log(place, self._classes(frame, colors))

    def _log(self, place: str, what: Any) -> None:  # noqa: ANN401 (Rerun)
        self._stream.log(place, what)

    def _classes(self, frame: LiveFrame, colors: NDArray[np.uint8]) -> Any:  # noqa: ANN401 (Rerun)
        rows = zip(frame.result.names, colors.tolist(), strict=True)
        known = [(label, name, tuple(color)) for label, (name, color) in enumerate(rows)]
        unknown = UNKNOWN[str(frame.result.labels.dtype)], UNKNOWN_LINE, (0, 0, 0, 0)
        return self._rerun.AnnotationContext([*known, unknown])
