"""A run for tests of views: a drawn street that moves past, with a threshold that has an effect."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.frames.sources import Frame
from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.sink import PageSink
from edge_ovss.live.page.state import PageInfo, UnknownRange
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.result_writer import frame_facts
from edge_ovss.synthetic import STREET_CLASSES, render_street
from edge_ovss.vocabulary import Vocabulary

UNKNOWN = 255
START = 0.2


def page_info(**changes: Any) -> PageInfo:  # noqa: ANN401
    """What a page says about a street."""
    words = Vocabulary.from_names(list(STREET_CLASSES))
    given: dict[str, Any] = {
        "bundle": "street.ovss",
        "names": STREET_CLASSES,
        "palette": np.asarray(words.palette, np.uint8),
        "details": {"model": "sed-tiny", "precision": "int8", "backend": "onnxruntime"},
        "unknown": UnknownRange("score", 0.0, 1.0, START),
    }
    return PageInfo(**(given | changes))


def live_frame(
    index: int,
    frame: NDArray[np.uint8],
    labels: NDArray[Any],
    *,
    names: tuple[str, ...] = STREET_CLASSES,
    latency_s: float = 0.02,
    source: str = "drawn street",
) -> LiveFrame:
    """A segmented frame as the loop gives it to views."""
    now = time.monotonic()
    none = np.zeros(0, np.int32)
    result = Result(labels, names, none, none, None, {"total": 1e3 * latency_s})
    facts = frame_facts(Frame(f"street-{index:06d}", source, lambda: frame), result)
    captured = now - latency_s - 0.012
    return LiveFrame(index, source, frame, result, captured, now, index // 7, facts)


class DrawnRun:
    """Shows a moving street in a page until `close`."""

    def __init__(
        self, sink: PageSink, *, size: tuple[int, int] = (360, 640), fps: float = 20
    ) -> None:
        self.sink = sink
        height, self._width = size
        self._scene = render_street(3, height, 2 * self._width)
        rows, columns = np.mgrid[:height, : 2 * self._width]
        # A pretended score that is low in blobs.
        waves = np.sin(rows / 23) + np.sin(columns / 37) + np.sin((rows + columns) / 53)
        self._score = np.asarray((waves + 3) / 6, np.float32)
        self._fps = fps
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @classmethod
    def open(cls, address: str = "127.0.0.1:0", **options: Any) -> DrawnRun:  # noqa: ANN401
        """Start a page and the run in it."""
        return cls(PageSink(PageAddress.parse(address), page_info()), **options)

    @property
    def url(self) -> str:
        """What a viewer opens."""
        return self.sink.urls[0]

    def _run(self) -> None:
        index = 0
        while not self._end.wait(1 / self._fps):
            unknown = self.sink.settings().unknown
            self.sink.show(self.frame(index, START if unknown is None else unknown))
            index += 1

    def frame(self, index: int, threshold: float) -> LiveFrame:
        """The street a little later; pixels with a low score are unknown."""
        start = 3 * index % self._width
        part = np.s_[:, start : start + self._width]
        labels = self._scene.labels[part].copy()
        labels[self._score[part] < threshold] = UNKNOWN
        latency = 0.018 + 0.006 * np.sin(index / 9) + (0.03 if index % 97 == 50 else 0)
        image = np.ascontiguousarray(self._scene.image[part])
        return live_frame(index, image, labels, latency_s=float(latency))

    def close(self) -> None:
        """End the run and the page."""
        self._end.set()
        self._thread.join()
        self.sink.close()
