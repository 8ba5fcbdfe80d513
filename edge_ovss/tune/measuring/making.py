"""Make the bundle of a candidate, with the functions behind `export` and `calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.models.catalogue import PUBLISHED
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.runtime.trt.variants import FLAVORS
from edge_ovss.tune.candidate import (
    ANSWER,
    BUNDLE,
    CALIBRATED,
    DROP,
    EXPORTED,
    PRECISION,
    RANK,
    REJECT,
    SIZE,
    SLOTS,
    Candidate,
)
from edge_ovss.tune.subject import LabeledData, Subject

if TYPE_CHECKING:
    from edge_ovss.calibration import Validation

RANK_IMAGES = 8
"""Images on which a template rank is chosen: each is labeled once per rank, by torch."""
BLOCK_IMAGES = 32
"""Labeled images on which blocks are chosen that stay in float."""


def place_of(candidate: Candidate, subject: Subject, folder: Path) -> Path:
    """Return where the bundle of a candidate is, or will be."""
    if subject.bundles:
        return Path(candidate.settings.get(BUNDLE, subject.bundles[0]))
    return folder / f"{candidate.made_key(subject.backend)}.ovss"


def is_made(candidate: Candidate, subject: Subject, folder: Path) -> bool:
    """Return whether the bundle of a candidate is there, and needs no engine."""
    if subject.bundles:  # others are not changed
        return True
    needs_engine = candidate.backend(subject.backend) in FLAVORS
    return place_of(candidate, subject, folder).is_dir() and not needs_engine


def make_bundle(candidate: Candidate, subject: Subject, folder: Path) -> Path:
    """Make the bundle of a candidate, if it is not there yet; needs torch.

    Raises:
        EdgeOvssError: It cannot be made; the message says why.
    """
    place = place_of(candidate, subject, folder)
    if subject.bundles or place.is_dir():
        return place
    if PRECISION not in candidate.settings:
        _export(candidate, subject, place)
        return place
    float32 = make_bundle(candidate.only(EXPORTED), subject, folder)
    _calibrate(candidate, subject, float32, place)
    return place


def build_for(backend: str, place: Path, sizes: Sequence[Sequence[int]]) -> None:
    """Build the engine that a backend needs, for these frames; none where it needs none.

    Args:
        backend: What runs the candidate (`Candidate.backend`).
        place: Its bundle, into which the engine goes.
        sizes: (height, width) of every frame.

    Raises:
        EdgeOvssError: It cannot be built; the message says why.
    """
    if backend not in FLAVORS:
        return
    from edge_ovss.engines.build import BuildOptions, build_engine

    heights, widths = zip(*sizes, strict=True)
    smallest, largest = (min(heights), min(widths)), (max(heights), max(widths))
    frames = FrameRange(smallest, largest, largest)
    build_engine(Bundle.open(place, verify=False), backend, BuildOptions(frames=frames))


def _export(candidate: Candidate, subject: Subject, place: Path) -> Bundle:
    from edge_ovss.export import ExportOptions, export_bundle
    from edge_ovss.vocabulary import Vocabulary

    chosen = candidate.settings
    options = ExportOptions(
        model=subject.model,
        checkpoint=subject.checkpoint,
        weights=subject.weights,
        seed=subject.seed,
        embeddings=subject.embeddings,
        size=_size(chosen.get(SIZE)),
        rejection=_rejection(chosen.get(REJECT), chosen.get(SLOTS)),
        template_rank=_rank(chosen.get(RANK)),
        pictures=subject.calibration,
        most_pictures=RANK_IMAGES,
        answer=chosen.get(ANSWER, PUBLISHED),
    )
    words = Vocabulary.load(subject.vocab, background=subject.background)
    return export_bundle(words, place, options)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, width = text.split("x")
    return int(height), int(width)


def _rejection(mode: str | None, slots: str | None) -> Rejection | None:
    if mode is None and slots is None:
        return None
    numbers = None if slots is None else tuple(int(slot) for slot in slots.split(","))
    return Rejection(mode or "slots", slots=numbers)


def _rank(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


def _calibrate(candidate: Candidate, subject: Subject, source: Path, place: Path) -> None:
    from edge_ovss.calibration import CalibrateOptions, calibrate_bundle

    chosen = candidate.only(CALIBRATED).settings
    drop = chosen.get(DROP)
    options = CalibrateOptions(
        precision=chosen[PRECISION],
        calibration=subject.calibration or "",
        count=subject.count,
        seed=subject.seed,
        target=candidate.target(subject.backend),
        validation=None if drop is None or subject.data is None else _validation(subject.data),
        max_miou_drop=None if drop is None else float(drop),
    )
    calibrate_bundle(source, place, options)


def _validation(data: LabeledData) -> Validation:
    from edge_ovss.calibration import Validation

    return Validation(
        data.data,
        layout=data.layout,
        classes=data.classes,
        ignore=data.ignore,
        limit=min(data.limit or BLOCK_IMAGES, BLOCK_IMAGES),
        allow_missing=data.allow_missing,
        labels_start=data.labels_start,
    )
