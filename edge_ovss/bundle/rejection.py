"""How a graph drops categories on the way (category early rejection)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_ovss.bundle.contract import MOST_OUTPUTS, STAGES
from edge_ovss.bundle.json_fields import NULL, Fields
from edge_ovss.errors import UsageError

MODES = ("slots", "dynamic", "none")
DEFAULT_SLOTS = (64, 48, 32)
DEFAULT_TOPK = 8

# TensorRT's TopK takes at most this many (TensorRT 10.3 to 11.4 and TensorRT for RTX).
MAX_TOPK = 3840


@dataclass(frozen=True)
class Rejection:
    """How categories are rejected.

    Attributes:
        mode: One of `MODES`.
        topk: k of the published rejection; None where a manifest names none.
        slots: Places after the first, second and third rejection (mode "slots" only).
        measured: Where `slots` came from, if they were chosen from images.
    """

    mode: str = "slots"
    topk: int | None = DEFAULT_TOPK
    slots: tuple[int, ...] | None = field(default=None, metadata=NULL)
    measured: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            message = f"--reject is '{self.mode}'; expected one of: {', '.join(MODES)}."
            raise UsageError(message)
        if self.topk is not None and self.topk < 1:
            message = f"--topk is {self.topk}; expected at least 1."
            raise UsageError(message, hint="The published value is --topk 8.")
        if self.slots is not None:
            self._check_slots(self.slots)

    @property
    def k(self) -> int:
        """The k to compute with: `topk`, or the published one."""
        return self.topk or DEFAULT_TOPK

    @property
    def limit(self) -> tuple[int, ...] | None:
        """How many categories can stay at each rejection; None where all can."""
        return self.slots if self.mode == "slots" else None

    def _check_slots(self, slots: tuple[int, ...]) -> None:
        text = ",".join(str(s) for s in slots)
        if self.mode != "slots":
            message = f"--slots is {text} and --reject is {self.mode}."
            raise UsageError(message, hint="Slots go with --reject slots.")
        if len(slots) != STAGES:
            message = f"--slots is '{text}'; expected {STAGES} numbers, one for each rejection."
            raise UsageError(message, hint="For example --slots 64,48,32.")
        if list(slots) != sorted(slots, reverse=True):
            message = f"--slots is {text}; slots must not grow from one rejection to the next."
            raise UsageError(message, hint="Order them from large to small.")

    def fit(
        self, categories: int, default_slots: tuple[int, int, int] = DEFAULT_SLOTS
    ) -> Rejection:
        """Return this rejection for T categories: k at most T, defaults filled, slots at most T.

        Raises:
            UsageError: k was asked for above T, or slots below k or above what TensorRT takes.
        """
        if self.mode == "none":
            return Rejection("none", topk=None)
        if self.k > categories and self.k != DEFAULT_TOPK:
            message = f"--topk is {self.k}, but the vocabulary has {categories} categories."
            raise UsageError(message, hint=f"Use --topk {categories} or less, or --reject none.")
        if self.slots is not None:
            self._check_sizes(self.slots)
        topk = min(self.k, categories)
        if self.mode == "dynamic":
            return Rejection("dynamic", topk=topk)
        slots = self.slots or tuple(max(slot, topk) for slot in default_slots)
        return Rejection("slots", topk=topk, slots=tuple(min(s, categories) for s in slots))

    def cut(self, categories: int) -> Rejection:
        """Return this rejection with as many slots and as large a k as T categories can use."""
        slots = None if self.slots is None else tuple(min(s, categories) for s in self.slots)
        return replace(self, topk=min(self.k, categories), slots=slots)

    def _check_sizes(self, slots: tuple[int, ...]) -> None:
        text = ",".join(str(s) for s in slots)
        if min(slots) < self.k:
            message = f"--slots is {text}; expected at least {self.k} (--topk) each."
            raise UsageError(message, hint="One position alone keeps k categories.")
        if max(slots) > MAX_TOPK:
            message = f"--slots is {text}; TensorRT's TopK takes at most {MAX_TOPK}."
            raise UsageError(message)

    @classmethod
    def from_json(cls, fields: Fields) -> Rejection:
        """Read the manifest's section.

        Raises:
            BundleError: A field is missing or of the wrong type, or mode and slots do not fit.
        """
        mode = fields.choice("mode", MODES)
        slots = None if fields.values.get("slots") is None else read_slots(fields)
        if mode == "slots" and not slots:
            fields.refuse("slots", f"a list of {STAGES} integers, for mode 'slots'")
        if mode != "slots" and slots is not None:
            fields.refuse("slots", f"null, for mode '{mode}'")
        topk = fields.optional_integer("topk", minimum=1, maximum=MOST_OUTPUTS)
        measured = fields.values.get("measured")
        return cls(mode, topk, slots, measured if isinstance(measured, dict) else None)


def read_slots(fields: Fields) -> tuple[int, ...]:
    """Return the places after each rejection.

    Raises:
        BundleError: They are not `STAGES` numbers that do not grow.
    """
    slots = fields.integers("slots")
    fits = len(slots) == STAGES and all(1 <= slot <= MOST_OUTPUTS for slot in slots)
    if not fits or list(slots) != sorted(slots, reverse=True):
        fields.refuse("slots", f"{STAGES} integers from 1 to {MOST_OUTPUTS} that do not grow")
    return slots
