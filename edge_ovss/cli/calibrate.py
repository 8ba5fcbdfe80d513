"""Make a bundle of another precision: FP16 with FP32 islands, or measured INT8."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ovss._leftovers import scratch_folder
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.precision_options import (
    add_precision_arguments,
    read_options,
    shown_cautions,
)
from edge_ovss.cli.shared.ties import warn_of_ties

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.calibration import Calibrated, CalibrateOptions

SUMMARY = "make an FP16 or INT8 bundle from a float32 one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a float32 bundle")
    parser.add_argument(
        "--precision", choices=("fp16", "int8"), default="int8", help="default int8"
    )
    parser.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="needed: pictures to measure ranges on, a folder, a list file (.txt), a video, or "
        "synthetic://street?count=300; there is no default",
    )
    add_precision_arguments(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="default BUNDLE-fp16.ovss, -int8.ovss or -int8-cpu.ovss"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def export_with_precision(
    export: Callable[[Path], Bundle],
    out: Path,
    options: CalibrateOptions,
    *,
    overwrite: bool,
    console: Console,
) -> int:
    """Export a float32 bundle to a temporary folder, calibrate it to `out`, and print."""
    from edge_ovss.bundle.writer import BundleWriter

    BundleWriter(out, overwrite=overwrite)  # refuses a place that is taken, before the long work
    with scratch_folder() as folder:
        source = export(folder / "float32.ovss")
        _calibrate(source, out, options, overwrite=overwrite, console=console)
    return 0


def run(args: argparse.Namespace, console: Console) -> int:
    """Calibrate, and print what came out and what to do next."""
    options = read_options(args)
    source = Path(args.bundle)
    out = Path(args.out) if args.out else _default_place(source, options)
    _calibrate(source, out, options, overwrite=args.overwrite, console=console)
    return 0


def _default_place(source: Path, options: CalibrateOptions) -> Path:
    """Name the new bundle; INT8 for a CPU is another file than INT8 for TensorRT."""
    place = source if source.name else source.absolute()  # "." has no name to make another of
    target = "-cpu" if options.target == "cpu" else ""
    return place.with_name(f"{place.stem}-{options.precision}{target}.ovss")


def _calibrate(
    source: Bundle | Path,
    out: Path,
    options: CalibrateOptions,
    *,
    overwrite: bool,
    console: Console,
) -> None:
    from edge_ovss.calibration import calibrate_bundle

    with shown_cautions(console) as said:
        done = calibrate_bundle(
            source,
            out,
            options,
            overwrite=overwrite,
            note=console.note,
            progress=console.progress,
        )
    report(done, out, console, said)


def report(done: Calibrated, out: Path, console: Console, said: Sequence[str] = ()) -> None:
    """Print what a calibration gave; `said` are the warnings that were shown on the way."""
    for warning in done.warnings:
        console.warn(warning)
    ties = warn_of_ties(done.bundle.manifest, console)
    document = {
        "bundle": str(out),
        "precision": done.bundle.manifest.document["precision"],
        "warnings": [*said, *done.warnings, *ties],
    }
    console.result(f"{out}: {summary(done)}\n{next_step('selftest', out)}", document)


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
