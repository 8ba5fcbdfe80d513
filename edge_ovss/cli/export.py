"""Freeze a vocabulary into a model and write a bundle that runs without torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.cli.calibrate import export_with_precision
from edge_ovss.cli.shared.console import Console, next_step, say
from edge_ovss.cli.shared.precision_options import add_precision_arguments, export_precision_options
from edge_ovss.cli.shared.ties import warn_of_ties
from edge_ovss.cli.shared.words import checked_vocabulary, file_part
from edge_ovss.errors import UsageError
from edge_ovss.models.catalogue import CATALOGUE, DEFAULT_MODEL, PUBLISHED, list_models

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.export import Rejection

SUMMARY = "freeze a vocabulary into a model and write a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `edge-ovss export`."""
    words = parser.add_argument_group("what")
    words.add_argument(
        "--vocab",
        required=True,
        metavar="NAME|FILE|WORDS",
        help="a built-in vocabulary (edge-ovss vocab list), a .txt, .toml or .json file, or "
        "'road, car'",
    )
    words.add_argument(
        "--model", metavar="NAME", help=f"{', '.join(list_models())} (default {DEFAULT_MODEL})"
    )
    words.add_argument("--checkpoint", metavar="FILE|URL", help="published checkpoint of the model")
    words.add_argument(
        "--weights",
        choices=("random", "embedded", "clip"),
        help="instead of a checkpoint; clip downloads the towers, the decoder stays random",
    )
    words.add_argument("--seed", type=int, default=0, help="of random weights (default 0)")
    words.add_argument(
        "--embeddings",
        metavar="FILE",
        help="embedding pack (edge-ovss vocab encode) instead of the text tower",
    )
    graph = parser.add_argument_group("graph")
    graph.add_argument(
        "--size", metavar="HxW", help="height x width inside the network, multiples of 32"
    )
    graph.add_argument(
        "--reject",
        choices=("slots", "dynamic", "none"),
        help="how classes that are not in the image are dropped (default slots; only none for "
        f"{_names(model for entry in CATALOGUE if not entry.rejects for model in entry.models)})",
    )
    graph.add_argument("--topk", type=int, help="k of the rejection (default 8, as published)")
    graph.add_argument(
        "--slots",
        metavar="N,N,N|auto",
        help="places after each rejection (default 64,48,32); auto measures --calibration",
    )
    graph.add_argument(
        "--spare-slots",
        metavar="N,N,N|all",
        help="add a second graph with more places, for run --on-overflow rerun",
    )
    graph.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="pictures for --slots auto and --precision: a folder, a list file, a video, or "
        "synthetic://street?count=300",
    )
    graph.add_argument(
        "--outputs",
        default="labels",
        metavar="LIST",
        help="labels[,scores][,confidence] (default labels)",
    )
    graph.add_argument(
        "--template-rank",
        metavar="N|auto",
        help="compress the prompt templates to N channels (lossy, measured on --calibration); for "
        f"{_names(model for entry in CATALOGUE if entry.compresses for model in entry.models)}",
    )
    graph.add_argument(
        "--answer",
        choices=tuple(dict.fromkeys(answer for entry in CATALOGUE for answer in entry.answers)),
        default=PUBLISHED,
        help=f"how labels are made from masks (default {PUBLISHED}); {_answers()}",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="other than fp32: as edge-ovss calibrate does afterwards (default fp32)",
    )
    add_precision_arguments(parser)
    target = parser.add_argument_group("where")
    target.add_argument("--out", metavar="DIR", help="bundle to write (default MODEL-VOCAB.ovss)")
    target.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def _names(models: Iterable[str]) -> str:
    return ", ".join(models)


def _answers() -> str:
    """List the ways to make labels of the families that have more than one."""
    texts = []
    for entry in CATALOGUE:
        for answer, about in list(entry.answers.items())[1:]:
            texts.append(f"{answer}: {about} ({_names(entry.models)})")
    return "; ".join(texts)


def run(args: argparse.Namespace, console: Console) -> int:
    """Export, and print what came out and what to do next."""
    slots = _slots(args)
    precision = export_precision_options(args)
    # The words are checked before torch is even imported: a typo should cost no time.
    vocabulary = checked_vocabulary(args.vocab, console)
    from edge_ovss._optional import require

    require("torch", extra="export")
    from edge_ovss.export import ExportOptions, export_bundle

    model = args.model or DEFAULT_MODEL
    options = ExportOptions(
        model=model,
        checkpoint=args.checkpoint,
        weights=args.weights,
        seed=args.seed,
        embeddings=args.embeddings,
        size=parse_size(args.size),
        rejection=_rejection(args, slots),
        outputs=tuple(name.strip() for name in args.outputs.split(",")),
        slots_from=args.calibration if args.slots == "auto" else None,
        spare_slots=_spare_slots(args),
        answer=args.answer,
        template_rank=parse_rank(args.template_rank),
        pictures=args.calibration,
    )
    out = Path(args.out or f"{model}-{file_part(vocabulary.name)}.ovss")

    def export(where: Path) -> Bundle:
        return export_bundle(
            vocabulary,
            where,
            options,
            overwrite=args.overwrite,
            note=console.note,
            progress=_progress(console),
        )

    if precision is not None:
        return export_with_precision(
            export, out, precision, overwrite=args.overwrite, console=console
        )
    bundle = export(out)
    warnings = warn_of_ties(bundle.manifest, console)
    text = f"{out}: {_summary(bundle.manifest.document)}\n{next_step('run', out, 'PICTURE')}"
    document = {"bundle": str(out), "manifest": bundle.manifest.document, "warnings": warnings}
    console.result(text, document)
    return 0


