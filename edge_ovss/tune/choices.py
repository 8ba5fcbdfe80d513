"""Build the space of one run: from the model, the default export, and what this machine has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.errors import UsageError
from edge_ovss.models.catalogue import FamilyEntry
from edge_ovss.runtime.overflow import enough_slots
from edge_ovss.tune.candidate import (
    ANSWER,
    BACKEND,
    BUNDLE,
    KEYFRAME,
    PRECISION,
    RANK,
    REJECT,
    SIZE,
    SLOTS,
    STABILIZE,
    THREADS,
    Candidate,
    is_gpu,
)
from edge_ovss.tune.space import STEP, Space, measured_slots, smaller_sizes

Levels = Mapping[str, Sequence[str]]

PRECISIONS = ("fp32", "fp16", "int8")
_KEYFRAMES = ("2", "3")
_HOLD = "150"
# Exact, so that they are tried without labels too.
_EXACT = {REJECT: ("dynamic",)}
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")


@dataclass(frozen=True)
class Machine:
    """What may be chosen here.

    Attributes:
        backends: Backends that can run; the first is the one of the default export.
        threads: Numbers of CPU threads; the first, where given, is that of the default export.
        cores: CPU cores that this process may use.
    """

    backends: tuple[str, ...]
    threads: tuple[int, ...] = ()
    cores: int = 1

    def levels(self) -> dict[str, Sequence[str]]:
        """Return the values to try besides those of the default export."""
        half = (self.cores // 2,) if self.cores > 1 else ()
        threads = self.threads[1:] if self.threads else half
        return {BACKEND: self.backends[1:], THREADS: [str(count) for count in threads]}


@dataclass(frozen=True)
class Asked:
    """What the user said.

    Attributes:
        levels: Values by axis, instead of those that are tried by themselves.
        has_labels: Whether there are labeled images.
        has_images: Whether there are images without labels.
        is_video: Whether the labeled images are videos.
    """

    levels: Levels = field(default_factory=dict)
    has_labels: bool = True
    has_images: bool = True
    is_video: bool = False


def bundle_space(bundles: Sequence[str], asked: Asked, machine: Machine) -> Space:
    """Return the space of bundles that were made elsewhere."""
    levels = {BUNDLE: list(bundles[1:]), **machine.levels(), **_streams(asked), **asked.levels}
    return Space({axis: values for axis, values in levels.items() if values})


def model_space(
    family: FamilyEntry,
    default: Manifest,
    counts: Sequence[int] | None,
    asked: Asked,
    machine: Machine,
) -> Space:
    """Return the space of a model.

    Args:
        family: Of the model.
        default: Of the default export.
        counts: The most categories that passed each rejection; None without images.
        asked: What the user said.
        machine: What may be chosen.
    """
    own = {SIZE: smaller_sizes(default.picture.height, default.picture.width)}
    own |= _rejections(family, default, counts)
    own |= {ANSWER: tuple(family.answers)[1:]}
    if not asked.has_labels:
        own = {axis: _EXACT[axis] for axis in own if axis in _EXACT and own[axis]}
    # What needs no bundle of its own comes first, and what takes minutes to make last.
    levels = {**machine.levels(), **_streams(asked), **own, **_slow(family, asked), **asked.levels}
    if SIZE in asked.levels:
        sizes = (read_size(t, default.picture.height, default.picture.width) for t in levels[SIZE])
        inside = f"{default.picture.height}x{default.picture.width}"
        levels[SIZE] = [size for size in dict.fromkeys(sizes) if size != inside]
    return Space({axis: values for axis, values in levels.items() if values}, _on_gpu(levels))


def _slow(family: FamilyEntry, asked: Asked) -> dict[str, Sequence[str]]:
    """Return what takes minutes to make: it comes last, where time may be short."""
    if not asked.has_labels:
        return {}
    found: dict[str, Sequence[str]] = {RANK: ("auto",)} if family.compresses else {}
    return found | ({PRECISION: PRECISIONS[1:]} if asked.has_images else {})


def _on_gpu(levels: Levels) -> tuple[Candidate, ...]:
    """Return each lower precision on each backend that computes in it: on a CPU FP16 only costs."""
    backends = [name for name in levels[BACKEND] if is_gpu(name)]
    return tuple(
        Candidate({PRECISION: precision, BACKEND: backend})
        for backend in backends
        for precision in levels.get(PRECISION, ())
    )


def _rejections(
    family: FamilyEntry, default: Manifest, counts: Sequence[int] | None
) -> dict[str, tuple[str, ...]]:
    slots = default.rejection.limit
    if not family.rejects or slots is None:
        return {}
    found: dict[str, tuple[str, ...]] = {REJECT: ("dynamic", "none")}
    if counts is not None:
        enough = enough_slots(counts, slots)
        if enough != list(slots):
            found[SLOTS] = (",".join(map(str, enough)),)
        elif fewer := measured_slots(counts, slots, least=default.rejection.k):
            found[SLOTS] = (fewer,)
    return found


def _streams(asked: Asked) -> dict[str, Sequence[str]]:
    if not (asked.is_video and asked.has_labels):
        return {}
    return {KEYFRAME: _KEYFRAMES, STABILIZE: (_HOLD,)}


def read_size(text: str, height: int, width: int) -> str:
    """Return "HxW"; of one number, which is the shorter side, the other keeps the aspect.

    Raises:
        UsageError: It is not of multiples of 32.
    """
    found = _SIZE.fullmatch(text)
    sides = [int(side) for side in (found.groups() if found else ()) if side is not None]
    if not sides or any(side < STEP or side % STEP for side in sides):
        message = f"--sizes has '{text}'; expected multiples of {STEP}, such as 256 or 320x416."
        raise UsageError(message)
    if len(sides) == 2:
        return f"{sides[0]}x{sides[1]}"
    short, long = sorted((height, width))
    other = max(STEP, STEP * round(sides[0] * long / short / STEP))
    return f"{sides[0]}x{other}" if height <= width else f"{other}x{sides[0]}"
