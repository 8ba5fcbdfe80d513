"""Freeze a vocabulary into a model and write a bundle that runs without torch."""

# What needs numpy or torch is imported late: the help is printed at once, and a mistake in the
# options costs no time.

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss._optional import require
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.parser import Parser
from edge_ovss.cli.shared.precision_options import (
    ALL,
    RARE,
    add_precision_arguments,
    refuse_unread,
)
from edge_ovss.errors import UsageError
from edge_ovss.models.catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    EXAMPLE_MODEL,
    PUBLISHED,
    FamilyEntry,
    list_models,
)

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.bundle.rejection import Rejection
    from edge_ovss.export import ExportOptions

EXAMPLES = (
    "edge-ovss export --vocab ade150",
    f'edge-ovss export --vocab "road, car, person" --model {EXAMPLE_MODEL} --checkpoint model.pth',
    f"edge-ovss export --config export/configs/{DEFAULT_MODEL}-cpu.toml --out tiny.ovss",
)


def add_arguments(parser: Parser) -> None:
    """Declare the options of `edge-ovss export`."""
    parser.add_config()
    _add_model_arguments(parser.add_argument_group("model"))
    _add_graph_arguments(parser.add_argument_group("graph"))
    add_precision_arguments(parser, ("fp32", "fp16", "int8"), default="fp32")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", help="bundle to write (default MODEL-VOCAB.ovss)")
    output.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    rare = ("--embeddings", "--topk", "--spare-slots", "--outputs", "--template-rank", "--answer")
    parser.hide(*rare, "--count", "--method", *RARE)


def _add_model_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--vocab",
        required=True,
        metavar="NAME|FILE|LIST",
        help="a built-in vocabulary (edge-ovss vocab list), a .txt, .toml or .json file, or class "
        "names such as 'road, car'",
    )
    group.add_argument(
        "--model", metavar="NAME", help=f"{', '.join(list_models())} (default {DEFAULT_MODEL})"
    )
    group.add_argument("--checkpoint", metavar="FILE|URL", help="published checkpoint of the model")
    group.add_argument(
        "--weights",
        choices=("random", "embedded", "clip"),
        help="instead of a checkpoint; clip downloads the CLIP towers, the decoder stays random",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of random weights and of the choice of images (default 0)",
    )
    group.add_argument(
        "--embeddings",
        metavar="FILE",
        help="embedding pack (edge-ovss vocab encode) instead of the text tower",
    )


def _add_graph_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size",
        metavar="HxW",
        help="image size inside the network, height x width, multiples of 32",
    )
    group.add_argument(
        "--reject",
        choices=("slots", "dynamic", "none"),
        help="how classes that are not in the image are dropped (default slots; only none for "
        f"{_models(entry for entry in CATALOGUE if not entry.rejects)})",
    )
    group.add_argument(
        "--topk",
        type=int,
        metavar="K",
        help="a class stays if it is among the K best anywhere (default 8, as published)",
    )
    group.add_argument(
        "--slots",
        metavar="N,N,N|auto",
        help=f"slots after each rejection (default {_measured_slots()}, else 64,48,32); auto "
        "measures them on --calibration",
    )
    group.add_argument(
        "--spare-slots",
        metavar="N,N,N|all",
        help="add a second graph with more slots, for run --on-overflow rerun",
    )
    group.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="images for --slots auto and --precision: a folder, a list file, a video, or "
        "synthetic://street?count=300",
    )
    group.add_argument(
        "--outputs",
        default="labels",
        metavar="LIST",
        help="labels[,scores][,confidence] (default labels)",
    )
    group.add_argument(
        "--template-rank",
        metavar="N|auto",
        help="compress the prompt templates to N channels (lossy, measured on --calibration); for "
        f"{_models(entry for entry in CATALOGUE if entry.compresses)}",
    )
    group.add_argument(
        "--answer",
        choices=tuple(dict.fromkeys(answer for entry in CATALOGUE for answer in entry.answers)),
        default=PUBLISHED,
        help=f"how labels are made from masks (default {PUBLISHED}); {_answers()}",
    )


def _models(entries: Iterable[FamilyEntry]) -> str:
    return ", ".join(model for entry in entries for model in entry.models)