def parse_rank(text: str | None) -> int | str | None:
    """Parse "16" or "auto".

    Raises:
        UsageError: It is neither.
    """
    if text is None or text == "auto":
        return text
    if not text.isdecimal():
        message = f"--template-rank is '{text}'; expected a whole number or 'auto'."
        raise UsageError(message)
    return int(text)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parse "768x768" (height x width).

    Raises:
        UsageError: It is not two positive whole numbers.
    """
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        message = f"--size is '{text}'; expected HEIGHTxWIDTH, such as 768x768."
        raise UsageError(message)
    return int(height), int(width)


def _slots(args: argparse.Namespace) -> tuple[int, int, int] | None:
    if args.slots == "auto" and not args.calibration:
        message = "--slots auto measures pictures, and --calibration names none."
        hint = "Give --calibration DIR, or --calibration 'synthetic://street?count=100'."
        raise UsageError(message, hint=hint)
    read = args.slots == "auto" or args.template_rank or args.precision != "fp32"
    if args.calibration and not read:
        message = "--calibration is given, but nothing would read the pictures."
        raise UsageError(message, hint="Add --precision int8, --precision fp16 or --slots auto.")
    if args.calibration:
        _refuse_live(args.calibration)
    if args.slots == "auto" and args.reject not in (None, "slots"):
        message = f"--slots auto is given with --reject {args.reject}."
        raise UsageError(message, hint="Slots go with --reject slots.")
    if args.slots in (None, "auto"):
        return None
    return _three(args.slots, option="--slots", word="auto")


def _refuse_live(source: str) -> None:
    """Refuse what never ends: --slots auto would measure it for ever."""
    from edge_ovss.calibration.images import refuse_live

    refuse_live(source)


def _spare_slots(args: argparse.Namespace) -> tuple[int, int, int] | str | None:
    if args.spare_slots is None:
        return None
    if args.precision != "fp32":
        message = f"--spare-slots is given with --precision {args.precision}."
        raise UsageError(message, hint="Only float32 bundles hold a spare graph.")
    if args.spare_slots == "all":
        return "all"
    return _three(args.spare_slots, option="--spare-slots", word="all")


def _three(text: str, *, option: str, word: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        message = f"{option} is '{text}'; expected three numbers or '{word}'."
        raise UsageError(message, hint=f"For example {option} 64,48,32.")
    first, second, third = (int(part) for part in parts)
    return first, second, third


def _rejection(args: argparse.Namespace, slots: tuple[int, int, int] | None) -> Rejection | None:
    """Return what was asked for, or None where nothing was."""
    from edge_ovss.export import Rejection
    from edge_ovss.export.rejection import DEFAULT_TOPK

    if args.reject is None and args.topk is None and args.slots is None:
        return None
    topk = DEFAULT_TOPK if args.topk is None else args.topk
    return Rejection(args.reject or "slots", topk=topk, slots=slots)


class _Line:
    """Shows how many prompts are encoded, on one line of a terminal."""

    def __call__(self, done: int, total: int) -> None:
        say(f"  {done}/{total} prompts", live=True)
        if done >= total:
            say("")


def _progress(console: Console) -> _Line | None:
    return None if console.quiet or not sys.stderr.isatty() else _Line()


def _summary(manifest: object) -> str:
    facts = manifest if isinstance(manifest, dict) else {}
    weights = facts["model"]["weights"]
    origin = weights["file"] or f"seed {weights['seed']}"
    frames = facts["parity"]["frames"]
    worst = min(frame["label_agreement"] for frame in frames)
    undecided = max(1 - frame["counted"] for frame in frames)
    megabytes = sum(entry["bytes"] for entry in facts["files"].values()) / 1e6
    rejection = facts["rejection"]
    slots = f" {rejection['slots']}" if rejection["slots"] else ""
    return (
        f"{facts['model']['name']} ({weights['source']} weights, {origin}), "
        f"{facts['vocabulary']['categories']} categories of '{facts['vocabulary']['name']}', "
        f"{facts['picture']['height']}x{facts['picture']['width']}, "
        f"rejection {rejection['mode']}{slots}, {megabytes:.1f} MB; "
        f"labels equal to torch on {len(frames)} frames: {100 * worst:.3f} % at worst "
        f"(up to {100 * undecided:.2f} % of the pixels are undecided and count for neither)"
    )
