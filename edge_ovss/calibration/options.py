"""What a calibration is asked for, and the checks that need nothing but the options."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from edge_ovss.calibration.images import refuse_live
from edge_ovss.calibration.ranges import RangeMethod
from edge_ovss.calibration.recipe import Recipe
from edge_ovss.errors import UsageError

PRECISIONS = ("fp16", "int8")
BASES = ("fp32", "fp16")


@dataclass(frozen=True)
class Validation:
    """The labelled data that a loss is measured on.

    Attributes:
        data: As in `edge-ovss eval`.
        layout: As in `edge-ovss eval`; not needed for synthetic://street.
        classes: A file of category names, or None.
        ignore: Numbers that mean "not labelled", or None for the layout's.
        limit: A random subset of so many pictures, at least 1, or None.
        allow_missing: Ignore pixels of categories that the vocabulary has no word for.
        labels_start: Number of the first category, 0 or 1, or None for the layout's.
    """

    data: str
    layout: str | None = None
    classes: str | None = None
    ignore: tuple[int, ...] | None = None
    limit: int | None = None
    allow_missing: bool = False
    labels_start: int | None = None

    def __post_init__(self) -> None:
        _check_count("limit", self.limit)


@dataclass(frozen=True)
class CalibrateOptions:
    """What to make of a float32 bundle.

    Attributes:
        precision: One of `PRECISIONS`.
        calibration: Source of calibration pictures; there is no default set.
        count: Take so many of them, at least 1; None for all.
        seed: Of the choice of pictures, and of the subset of the validation set; 0 or more.
        method: How INT8 ranges are chosen.
        target: "tensorrt" or "cpu".
        base: What is not INT8 is in "fp16" or "fp32"; None for the target's custom.
        validation: Labelled data; needed for a budget.
        max_miou_drop: mIoU points that may be lost; None for no budget.
        sensitivity: Measure every block even without a budget.
        recipe: Blocks that stay in float.
        require_faster: Fail where INT8 is not faster than FP32 here.

    Raises:
        UsageError: A value is out of range, or two contradict each other.
    """

    precision: str
    calibration: str
    count: int | None = None
    seed: int = 0
    method: RangeMethod = field(default_factory=RangeMethod)
    target: str = "tensorrt"
    base: str | None = None
    validation: Validation | None = None
    max_miou_drop: float | None = None
    sensitivity: bool = False
    recipe: Recipe | None = None
    require_faster: bool = False

    def __post_init__(self) -> None:
        from edge_ovss.calibration.quantize import find_target

        _check_choice("precision", self.precision, PRECISIONS)
        find_target(self.target)
        if self.base is not None:
            _check_choice("base", self.base, BASES)
        refuse_live(self.calibration)
        _check_count("count", self.count)
        if self.seed < 0:
            message = f"--seed is {self.seed}; expected 0 or more."
            raise UsageError(message)
        if self.target == "cpu" and "fp16" in (self.precision, self.base):
            message = "FP16 was asked for a CPU, which computes in FP32 and only converts."
            raise UsageError(message, hint="Use --target tensorrt, or --precision int8.")
        if self.precision == "fp16":
            self._check_half()
        if self.max_miou_drop is not None:
            self._check_budget(self.max_miou_drop)
        if self.sensitivity and self.precision != "int8":
            message = f"The sensitivity of blocks was asked for with {self.precision}."
            raise UsageError(message, hint="It goes with --precision int8.")
        if self.require_faster and self.target != "cpu":
            message = f"--require-faster needs a run on the device; the target is {self.target}."
            hint = 'There: edge-ovss bench INT8 --against OTHER --gate "speedup_p50>1".'
            raise UsageError(message, hint=hint)

    def _check_half(self) -> None:
        """Refuse what only INT8 reads: the manifest would say that it had been done."""
        given = {
            "base fp32": self.base == "fp32",
            f"method {self.method.title}": self.method != RangeMethod(),
            "recipe": self.recipe is not None,
        }
        unread = [name for name, is_given in given.items() if is_given]
        if unread:
            what = " and the ".join(unread)
            message = f"FP16 was asked for with the {what}, which only INT8 reads."
            raise UsageError(message, hint="Leave it out, or use --precision int8.")

    def _check_budget(self, drop: float) -> None:
        if not 0 <= drop <= 100:
            message = f"--max-miou-drop is {drop}; expected points from 0 to 100."
            raise UsageError(message)
        if self.validation is None:
            message = "A mIoU budget needs labels, and no validation data are given."
            hint = "Give --validation DATA --layout NAME, or --validation synthetic://street?..."
            raise UsageError(message, hint=hint)

    @property
    def float_base(self) -> str:
        """What is not INT8 is in."""
        if self.precision == "fp16" or self.base is not None:
            return self.base or "fp16"
        return "fp32" if self.target == "cpu" else "fp16"


def _check_choice(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        message = f"--{what} is '{given}'; expected one of: {', '.join(known)}."
        raise UsageError(message)


def _check_count(what: str, given: int | None) -> None:
    if given is not None and given < 1:
        message = f"--{what} is {given}; expected at least 1."
        raise UsageError(message, hint="Leave it out for all images.")


def require_other_place(bundle: Path, out: str | os.PathLike[str]) -> None:
    """Check that a new bundle does not replace the one it is made from, or lie in it.

    Raises:
        UsageError: It would.
    """
    source, place = bundle.resolve(), Path(out).expanduser().resolve()
    if source == place or source in place.parents:
        message = f"The new bundle would be written over the one it is made from, '{bundle}'."
        raise UsageError(message, hint="Choose another place with --out; keep the float32 bundle.")
