"""What a calibration is asked for, and the checks that need nothing but the options."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        limit: A random subset of so many pictures, or None.
        allow_missing: Ignore pixels of categories that the vocabulary has no word for.
    """

    data: str
    layout: str | None = None
    classes: str | None = None
    ignore: tuple[int, ...] | None = None
    limit: int | None = None
    allow_missing: bool = False


@dataclass(frozen=True)
class CalibrateOptions:
    """What to make of a float32 bundle.

    Attributes:
        precision: One of `PRECISIONS`.
        calibration: Source of calibration pictures; there is no default set.
        count: Take so many of them; None for all.
        seed: Of the choice of pictures, and of the subset of the validation set.
        method: How INT8 ranges are chosen.
        target: "tensorrt" or "cpu".
        base: What is not INT8 is in "fp16" or "fp32"; None for the target's custom.
        validation: Labelled data; needed for a budget.
        max_miou_drop: mIoU points that may be lost; None for no budget.
        sensitivity: Measure every block even without a budget.
        recipe: Blocks that stay in float.
        require_faster: Fail where INT8 is not faster than FP32 here.
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
        from edge_ovss.calibration.quantise import find_target

        _check_choice("precision", self.precision, PRECISIONS)
        find_target(self.target)
        if self.base is not None:
            _check_choice("base", self.base, BASES)
        if self.target == "cpu" and "fp16" in (self.precision, self.base):
            message = "FP16 was asked for a CPU, which computes in FP32 and only converts."
            raise UsageError(message, hint="Use --target tensorrt, or --precision int8.")
        if self.max_miou_drop is not None:
            self._check_budget(self.max_miou_drop)
        if self.sensitivity and self.precision != "int8":
            message = f"The sensitivity of blocks was asked for with {self.precision}."
            raise UsageError(message, hint="It goes with --precision int8.")
        if self.require_faster and self.target != "cpu":
            message = f"--require-faster needs a run on the device; the target is {self.target}."
            raise UsageError(message, hint="Compare there: edge-ovss bench, with both bundles.")

    def _check_budget(self, drop: float) -> None:
        if not 0 <= drop <= 100:
            message = f"The mIoU budget is {drop:g}; expected points from 0 to 100."
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
        message = f"The {what} is '{given}'; expected one of: {', '.join(known)}."
        raise UsageError(message)
