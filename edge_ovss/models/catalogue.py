"""The one list of all models and of what each family can do; it needs no torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_ovss.errors import UsageError

DEFAULT_MODEL = "sed-tiny"
EXAMPLE_MODEL = "sed-base"
PUBLISHED = "published"

Slots = tuple[int, int, int]

_RESIZE_FIRST = "as the authors do: resize the masks, then add them up"
_ADD_FIRST = "add up the masks, then resize: faster, and a few labels differ"


@dataclass(frozen=True)
class UnknownEntry:
    """When a family calls a pixel unknown.

    Attributes:
        measure: What of the best output of a pixel is compared with its threshold; one of
            `bundle.unknown.MEASURES`.
        auto: The threshold of `--unknown auto` by model, measured with the weights that this
            package carries. Other models and weights have none: their scores are on scales of
            their own.
    """

    measure: str = "score"
    auto: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FamilyEntry:
    """One family of models.

    Attributes:
        name: Its name in paths, manifests and messages of programs, such as "sed".
        title: Its name as people write it.
        models: Names of its models.
        rejects: Whether it can drop categories early (`--reject slots` and `dynamic`).
        compresses: Whether its prompt templates can be compressed (`--template-rank`).
        answers: Ways to make labels from its masks (`--answer`), each with an explanation; the
            published one comes first.
        slots: Default slots by model, measured with the weights that this package carries, for
            vocabularies of up to so many categories; other models and weights get
            `bundle.rejection.DEFAULT_SLOTS`, which is a guess.
        unknown: When it calls a pixel unknown.
        exact: Modules of its frozen graph that are float32 in its FP16 bundles too: what is rounded
            there comes out as other labels, on some images and not on others.
    """

    name: str
    title: str
    models: tuple[str, ...]
    rejects: bool = False
    compresses: bool = False
    answers: Mapping[str, str] = field(default_factory=lambda: {PUBLISHED: "as the authors do"})
    slots: Mapping[str, Mapping[int, Slots]] = field(default_factory=dict)
    unknown: UnknownEntry = field(default_factory=UnknownEntry)
    exact: tuple[str, ...] = ()

    @property
    def published(self) -> tuple[str, ...]:
        """The models that have published checkpoints: all but the tiny one."""
        return tuple(model for model in self.models if not model.endswith("-tiny"))

    def measured_slots(self, model: str, categories: int) -> Slots | None:
        """Return the default slots of a model for T categories; None where none were measured."""
        rows = self.slots.get(model, {})
        return next((rows[most] for most in sorted(rows) if categories <= most), None)

    def check_answer(self, answer: str, *, model: str) -> None:
        """Check that the family knows a way to make labels.

        Raises:
            UsageError: It does not.
        """
        if answer not in self.answers:
            known = ", ".join(f"'{each}'" for each in self.answers)
            message = f"--answer is '{answer}'; expected {known} for '{model}'."
            raise UsageError(message, hint="Drop --answer.")


CATALOGUE: tuple[FamilyEntry, ...] = (
    FamilyEntry(
        name="sed",
        title="SED",
        models=("sed-base", "sed-large", "sed-tiny"),
        rejects=True,
        compresses=True,
        # What stays at most on street scenes and CamVid's images: docs/performance.md.
        slots={
            "sed-tiny": {
                150: (40, 40, 40),
                171: (48, 48, 48),
                459: (60, 60, 60),
                847: (72, 68, 68),
            }
        },
        # On five lists of words and 62 of CamVid's train images (docs/unknown.md).
        unknown=UnknownEntry("score", {"sed-tiny": 0.16}),
    ),
    FamilyEntry(
        name="san",
        title="SAN",
        models=("san-base", "san-large", "san-tiny"),
        answers={PUBLISHED: _RESIZE_FIRST, "fast": _ADD_FIRST},
    ),
    FamilyEntry(
        name="deop",
        title="DeOP",
        models=("deop", "deop-tiny"),
        # All that masks are made from (docs/adding-a-family.md#decisions-for-deop).
        exact=("backbone", "mask_decoder"),
    ),
)


def list_models() -> tuple[str, ...]:
    """Names of all models."""
    return tuple(model for entry in CATALOGUE for model in entry.models)


def entry_of(model: str) -> FamilyEntry:
    """Return the family of a model.

    Raises:
        UsageError: There is no such model; the message lists those that exist.
    """
    for entry in CATALOGUE:
        if model in entry.models:
            return entry
    close = difflib.get_close_matches(model, list_models(), n=3) or list_models()
    message = f"Model '{model}' is unknown; expected one of: {', '.join(list_models())}."
    raise UsageError(message, hint=f"Did you mean: {', '.join(close)}?")


def exact_modules(family: str) -> tuple[str, ...]:
    """Return `exact` of a family; nothing for one that only another version knows."""
    return next((entry.exact for entry in CATALOGUE if entry.name == family), ())


def family_entry(name: str) -> FamilyEntry:
    """Return a family by its name, such as "sed"."""
    return next(entry for entry in CATALOGUE if entry.name == name)
