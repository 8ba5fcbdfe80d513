"""Map the categories of a data set to the outputs of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.datasets.class_names import plain
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import InputError, UsageError
from edge_ovss.metrics.confusion import IGNORED
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.builtin import in_other_words

_SHOWN = 8


@dataclass(frozen=True)
class Alignment:
    """Two tables into the categories that are scored.

    Attributes:
        names: The K categories that are scored.
        truth: int32 [C], scored category by category of the data set, or `IGNORED`; None: as is.
        prediction: int32, scored category by output of the bundle; None: as is.
        left_out: Categories of the data set that are not in the vocabulary.
        merged: Groups of categories of the data set that share an output and are scored as one.
        unnamed: Categories of the data set that are no word of the vocabulary, where "unknown" is
            the right answer for them.
        unknown: Whether a pixel may be "unknown", in the truth or in a label map; it is then
            number K.
        background: The scored category that "unknown" in a label map stands for, because the
            truth has a background; None for none.
    """

    names: tuple[str, ...]
    truth: NDArray[np.int32] | None = None
    prediction: NDArray[np.int32] | None = None
    left_out: tuple[str, ...] = ()
    merged: tuple[tuple[str, ...], ...] = ()
    unnamed: tuple[str, ...] = ()
    unknown: bool = False
    background: int | None = None

    @property
    def classes(self) -> int:
        """What the numbers of both maps are below: K, or K + 1 with "unknown"."""
        return len(self.names) + self.unknown

    @property
    def scope(self) -> str:
        """Qualifies every mean: " over 2 of 11 categories", or "" where all are scored."""
        if not self.left_out or self.truth is None:
            return ""
        count = len(self.truth)
        return f" over {count - len(self.left_out)} of {count} categories"

    def map_truth(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Map categories of the data set, int32 [H, W], to scored categories or `IGNORED`."""
        if self.truth is None:
            return labels
        # The appended entry is reached by index -1, which means ignored.
        table = np.append(self.truth, np.int32(IGNORED))
        mapped: NDArray[np.int32] = table[labels]
        return mapped

    def map_prediction(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Map outputs of the bundle [H, W] to scored categories, "unknown" to K or background."""
        if not self.unknown:
            return labels if self.prediction is None else self.prediction[labels]
        outputs = len(self.names) if self.prediction is None else len(self.prediction)
        table = np.arange(outputs) if self.prediction is None else self.prediction
        last = len(self.names) if self.background is None else self.background
        mapped: NDArray[Any] = np.append(table, last)[np.minimum(labels, outputs)]
        return mapped


def align(
    dataset: Dataset,
    vocabulary: Vocabulary,
    *,
    allow_missing: bool = False,
    missing_unknown: bool = False,
    says_unknown: bool = False,
) -> Alignment:
    """Match the categories of a data set with the outputs of a vocabulary.

    The same built-in vocabulary matches by index, and so does one that names the same categories
    in other words; anything else by name: output names, published
    strings and synonyms, ignoring case and surrounding white space.

    Args:
        dataset: C named categories, or unnamed ones that are the outputs.
        vocabulary: K outputs.
        allow_missing: Ignore the pixels of categories that the vocabulary does not have.
        missing_unknown: Expect "unknown" at the pixels of those categories. The vocabulary's
            background, if it has one, then counts as "unknown" too.
        says_unknown: Whether label maps may hold "unknown".

    Raises:
        UsageError: Such pixels cannot be ignored and be "unknown" both.
        InputError: Categories are not in the vocabulary.
    """
    if allow_missing and missing_unknown:
        message = "--allow-missing and --missing-unknown are both given; expected one of them."
        raise UsageError(message, hint="The first ignores pixels that the second counts.")
    found = _match(dataset, vocabulary, allow_missing=allow_missing, unknown=missing_unknown)
    return replace(
        found,
        unknown=says_unknown or missing_unknown,
        background=None if missing_unknown else _background(found, vocabulary),
    )


def _background(found: Alignment, vocabulary: Vocabulary) -> int | None:
    """Return the scored category that is the vocabulary's background, if the truth has it."""
    if vocabulary.background is None:
        return None
    table = found.prediction
    scored = vocabulary.background if table is None else int(table[vocabulary.background])
    return scored if found.truth is None or scored in found.truth else None


def _match(
    dataset: Dataset, vocabulary: Vocabulary, *, allow_missing: bool, unknown: bool
) -> Alignment:
    classes = dataset.classes
    same = in_other_words(vocabulary, dataset.vocabulary)
    if classes is None or classes == vocabulary.outputs or same:
        if unknown and vocabulary.background is not None:
            own = range(len(vocabulary.outputs))
            return _with_unknown(vocabulary, vocabulary.outputs, own)
        return Alignment(vocabulary.outputs)
    if dataset.fold_from is not None and len(vocabulary.outputs) > len(classes):
        return _fold(classes, vocabulary, dataset.fold_from)
    words = _words(vocabulary)
    found = [words.get(plain(name)) for name in _spoken(dataset, vocabulary)]
    missing = tuple(name for name, output in zip(classes, found, strict=True) if output is None)
    if len(missing) == len(classes) or (missing and not (allow_missing or unknown)):
        _refuse(missing, dataset, vocabulary)
    if unknown:
        return _with_unknown(vocabulary, classes, found)
    table = [IGNORED if output is None else output for output in found]
    return Alignment(
        vocabulary.outputs,
        np.asarray(table, np.int32),
        left_out=missing,
        merged=_merged(classes, found),
    )


def _with_unknown(
    vocabulary: Vocabulary, classes: Sequence[str], found: Sequence[int | None]
) -> Alignment:
    """Return the alignment in which categories without a word, and the background, are K."""
    count = len(vocabulary.outputs)
    words = [None if output == vocabulary.background else output for output in found]
    table = [count if output is None else output for output in words]
    own = [count if output == vocabulary.background else output for output in range(count)]
    return Alignment(
        vocabulary.outputs,
        np.asarray(table, np.int32),
        np.asarray(own, np.int32),
        merged=_merged(classes, words),
        unnamed=tuple(name for name, word in zip(classes, words, strict=True) if word is None),
    )


def _merged(classes: Sequence[str], found: Sequence[int | None]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of categories that share an output."""
    groups: dict[int, list[str]] = {}
    for name, output in zip(classes, found, strict=True):
        if output is not None:
            groups.setdefault(output, []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _fold(classes: Sequence[str], vocabulary: Vocabulary, fold_from: int) -> Alignment:
    """Score the data set's categories; all outputs from `fold_from` on count as the last one."""
    own = [plain(name) for name in vocabulary.outputs[:fold_from]]
    wanted = [plain(name) for name in classes[:fold_from]]
    if own != wanted:
        differing = next(
            i for i, pair in enumerate(zip(own, wanted, strict=True)) if len({*pair}) > 1
        )
        message = (
            f"Output {differing} of '{vocabulary.name}' is {vocabulary.outputs[differing]!r}; "
            f"the data set's category {differing} is {classes[differing]!r}."
        )
        raise InputError(message, hint="Export with --vocab voc20b for this layout.")
    table = np.minimum(np.arange(len(vocabulary.outputs)), fold_from)
    return Alignment(tuple(classes), prediction=table.astype(np.int32))


def _spoken(dataset: Dataset, vocabulary: Vocabulary) -> Sequence[str]:
    """Return the data set's names in the terms of the vocabulary."""
    if dataset.vocabulary != "street" or dataset.classes is None:
        return dataset.classes or ()
    from edge_ovss.synthetic import STREET_TO_ADE, STREET_TO_CAMVID

    words = _words(vocabulary)
    known = {len({plain(n) for n in s} - set(words)): s for s in (STREET_TO_CAMVID, STREET_TO_ADE)}
    return known[min(known)] if min(known) == 0 else dataset.classes


def _words(vocabulary: Vocabulary) -> Mapping[str, int]:
    """Return the output by name; output names take precedence, then strings, then synonyms."""
    words: dict[str, int] = {}
    for output, name in enumerate(vocabulary.outputs):
        words.setdefault(plain(name), output)
    for category in vocabulary.categories:
        words.setdefault(plain(category.text), category.output)
    for category in vocabulary.categories:
        for synonym in category.synonyms:
            words.setdefault(plain(synonym), category.output)
    return words


def _refuse(missing: Sequence[str], dataset: Dataset, vocabulary: Vocabulary) -> None:
    some = ", ".join(missing[:_SHOWN]) + (" …" if len(missing) > _SHOWN else "")
    message = (
        f"{len(missing)} categories of '{dataset.name}' are not in the vocabulary "
        f"'{vocabulary.name}': {some}."
    )
    hint = "Export with the data set's vocabulary, or name its categories with --classes"
    if len(missing) < len(dataset.classes or ()):
        hint += (
            ", or ignore their pixels with --allow-missing, or expect 'unknown' there with "
            "--missing-unknown (eval)"
        )
    raise InputError(message, hint=f"{hint}.")
