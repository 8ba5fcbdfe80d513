"""Check that a bundle is whole, and that it gives on this machine the answer its exporter saw."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.errors import ParityError

if TYPE_CHECKING:
    from edge_ovss.runtime.selftest import SelftestReport

SUMMARY = "check that a bundle still gives its reference answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that edge-ovss export wrote")
    parser.add_argument("--backend", default="auto", metavar="NAME", help="default auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default all)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Open with verification, segment the reference frame, compare."""
    from edge_ovss.runtime.segmenter import Segmenter
    from edge_ovss.runtime.selftest import run_selftest

    with Segmenter.open(args.bundle, backend=args.backend, threads=args.threads) as segmenter:
        report = run_selftest(segmenter)
    exempt = "" if report.survivors_count else " (need not be, below FP32)"
    text = "\n".join(
        [
            f"backend     {report.backend}",
            "files       as the manifest says",
            f"labels      {100 * report.agreement:.4f} % equal, "
            f"at least {100 * report.min_agreement:.4f} % expected{_undecided(report)}",
            f"categories  {'the same survive' if report.same_alive else 'OTHERS SURVIVE'}{exempt}",
            f"counts      {'equal' if report.same_counts else 'NOT EQUAL'}{exempt}",
            f"passed      {'yes' if report.passed else 'NO'} ({report.infer_ms:.1f} ms)",
        ]
    )
    console.result(text, {"bundle": str(args.bundle), **report.to_json()})
    if not report:
        message = f"Backend '{report.backend}' does not give the reference answer of the bundle."
        hint = "Try another --backend, or export the bundle again."
        raise ParityError(message, hint=hint)
    console.note(next_step("run", args.bundle, "synthetic://street?count=4", "--out", "out"))
    return 0


def _undecided(report: SelftestReport) -> str:
    """Say how many pixels do not count, because a right backend may answer either way there."""
    if not report.undecided:
        return ""
    if report.undecided == 1.0:
        return "; NONE WAS COMPARED: every pixel is undecided, and the categories alone decide"
    return f"; {100 * report.undecided:.4f} % of the pixels are undecided and left out"
