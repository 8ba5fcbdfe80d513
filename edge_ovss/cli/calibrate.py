"""Make a bundle of another precision: FP16 with FP32 islands, or measured INT8."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ovss.cli._console import Console
from edge_ovss.errors import UsageError

if TYPE_CHECKING:
    from edge_ovss.calibration import Calibrated, CalibrateOptions
    from edge_ovss.runtime.bundle import Bundle

SUMMARY = "make an FP16 or INT8 bundle from a float32 one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a float32 bundle")
    parser.add_argument(
        "--precision", choices=("fp16", "int8"), default="int8", help="default int8"
    )
    add_pictures_argument(parser)
    add_precision_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="default BUNDLE-PRECISION.ovss")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def add_pictures_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the calibration pictures."""
    parser.add_argument(
        "--calibration",
        required=True,
        metavar="SOURCE",
        help="pictures to measure ranges on: a folder, a list file (.txt), a video, or "
        "synthetic://street?count=300; there is no default",
    )


def add_precision_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `export --precision` has as well."""
    group = parser.add_argument_group("precision")
    group.add_argument("--count", type=int, metavar="N", help="take N of the pictures, by --seed")
    if not any("--seed" in action.option_strings for action in parser._actions):
        group.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    group.add_argument(
        "--target",
        choices=("tensorrt", "cpu"),
        default="tensorrt",
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
        default="minmax",
        help="how INT8 ranges are chosen (default minmax)",
    )
    group.add_argument("--percentile", type=float, default=99.99, help="default 99.99")
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
    group.add_argument("--classes", metavar="FILE", help="category names, one per line")
    group.add_argument("--limit", type=int, metavar="N", help="a random subset of N pictures")
    group.add_argument(
        "--allow-missing",
        action="store_true",
        help="ignore the pixels of categories that the vocabulary has no word for",
    )


def read_options(args: argparse.Namespace) -> CalibrateOptions:
    """Return the options that the command line asks for.

    Raises:
        UsageError: They contradict each other.
        InputError: The recipe cannot be read.
    """
    from edge_ovss.calibration import CalibrateOptions, RangeMethod, Recipe, Validation

    if args.validation is None and (args.layout or args.limit or args.classes):
        message = "--layout, --limit and --classes are about --validation, which is not given."
        raise UsageError(message)
    validation = None
    if args.validation is not None:
        validation = Validation(
            args.validation,
            layout=args.layout,
            classes=args.classes,
            limit=args.limit,
            allow_missing=args.allow_missing,
        )
    return CalibrateOptions(
        precision=args.precision,
        calibration=args.calibration,
        count=args.count,
        seed=args.seed,
        method=RangeMethod(args.method, args.percentile),
        target=args.target,
        base=args.base,
        validation=validation,
        max_miou_drop=args.max_miou_drop,
        sensitivity=args.sensitivity,
        recipe=None if args.recipe is None else Recipe.load(args.recipe),
        require_faster=args.require_faster,
    )


def export_precision_options(args: argparse.Namespace) -> CalibrateOptions | None:
    """Return what `export --precision` asks for, or None for float32.

    Raises:
        UsageError: No pictures are given, or options without a precision.
    """
    if args.precision == "fp32":
        given = (args.max_miou_drop, args.recipe, args.validation, args.count, args.base)
        if any(value is not None for value in given) or args.sensitivity or args.require_faster:
            message = "Options of another precision are given, but --precision is fp32."
            raise UsageError(message, hint="Add --precision int8 or --precision fp16.")
        return None
    if not args.calibration:
        message = f"--precision {args.precision} needs pictures, and --calibration names none."
        hint = "Give --calibration DIR, or --calibration 'synthetic://street?count=300'."
        raise UsageError(message, hint=hint)
    return read_options(args)


def export_with_precision(
    export: Callable[[Path], Bundle],
    out: Path,
    options: CalibrateOptions,
    *,
    overwrite: bool,
    console: Console,
) -> int:
    """Export a float32 bundle to a temporary folder, calibrate it to `out`, and print."""
    from edge_ovss.calibration import calibrate_bundle
    from edge_ovss.runtime.bundle_writer import BundleWriter

    BundleWriter(out, overwrite=overwrite)  # refuses a place that is taken, before the long work
    with tempfile.TemporaryDirectory(prefix="edge-ovss-") as folder:
        source = export(Path(folder) / "float32.ovss")
        done = calibrate_bundle(
            source,
            out,
            options,
            overwrite=overwrite,
            note=console.note,
            progress=console.progress,
        )
    report(done, out, console)
    return 0


def run(args: argparse.Namespace, console: Console) -> int:
    """Calibrate, and print what came out and what to do next."""
    from edge_ovss.calibration import calibrate_bundle

    options = read_options(args)
    source = Path(args.bundle)
    out = Path(args.out or source.with_name(f"{source.stem}-{args.precision}.ovss"))
    done = calibrate_bundle(
        source,
        out,
        options,
        overwrite=args.overwrite,
        note=console.note,
        progress=console.progress,
    )
    report(done, out, console)
    return 0


def report(done: Calibrated, out: Path, console: Console) -> None:
    """Print what a calibration gave."""
    for warning in done.warnings:
        console.warn(warning)
    document = {
        "bundle": str(out),
        "precision": done.bundle.manifest.document["precision"],
        "warnings": list(done.warnings),
    }
    next_step = f"Next: edge-ovss selftest {out}"
    console.result(f"{out}: {summary(done)}\n{next_step}", document)


def summary(done: Calibrated) -> str:
    """Return one line about a calibrated bundle."""
    manifest: Any = done.bundle.manifest.document
    facts = manifest["precision"]
    megabytes = sum(entry.bytes for entry in done.bundle.manifest.files.values()) / 1e6
    parts = [f"{facts['name']} for {facts['target']} on {facts['base']}, {megabytes:.1f} MB"]
    if "quantized" in facts:
        kept = len(facts["recipe"]["excluded"])
        parts.append(f"{len(facts['quantized'])} blocks in INT8, {kept} more stay in float")
    parts.append(
        f"labels equal to FP32: {100 * done.judged.agreement:.2f} % on {done.judged.pictures} "
        f"pictures ({facts['loss']['on']})"
    )
    drop = done.judged.drop_from(done.base)
    if drop is not None:
        losers = done.judged.losers(done.base)
        worst = ", ".join(f"{name} {-lost:+.2f}" for name, lost in list(losers.items())[:3])
        parts.append(f"mIoU {done.base.miou:.2f} -> {done.judged.miou:.2f}, losers {worst}")
    if done.race is not None:
        parts.append(f"{done.race.factor:.2f}x the speed of FP32 in ONNX Runtime here")
    return "; ".join(parts)
