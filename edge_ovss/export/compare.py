"""Hold an exported graph against torch before anything is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import ParityError
from edge_ovss.export.subject import Subject

# Float32 graphs: what the published reference answers are held to as well.
MAX_SCORE_ERROR = 1e-3
MIN_LABEL_AGREEMENT = 0.999
# Where the best score is not above this, a label only records how floats underflow.
COUNTED_SCORE = 1e-6


@dataclass(frozen=True)
class FrameParity:
    """One frame through the graph and through torch.

    Attributes:
        size: (height, width) of the frame.
        traced: Whether this is the frame that the graph was traced with.
        counted: Share of pixels where some category scores at all; only their labels count.
        label_agreement: Share of pixels with the same label as the same graph in torch.
        score_error: Relative L2 of the scores, None where they are not an output.
        survivors_equal: Whether the same categories are alive and the counts are equal.
        published_agreement: Share of pixels with the same label as the published order of
            operations in torch, None where slots overflowed or it was not asked for.
        exact: Whether the graph computes what was published, so that the last must be high too.
    """

    size: tuple[int, int]
    traced: bool
    counted: float
    label_agreement: float
    score_error: float | None
    survivors_equal: bool
    published_agreement: float | None
    exact: bool = True

    @property
    def passed(self) -> bool:
        """Whether everything that was compared is close enough."""
        return (
            self.label_agreement >= MIN_LABEL_AGREEMENT
            and (self.score_error is None or self.score_error <= MAX_SCORE_ERROR)
            and self.survivors_equal
            and (not self.exact or self._follows_published)
        )

    @property
    def _follows_published(self) -> bool:
        agreement = self.published_agreement
        return agreement is None or agreement >= MIN_LABEL_AGREEMENT


def run_graph(path: Path, frames: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[Any]]]:
    """Run an ONNX file on frames with ONNX Runtime on the CPU; outputs by name."""
    ort = require("onnxruntime", extra="export")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = [session.run(names, {"frame": frame[None]}) for frame in frames]
    return [dict(zip(names, answer, strict=True)) for answer in answers]


def published_labels(
    subject: Subject, frame: NDArray[np.uint8], *, topk: int | None
) -> NDArray[np.int64]:
    """Segment a frame by the published order of operations, in torch.

    Args:
        subject: Model, vocabulary, embeddings and size.
        frame: uint8 [H, W, 3] RGB.
        topk: k of the rejection; None for no rejection.

    Returns:
        int64 [H, W], output indices; −1 where no category scores above `COUNTED_SCORE`.
    """
    with torch.inference_mode():
        scores = subject.family.published_scores(
            subject.model,
            subject.embeddings,
            torch.from_numpy(np.array(frame)),
            size=subject.size,
            topk=topk,
        )
        top, best = scores.max(0)
    labels = torch.tensor(subject.vocabulary.output_map)[best]
    labels[top <= COUNTED_SCORE] = -1
    return labels.numpy()


def compare_frame(
    answer: Mapping[str, NDArray[Any]],
    expected: Mapping[str, NDArray[Any]],
    *,
    traced: bool,
    published: NDArray[np.int64] | None,
    exact: bool = True,
) -> FrameParity:
    """Compare the outputs of a graph for one frame with those of torch."""
    labels = answer["labels"][0]
    counted = np.ones(labels.shape, bool) if published is None else published >= 0
    error = None
    if "scores" in answer:
        error = relative_error(answer["scores"], expected["scores"])
    survivors = all(np.array_equal(answer[key], expected[key]) for key in ("alive", "counts"))
    agreement = None if published is None else _agreement(labels, published, counted)
    return FrameParity(
        size=(labels.shape[0], labels.shape[1]),
        traced=traced,
        counted=float(counted.mean()),
        label_agreement=_agreement(labels, expected["labels"][0], counted),
        score_error=error,
        survivors_equal=survivors,
        published_agreement=agreement,
        exact=exact,
    )


def _agreement(given: NDArray[Any], expected: NDArray[Any], counted: NDArray[np.bool_]) -> float:
    """Share of the counted pixels with equal labels; 1 where none counts."""
    return float((given == expected)[counted].mean()) if counted.any() else 1.0


def relative_error(given: NDArray[Any], expected: NDArray[Any]) -> float:
    """‖given − expected‖ / ‖expected‖ in float64; infinite where `given` is not finite."""
    if not np.isfinite(given).all():
        return float("inf")
    difference = given.astype(np.float64) - expected
    norm = float(np.linalg.norm(expected.astype(np.float64)))
    return float(np.linalg.norm(difference)) / max(norm, float(np.finfo(np.float64).tiny))


def require_parity(frames: Sequence[FrameParity]) -> None:
    """Refuse a graph that departs from torch, or one that was compared on nothing.

    Raises:
        ParityError: With the numbers of the first frame that failed.
    """
    if not frames:
        message = "The exported graph was compared with torch on no frame at all."
        raise ParityError(message)
    for frame in frames:
        if not frame.passed:
            message = (
                f"The exported graph departs from torch: {asdict(frame)}; expected label "
                f"agreement of at least {MIN_LABEL_AGREEMENT}, a score error of at most "
                f"{MAX_SCORE_ERROR} and equal survivors. Nothing was written."
            )
            raise ParityError(message, hint="Please report this with the model and the vocabulary.")