def _measured_slots() -> str:
    measured = (each for entry in CATALOGUE for each in entry.slots.items())
    return ", ".join(f"{','.join(map(str, slots))} for {model}" for model, slots in measured)


def _answers() -> str:
    """List the ways to make labels of the families that have more than one."""
    return "; ".join(
        f"{answer}: {about} ({_models([entry])})"
        for entry in CATALOGUE
        for answer, about in entry.answers.items()
        if len(entry.answers) > 1 and answer != PUBLISHED
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Export, and print the result and the next step."""
    slots = _slots(args)
    if args.precision == "fp32":
        hint = "Add --precision int8 or --precision fp16, or leave it out."
        refuse_unread(args, ALL, "--precision is fp32", hint)
        out, export = _prepared(args, slots, console)
        _print(export(out), out, console)
        return 0
    from edge_ovss.cli.shared.precision import export_with_precision, read_options

    precision = read_options(args)
    out, export = _prepared(args, slots, console)
    export_with_precision(export, out, precision, overwrite=args.overwrite, console=console)
    return 0


def _prepared(
    args: argparse.Namespace, slots: tuple[int, int, int] | None, console: Console
) -> tuple[Path, Callable[[Path], Bundle]]:
    """Return the path of the bundle and a function that exports to a path."""
    from edge_ovss.cli.shared.vocabulary import checked_vocabulary, file_part

    # Checked before torch is imported, so that a typo is reported at once.
    vocabulary = checked_vocabulary(args.vocab, console)
    require("torch", extra="export")
    from edge_ovss.export import export_bundle

    options = _options(args, slots)

    def export(out: Path) -> Bundle:
        return export_bundle(
            vocabulary,
            out,
            options,
            overwrite=args.overwrite,
            note=console.note,
            progress=console.counter("prompts"),
        )

    return Path(args.out or f"{options.model}-{file_part(vocabulary.name)}.ovss"), export


def _options(args: argparse.Namespace, slots: tuple[int, int, int] | None) -> ExportOptions:
    from edge_ovss.export import ExportOptions

    return ExportOptions(
        model=args.model or DEFAULT_MODEL,
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


def _print(bundle: Bundle, out: Path, console: Console) -> None:
    from edge_ovss.cli.shared.vocabulary import warn_of_ties

    warnings = warn_of_ties(bundle.manifest, console)
    text = f"{out}: {_summary(bundle.manifest.document)}\n{next_step('run', out, 'IMAGE')}"
    document = {"bundle": str(out), "manifest": bundle.manifest.document, "warnings": warnings}
    console.result(text, document)


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
        message = "--slots auto needs images, and --calibration names none."
        hint = "Give --calibration DIR, or --calibration 'synthetic://street?count=100'."
        raise UsageError(message, hint=hint)
    read = args.slots == "auto" or args.template_rank or args.precision != "fp32"
    if args.calibration and not read:
        message = "--calibration is given, but nothing would use the images."
        raise UsageError(message, hint="Add --precision int8, --precision fp16 or --slots auto.")
    if args.calibration:
        from edge_ovss.calibration.images import refuse_live

        refuse_live(args.calibration)  # --slots auto would never end
    if args.slots == "auto" and args.reject not in (None, "slots"):
        message = f"--slots auto is given with --reject {args.reject}."
        raise UsageError(message, hint="Slots go with --reject slots.")
    if args.slots in (None, "auto"):
        return None
    return _three(args.slots, option="--slots", word="auto")


def _spare_slots(args: argparse.Namespace) -> tuple[int, int, int] | str | None:
    if args.spare_slots is None:
        return None
    if args.precision != "fp32":
        message = f"--spare-slots is given with --precision {args.precision}."
        raise UsageError(message, hint="Only float32 bundles have a spare graph.")
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
    """Return the rejection that is asked for, or None."""
    from edge_ovss.bundle.rejection import DEFAULT_TOPK, Rejection

    if args.reject is None and args.topk is None and args.slots is None:
        return None
    topk = DEFAULT_TOPK if args.topk is None else args.topk
    return Rejection(args.reject or "slots", topk=topk, slots=slots)


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
