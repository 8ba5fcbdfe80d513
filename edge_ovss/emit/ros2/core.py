"""What the node does with an image, without ROS: it knows messages by their fields only."""

from __future__ import annotations

import array
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import EdgeOvssError, UsageError
from edge_ovss.frames.bags.messages import RAW, frame_of
from edge_ovss.runtime.overlay import blend
from edge_ovss.runtime.segmenter import Segmenter, choose_unknown

OK, WARN, ERROR = 0, 1, 2
"""The levels of diagnostic_msgs/DiagnosticStatus."""

_QUIET_S = 2.0
_WINDOW = 30
_PACK = ".npz"
_ENCODINGS = {"uint8": "mono8", "uint16": "mono16"}


@dataclass(frozen=True)
class Answer:
    """What is published for one image.

    Attributes:
        labels: uint8 or uint16 [H, W].
        confidence: uint8 [H, W], 255 is 1; None where it is not wanted.
        overlay: uint8 [H, W, 3] RGB; None where it is not wanted.
    """

    labels: NDArray[Any]
    confidence: NDArray[np.uint8] | None
    overlay: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Status:
    """One entry of the diagnostics: a level, a sentence, and numbers by name."""

    level: int
    message: str
    values: dict[str, str]


class Core:
    """A bundle that segments images, and what there is to say of it.

    Args:
        bundle: Folder of the bundle.
        graph_sha256: The graph that the package was made for.
        backend: A backend of edge-ovss, or "auto".
        threads: CPU threads; 0 for all cores.

    Raises:
        EdgeOvssError: The bundle cannot be opened or is of another graph, or there is no backend.
    """

    def __init__(
        self, bundle: str | Path, graph_sha256: str, *, backend: str = "auto", threads: int = 0
    ) -> None:
        opened = Bundle.open(bundle)
        found = graph_hash(opened)
        if found != graph_sha256:
            message = (
                f"The bundle '{bundle}' has the graph {found[:12]}; this package was made for "
                f"{graph_sha256[:12]}."
            )
            raise UsageError(message, hint="Run edge-ovss emit ros2 for this bundle again.")
        self._own = opened
        self._segmenter = Segmenter.open(opened, backend=backend, threads=threads or None)
        self.overlay = False
        self.confidence = False
        self._latencies: deque[float] = deque(maxlen=_WINDOW)
        self._overflows: deque[bool] = deque(maxlen=_WINDOW)
        self._frames = 0
        self._unknown_share = 0.0
        self._last: float | None = None
        self._failure = ""

    def __enter__(self) -> Core:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free what the bundle holds."""
        self._segmenter.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The names that labels index."""
        return self._segmenter.names

    @property
    def threshold(self) -> float:
        """The lowest threshold below which a label is unknown; 0 where none is."""
        info = self._segmenter.unknown
        return 0.0 if info is None else min(info.thresholds)

    def set_unknown(self, given: str | float | bool) -> None:
        """Say when a label is unknown: "off", "auto", a number, a file; "" for the bundle's own.

        Args:
            given: As the parameter has it. YAML makes false of a bare `off`.

        Raises:
            EdgeOvssError: It is none of these; nothing changes then.
        """
        words = "off" if given is False else str(given)
        self._segmenter.unknown = choose_unknown(self._segmenter.bundle, words or None)

    def set_words(self, given: str, tower: str = "") -> None:
        """Segment with other words from the next image on; "" for those of the bundle.

        Args:
            given: Words with commas between them, a file of them, or an embedding pack (.npz).
            tower: Folder of the text tower; "" for the one in the bundle or beside it.

        Raises:
            EdgeOvssError: The words of this bundle cannot be changed, or not to these; nothing
                changes then.
        """
        if given.endswith(_PACK):
            self._segmenter.set_words(None, embeddings=given)
        elif given:
            self._segmenter.set_words(given, tower=tower or None)
        elif self._segmenter.bundle is not self._own:
            self._segmenter.use_words(self._own)

    def change(self, values: Mapping[str, Any]) -> None:
        """Take new values of parameters from the next image on: all, or none where one is wrong.

        Args:
            values: By name: `words` with `tower`, `unknown`, `overlay`, `confidence`. Those that
                are missing stay as they are, others are not looked at.

        Raises:
            EdgeOvssError: As `set_words` and `set_unknown`.
        """
        words, limits = self._segmenter.bundle, self._segmenter.unknown
        try:
            if "words" in values:
                self.set_words(values["words"], values.get("tower", ""))
            if "unknown" in values:
                self.set_unknown(values["unknown"])
        except EdgeOvssError:
            if self._segmenter.bundle is not words:
                self._segmenter.use_words(words)
            self._segmenter.unknown = limits
            raise
        self.overlay = values.get("overlay", self.overlay)
        self.confidence = values.get("confidence", self.confidence)

    def segment(self, image: Any, now: float) -> Answer:  # noqa: ANN401 (sensor_msgs/Image)
        """Segment a sensor_msgs/Image.

        Args:
            image: With the fields of that message.
            now: Seconds of a clock that does not jump.

        Raises:
            EdgeOvssError: It has an encoding that is not known, or is damaged. `status` tells it.
        """
        try:
            frame = frame_of(_plain(image), "image")
            result = self._segmenter.segment(frame)
        except EdgeOvssError as err:
            self._failure, self._last = err.message, now
            raise
        self._failure, self._last = "", now
        self._frames += 1
        self._latencies.append(result.timings["total"])
        self._overflows.append(result.overflow)
        self._unknown_share = result.unknown
        palette = self._segmenter.palette
        overlay = blend(frame, result.labels, palette) if self.overlay else None
        confidence = _eight_bits(result.confidence) if self.confidence else None
        return Answer(result.labels, confidence, overlay)

    def status(self, now: float) -> Status:
        """Return how the node is doing; `now` is of the clock that `segment` was told."""
        level, message = self._judged(now)
        recent = len(self._overflows)
        values = {
            "backend": self._segmenter.backend,
            "precision": self._segmenter.precision,
            "frames": str(self._frames),
            "latency_ms (median)": f"{statistics.median(self._latencies or [0.0]):.1f}",
            "frames with too few slots": f"{sum(self._overflows)} of the last {recent}",
            "unknown pixels": f"{100 * self._unknown_share:.1f} %",
        }
        return Status(level, message, values)

    def _judged(self, now: float) -> tuple[int, str]:
        if self._failure:
            return ERROR, self._failure
        if self._last is None:
            return WARN, "no image has come yet"
        if now - self._last > _QUIET_S:
            return WARN, f"no image for {now - self._last:.0f} s"
        if any(self._overflows):
            return WARN, "too few slots for some frames: their labels may differ from the model's"
        return OK, "segmenting"


