"""Run `edge-ovss report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss._files import make_folder, write_bytes, write_json
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.shared.console import Console
from edge_ovss.errors import InputError
from edge_ovss.report.card import render_card
from edge_ovss.report.data import gather
from edge_ovss.report.html import render_html


def run(args: argparse.Namespace, console: Console) -> int:
    """Gather, render, write."""
    data = gather(Bundle.open(args.bundle), args.include)
    for name in data.foreign:
        console.warn(f"{name} was measured on a different graph or engine and is left out")
    if data.empty:
        message = f"Nothing has been measured of '{args.bundle}' yet."
        hint = f"Run edge-ovss parity {args.bundle}, eval or bench first."
        raise InputError(message, hint=hint)
    page = Path(args.out) if args.out else data.bundle.path / "reports" / "report.html"
    make_folder(page.parent)
    files = {"html": page, "json": page.with_suffix(".json"), "card": page.with_suffix(".md")}
    write_json(files["json"], {"kind": "report", **data.to_json()})
    write_bytes(files["card"], render_card(data).encode("utf-8", "backslashreplace"))
    write_bytes(files["html"], render_html(data).encode("utf-8", "backslashreplace"))
    document = {
        "files": {kind: str(path) for kind, path in files.items()},
        "evaluations": len(data.evaluations),
        "comparisons": len(data.comparisons),
        "benches": len(data.benches),
        "tunings": len(data.tunings),
        "left_out": list(data.foreign),
    }
    kinds = ("evaluations", "comparisons", "benches", "tunings")
    found = ", ".join(f"{document[kind]} {kind}" for kind in kinds)
    console.result("\n".join([found, *map(str, files.values())]), document)
    return 0
