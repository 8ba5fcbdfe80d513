"""Write the result for a frame: label map, overlay, facts and, on request, scores."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import write_bytes, write_json
from edge_ovss.errors import UsageError
from edge_ovss.frames.images import write_label_map
from edge_ovss.frames.sources import Frame
from edge_ovss.runtime.overlay import ALPHA, write_overlay
from edge_ovss.runtime.result import Result, StreamFacts


@dataclass(frozen=True)
class AnswerWriter:
    """Writes `NAME.labels.png`, `NAME.overlay.png` and `NAME.json` into a folder.

    Attributes:
        folder: Target folder; it must exist.
        palette: uint8 [K, 3], RGB.
        overlay: Whether to write the overlay.
        alpha: Weight of the colors in the overlay, 0 to 1.
        save_scores: Whether to write `NAME.scores.npz` (float32 [T, h, w] as "scores").
    """

    folder: Path
    palette: NDArray[np.uint8]
    overlay: bool = True
    alpha: float = ALPHA
    save_scores: bool = False

    def write(self, frame: Frame, result: Result) -> dict[str, object]:
        """Write the result for one frame, the facts last.

        Returns:
            The content of `NAME.json`.

        Raises:
            OutputError: A file cannot be written.
            UsageError: Scores are requested, but the bundle does not output them.
        """
        files = {"labels": f"{frame.name}.labels.png"}
        write_label_map(self.folder / files["labels"], result.labels)
        if self.overlay:
            files["overlay"] = f"{frame.name}.overlay.png"
            path = self.folder / files["overlay"]
            write_overlay(path, frame.image, result, self.palette, alpha=self.alpha)
        if self.save_scores:
            files["scores"] = f"{frame.name}.scores.npz"
            write_bytes(self.folder / files["scores"], _packed(result))
        facts = frame_facts(frame, result) | {"files": files}
        write_json(self.folder / f"{frame.name}.json", facts)
        return facts


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


def _packed(result: Result) -> bytes:
    if result.scores is None:
        message = "The bundle does not output scores, so there are none to save."
        raise UsageError(message, hint="Export it again with --outputs labels,scores.")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, scores=result.scores)
    return buffer.getvalue()
