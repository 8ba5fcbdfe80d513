"""A labelled data set: images, label maps, and what the numbers in them mean."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.datasets.label_files import RawLabels, read_label_file
from edge_ovss.errors import InputError, PictureError
from edge_ovss.frames.images import read_picture
from edge_ovss.metrics.confusion import IGNORED

_SHOWN = 5


@dataclass(frozen=True)
class LabelRule:
    """What a number in a label file means.

    Attributes:
        classes: C, how many categories there are; None where nobody said.
        ignore: Numbers that mean "not labelled".
        bits: Of a label file, 8 or 16.
        zero: As in `Layout`.
    """

    classes: int | None
    ignore: tuple[int, ...] = (255,)
    bits: int = 8
    zero: str = "category"

    def read(self, raw: RawLabels) -> NDArray[np.int32]:
        """Turn the numbers of a file into categories.

        Returns:
            int32 [H, W], categories from 0, or `IGNORED`.

        Raises:
            InputError: A number is neither a category nor ignored.
        """
        labels = self.categories(raw)
        self._check(labels, raw)
        return labels

    def categories(self, raw: RawLabels) -> NDArray[np.int32]:
        """Turn the numbers of a file into categories, those from `classes` on too."""
        labels = raw.astype(np.int32)
        ignored = np.isin(labels, self.ignore)
        if self.zero != "category":
            zeros = labels == 0
            labels -= 1
            if self.zero == "ignore":
                ignored |= zeros
            else:
                labels[zeros] = (self.classes or 1) - 1
        labels[ignored] = IGNORED
        return labels

    def _check(self, labels: NDArray[np.int32], raw: RawLabels) -> None:
        if self.classes is None or not labels.size or int(labels.max()) < self.classes:
            return
        outside = np.unique(raw[labels >= self.classes])[:5].tolist()
        ignore = " or ".join(map(str, self.ignore)) or "nothing"
        first = 0 if self.zero == "category" else 1
        message = (
            f"The label map holds the numbers {outside}; expected {self.classes} categories "
            f"({first} to {first + self.classes - 1}), and {ignore} where there is no label."
        )
        hint = (
            "Check --layout, --ignore and the vocabulary; a shift by one is the usual reason: if "
            "0 means 'not labelled' and the categories count from 1, give --labels-start 1."
        )
        raise InputError(message, hint=hint)


@dataclass(frozen=True)
class Sample:
    """One image with its truth, read when they are asked for.

    Attributes:
        name: Unique in its data set.
        frame: Gives uint8 [H, W, 3] RGB.
        raw_labels: Gives the numbers of the label file, uint8 or uint16 [H, W].
        picture: Where the image is; None for a drawn one.
        labels: Where the label file is; None for a drawn one.
    """

    name: str
    frame: Callable[[], NDArray[np.uint8]]
    raw_labels: Callable[[], RawLabels]
    picture: Path | None = None
    labels: Path | None = None

    @classmethod
    def of_files(cls, name: str, picture: Path, labels: Path) -> Sample:
        """Return a sample of two files."""
        return cls(
            name, lambda: read_picture(picture), lambda: read_label_file(labels), picture, labels
        )

    def sha256(self) -> str:
        """Return a hash of the image and the labels: of the files, or of what is drawn.

        Raises:
            PictureError: A file cannot be read.
        """
        if self.picture is None or self.labels is None:
            parts = [_array_bytes(self.frame()), _array_bytes(self.raw_labels())]
        else:
            parts = [_file_bytes(self.picture), _file_bytes(self.labels)]
        return hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).hexdigest()


def _array_bytes(array: NDArray[Any]) -> bytes:
    return f"{array.dtype} {array.shape} ".encode() + array.tobytes()


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        message = f"'{path}' cannot be read: {err.strerror or err}."
        raise PictureError(message, hint="Check its permissions and the disk.") from err


@dataclass(frozen=True)
class Dataset:
    """Samples in the order of their names, and the rule of their labels.

    Attributes:
        name: Of the layout.
        samples: At least one.
        rule: What the numbers mean.
        classes: Names of the C categories; None where the bundle's own outputs are meant.
        vocabulary: Built-in vocabulary these are the outputs of, if any.
        fold_from: As in `Layout`.
        total: How many samples the whole set has.
        published: The counts that were stated for it; () for any.
        subset: "" for the whole set, or what of it this is, such as "subset(100, seed 0)".
        unpaired: Names of label maps without an image, which were left out.
        unlabelled: Names of images without a label map, which were left out.
        source: Name of its folder, without the folders it is in.
        notes: What else there was that is not read, for people.
    """

    name: str
    samples: tuple[Sample, ...]
    rule: LabelRule
    classes: tuple[str, ...] | None
    vocabulary: str | None = None
    fold_from: int | None = None
    total: int = 0
    published: tuple[int, ...] = ()
    subset: str = ""
    unpaired: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name with the subset, so that a subset is never taken for the whole."""
        return f"{self.name} {self.subset}".strip()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is beside the samples that is not scored, for people."""
        lonely = []
        if self.unpaired:
            lonely.append(f"{len(self.unpaired)} label maps have no image: {_some(self.unpaired)}")
        if self.unlabelled:
            count = len(self.unlabelled)
            lonely.append(f"{count} images have no label map: {_some(self.unlabelled)}")
        return (*lonely, *self.notes)

    def take(self, limit: int | None, *, seed: int = 0) -> Dataset:
        """Return a random subset of `limit` samples that says in its name that it is one.

        Raises:
            InputError: `limit` is below 1.
        """
        if limit is None or limit >= len(self.samples):
            return self
        if limit < 1:
            message = f"The limit is {limit} images; expected at least 1."
            raise InputError(message)
        chosen = sorted(random.Random(seed).sample(range(len(self.samples)), limit))
        return replace(
            self,
            samples=tuple(self.samples[index] for index in chosen),
            subset=f"subset({limit} of {len(self.samples)}, seed {seed})",
        )

    def require_count(self, expected: int | None) -> Dataset:
        """Check how many images there are.

        Args:
            expected: What the user states; None for what is published of this data set.

        Returns:
            This data set; labelled as a subset where the user states another than the published
            count.

        Raises:
            InputError: There are more or fewer; or, where no number is stated, some files have no
                partner.
        """
        if expected is None and (self.unpaired or self.unlabelled):
            message = f"{self.remarks[0]}."
            hint = f"Complete or remove them; or state --expect {self.total}, the pairs there are."
            raise InputError(message, hint=self._twins() or hint)
        stated = self.published if expected is None else (expected,)
        if stated and self.total not in stated:
            message = (
                f"Data set '{self.name}' has {self.total} images here; "
                f"expected {' or '.join(map(str, stated))}."
            )
            hint = f"Complete it; or state --expect {self.total} to measure what is there."
            raise InputError(message, hint=hint)
        if self.published and self.total not in self.published:
            return replace(self, subset=f"subset({self.total} of {self.published[0]})")
        return self

    def _twins(self) -> str:
        """Return a hint where a name without a partner is one with a partner in another case."""
        paired = {sample.name.casefold(): sample.name for sample in self.samples}
        for name in (*self.unpaired, *self.unlabelled):
            twin = paired.get(name.casefold())
            if twin is not None:
                return f"'{name}' and '{twin}' differ by case only: each needs files of its own."
        return ""


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
