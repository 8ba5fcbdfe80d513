"""Run `edge-ovss selftest`."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.runtime_options import open_segmenter
from edge_ovss.errors import ParityError
from edge_ovss.runtime.selftest import SelftestReport, run_selftest


def run(args: argparse.Namespace, console: Console) -> int:
    """Open the bundle with verification, segment the reference frame, and compare."""
    with open_segmenter(args) as segmenter:
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
        message = f"Backend '{report.backend}' does not reproduce the bundle's reference output."
        hint = "Try a different --backend, or export the bundle again."
        raise ParityError(message, hint=hint)
    console.note(next_step("run", args.bundle, "synthetic://street?count=4", "--out", "out"))
    return 0


def _undecided(report: SelftestReport) -> str:
    """Return how many pixels do not count, because a correct backend may give either label."""
    if not report.undecided:
        return ""
    if report.undecided == 1.0:
        return "; NONE WAS COMPARED: every pixel is undecided, so only the categories count"
    return f"; {100 * report.undecided:.4f} % of the pixels are undecided and left out"
