"""Run `edge-ovss eval --tune-unknown`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss.bundle.unknown import ALL_OTHERS
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.data_options import file_part_of, open_data
from edge_ovss.cli.shared.runtime_options import open_segmenter
from edge_ovss.datasets.coverage import some
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.tune_unknown import Tuned, tune_unknown
from edge_ovss.metrics.reported import TUNED
from edge_ovss.runtime.segmenter import Segmenter

_NAMES = {"one": "one for all", "each": "one for each"}
_SHOWN = 20


def run_tuning(args: argparse.Namespace, console: Console) -> int:
    """Find thresholds, write their file, and say how good they are."""
    _refuse_others(args)
    dataset = open_data(args)
    for remark in dataset.remarks:
        console.warn(remark)
    with open_segmenter(args) as segmenter:
        out = _out(args, segmenter, dataset)
        found = tune_unknown(segmenter, dataset, out, figure=args.figure, progress=console.progress)
    console.result(_text(found, out), {"kind": "unknown", **found.facts(), "out": str(out)})
    console.note(next_step("set", args.bundle, "--unknown", str(out)))
    return 0


def _refuse_others(args: argparse.Namespace) -> None:
    given = {
        "--gate": args.gate is not None,
        "--unknown": args.unknown is not None,
        "--allow-missing": args.allow_missing,
        "--preproc published": args.preproc != "fast",
    }
    wrong = [name for name, there in given.items() if there]
    if wrong:
        message = f"{wrong[0]} is given with --tune-unknown, which does not take it."
        raise UsageError(message, hint="Tune first, then score with --unknown FILE.")


def _out(args: argparse.Namespace, segmenter: Segmenter, dataset: Dataset) -> Path:
    if args.out is None:
        name = f"unknown-{file_part_of(dataset, args.data)}.json"
        return segmenter.bundle.path / "reports" / name
    out = Path(args.out).expanduser()
    if out.is_dir():
        message = f"--out is the folder '{out}'; expected a file, such as '{out / 'unknown.json'}'."
        raise UsageError(message)
    return out


def _text(found: Tuned, out: Path) -> str:
    unnamed = found.alignment.unnamed
    lines = [
        f"{found.dataset}, {found.images} images",
        f"{found.figure:15s} {TUNED[found.figure]}",
        f"no word for     {some(list(unnamed), _SHOWN)}",
        f"without         {found.without:.2f}",
    ]
    for how, choice in found.choices.items():
        values = choice.thresholds.values()
        low, high = min(values), max(values)
        span = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        mark = ", written" if how == found.chosen else ""
        lines.append(
            f"{_NAMES[how]:15s} {choice.validated:.2f} cross-validated over {found.folds} groups "
            f"of images ({choice.figure:.2f} on those it was tuned on): {span}{mark}"
        )
    written = found.choices[found.chosen].thresholds
    shown = [f"{name} {value:.3g}" for name, value in written.items() if name != ALL_OTHERS]
    if shown:
        lines.append(f"thresholds      {some(shown, _SHOWN)}")
    return "\n".join([*lines, f"file            {out}"])
