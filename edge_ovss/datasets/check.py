"""Find problems in a data set before hours are spent on a meaningless number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss._progress import Progress
from edge_ovss.datasets.coverage import LABELS_START, number_hints
from edge_ovss.datasets.dataset import Dataset, LabelRule, Sample
from edge_ovss.datasets.label_files import RawLabels
from edge_ovss.errors import PictureError
from edge_ovss.metrics.confusion import IGNORED

_SHOWN = 5
_LONGEST_SHORT_SIDE = 512
_RESIZED = "ade847"


@dataclass(frozen=True)
class DataFinding:
    """A problem that would spoil a result ("error"), or a fact worth knowing ("note")."""

    kind: str
    severity: str
    message: str
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataReport:
    """The findings in a data set.

    Attributes:
        dataset: Title of the data set.
        pictures: Number of images that were checked.
        findings: All findings, errors first.
        pixels: Labeled pixels by category.
        ignored_share: Share of pixels with a number that means "not labeled".
        outside_share: Share of pixels with a number that is neither ignored nor a category.
        sizes: (height x width, number of images), the most frequent first.
    """

    dataset: str
    pictures: int
    findings: tuple[DataFinding, ...]
    pixels: dict[str, int]
    ignored_share: float
    outside_share: float
    sizes: tuple[tuple[str, int], ...]

    @property
    def passed(self) -> bool:
        """Whether the data set can be used for scoring."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        return {**asdict(self), "passed": self.passed}


