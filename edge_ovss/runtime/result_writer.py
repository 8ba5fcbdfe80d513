"""Write the result for a frame: label map, overlay, facts and, on request, other forms."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import write_bytes, write_json
from edge_ovss._safe_text import json_ready
from edge_ovss.errors import UsageError
from edge_ovss.frames.images import write_label_map, write_picture
from edge_ovss.frames.sources import Frame
from edge_ovss.runtime.overlay import ALPHA, paint, write_overlay
from edge_ovss.runtime.result import Result, StreamFacts
from edge_ovss.runtime.saving import kinds, rle, shapes
from edge_ovss.runtime.saving.published_colors import published_colors


@dataclass(frozen=True)
class AnswerWriter:
    """Writes the results of frames into a folder.

    Attributes:
        folder: Target folder; it must exist.
        palette: uint8 [K, 3], RGB, for results without colors of their own.
        saved: What to write, names of `edge_ovss.runtime.saving.kinds`.
        alpha: Weight of the colors in the overlay, 0 to 1.
    """

    folder: Path
    palette: NDArray[np.uint8]
    saved: Collection[str] = kinds.DEFAULT
    alpha: float = ALPHA

    def write(self, frame: Frame, result: Result) -> dict[str, object]:
        """Write the result for one frame, the facts last.

        Returns:
            The facts, which are the content of `NAME.json`.

        Raises:
            OutputError: A file cannot be written.
            UsageError: Scores or confidence are requested, but the bundle does not output them.
        """
        wanted = [kind for kind in kinds.SUFFIXES if kind in self.saved and kind != kinds.FACTS]
        files = {kind: f"{frame.name}{kinds.SUFFIXES[kind]}" for kind in wanted}
        for kind, name in files.items():
            self._write(kind, self.folder / name, frame, result)
        facts = frame_facts(frame, result) | {"files": files}
        if kinds.FACTS in self.saved:
            write_json(self.folder / f"{frame.name}{kinds.SUFFIXES[kinds.FACTS]}", facts)
        return facts

    def _write(self, kind: str, path: Path, frame: Frame, result: Result) -> None:
        labels, names, palette = result.labels, result.names, result.colors(self.palette)
        if kind == kinds.LABELS:
            write_label_map(path, labels)
        elif kind == kinds.IMAGE:
            write_picture(path, frame.image)
        elif kind == kinds.OVERLAY:
            write_overlay(path, frame.image, result, palette, alpha=self.alpha)
        elif kind == kinds.COLOR:
            write_picture(path, paint(labels, published_palette(names, palette)))
        elif kind == kinds.CONFIDENCE:
            write_label_map(path, _sixteen_bits(result))
        elif kind == kinds.SCORES:
            write_bytes(path, _packed(result))
        elif kind == kinds.RLE:
            _write_compact(path, rle.coco_annotations(labels, names))
        elif kind == kinds.GEOJSON:
            _write_compact(path, shapes.geojson(labels, names))
        else:
            image = f"{frame.name}{kinds.SUFFIXES[kinds.IMAGE]}"
            _write_compact(path, shapes.labelme(labels, names, image))


def published_palette(names: Sequence[str], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the customary colors of a published data set; those of the bundle for others."""
    colors = published_colors(names)
    return palette if colors is None else np.array(colors, np.uint8)


def frame_facts(frame: Frame, result: Result) -> dict[str, object]:
    """Return the facts of a result as a JSON object."""
    height, width = result.labels.shape
    facts = {
        "name": frame.name,
        "source": frame.origin,
        "time_s": None if frame.time_s is None else round(frame.time_s, 6),
        "height": height,
        "width": width,
        "shares": {name: round(share, 6) for name, share in result.shares().items()},
        "unknown": round(result.unknown, 6),
        "alive": result.alive.tolist(),
        "counts": result.counts.tolist(),
        "slots": None if result.slots is None else list(result.slots),
        "overflow": result.overflow,
        "reran": result.reran,
        "timings_ms": {step: round(time, 3) for step, time in result.timings.items()},
    }
    return facts if result.stream is None else facts | _stream_facts(result.stream)


def _stream_facts(stream: StreamFacts) -> dict[str, object]:
    age = None if stream.age_ms is None else round(stream.age_ms, 3)
    return {"key": stream.key, "age_ms": age, "held": round(stream.held, 6), "cut": stream.cut}


def _write_compact(path: Path, document: object) -> None:
    """Write JSON without spaces: outlines have very many numbers."""
    text = json.dumps(json_ready(document), separators=(",", ":"), ensure_ascii=False)
    write_bytes(path, text.encode("utf-8"))


def _packed(result: Result) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, scores=_required(result.scores, kinds.SCORES))
    return buffer.getvalue()


def _sixteen_bits(result: Result) -> NDArray[np.uint16]:
    """Return the confidence as an image of 16 bits: 65535 is 1."""
    confidence = _required(result.confidence, kinds.CONFIDENCE).clip(0.0, 1.0)
    whole: NDArray[np.uint16] = np.rint(65535.0 * confidence).astype(np.uint16)
    return whole


def _required(array: NDArray[np.float32] | None, output: str) -> NDArray[np.float32]:
    if array is None:
        message = f"The bundle does not output {output}, so there is nothing to save."
        raise UsageError(message, hint=f"Export it again with --outputs labels,{output}.")
    return array
