"""What a viewer gets for a frame: facts, the image as JPEG, the label map deflated.

The browser lays the colors over the image. So every viewer has opacity and hidden classes of its
own, and all get the same bytes:

    uint32 little-endian: length of the facts | facts, JSON in UTF-8 | JPEG | label map

The label map is row by row, one byte or two (little-endian) per pixel, compressed as in zlib.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import PictureError
from edge_ovss.live.sinks import LiveFrame

# Longest side of the image in the page; more is not seen, and takes time on the board.
LONGEST_SIDE = 1280
_JPEG_QUALITY = 82
_FASTEST = 1


@dataclass(frozen=True)
class View:
    """The image and the label map of a frame as they are sent.

    Attributes:
        width: Of both, in pixels.
        height: Of both.
        label_bytes: Bytes per label, 1 or 2.
        image: A JPEG.
        labels: The label map, deflated.
    """

    width: int
    height: int
    label_bytes: int
    image: bytes
    labels: bytes


@dataclass(frozen=True)
class Message:
    """One frame for all viewers.

    Attributes:
        number: Its index among all frames.
        source: Number of its source.
        facts: JSON types only.
        view: What is seen of it; None where nobody looks.
    """

    number: int
    source: int
    facts: Mapping[str, object]
    view: View | None = None

    @cached_property
    def with_view(self) -> bytes:
        """The facts and, if there is one, the view."""
        view = self.view
        if view is None:
            return self.facts_alone
        sizes = {"image": len(view.image), "labels": len(view.labels)}
        form = {"width": view.width, "height": view.height, "label_bytes": view.label_bytes}
        return _packed({**self.facts, **form, **sizes}) + view.image + view.labels

    @cached_property
    def facts_alone(self) -> bytes:
        """The facts without the view."""
        return _packed({**self.facts, "image": 0, "labels": 0})


def _packed(facts: Mapping[str, object]) -> bytes:
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False).encode()
    return struct.pack("<I", len(text)) + text


def encode_view(image: NDArray[np.uint8], labels: NDArray[Any], side: int = LONGEST_SIDE) -> View:
    """Return the view of a frame, made smaller if one of its sides is longer than `side`.

    Args:
        image: uint8 [H, W, 3], RGB.
        labels: uint8 or uint16 [H, W].
        side: Longest side of the view in pixels.

    Raises:
        PictureError: OpenCV cannot encode it.
    """
    cv2 = require("cv2", extra="onnxruntime")
    height, width = labels.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1.0:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        message = f"OpenCV cannot encode a frame of {width} x {height} as JPEG."
        raise PictureError(message)
    wire = np.ascontiguousarray(labels, labels.dtype.newbyteorder("<"))
    packed = zlib.compress(wire.data, _FASTEST)
    return View(size[0], size[1], labels.dtype.itemsize, jpeg.tobytes(), packed)


@dataclass(frozen=True)
class Moment:
    """What the plot shows of a frame.

    Attributes:
        source: Number of its source.
        count: How many frames of this source came before it.
        at_s: When it was shown, in seconds of `time.monotonic`.
        latency_ms: What the segmenter took.
        age_ms: From reading the frame to its result.
    """

    source: int
    count: int
    at_s: float
    latency_ms: float
    age_ms: float

    @classmethod
    def of(cls, frame: LiveFrame, source: int, count: int) -> Moment:
        """Return it for a frame."""
        latency = float(frame.result.timings.get("total", 0.0))
        return cls(source, count, frame.shown_s, latency, 1e3 * frame.age_s)

    def to_json(self) -> list[float]:
        """Return [source, count, seconds, latency, age]."""
        latency, age = round(self.latency_ms, 2), round(self.age_ms, 2)
        return [self.source, self.count, round(self.at_s, 4), latency, age]


@dataclass(frozen=True)
class Offer:
    """A frame as the feed keeps it.

    Attributes:
        frame: What the loop gave.
        moment: Its place in the plot.
        classes: Number of what its labels stand for.
    """

    frame: LiveFrame
    moment: Moment
    classes: int = 0

    def message(self, *, seen: bool) -> Message:
        """Return the message for viewers; encoded if it is to be seen."""
        frame = self.frame
        view = encode_view(frame.frame, frame.result.labels) if seen else None
        return Message(frame.index, self.moment.source, self._facts(), view)

    def _facts(self) -> dict[str, object]:
        frame = self.frame
        return {
            "number": frame.index,
            "source": self.moment.source,
            "moment": self.moment.to_json(),
            "classes": self.classes,
            "dropped": frame.dropped,
            "shares": frame.facts.get("shares", {}),
            "unknown": frame.facts.get("unknown", 0.0),
        }
