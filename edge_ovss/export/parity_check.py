"""Compare an exported graph with torch before anything is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import SCORE_FLOOR, Ranking
from edge_ovss.bundle.reference import Reference, Rule, judge
from edge_ovss.bundle.tolerances import EXACT, LIMITS
from edge_ovss.errors import ParityError
from edge_ovss.export.family import FrozenGraph, OpenText
from edge_ovss.export.frozen_model import FrozenModel
from edge_ovss.export.graph_files import GraphPair, cut_scores
from edge_ovss.export.reference import Answered
from edge_ovss.metrics.label_comparison import LabelComparison, Pair, compare_by_scores
from edge_ovss.metrics.tensors import compare_tensors
from edge_ovss.vocabulary import Vocabulary

# For float32 graphs; the published reference answers are compared with these as well.
_LIMITS = LIMITS[EXACT].torch
MAX_SCORE_ERROR, MIN_LABEL_AGREEMENT = _LIMITS.score_error, _LIMITS.label_agreement


@dataclass(frozen=True)
class FrameCheck:
    """One frame through the graph and through torch.

    Attributes:
        size: (height, width) of the frame.
        traced: Whether this is the frame that the graph was traced with.
        counted: Share of pixels whose label counts (`metrics.label_comparison`).
        label_agreement: Share of those with the same label as the same graph in torch.
        score_error: Relative L2 of the scores, None where they were not compared.
        survivors_equal: Whether the same categories are alive and the counts are equal.
        published_agreement: Share of pixels, of those that count, with the same label as the
            published order of operations in torch, None where slots overflowed or it was not
            asked for.
        exact: Whether the graph computes what was published; then that agreement must be high too.
        ties: Outputs between which torch is undecided, the most frequent pair first.
        flips: (expected, given) where a label is wrong, the most frequent pair first.
    """

    size: tuple[int, int]
    traced: bool
    counted: float
    label_agreement: float
    score_error: float | None
    survivors_equal: bool
    published_agreement: float | None
    exact: bool = True
    ties: tuple[Pair, ...] = ()
    flips: tuple[Pair, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that was compared is close enough."""
        return not self.failures()

    def failures(self) -> tuple[str, ...]:
        """Return a text for everything that is not close enough, with what was expected."""
        found = []
        if not self.label_agreement >= MIN_LABEL_AGREEMENT:
            found.append(_too_few("torch", self.label_agreement))
        if self.score_error is not None and not self.score_error <= MAX_SCORE_ERROR:
            error = f"the relative error of the scores is {self.score_error:.3g}"
            found.append(f"{error}, expected at most {MAX_SCORE_ERROR}")
        if not self.survivors_equal:
            found.append("different categories survive the rejection, expected the same")
        published = self.published_agreement
        if self.exact and published is not None and not published >= MIN_LABEL_AGREEMENT:
            found.append(_too_few("the published model", published))
        return tuple(found)

    def to_json(self) -> dict[str, object]:
        """Return the frame as the manifest has it."""
        ties = [pair.to_json() for pair in self.ties]
        return {**asdict(self), "ties": ties, "flips": [pair.to_json() for pair in self.flips]}


def _too_few(what: str, agreement: float) -> str:
    return (
        f"{100 * agreement:.4f} % of the labels that count are those of {what}, "
        f"expected at least {100 * MIN_LABEL_AGREEMENT:g} %"
    )


def compare_graph(
    pair: GraphPair, frozen: FrozenModel, frames: Sequence[NDArray[np.uint8]]
) -> tuple[list[FrameCheck], list[Answered]]:
    """Compare a written graph with torch, frame by frame.

    Args:
        pair: The written graph.
        frozen: The same graph in torch, and its model.
        frames: uint8 [H, W, 3] RGB each.

    Returns:
        The comparisons, and torch's outputs.

    Raises:
        ParityError: They differ.
    """
    parities: list[FrameCheck] = []
    answers: list[Answered] = []
    for frame, answer in zip(frames, pair.run(frames), strict=True):
        expected = run_torch(frozen.graph, frame, pair.words)
        parity, ranking = compare_frame(
            answer,
            expected,
            frozen.loaded.vocabulary,
            traced=False,
            published=_published(frozen, frame, expected["counts"]),
            exact=frozen.exact,
        )
        parities.append(parity)
        answers.append(Answered(frame, expected, ranking.lead, ranking.best))
    require_parity(parities)
    return parities, answers


def compare_unknown(pair: GraphPair, expected: Reference, *, outputs: int) -> None:
    """Compare a written graph with torch under thresholds that half of the pixels do not reach.

    Args:
        pair: The written graph.
        expected: A frame with the answer of torch, without thresholds.
        outputs: K.

    Raises:
        ParityError: They differ.
    """
    assert expected.measure is not None  # an export always knows it
    thresholds = np.full(outputs, np.median(expected.measure), np.float32)
    answer = pair.run_kept(expected.frame, thresholds)
    alive = answer["alive"]
    given = Reference(expected.frame, answer["labels"][0], alive[alive >= 0], answer["counts"])
    verdict = judge(given, expected, Rule(MIN_LABEL_AGREEMENT, same_survivors=True), thresholds)
    if not verdict:
        message = (
            f"With thresholds of 'unknown', {100 * verdict.agreement:.4f} % of the labels of the "
            f"exported graph that count are those of torch; expected at least "
            f"{100 * MIN_LABEL_AGREEMENT:g} %. Nothing was written."
        )
        raise ParityError(message, hint="Please report this with the model and the vocabulary.")


