r"""Compare measures that may say that a pixel is none of the words of a list.

    python -m benchmarks.unknown.measures a.ovss b.ovss --tune TRAIN --score VAL \
        --same pedestrian=person --same pavement=sidewalk

The bundles are of one model and different words, exported with --outputs labels,scores. TRAIN and
VAL are folders of the layout `folder`. Every measure gets one threshold for all lists: the one with
the best mean pixel accuracy on TRAIN, where a pixel whose truth is no word is right if it is
unknown. What is printed is measured on VAL, at every third pixel of every third row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.metrics.confusion import IGNORED
from edge_ovss.metrics.risk_coverage import RiskCoverage, count_steps, step_of, thresholds
from edge_ovss.runtime.segmenter import Segmenter

Scores = NDArray[np.float32]
UNIT = (0.0, 1.0)
FLOOR = 1e-3
EVERY = 3


def best_two(scores: Scores) -> tuple[Scores, Scores]:
    """Return the highest and the second score of float32 [T, n]."""
    ordered = np.sort(scores, axis=0)
    return ordered[-1], ordered[-2] if len(ordered) > 1 else np.zeros_like(ordered[-1])


def share(scores: Scores) -> Scores:
    """Return the best score divided by the sum of all, but for scores near zero."""
    found: Scores = scores.max(0) / np.maximum(scores.sum(0), FLOOR)
    return found


def certainty(scores: Scores) -> Scores:
    """Return 1 minus the entropy of the softmax over the logits, in units of its highest value."""
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    logits = np.log(clipped / (1 - clipped))
    odds = np.exp(logits - logits.max(0))
    shares = odds / odds.sum(0)
    entropy = -(shares * np.log(shares + 1e-12)).sum(0)
    found: Scores = (1 - entropy / np.log(max(len(scores), 2))).astype(np.float32)
    return found


def margin(scores: Scores) -> Scores:
    """Return the best score minus the second."""
    best, second = best_two(scores)
    return best - second


def lead(scores: Scores) -> Scores:
    """Return by which share of itself the best score is above the second."""
    best, second = best_two(scores)
    found: Scores = (1 - second / np.maximum(best, FLOOR)).astype(np.float32)
    return found


MEASURES: Mapping[str, Callable[[Scores], Scores]] = {
    "score": lambda scores: scores.max(0),
    "margin": margin,
    "score x share": lambda scores: scores.max(0) * share(scores),
    "share": share,
    "entropy": certainty,
    "ratio": lead,
}


@dataclass(frozen=True)
class Pixels:
    """Pixels of a data set, with the scores of one bundle.

    Attributes:
        scores: float32 [T, n].
        labels: int64 [n], the best category.
        truth: int64 [n], the true one; T where it is none of them.
    """

    scores: Scores
    labels: NDArray[np.int64]
    truth: NDArray[np.int64]

    @classmethod
    def read(cls, bundle: Path, data: str, same: Mapping[str, str]) -> Pixels:
        """Segment a data set, in which `same` has the word of a list by the name of a class.

        Raises:
            SystemExit: The bundle does not output its scores.
        """
        dataset = open_dataset(data, layout="folder")
        scores, truths = [], []
        with Segmenter.open(bundle) as segmenter:
            if "scores" not in segmenter.bundle.manifest.output.outputs:
                message = f"'{bundle}' has no scores. Export it with --outputs labels,scores."
                raise SystemExit(message)
            words = segmenter.bundle.vocabulary
            known = {name: word for name, word in same.items() if word in words.outputs}
            named = tuple(known.get(name, name) for name in dataset.classes or ())
            found = align(replace(dataset, classes=named), words, missing_unknown=True)
            for sample in dataset.samples:
                truth = found.map_truth(dataset.rule.read(sample.raw_labels()))[::EVERY, ::EVERY]
                planes: Any = segmenter.segment(sample.frame()).scores
                size = (sample.frame().shape[1], sample.frame().shape[0])
                resized = np.stack([cv2.resize(plane, size) for plane in planes])
                counted = truth != IGNORED
                scores.append(resized[:, ::EVERY, ::EVERY][:, counted])
                truths.append(truth[counted])
        joined = np.concatenate(scores, axis=1)
        return cls(joined, joined.argmax(0), np.concatenate(truths).astype(np.int64))


def accuracies(pixels: Pixels, measure: Callable[[Scores], Scores]) -> NDArray[np.float64]:
    """Return the pixel accuracy at every threshold, float64 [STEPS + 1]."""
    steps = step_of(measure(pixels.scores), UNIT)
    right = count_steps(pixels.labels == pixels.truth, steps)[1]
    none = count_steps(pixels.truth == len(pixels.scores), steps)[1]
    below = np.cumsum(none) - none
    accuracy: NDArray[np.float64] = (np.cumsum(right[::-1])[::-1] + below) / float(len(steps))
    return accuracy


def auroc(pixels: Pixels, measure: Callable[[Scores], Scores]) -> float:
    """Return how often a pixel of a word has a higher value than one of none, 0.5 for equals."""
    steps = step_of(measure(pixels.scores), UNIT)
    none, word = count_steps(pixels.truth < len(pixels.scores), steps)
    lower = np.cumsum(none) - none
    pairs = float(none.sum()) * float(word.sum())
    return float((word * (lower + none / 2)).sum()) / pairs if pairs else float("nan")


def known_miou(pixels: Pixels, kept: NDArray[np.bool_]) -> float:
    """Return the mean IoU over the pixels whose truth is a word, in percent."""
    words = len(pixels.scores)
    labels = np.where(kept, pixels.labels, words)[pixels.truth < words]
    truth = pixels.truth[pixels.truth < words]
    both = np.bincount(truth[truth == labels], minlength=words + 1)[:words]
    union = np.bincount(truth, minlength=words + 1) + np.bincount(labels, minlength=words + 1)
    union = union[:words] - both
    present = np.bincount(truth, minlength=words)[:words] > 0
    return 100 * float((both[present] / union[present]).mean())


def report(name: str, tune: list[Pixels], score: list[Pixels]) -> str:
    """Return one line of the table."""
    measure = MEASURES[name]
    step = int(np.mean([accuracies(each, measure) for each in tune], axis=0).argmax())
    cells = []
    for each in score:
        values = measure(each.scores).astype(np.float32)
        tally = count_steps(each.labels == each.truth, step_of(values, UNIT))
        kept = values >= thresholds(UNIT)[step]
        lost = known_miou(each, np.ones_like(kept)) - known_miou(each, kept)
        cells.append(
            f"{100 * accuracies(each, measure)[step]:.1f} (AUROC {100 * auroc(each, measure):.1f}, "
            f"area {100 * RiskCoverage.of(tally).area:.1f}, mIoU lost {lost:.2f})"
        )
    mean = 100 * np.mean([accuracies(each, measure)[step] for each in score])
    return " | ".join([name, f"{thresholds(UNIT)[step]:.3f}", f"{mean:.1f}", *cells])


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--tune", required=True, metavar="DATA", help="thresholds are chosen here")
    parser.add_argument("--score", required=True, metavar="DATA", help="and measured here")
    parser.add_argument(
        "--same", action="append", default=[], metavar="CLASS=WORD", help="a class in other words"
    )
    args = parser.parse_args()
    same = dict(text.split("=", 1) for text in args.same)
    tune = [Pixels.read(bundle, args.tune, same) for bundle in args.bundles]
    score = [Pixels.read(bundle, args.score, same) for bundle in args.bundles]
    print("measure | threshold | mean accuracy |", " | ".join(each.name for each in args.bundles))
    for name in MEASURES:
        print(report(name, tune, score), flush=True)


if __name__ == "__main__":
    main()
