"""A labeled data set: images, label maps, and the meaning of the numbers in them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.datasets.label_files import RawLabels, read_label_file
from edge_ovss.errors import InputError, PictureError
from edge_ovss.frames.images import read_picture
from edge_ovss.metrics.confusion import IGNORED
from edge_ovss.motion.vectors import Motion

_SHOWN = 5


@dataclass(frozen=True)
class LabelRule:
    """The meaning of the numbers in label files.

    Attributes:
        classes: C, the number of categories; None if not given.
        ignore: Numbers that mean "not labeled".
        bits: Bits per pixel of a label file, 8 or 16.
        zero: Meaning of 0, as in `Layout`.
    """

    classes: int | None
    ignore: tuple[int, ...] = (255,)
    bits: int = 8
    zero: str = "category"

    def read(self, raw: RawLabels) -> NDArray[np.int32]:
        """Convert the numbers of a file to categories.

        Returns:
            int32 [H, W], categories from 0, or `IGNORED`.

        Raises:
            InputError: A number is neither a category nor ignored.
        """
        labels = self.categories(raw)
        self._check(labels, raw)
        return labels

    def categories(self, raw: RawLabels) -> NDArray[np.int32]:
        """Convert the numbers of a file to categories, without checking their range."""
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
            "0 means 'not labeled' and the categories count from 1, give --labels-start 1."
        )
        raise InputError(message, hint=hint)


@dataclass(frozen=True)
class Sample:
    """One image with its ground truth, read on demand.

    Attributes:
        name: Name, unique in its data set.
        frame: Returns the image, uint8 [H, W, 3] RGB.
        raw_labels: Returns the numbers of the label file, uint8 or uint16 [H, W].
        picture: Path of the image; None for a drawn one.
        labels: Path of the label file; None for a drawn one.
        motion: Returns the exact motion to the sample before, if it is known.
    """

    name: str
    frame: Callable[[], NDArray[np.uint8]]
    raw_labels: Callable[[], RawLabels]
    picture: Path | None = None
    labels: Path | None = None
    motion: Callable[[], Motion | None] | None = None

    @classmethod
    def of_files(cls, name: str, picture: Path, labels: Path) -> Sample:
        """Return the sample for two files."""
        return cls(
            name, lambda: read_picture(picture), lambda: read_label_file(labels), picture, labels
        )

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put the name in front of the message of an InputError that is raised in the block."""
        try:
            yield
        except InputError as err:
            message = f"Sample '{self.name}': {err.message}"
            raise type(err)(message, hint=err.hint) from err

    def sha256(self) -> str:
        """Return a hash of the image and the labels: of their files, or of the drawn arrays.

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
        name: Name of the layout.
        samples: At least one sample.
        rule: Meaning of the numbers in label files.
        classes: Names of the C categories; None where the bundle's own outputs are meant.
        vocabulary: Built-in vocabulary whose outputs are the categories, if any.
        fold_from: First output that counts as the last category, as in `Layout`.
        total: Number of samples in the whole set.
        published: Published numbers of samples; () for any.
        subset: "" for the whole set, or a description such as "subset(100, seed 0)".
        unpaired: Names of label maps without an image, which were skipped.
        unlabeled: Names of images without a label map, which were skipped.
        source: Name of its folder, without parents.
        notes: Human-readable notes on other files that were skipped.
        fps: Frames per second, where the samples are videos; None where each stands for itself.
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
    unlabeled: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    fps: float | None = None

    @property
    def title(self) -> str:
        """The name with the subset, so that a subset is never mistaken for the whole set."""
        return f"{self.name} {self.subset}".strip()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Human-readable notes on everything that is not scored."""
        lonely = []
        if self.unpaired:
            lonely.append(f"{len(self.unpaired)} label maps have no image: {_some(self.unpaired)}")
        if self.unlabeled:
            count = len(self.unlabeled)
            lonely.append(f"{count} images have no label map: {_some(self.unlabeled)}")
        return (*lonely, *self.notes)

    def take(self, limit: int | None, *, seed: int = 0) -> Dataset:
        """Return a random subset of `limit` samples; its title says that it is a subset.

        Of videos, the first samples are taken, so that they still follow each other.

        Raises:
            InputError: `limit` is below 1.
        """
        if limit is None or limit >= len(self.samples):
            return self
        if limit < 1:
            message = f"--limit is {limit}; expected at least 1."
            raise InputError(message)
        if self.fps is not None:
            from edge_ovss.datasets.clips import clips_of  # which imports this module

            ordered = [sample for clip in clips_of(self) for sample in clip.samples]
            subset = f"first {limit} of {len(self.samples)}"
            return replace(self, samples=tuple(ordered[:limit]), subset=subset)
        chosen = sorted(random.Random(seed).sample(range(len(self.samples)), limit))
        return replace(
            self,
            samples=tuple(self.samples[index] for index in chosen),
            subset=f"subset({limit} of {len(self.samples)}, seed {seed})",
        )

    def require_count(self, expected: int | None) -> Dataset:
        """Check the number of images.

        Args:
            expected: Number that the user states; None for the published one.

        Returns:
            This data set; marked as a subset if the stated number differs from the published one.

        Raises:
            InputError: The number differs; or none is stated and some files have no partner.
        """
        if expected is None and (self.unpaired or self.unlabeled):
            message = f"{self.remarks[0]}."
            hint = f"Complete or remove them; or give --expect {self.total}, the number of pairs."
            raise InputError(message, hint=self._twins() or hint)
        stated = self.published if expected is None else (expected,)
        if stated and self.total not in stated:
            message = (
                f"Data set '{self.name}' has {self.total} images here; "
                f"expected {' or '.join(map(str, stated))}."
            )
            hint = f"Complete it; or give --expect {self.total} to measure what is there."
            raise InputError(message, hint=hint)
        if self.published and self.total not in self.published:
            return replace(self, subset=f"subset({self.total} of {self.published[0]})")
        return self

    def _twins(self) -> str:
        """Return a hint where two names, one of them without a partner, differ only by case."""
        paired = {sample.name.casefold(): sample.name for sample in self.samples}
        for name in (*self.unpaired, *self.unlabeled):
            twin = paired.get(name.casefold())
            if twin is not None:
                return f"'{name}' and '{twin}' differ only by case: each needs its own files."
        return ""


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
