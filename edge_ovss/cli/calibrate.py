"""Run `edge-ovss calibrate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss.cli.shared.console import Console
from edge_ovss.cli.shared.precision import calibrate_and_print, read_options


def run(args: argparse.Namespace, console: Console) -> int:
    """Calibrate, and print the result and the next step."""
    options = read_options(args)
    source = Path(args.bundle)
    out = Path(args.out) if args.out else _default_place(source, options.precision, options.target)
    calibrate_and_print(source, out, options, overwrite=args.overwrite, console=console)
    return 0


def _default_place(source: Path, precision: str, target: str) -> Path:
    """Name the new bundle; INT8 for a CPU and INT8 for TensorRT are different files."""
    place = source if source.name else source.absolute()  # "." has no name of its own
    suffix = "-cpu" if target == "cpu" else ""
    return place.with_name(f"{place.stem}-{precision}{suffix}.ovss")
