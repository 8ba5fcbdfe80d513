"""Run `edge-ovss set`."""

from __future__ import annotations

import argparse

from edge_ovss.bundle.json_fields import as_json
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.runtime.settings import set_unknown


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the thresholds into the bundle, whole or not at all."""
    chosen = set_unknown(args.bundle, args.unknown)
    text = f"{args.bundle}: labels are {chosen.summary}"
    console.result(text, {"bundle": str(args.bundle), "unknown": as_json(chosen)})
    console.note(next_step("run", args.bundle, "IMAGE"))
    return 0
