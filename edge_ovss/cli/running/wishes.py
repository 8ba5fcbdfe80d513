"""Check the options of `run`, and read what is to be saved."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.running.streams import refuse_missing_outputs, stream_options
from edge_ovss.cli.shared.data_options import check_limit
from edge_ovss.errors import UsageError
from edge_ovss.runtime.saving import kinds

_OUTPUTS = (kinds.SCORES, kinds.CONFIDENCE)
NONE = "none"


def check_options(args: argparse.Namespace) -> None:
    """Check the options that do not depend on the bundle.

    Raises:
        UsageError: A value is out of range, or two options contradict each other.
        MissingDependencyError: --serve needs a package.
        InputError: --serve cannot listen there.
    """
    check_limit(args.limit)
    if not 0.0 <= args.alpha <= 1.0:
        message = f"--alpha is {args.alpha}; expected a number from 0 to 1."
        raise UsageError(message)
    if args.every < 1:
        message = f"--every is {args.every}; expected at least 1."
        raise UsageError(message, hint="1 uses every frame, 2 every second one.")
    for name in ("duration", "max_fps", "timeout"):
        _check_above_zero(f"--{name.replace('_', '-')}", getattr(args, name))
    if not args.reconnect >= 0:
        message = f"--reconnect is {args.reconnect}; expected seconds, 0 or more."
        raise UsageError(message, hint="0 never opens a lost source again, inf always.")
    if args.json and args.jsonl:
        message = "--json prints one document and --jsonl a line for every frame; expected one."
        raise UsageError(message, hint="For cameras, --json prints the summary.")
    refuse_missing_outputs(stream_options(args), saved_kinds(args, live=False))
    if args.serve is not None:
        from edge_ovss.cli.running.page import check_page

        check_page(args)


def check_folders(args: argparse.Namespace) -> None:
    """Check that results do not become images of the source, or replace it.

    Raises:
        UsageError: --out or --video is a source.
    """
    out = Path(args.out or "out")
    video = None if args.video is None else Path(args.video).resolve()
    for source in map(Path, args.source):
        if source.is_dir() and out.exists() and source.resolve() == out.resolve():
            message = f"--out is the source folder '{out}'; results would become images of it."
            raise UsageError(message, hint="Choose a different folder for --out.")
        if video is not None and source.resolve() == video:
            message = f"--video is the source '{args.video}', which would be replaced."
            raise UsageError(message, hint="Choose a different name for --video.")


def saved_kinds(args: argparse.Namespace, *, live: bool) -> tuple[str, ...]:
    """Return what to save of every frame: names of `edge_ovss.runtime.saving.kinds`.

    Of a camera that is nothing, unless --save or --out asks for it.

    Raises:
        UsageError: --save has an unknown name.
    """
    chosen = list(() if live and args.out is None else kinds.DEFAULT)
    if args.save is not None:
        chosen = _names(args.save)
    if args.no_overlay:
        chosen = [kind for kind in chosen if kind != kinds.OVERLAY]
    if args.save_scores:
        chosen.append(kinds.SCORES)
    return tuple(dict.fromkeys(chosen))


def check_outputs(args: argparse.Namespace, saved: Sequence[str], bundle: Bundle) -> None:
    """Check that the bundle has what is to be saved.

    Args:
        args: The options, which the message names as they were given.
        saved: What `saved_kinds` returned for them.
        bundle: The bundle.

    Raises:
        UsageError: It does not output scores or confidence.
    """
    for kind in _OUTPUTS:
        if kind in saved and kind not in bundle.manifest.output.outputs:
            by_flag = kind == kinds.SCORES and args.save_scores
            option = "--save-scores" if by_flag else f"--save {kind}"
            message = f"{option} is given, but the bundle has no {kind} output."
            raise UsageError(message, hint=f"Export it again with --outputs labels,{kind}.")


def _names(text: str) -> list[str]:
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == [NONE]:
        return []
    for name in names or [text]:
        if name not in kinds.SUFFIXES:
            close = get_close_matches(name, kinds.SUFFIXES, n=1)
            known = f"{', '.join(kinds.SUFFIXES)}, or {NONE} alone"
            hint = f"Did you mean '{close[0]}'?" if close else f"Expected {known}."
            message = f"--save has '{name}', which is nothing that can be saved."
            raise UsageError(message, hint=hint)
    return names


def _check_above_zero(option: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        message = f"{option} is {value}; expected a number above 0."
        raise UsageError(message)
