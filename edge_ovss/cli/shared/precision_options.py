"""The options of another precision, which `calibrate` and `export` share."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from edge_ovss.cli.eval import add_label_arguments, read_ignore
from edge_ovss.cli.shared.console import Console
from edge_ovss.errors import UsageError

if TYPE_CHECKING:
    from edge_ovss.calibration import CalibrateOptions, RangeMethod, Validation

_VALIDATION = ("layout", "classes", "ignore", "labels_start", "limit", "allow_missing")
_INT8 = ("method", "percentile", "recipe", "sensitivity", "require_faster")
_ALL = ("count", "target", "base", *_INT8, "max_miou_drop", "validation", *_VALIDATION)


def add_precision_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that both verbs have.

    The defaults are those of `CalibrateOptions`; here they are None, which tells an option that is
    given from one that is not.
    """
    group = parser.add_argument_group("precision")
    group.add_argument("--count", type=int, metavar="N", help="take N of the pictures, by --seed")
    if not any("--seed" in action.option_strings for action in parser._actions):
        group.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    group.add_argument(
        "--target",
        choices=("tensorrt", "cpu"),
        help="whose rules INT8 follows; the files differ (default tensorrt)",
    )
    group.add_argument(
        "--base",
        choices=("fp32", "fp16"),
        help="what is not INT8 (default fp16 for tensorrt, fp32 for cpu)",
    )
    group.add_argument(
        "--method",
        choices=("minmax", "entropy", "percentile"),
        help="how INT8 ranges are chosen (default minmax)",
    )
    group.add_argument(
        "--percentile", type=float, metavar="P", help="of --method percentile (default 99.99)"
    )
    group.add_argument(
        "--recipe", metavar="FILE", help="recipe.json or calibrated bundle: same blocks in float"
    )
    group.add_argument(
        "--max-miou-drop",
        type=float,
        metavar="X",
        help="mIoU points that may be lost; blocks go back to float until it holds",
    )
    group.add_argument(
        "--sensitivity", action="store_true", help="measure every block even without a budget"
    )
    group.add_argument(
        "--require-faster",
        action="store_true",
        help="fail if INT8 is not faster than FP32 on this machine (target cpu)",
    )
    _add_validation(parser.add_argument_group("validation"))


def _add_validation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--validation", metavar="DATA", help="labelled data, as in edge-ovss eval; never the same"
    )
    group.add_argument("--layout", metavar="NAME", help="edge-ovss data layouts lists them")
    add_label_arguments(group)
    group.add_argument("--limit", type=int, metavar="N", help="a random subset of N pictures")
    group.add_argument(
        "--allow-missing",
        action="store_true",
        help="ignore the pixels of categories that the vocabulary has no word for",
    )


def read_options(args: argparse.Namespace) -> CalibrateOptions:
    """Return the options that the command line asks for.

    Raises:
        UsageError: They contradict each other, are out of range, or name no pictures.
        InputError: The recipe cannot be read.
    """
    from edge_ovss.calibration import CalibrateOptions, Recipe

    _require_pictures(args)
    if args.precision == "fp16":
        _refuse(args, _INT8, "--precision is fp16", "Leave it out, or use --precision int8.")
    return CalibrateOptions(
        precision=args.precision,
        calibration=args.calibration,
        count=args.count,
        seed=args.seed,
        method=_method(args),
        target=args.target or CalibrateOptions.target,
        base=args.base,
        validation=_validation(args),
        max_miou_drop=args.max_miou_drop,
        sensitivity=args.sensitivity,
        recipe=None if args.recipe is None else Recipe.load(args.recipe),
        require_faster=args.require_faster,
    )


def export_precision_options(args: argparse.Namespace) -> CalibrateOptions | None:
    """Return what `export --precision` asks for, or None for float32.

    Raises:
        UsageError: As `read_options`, or there are options but no precision for them.
        InputError: The recipe cannot be read.
    """
    if args.precision == "fp32":
        hint = "Add --precision int8 or --precision fp16, or leave it out."
        _refuse(args, _ALL, "--precision is fp32", hint)
        return None
    return read_options(args)


def _require_pictures(args: argparse.Namespace) -> None:
    if not args.calibration:
        message = f"--precision {args.precision} needs pictures, and --calibration names none."
        hint = "Give --calibration DIR, or --calibration 'synthetic://street?count=300'."
        raise UsageError(message, hint=hint)


def _method(args: argparse.Namespace) -> RangeMethod:
    from edge_ovss.calibration import RangeMethod

    if args.percentile is not None and args.method != "percentile":
        method = args.method or RangeMethod.name
        message = f"--percentile {args.percentile} is given with --method {method}."
        raise UsageError(message, hint="Add --method percentile, or leave it out.")
    given = (args.method, args.percentile)
    return RangeMethod(*(value for value in given if value is not None))


def _validation(args: argparse.Namespace) -> Validation | None:
    from edge_ovss.calibration import Validation

    if args.validation is None:
        hint = "Add --validation DATA, or leave it out."
        _refuse(args, _VALIDATION, "--validation is not given", hint)
        return None
    given = {name: getattr(args, name) for name in _VALIDATION}
    return Validation(args.validation, **(given | {"ignore": read_ignore(args.ignore)}))


def _refuse(args: argparse.Namespace, names: Sequence[str], why: str, hint: str) -> None:
    """Refuse options that nothing would read."""
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    # `0` is given, too: only what argparse put there by itself is not.
    given = [name for name, value in values.items() if value is not None and value is not False]
    if given:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        message = f"Given is {shown}, which nothing would read: {why}."
        raise UsageError(message, hint=hint)


@contextmanager
def shown_cautions(console: Console) -> Iterator[list[str]]:
    """Print the warnings of a calibration at once, and collect them; others pass."""
    from edge_ovss.calibration.warnings import CalibrationWarning

    said: list[str] = []
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, CalibrationWarning):
                before(message, category, filename, lineno, file, line)
                return
            said.append(str(message))
            console.warn(str(message))

        warnings.simplefilter("default", CalibrationWarning)
        warnings.showwarning = show
        yield said
