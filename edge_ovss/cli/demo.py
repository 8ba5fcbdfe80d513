"""Run `edge-ovss demo`."""

from __future__ import annotations

import argparse

from edge_ovss.cli import run as run_verb
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.demo import MOVING_STREET, STREETS, copy_demo_bundle, demo_bundle
from edge_ovss.errors import UsageError


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the ready bundle on the given source or on drawn streets, or copy it."""
    if args.copy is not None:
        return _copy(args, console)
    args.bundle = str(demo_bundle())
    if not args.source:
        _draw_streets(args)
    return run_verb.run(args, console)


def _draw_streets(args: argparse.Namespace) -> None:
    """Run on drawn streets: a few to write, or one that moves to look at."""
    watched = any(getattr(args, name, None) for name in ("show", "serve"))
    args.source = [MOVING_STREET if watched else STREETS]
    if watched and args.save is None and args.out is None:
        args.save = "none"


def _copy(args: argparse.Namespace, console: Console) -> int:
    if args.source:
        message = "--copy only copies the ready bundle, and takes no SOURCE."
        raise UsageError(message, hint="Leave out one of them; run takes the copy and a SOURCE.")
    place = copy_demo_bundle(args.copy)
    console.result(f"ready bundle copied to {place}", {"bundle": str(place)})
    console.note(next_step("run", args.copy, STREETS))
    return 0
