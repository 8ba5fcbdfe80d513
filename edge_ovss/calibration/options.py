"""The options of a calibration, and the checks that need nothing else."""

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
    """The labeled data that a loss is measured on.

    Attributes:
        data: As in `edge-ovss eval`.
        layout: As in `edge-ovss eval`; not needed for synthetic://street.
        classes: A file of class names, or None.
        ignore: Numbers that mean "not labeled", or None for the layout's.
        limit: Size of a random subset, at least 1 image; None for all.
        allow_missing: Ignore pixels of classes that the vocabulary does not have.
        labels_start: Number of the first class, 0 or 1, or None for the layout's.
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
    """How a float32 bundle is calibrated.

    Attributes:
        precision: One of `PRECISIONS`.
        calibration: Source of calibration images; there is no default.
        count: How many of them to use, at least 1; None for all.
        seed: Seed of the selection of images and of the validation subset; 0 or more.
        method: How INT8 ranges are chosen.
        target: "tensorrt" or "cpu".
        base: Float type of the layers that are not INT8, "fp16" or "fp32"; None for the
            target's default.
        validation: Labeled data; needed for a budget.
        max_miou_drop: mIoU points that may be lost; None for no budget.
        sensitivity: Measure the cost of every block even without a budget.
        recipe: Blocks that stay in float.
        require_faster: Fail if INT8 is not faster than FP32 on this machine.

    Raises:
        UsageError: A value is out of range, or two options contradict each other.
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
            message = "FP16 was asked for on a CPU, which computes in FP32 and would only convert."
            raise UsageError(message, hint="Use --target tensorrt, or --precision int8.")
        if self.precision == "fp16":
            self._check_half()
        if self.max_miou_drop is not None:
            self._check_budget(self.max_miou_drop)
        if self.sensitivity and self.precision != "int8":
            message = f"Block sensitivity was asked for with {self.precision}."
            raise UsageError(message, hint="It needs --precision int8.")
        if self.require_faster and self.target != "cpu":
            message = f"--require-faster measures on this CPU, but the target is {self.target}."
            hint = 'On the device: edge-ovss bench INT8 --against OTHER --gate "speedup_p50>1".'
            raise UsageError(message, hint=hint)

    def _check_half(self) -> None:
        """Refuse options of INT8: the manifest would claim that they were used."""
        given = {
            "base fp32": self.base == "fp32",
            f"method {self.method.title}": self.method != RangeMethod(),
            "recipe": self.recipe is not None,
        }
        unread = [name for name, is_given in given.items() if is_given]
        if unread:
            what = " and the ".join(unread)
            message = f"FP16 was asked for with the {what}, which only INT8 uses."
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
        """The float type of the layers that are not INT8."""
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
    """Check that a new bundle is neither in place of its source bundle nor inside it.

    Raises:
        UsageError: It would.
    """
    source, place = bundle.resolve(), Path(out).expanduser().resolve()
    if source == place or source in place.parents:
        message = f"The new bundle would be written over the one it is made from, '{bundle}'."
        raise UsageError(message, hint="Choose another place with --out; keep the float32 bundle.")
