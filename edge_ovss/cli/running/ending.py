"""End a run: warn of overflow and failures, raise what ended it, and print the next step."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edge_ovss.cli.options.parts.frames import ERROR
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.run_output import Tally
from edge_ovss.errors import GateError, InputError, PictureError


def finish(
    args: argparse.Namespace,
    console: Console,
    tally: Tally,
    failures: Sequence[tuple[str, PictureError]],
    ended_by: BaseException | None,
) -> None:
    """Say what is left to say after the results.

    Args:
        args: The options.
        console: Where to say it.
        tally: Totals over the frames.
        failures: Origins that could not be read, and why.
        ended_by: What ended the run early; raised here.

    Raises:
        BaseException: `ended_by`.
        InputError: Some images could not be used.
        GateError: There was an overflow, and --on-overflow is error.
    """
    if tally.reran:
        console.note(f"{tally.reran} of {tally.frames} frames overflowed and were run again")
    if tally.over and (args.on_overflow != ERROR or ended_by):
        console.warn(tally.overflow())
    if failures and not tally.frames and len(failures) == 1 and not ended_by:
        raise failures[0][1]
    for _, err in failures:
        console.warn(str(err))
    if ended_by:
        raise ended_by
    if failures:
        total = len(failures) + tally.frames
        message = f"{len(failures)} of {total} images could not be used; see the warnings above."
        raise InputError(message, hint="Fix or remove them, and run again.")
    if tally.over and args.on_overflow == ERROR:
        raise GateError(tally.overflow())
    backend = [] if args.backend == "auto" else ["--backend", args.backend]
    console.note(next_step("selftest", args.bundle, *backend))
