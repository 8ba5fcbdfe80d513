"""Read the options of a lower precision, calibrate, and print the result."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_ovss._leftovers import scratch_folder
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.calibration import (
    Calibrated,
    CalibrateOptions,
    RangeMethod,
    Recipe,
    Validation,
    calibrate_bundle,
)
from edge_ovss.calibration.warnings import CalibrationWarning
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.data_options import read_ignore
from edge_ovss.cli.shared.precision_options import INT8, VALIDATION, refuse_unread
from edge_ovss.cli.shared.shown_warnings import shown_cautions
from edge_ovss.cli.shared.vocabulary import warn_of_ties, warn_of_use
from edge_ovss.errors import UsageError


def read_options(args: argparse.Namespace) -> CalibrateOptions:
    """Return the options that the command line asks for.

    Raises:
        UsageError: They contradict each other, are out of range, or name no images.
        InputError: The recipe cannot be read.
    """
    _require_images(args)
    if args.precision == "fp16":
        refuse_unread(args, INT8, "--precision is fp16", "Leave it out, or use --precision int8.")
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


def _require_images(args: argparse.Namespace) -> None:
    if not args.calibration:
        message = f"--precision {args.precision} needs images, and --calibration names none."
        hint = "Give --calibration DIR, or --calibration 'synthetic://street?count=300'."
        raise UsageError(message, hint=hint)


def _method(args: argparse.Namespace) -> RangeMethod:
    if args.percentile is not None and args.method != "percentile":
        method = args.method or RangeMethod.name
        message = f"--percentile {args.percentile} is given with --method {method}."
        raise UsageError(message, hint="Add --method percentile, or leave it out.")
    given = (args.method, args.percentile)
    return RangeMethod(*(value for value in given if value is not None))


def _validation(args: argparse.Namespace) -> Validation | None:
    if args.validation is None:
        hint = "Add --validation DATA, or leave it out."
        refuse_unread(args, VALIDATION, "--validation is not given", hint)
        return None
    given = {name: getattr(args, name) for name in VALIDATION}
    return Validation(args.validation, **(given | {"ignore": read_ignore(args.ignore)}))


def export_with_precision(
    export: Callable[[Path], Bundle],
    out: Path,
    options: CalibrateOptions,
    *,
    overwrite: bool,
    console: Console,
) -> None:
    """Export a float32 bundle to a temporary folder, calibrate it to `out`, and print."""
    BundleWriter(out, overwrite=overwrite)  # refuses a place that is taken, before the long work
    with scratch_folder() as folder:
        source = export(folder / "float32.ovss")
        calibrate_and_print(source, out, options, overwrite=overwrite, console=console)


def calibrate_and_print(
    source: Bundle | Path,
    out: Path,
    options: CalibrateOptions,
    *,
    overwrite: bool,
    console: Console,
) -> None:
    """Calibrate a bundle to `out`; print the result, its warnings and the next step."""
    with shown_cautions(console, CalibrationWarning) as said:
        done = calibrate_bundle(
            source,
            out,
            options,
            overwrite=overwrite,
            note=console.note,
            progress=console.progress,
        )
    for warning in done.warnings:
        console.warn(warning)
    manifest = done.bundle.manifest
    ties = warn_of_ties(manifest, console) + warn_of_use(manifest, console)
    document = {
        "bundle": str(out),
        "precision": done.bundle.manifest.document["precision"],
        "warnings": [*said, *done.warnings, *ties],
    }
    console.result(f"{out}: {_summary(done)}\n{next_step('selftest', out)}", document)


def _summary(done: Calibrated) -> str:
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
        f"images ({facts['loss']['on']})"
    )
    drop = done.judged.drop_from(done.base)
    if drop is not None:
        losers = done.judged.losers(done.base)
        worst = ", ".join(f"{name} {-lost:+.2f}" for name, lost in list(losers.items())[:3])
        parts.append(f"mIoU {done.base.miou:.2f} -> {done.judged.miou:.2f}, losers {worst}")
    if done.race is not None:
        parts.append(f"{done.race.factor:.2f}x the speed of FP32 in ONNX Runtime here")
    return "; ".join(parts)
