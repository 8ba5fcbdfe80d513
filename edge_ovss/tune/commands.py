"""The commands that make and run a candidate."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ovss.runtime.trt.variants import FLAVORS
from edge_ovss.tune.candidate import (
    BACKEND,
    BUNDLE,
    DROP,
    EXPORTED,
    PRECISION,
    RANK,
    RUN,
    THREADS,
    Candidate,
)
from edge_ovss.tune.measuring.making import BLOCK_IMAGES
from edge_ovss.tune.subject import LabeledData, Subject

NAME = "tuned.ovss"


def commands_of(
    candidate: Candidate,
    subject: Subject,
    rank: int | None = None,
    sizes: Sequence[tuple[int, int]] = (),
) -> list[list[str]]:
    """Return what makes the bundle of a candidate (nothing where it was given), and runs it.

    Args:
        candidate: The candidate.
        subject: What is tuned.
        rank: The template rank that "auto" chose; the command names it.
        sizes: (height, width) of the frames that were timed, for which an engine is built.
    """
    chosen = candidate.settings
    if RANK in chosen and rank is not None:
        chosen = {**chosen, RANK: str(rank)}
    usual = {
        BACKEND: subject.backend,
        THREADS: None if subject.threads is None else str(subject.threads),
    }
    asked = {**{axis: value for axis, value in usual.items() if value is not None}, **chosen}
    run = _options({axis: asked[axis] for axis in RUN if axis in asked})
    if subject.bundles:
        bundle = chosen.get(BUNDLE, subject.bundles[0])
        return [["edge-ovss", "run", bundle, "IMAGE", *run]]
    make = ["edge-ovss", "export", *_model_words(subject)]
    make += _options({axis: chosen[axis] for axis in EXPORTED if axis in chosen})
    measured = PRECISION in chosen or chosen.get(RANK) == "auto"
    if measured and subject.calibration is not None:
        make += ["--calibration", subject.calibration]
    if PRECISION in chosen:
        make += ["--precision", chosen[PRECISION], "--target", candidate.target(subject.backend)]
        make += [] if subject.count is None else ["--count", str(subject.count)]
    if DROP in chosen and subject.data is not None:
        make += ["--max-miou-drop", chosen[DROP], *_validation_words(subject.data)]
    commands = [[*make, "--out", NAME]]
    if (backend := candidate.backend(subject.backend)) in FLAVORS:
        commands.append(["edge-ovss", "build", NAME, "--backend", backend, *_frame_words(sizes)])
    return [*commands, ["edge-ovss", "run", NAME, "IMAGE", *run]]


def _frame_words(sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Return the frame sizes of an engine as `making.build_for` chooses them."""
    if not sizes:
        return []
    sides = tuple(zip(*sizes, strict=True))
    smallest = "x".join(str(min(side)) for side in sides)
    largest = "x".join(str(max(side)) for side in sides)
    return ["--size", largest] if smallest == largest else ["--min", smallest, "--max", largest]


def _model_words(subject: Subject) -> list[str]:
    given = {
        "vocab": subject.vocab,
        "background": subject.background,
        "model": subject.model,
        "checkpoint": subject.checkpoint,
        "weights": subject.weights,
        "embeddings": subject.embeddings,
        "seed": str(subject.seed) if subject.seed else None,
    }
    return _options({name: value for name, value in given.items() if value is not None})


def _validation_words(data: LabeledData) -> list[str]:
    given = {
        "validation": data.data,
        "layout": data.layout,
        "classes": data.classes,
        "ignore": None if data.ignore is None else ",".join(map(str, data.ignore)),
        "labels-start": None if data.labels_start is None else str(data.labels_start),
        "limit": str(min(data.limit or BLOCK_IMAGES, BLOCK_IMAGES)),
    }
    words = _options({name: value for name, value in given.items() if value is not None})
    return [*words, "--allow-missing"] if data.allow_missing else words


def _options(given: dict[str, str]) -> list[str]:
    return [word for name, value in given.items() for word in (f"--{name}", value)]
