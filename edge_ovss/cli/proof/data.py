"""Run `edge-ovss data`."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.data_options import open_data
from edge_ovss.datasets.check import DataReport, check_data
from edge_ovss.datasets.layouts import LAYOUTS
from edge_ovss.errors import InputError


def run(args: argparse.Namespace, console: Console) -> int:
    """Run one action."""
    if args.action == "layouts":
        return _layouts(console)
    return _check(args, console)


def _layouts(console: Console) -> int:
    lines = []
    for layout in LAYOUTS.values():
        count = " or ".join(map(str, layout.pictures)) or "any number of"
        lines.append(f"{layout.name:<13} {count} images; {layout.about}")
        for place in layout.places:
            names = f", names in {place.names}" if place.names else ""
            pattern = f"{place.pictures}/*{place.picture_ending}"
            lines.append(f"{'':<13}   {pattern}  {place.labels}/*{place.label_ending}{names}")
    console.result("\n".join(lines), [asdict(layout) for layout in LAYOUTS.values()])
    return 0


def _check(args: argparse.Namespace, console: Console) -> int:
    # Counts are a finding here, not a reason to stop.
    expected, args.expect = args.expect, None
    dataset = open_data(args, counted=False)
    report = check_data(dataset, expected=expected, progress=console.progress)
    console.result(_text(report), report.to_json())
    errors = [finding for finding in report.findings if finding.severity == "error"]
    if errors:
        kinds = ", ".join(finding.kind for finding in errors)
        message = f"Data set '{report.dataset}' must not be scored on: {kinds}."
        raise InputError(message, hint="See the findings above; docs/evaluation.md explains them.")
    console.note(next_step("eval", "BUNDLE", args.data, *_given(args)))
    return 0


def _given(args: argparse.Namespace) -> list[str]:
    """Return the given options that say how the data are read."""
    options = {
        "--layout": args.layout,
        "--classes": args.classes,
        "--ignore": None if args.ignore is None else ",".join(args.ignore),
        "--labels-start": args.labels_start,
    }
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    return [part for pair in given for part in pair]


def _text(report: DataReport) -> str:
    sizes = ", ".join(f"{size} ({count})" for size, count in report.sizes) or "no file was read"
    total = sum(report.pixels.values())
    shares = f"{100 * report.ignored_share:.1f} % of pixels ignored"
    if report.outside_share:
        shares += f", {100 * report.outside_share:.1f} % with label values of no category"
    lines = [
        f"{report.dataset}: {report.pictures} images, {shares}",
        f"sizes  {sizes} (height x width)",
        *(f"  {name.strip():<24} {100 * n / total:6.2f} %" for name, n in report.pixels.items()),
    ]
    for finding in report.findings:
        some = f" ({', '.join(finding.samples)})" if finding.samples else ""
        lines.append(f"{finding.severity}: {finding.kind}: {finding.message}{some}")
    return "\n".join(lines)