def image_fields(pixels: NDArray[Any]) -> dict[str, Any]:
    """Return the fields of a sensor_msgs/Image but for its header.

    Args:
        pixels: uint8 or uint16 [H, W], or uint8 [H, W, 3] RGB.
    """
    height, width = pixels.shape[:2]
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return {
        "height": height,
        "width": width,
        "encoding": "rgb8" if pixels.ndim == 3 else _ENCODINGS[str(pixels.dtype)],
        "is_bigendian": 0,
        "step": little.nbytes // height,
        "data": array.array("B", little.tobytes()),  # rclpy looks at each byte of other types
    }


def _plain(image: Any) -> Any:  # noqa: ANN401 (sensor_msgs/Image)
    """Return the message with its bytes as an array, whatever holds them (array, list, bytes)."""
    data = image.data
    whole = np.frombuffer(data, np.uint8) if _is_buffer(data) else np.array(data, np.uint8)
    return SimpleNamespace(
        __msgtype__=RAW,
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        step=image.step,
        data=whole,
    )


def _is_buffer(data: object) -> bool:
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def _eight_bits(confidence: NDArray[np.float32] | None) -> NDArray[np.uint8] | None:
    if confidence is None:
        return None
    whole: NDArray[np.uint8] = np.rint(255.0 * confidence.clip(0.0, 1.0)).astype(np.uint8)
    return whole
