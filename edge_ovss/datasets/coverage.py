"""Describe which part of a data set a score covers: ignored, left-out and absent categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_ovss.datasets.alignment import Alignment
from edge_ovss.datasets.dataset import Dataset, LabelRule
from edge_ovss.errors import InputError
from edge_ovss.metrics.confusion import IGNORED, Confusion

LABELS_START = "if 0 means 'not labeled' and the categories count from 1, give --labels-start 1"
_SHOWN = 5
_BINARY = 255
# A shift is reported if it explains most pixels, in more than one category.
_SHIFT_EXPLAINS = 0.5
_SEEN = 0.05


@dataclass(frozen=True)
class Coverage:
    """The pixels of a data set, divided into scored, ignored and left out.

    Attributes:
        categories: C, number of categories of the data set.
        pixels: Number of pixels in all label maps.
        scored: Pixels in the confusion matrix.
        ignored: Pixels by number that means "not labeled", if it occurs.
        left_out: Pixels by category that is not in the vocabulary, whether it occurs or not.
        absent: Categories in the vocabulary that never occur.
        unnamed: Pixels by category that is no word of the vocabulary and counts as "unknown";
            they are scored.
    """

    categories: int
    pixels: int
    scored: int
    ignored: Mapping[int, int]
    left_out: Mapping[str, int]
    absent: tuple[str, ...]
    unnamed: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, alignment: Alignment, numbers: Mapping[int, int]) -> Coverage:
        """Compute the coverage from the pixels by number in the label files."""
        names = dataset.classes if dataset.classes is not None else alignment.names
        pixels, ignored = category_pixels(dataset.rule, numbers)
        missing = set(alignment.left_out)
        left_out = {name: pixels.get(i, 0) for i, name in enumerate(names) if name in missing}
        others = {
            name: pixels.get(i, 0) for i, name in enumerate(names) if name in alignment.unnamed
        }
        absent = [n for i, n in enumerate(names) if n not in missing and not pixels.get(i)]
        return cls(
            categories=len(names),
            pixels=sum(numbers.values()),
            scored=sum(pixels.values()) - sum(left_out.values()),
            ignored=ignored,
            left_out=left_out,
            absent=tuple(absent),
            unnamed=others,
        )

    def require_scored(self) -> None:
        """Check that there is something to score.

        Raises:
            InputError: Every pixel is ignored or left out.
        """
        if self.scored > sum(self.unnamed.values()):
            return
        message = "No pixel has a label, so there is nothing to score."
        others = [*self.left_out, *self.unnamed]
        if any((*self.left_out.values(), *self.unnamed.values())):
            message = (
                f"No pixel has a label of a category in the vocabulary; left out: {some(others)}."
            )
        raise InputError(message, hint="Check the layout and its ignore value: data check.")

    def share(self, pixels: int) -> float:
        """Return the share of all pixels, in percent."""
        return 100.0 * pixels / self.pixels if self.pixels else 0.0

    def to_json(self) -> dict[str, object]:
        """Return the coverage as a JSON object, shares in percent of all pixels."""
        return {
            "categories": self.categories,
            "categories_scored": self.categories - len(self.left_out),
            "pixels": self.pixels,
            "scored_share": self.share(self.scored),
            "ignored_share": self.share(sum(self.ignored.values())),
            "left_out_share": self.share(sum(self.left_out.values())),
            "ignored": {str(number): count for number, count in self.ignored.items()},
            "left_out": dict(self.left_out),
            "never_occur": list(self.absent),
            "unnamed_share": self.share(sum(self.unnamed.values())),
            "unnamed": dict(self.unnamed),
        }


def category_pixels(
    rule: LabelRule, numbers: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the pixels by category, and by number that means "not labeled".

    Raises:
        InputError: A number is neither a category nor ignored.
    """
    values = np.array(sorted(numbers), np.uint16)
    pixels: dict[int, int] = {}
    ignored: dict[int, int] = {}
    for number, category in zip(values.tolist(), rule.read(values).tolist(), strict=True):
        if category == IGNORED:
            ignored[number] = numbers[number]
        else:
            pixels[category] = pixels.get(category, 0) + numbers[number]
    return pixels, ignored


def some(names: Sequence[str], count: int = _SHOWN) -> str:
    """Return the first names and the number of the others."""
    shown = ", ".join(name.strip() for name in names[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more"


def number_hints(
    rule: LabelRule, numbers: Mapping[int, int], names: Sequence[str] | None
) -> Iterator[tuple[str, str]]:
    """Yield (kind, message) for numbers in label files that look like a misunderstanding.

    Args:
        rule: The current interpretation of the numbers.
        numbers: Pixels by number, over all files.
        names: Category names; None if not given.
    """
    used = {number for number, count in numbers.items() if count}
    if used <= {0, _BINARY} and _BINARY in used and _BINARY in rule.ignore:
        yield (
            "binary masks",
            f"the label maps hold nothing but {' and '.join(map(str, sorted(used)))}: {_BINARY} "
            "counts as not labeled, so at most one category is scored. If it means the second "
            "category, write 1 instead",
        )
        return
    first = 0 if rule.zero == "category" else 1
    for number in sorted(used & set(rule.ignore)):
        if rule.classes is not None and 0 <= number - first < rule.classes:
            name = "" if names is None else f" ({names[number - first].strip()})"
            share = 100 * numbers[number] / sum(numbers.values())
            yield (
                "category ignored",
                f"the number {number} counts as not labeled ({share:.1f} % of the pixels), "
                f"although it is the number of a category{name}; --ignore changes that",
            )


def shift_hint(confusion: Confusion, alignment: Alignment) -> str | None:
    """Return a hint if the labels would fit the predictions better when shifted by one.

    Args:
        confusion: int64 [K, K] of a data set.
        alignment: The output of each category.
    """
    count = confusion.shape[0]
    outputs = np.arange(count) if alignment.truth is None else alignment.truth
    pairs = [(a, b) for a, b in zip(outputs[1:], outputs[:-1], strict=True) if min(a, b) >= 0]
    later = [int(confusion[a, b]) for a, b in pairs if a != b]
    earlier = [int(confusion[b, a]) for a, b in pairs if a != b]
    shifted = max(later, earlier, key=sum)
    # A single category that is taken for its neighbor is not a shift.
    often = sum(pixels > _SEEN * sum(shifted) for pixels in shifted)
    straight, total = int(np.trace(confusion)), int(confusion.sum())
    if often < 2 or sum(shifted) <= max(straight, _SHIFT_EXPLAINS * total):
        return None
    look = "the labels look shifted: for most pixels the prediction is the category"
    if shifted is later:
        return f"{look} before theirs; {LABELS_START}"
    return (
        f"{look} after theirs; check whether the files count from 0 (--labels-start 0), and the "
        "order of the names"
    )