def run_torch(
    graph: FrozenGraph, frame: NDArray[np.uint8], words: OpenText | None = None
) -> dict[str, NDArray[Any]]:
    """Run a graph in torch on a frame, uint8 [H, W, 3] RGB; outputs by name.

    An open graph needs its words, and only their scores are returned.
    """
    given = {} if words is None else words.inputs()
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    with torch.inference_mode():
        outputs = graph(torch.from_numpy(frame)[None], **tensors)
    found = {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}
    return found if words is None else cut_scores(found, len(words.text))


def _published(
    frozen: FrozenModel, frame: NDArray[np.uint8], counts: NDArray[np.int32]
) -> NDArray[np.float32] | None:
    """Return the published scores, float32 [T, H, W]; None where slots overflow."""
    loaded, rejection = frozen.loaded, frozen.graph.rejection
    if rejection.slots is not None and bool((counts > np.array(rejection.slots)).any()):
        return None  # such a frame gets different labels, and its counts tell
    topk = None if rejection.mode == "none" else rejection.k
    with torch.inference_mode():
        picture = torch.from_numpy(np.array(frame))
        scores: NDArray[np.float32] = loaded.family.published_scores(loaded, picture, topk).numpy()
    return scores


def compare_frame(
    answer: Mapping[str, NDArray[Any]],
    expected: Mapping[str, NDArray[Any]],
    vocabulary: Vocabulary,
    *,
    traced: bool,
    published: NDArray[np.float32] | None,
    exact: bool = True,
) -> tuple[FrameCheck, Ranking]:
    """Compare the outputs of a graph for one frame with those of torch.

    Args:
        answer: Outputs of the graph by name.
        expected: Those of torch, with scores.
        vocabulary: T categories, K outputs.
        traced: Whether the graph was traced with this frame.
        published: Published scores float32 [T, H, W], or None.
        exact: Whether the graph computes what was published.

    Returns:
        The comparison, and the ranking of torch's scores.
    """
    labels = answer["labels"][0]
    wanted, scores = expected["labels"][0], expected["scores"][0]
    own, ranking = compare_by_scores(labels, wanted, scores, vocabulary)
    survivors = all(np.array_equal(answer[key], expected[key]) for key in ("alive", "counts"))
    error = relative_error(answer["scores"], expected["scores"], floor=SCORE_FLOOR)
    other = None if published is None else _against_published(labels, published, vocabulary)
    parity = FrameCheck(
        size=(labels.shape[0], labels.shape[1]),
        traced=traced,
        counted=own.counted,
        label_agreement=own.agreement,
        score_error=error,
        survivors_equal=survivors,
        published_agreement=None if other is None else other.agreement,
        exact=exact,
        ties=own.ties,
        flips=own.flips or (other.flips if other is not None and exact else ()),
    )
    return parity, ranking


def _against_published(
    labels: NDArray[Any], scores: NDArray[np.float32], vocabulary: Vocabulary
) -> LabelComparison:
    expected = np.asarray(vocabulary.output_map)[scores.argmax(0)]
    return compare_by_scores(labels, expected, scores, vocabulary)[0]


def relative_error(given: NDArray[Any], expected: NDArray[Any], *, floor: float = 0.0) -> float:
    """‖given − expected‖ / ‖expected‖ in float64; see `compare_tensors`."""
    return compare_tensors(given, expected, floor=floor).relative_l2


def require_parity(frames: Sequence[FrameCheck]) -> None:
    """Refuse a graph that differs from torch, or that was compared on no frame.

    Raises:
        ParityError: With what failed on the first frame that failed.
    """
    if not frames:
        message = "The exported graph was compared with torch on no frame at all."
        raise ParityError(message)
    for number, frame in enumerate(frames, 1):
        if not frame.passed:
            height, width = frame.size
            message = (
                f"The exported graph differs from torch on frame {number} of {len(frames)} (a "
                f"drawn street, {height}x{width}): {'; '.join(frame.failures())}."
                f"{_most_often(frame)} Nothing was written."
            )
            raise ParityError(message, hint="Please report this with the model and the vocabulary.")


def _most_often(frame: FrameCheck) -> str:
    """Name the categories that are affected most, if any."""
    said = ""
    if frame.flips:
        expected, given = frame.flips[0].outputs
        share = 100 * frame.flips[0].share
        said += f" Most often '{given}' is given for '{expected}' ({share:.3g} % of the pixels)."
    if frame.ties:
        first, second = frame.ties[0].outputs
        said += f" Undecided, and not counted, is most often '{first}' or '{second}'."
    return said
