"""What must hold before anything is measured, and what says that two runs are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import sha256_of_file
from edge_ovss._machine import machine_facts, package_versions
from edge_ovss._progress import Progress
from edge_ovss._version import VERSION
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.calibration.images import CalibrationPictures, collect_pictures, refuse_overlap
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import InputError
from edge_ovss.evaluation.tune_unknown import refuse_calibration_images
from edge_ovss.frames.images import picture_hash
from edge_ovss.frames.sources import open_source
from edge_ovss.runtime.trt.engine_store import plan_hashes
from edge_ovss.runtime.trt.variants import FLAVORS
from edge_ovss.tune.measuring.scoring import first_images
from edge_ovss.tune.subject import FRAMES, Subject
from edge_ovss.vocabulary import Vocabulary

_FORMAT = 1
_MOST_FRAMES = 8
_MACHINE = ("system", "machine", "usable_cores", "gpus", "jetson")


def read_calibration(
    subject: Subject, dataset: Dataset | None, progress: Progress | None
) -> CalibrationPictures | None:
    """Read the images without labels; None if there are none.

    Raises:
        InputError: They cannot be read, or some are among the labeled ones, by content.
    """
    if subject.calibration is None:
        return None
    pictures = collect_pictures(
        subject.calibration, count=subject.count, seed=subject.seed, progress=progress
    )
    if dataset is not None:
        refuse_overlap(pictures, {picture_hash(s.frame()): s.name for s in dataset.samples})
    return pictures


def open_bundles(subject: Subject, dataset: Dataset | None) -> list[Bundle]:
    """Open the bundles, which must have the same outputs.

    Raises:
        BundleError: One cannot be opened.
        InputError: Their outputs differ, or one was calibrated on labeled images.
    """
    bundles = [Bundle.open(path) for path in subject.bundles]
    for bundle in bundles:
        if bundle.vocabulary.outputs != bundles[0].vocabulary.outputs:
            first, name = bundles[0].path.name, bundle.path.name
            message = f"Bundles '{first}' and '{name}' have different outputs."
            raise InputError(message, hint="Compare bundles of the same vocabulary.")
        if dataset is not None:
            refuse_calibration_images(bundle, dataset)
    return bundles


def timed_frames(subject: Subject, dataset: Dataset | None) -> list[NDArray[np.uint8]]:
    """Read the frames that are timed: of the source, or the first of what else there is."""
    if subject.source is None and dataset is not None:
        chosen = first_images(dataset, _MOST_FRAMES, seed=subject.seed)
        return [sample.frame() for sample in chosen.samples]
    source = open_source(subject.source or subject.calibration or FRAMES)
    found = [frame.image for frame in islice(source, _MOST_FRAMES)]
    if not found:
        message = f"Source '{subject.source or subject.calibration}' has no images to time."
        raise InputError(message, hint="Give --source IMAGES.")
    return found


def identity(
    subject: Subject,
    dataset: Dataset | None,
    pictures: CalibrationPictures | None,
    bundles: list[Bundle],
    run: Mapping[str, object],
) -> dict[str, object]:
    """Return everything that decides what is measured; not the budget, nor the time limit.

    Files count by their content, wherever they are.
    """
    words = None
    if not bundles:
        words = Vocabulary.load(subject.vocab, background=subject.background).sha256
    packages = {name: v for name, v in package_versions().items() if v is not None}
    return {
        "format": _FORMAT,
        "version": VERSION,
        "model": [subject.model, subject.weights, subject.seed],
        "checkpoint": _file_hash(subject.checkpoint),
        "embeddings": _file_hash(subject.embeddings),
        "vocabulary": words,
        "bundles": [[b.path.name, answer_hash(b), _plans(b)] for b in bundles],
        "data": None if dataset is None else _data_hash(dataset, subject),
        "calibration": None if pictures is None else pictures.sha256,
        "source": subject.source,
        "machine": {k: v for k, v in machine_facts().items() if k in _MACHINE},
        "packages": packages,
        **run,
    }


def _plans(bundle: Bundle) -> dict[str, str]:
    """Return the sha256 of the engines that the user built; they are of use, not made here."""
    return {name: plan for kind in FLAVORS for name, plan in plan_hashes(bundle, kind).items()}


def _file_hash(given: str | None) -> str | None:
    if given is None:
        return None
    path = Path(given).expanduser()
    return sha256_of_file(path) if path.is_file() else given


def _data_hash(dataset: Dataset, subject: Subject) -> str:
    digest = hashlib.sha256()
    facts: Any = (dataset.classes, dataset.fps, dataset.rule, subject.data and subject.data.seed)
    digest.update(repr(facts).encode())
    digest.update(str(subject.data is not None and subject.data.allow_missing).encode())
    for sample in dataset.samples:
        digest.update(f"{sample.name}\0{sample.sha256()}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
