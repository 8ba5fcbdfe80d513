"""A candidate: the settings in which it differs from the default export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BUNDLE = "bundle"
SIZE = "size"
REJECT = "reject"
SLOTS = "slots"
RANK = "template-rank"
ANSWER = "answer"
PRECISION = "precision"
DROP = "max-miou-drop"
BACKEND = "backend"
THREADS = "threads"
KEYFRAME = "keyframe"
STABILIZE = "stabilize"

EXPORTED = (SIZE, REJECT, SLOTS, RANK, ANSWER)
"""What a float32 bundle is exported with."""
CALIBRATED = (PRECISION, DROP)
"""What is done to a float32 bundle."""
MADE = (BUNDLE, *EXPORTED, *CALIBRATED)
"""What is in a bundle."""
RUN = (BACKEND, THREADS, KEYFRAME, STABILIZE)
"""How a bundle is run."""
AXES = (*MADE, *RUN)


@dataclass(frozen=True)
class Candidate:
    """Settings by axis, in the form of the command line; an axis that is left out is as usual.

    Attributes:
        settings: Values by axis, such as {"size": "320x416", "precision": "int8"}.
    """

    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ordered = {axis: self.settings[axis] for axis in AXES if axis in self.settings}
        object.__setattr__(self, "settings", ordered)

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """A short name for files, the same in every run."""
        return _hash(self.settings)

    def backend(self, usual: str | None) -> str:
        """Return what runs it; "" for that of `auto`, which needs neither engine nor GPU.

        Args:
            usual: That of the default export, where it was chosen (`Subject.backend`).
        """
        return self.settings.get(BACKEND, usual or "")

    def made_key(self, usual: str | None) -> str:
        """Return a short name of its bundle, which candidates that only run it differently share.

        Args:
            usual: As for `backend`.
        """
        made = {axis: self.settings[axis] for axis in MADE if axis in self.settings}
        return _hash(made | {"for": self.target(usual)} if PRECISION in made else made)

    def target(self, usual: str | None) -> str:
        """Return what INT8 is made for, as `calibrate --target`.

        Args:
            usual: As for `backend`.
        """
        backend = self.backend(usual)
        return "tensorrt" if is_gpu(backend) or self.settings.get(PRECISION) == "fp16" else "cpu"

    @property
    def departures(self) -> int:
        """In how many settings it differs from the default export."""
        return len(self.settings)

    @property
    def title(self) -> str:
        """A few words for tables."""
        if not self.settings:
            return "default export"
        return ", ".join(_word(axis, value) for axis, value in self.settings.items())

    def only(self, axes: tuple[str, ...]) -> Candidate:
        """Return the candidate with the settings of some axes."""
        return Candidate({a: v for a, v in self.settings.items() if a in axes})

    def with_(self, other: Candidate) -> Candidate:
        """Return a candidate with the settings of both; those of `other` win."""
        return Candidate({**self.settings, **other.settings})

    def simpler(self) -> Iterator[Candidate]:
        """Yield the candidate without each of its settings, and what makes no sense without it.

        Blocks left in float go with the precision, and a precision goes with the GPU that
        computes in it.
        """
        for axis, value in self.settings.items():
            gone = {axis}
            if axis == BACKEND and is_gpu(value):
                gone.add(PRECISION)
            if PRECISION in gone:
                gone.add(DROP)
            yield Candidate({a: v for a, v in self.settings.items() if a not in gone})


def is_gpu(backend: str) -> bool:
    """Return whether a backend computes on a GPU."""
    return backend.startswith("tensorrt") or backend.endswith(("-cuda", "-rtx"))


def _word(axis: str, value: str) -> str:
    if axis in (BUNDLE, PRECISION, BACKEND):
        return value
    return f"{axis} {value}"


def _hash(settings: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(settings)).encode()).hexdigest()[:12]
