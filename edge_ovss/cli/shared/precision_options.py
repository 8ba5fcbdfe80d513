"""The options of a lower precision, which `calibrate` and `export` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from edge_ovss.cli.shared.data_options import (
    add_label_arguments,
    add_layout_argument,
    add_subset_arguments,
)
from edge_ovss.errors import UsageError

VALIDATION = ("layout", "classes", "ignore", "labels_start", "limit", "allow_missing")
INT8 = ("method", "percentile", "recipe", "sensitivity", "require_faster")
ALL = ("count", "target", "base", *INT8, "max_miou_drop", "validation", *VALIDATION)

RARE = (
    "--seed",
    "--base",
    "--percentile",
    "--recipe",
    "--sensitivity",
    "--require-faster",
    "--classes",
    "--ignore",
    "--labels-start",
    "--limit",
    "--allow-missing",
)
"""Options that --help leaves out."""


def add_precision_arguments(
    parser: argparse.ArgumentParser, precisions: Sequence[str], *, default: str
) -> None:
    """Add the options that both verbs have.

    The defaults are those of `CalibrateOptions`; here they are None, which tells an option that is
    given from one that is not. Choices are listed here because asking edge_ovss.calibration takes
    longer than the help; a test compares the two.
    """
    group = parser.add_argument_group("precision")
    group.add_argument(
        "--precision",
        choices=tuple(precisions),
        default=default,
        help=f"precision of the new bundle (default {default})",
    )
    group.add_argument(
        "--count", type=int, metavar="N", help="use N images of --calibration, chosen by --seed"
    )
    group.add_argument(
        "--target",
        choices=("tensorrt", "cpu"),
        help="runtime the INT8 graph is made for; not interchangeable (default tensorrt)",
    )
    group.add_argument(
        "--base",
        choices=("fp32", "fp16"),
        help="float type of the layers that are not quantized "
        "(default fp16 for tensorrt, fp32 for cpu)",
    )
    group.add_argument(
        "--method",
        choices=("minmax", "entropy", "percentile"),
        help="how INT8 ranges are chosen (default minmax)",
    )
    group.add_argument(
        "--percentile",
        type=float,
        metavar="P",
        help="percentile of --method percentile (default 99.99)",
    )
    group.add_argument(
        "--recipe",
        metavar="FILE",
        help="recipe.json or a calibrated bundle: keep the same blocks in float",
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
        help="fail if INT8 is not faster than FP32 on this machine (--target cpu only)",
    )
    _add_validation(parser.add_argument_group("validation"))


def _add_validation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--validation",
        metavar="DATA",
        help="labeled images for the accuracy check; must not overlap with --calibration",
    )
    add_layout_argument(group)
    add_label_arguments(group)
    add_subset_arguments(group)


def refuse_unread(args: argparse.Namespace, names: Sequence[str], why: str, hint: str) -> None:
    """Refuse options that would have no effect.

    Raises:
        UsageError: One of them is given.
    """
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    # `0` counts as given; only argparse's own defaults do not.
    given = [name for name, value in values.items() if value is not None and value is not False]
    if given:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        message = f"{shown} would have no effect: {why}."
        raise UsageError(message, hint=hint)