class _Tally:
    """Collects facts while samples are read."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.faults: dict[str, list[str]] = {}
        self.details: dict[str, str] = {}
        self.numbers: Counter[int] = Counter()
        self.sizes: Counter[str] = Counter()
        self.pixels: Counter[int] = Counter()
        self.small_bits = 0
        self.large_pictures: list[str] = []

    def fault(self, kind: str, sample: Sample, detail: str) -> None:
        self.faults.setdefault(kind, []).append(sample.name)
        self.details.setdefault(kind, detail)

    def look(self, sample: Sample) -> None:
        """Read one sample and note whatever is wrong with it."""
        try:
            raw, frame = sample.raw_labels(), sample.frame()
        except PictureError as err:
            self.fault("unreadable", sample, err.message)
            return
        height, width = frame.shape[:2]
        self.sizes[f"{height}x{width}"] += 1
        if raw.shape != (height, width):
            given = f"image {height}x{width}, labels {raw.shape[0]}x{raw.shape[1]}"
            self.fault("sizes differ", sample, given)
        if min(height, width) > _LONGEST_SHORT_SIDE:
            self.large_pictures.append(sample.name)
        self._count(sample, raw)

    def _count(self, sample: Sample, raw: RawLabels) -> None:
        values, counts = np.unique(raw, return_counts=True)
        self.numbers.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self.small_bits += raw.dtype == np.uint8
        rule = self.dataset.rule
        labels: NDArray[np.int32] = rule.categories(values.astype(np.uint16))
        if rule.classes is not None and (labels >= rule.classes).any():
            outside = values[labels >= rule.classes][:_SHOWN].tolist()
            detail = f"the numbers {outside}; there are {rule.classes} categories"
            self.fault("labels outside the vocabulary", sample, detail)
        elif (labels == IGNORED).all():
            self.fault("unlabelled", sample, "every pixel is ignored")
        self.pixels.update(dict(zip(labels.tolist(), counts.tolist(), strict=True)))


def check_data(
    dataset: Dataset, *, expected: int | None = None, progress: Progress | None = None
) -> DataReport:
    """Read every image and label map, and look for known problems.

    Args:
        dataset: The data set to check.
        expected: Number of images that the user states; None for the published count.
        progress: Wraps the samples, with a label.
    """
    tally = _Tally(dataset)
    for sample in progress(dataset.samples, "image") if progress else dataset.samples:
        tally.look(sample)
    findings = [*_count_findings(dataset, expected), *_fault_findings(tally)]
    findings += [*_bit_findings(tally), *_shift_findings(tally), *_coverage_findings(tally)]
    hints = number_hints(dataset.rule, tally.numbers, dataset.classes)
    findings += [DataFinding(kind, "note", message) for kind, message in hints]
    findings += [DataFinding("not read", "note", note) for note in dataset.notes]
    findings.sort(key=lambda finding: finding.severity)
    total = sum(tally.numbers.values()) or 1
    known = _by_name(tally)
    outside = sum(tally.pixels.values()) - tally.pixels[IGNORED] - sum(known.values())
    return DataReport(
        dataset=dataset.title,
        pictures=len(dataset.samples),
        findings=tuple(findings),
        pixels=known,
        ignored_share=tally.pixels[IGNORED] / total,
        outside_share=outside / total,
        sizes=tuple(tally.sizes.most_common(_SHOWN)),
    )


def _by_name(tally: _Tally) -> dict[str, int]:
    names, classes = tally.dataset.classes, tally.dataset.rule.classes
    known = sorted(
        label for label in tally.pixels if label != IGNORED and (classes is None or label < classes)
    )
    return {names[i] if names else str(i): tally.pixels[i] for i in known}


def _count_findings(dataset: Dataset, expected: int | None) -> Iterable[DataFinding]:
    stated = dataset.published if expected is None else (expected,)
    if stated and dataset.total not in stated:
        wanted = " or ".join(map(str, stated))
        yield DataFinding("count", "error", f"{dataset.total} images; expected {wanted}")
    if dataset.unpaired:
        message = f"{len(dataset.unpaired)} label maps have no image"
        yield DataFinding("unpaired", "error", message, dataset.unpaired[:_SHOWN])
    if dataset.unlabeled:
        message = f"{len(dataset.unlabeled)} images have no label map"
        yield DataFinding("no label map", "error", message, dataset.unlabeled[:_SHOWN])


def _fault_findings(tally: _Tally) -> Iterable[DataFinding]:
    for kind, names in tally.faults.items():
        message = f"{len(names)} samples: {kind}; the first: {tally.details[kind]}"
        severity = "note" if kind == "unlabelled" else "error"
        yield DataFinding(kind, severity, message, tuple(names[:_SHOWN]))
    large = tally.large_pictures
    if tally.dataset.name == _RESIZED and large:
        message = (
            f"{len(large)} images have a short side above {_LONGEST_SHORT_SIDE}: "
            "these are not the resized copies behind the published numbers"
        )
        yield DataFinding("not resized", "error", message, tuple(large[:_SHOWN]))


def _bit_findings(tally: _Tally) -> Iterable[DataFinding]:
    if tally.dataset.rule.bits == 16 and tally.small_bits:
        message = (
            f"{tally.small_bits} label maps have 8 bits; expected 16: "
            "categories above 255 are lost or wrapped around"
        )
        yield DataFinding("8 bits", "error", message)


def _shift_findings(tally: _Tally) -> Iterable[DataFinding]:
    """Report numbers that look shifted by one compared with the layout."""
    rule, used = tally.dataset.rule, set(tally.numbers) - set(tally.dataset.rule.ignore)
    if rule.classes is None or not used:
        return
    if rule.zero == "category" and rule.classes in used:
        message = (
            f"the number {rule.classes} occurs, one above the last category: the files seem to "
            "count from 1 (mmsegmentation style, 0 is not labeled); this layout counts from 0: "
            f"{LABELS_START}"
        )
        yield DataFinding("zero-label shift", "error", message)
    elif _may_count_from_one(rule, tally):
        message = (
            "the last category never occurs, 0 does, and no pixel has an ignore number: "
            f"{LABELS_START}"
        )
        yield DataFinding("zero-label shift", "note", message)
    ignored = set(tally.numbers) & set(rule.ignore)
    if rule.zero == "ignore" and 0 not in used and ignored and max(used) < rule.classes:
        message = (
            f"0 never occurs and {sorted(ignored)} does: the files seem to be shifted already "
            "(detectron2 style)"
        )
        yield DataFinding("zero-label shift", "error", message)
    if rule.zero == "category" and 0 not in used and len(tally.dataset.samples) >= rule.classes:
        message = "category 0 never occurs; check that the files are not shifted"
        yield DataFinding("zero-label shift", "note", message)


def _may_count_from_one(rule: LabelRule, tally: _Tally) -> bool:
    """Whether the numbers would fit equally well if 0 meant "not labeled"."""
    last = (rule.classes or 0) - 1
    ignored = any(tally.numbers[number] for number in rule.ignore)
    used = tally.numbers[0] and not tally.numbers[last] and not tally.numbers[last + 1]
    return bool(rule.zero == "category" and last > 1 and used and not ignored)


def _coverage_findings(tally: _Tally) -> Iterable[DataFinding]:
    classes = tally.dataset.rule.classes or 0
    absent = [index for index in range(classes) if not tally.pixels[index]]
    names: Sequence[str] = tally.dataset.classes or [str(index) for index in range(classes)]
    if absent and len(absent) < classes:
        some = ", ".join(names[index].strip() for index in absent[:_SHOWN])
        message = f"{len(absent)} of {classes} categories never occur: {some}"
        yield DataFinding("absent categories", "note", message)
    if not any(tally.numbers[number] for number in tally.dataset.rule.ignore):
        message = f"no pixel has an ignore number ({list(tally.dataset.rule.ignore)})"
        yield DataFinding("nothing ignored", "note", message)
