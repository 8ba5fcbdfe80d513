"""Run `edge-ovss export`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss._optional import require
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import DEFAULT_TOPK, Rejection
from edge_ovss.calibration.images import refuse_live
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.precision import export_with_precision, read_options
from edge_ovss.cli.shared.precision_options import ALL, refuse_unread
from edge_ovss.cli.shared.vocabulary import (
    checked_vocabulary,
    file_part,
    warn_of_ties,
    warn_of_use,
)
from edge_ovss.errors import UsageError
from edge_ovss.models.catalogue import DEFAULT_MODEL

if TYPE_CHECKING:
    from edge_ovss.export import ExportOptions


def run(args: argparse.Namespace, console: Console) -> int:
    """Export, and print the result and the next step."""
    slots = _slots(args)
    if args.precision == "fp32":
        hint = "Add --precision int8 or --precision fp16, or leave it out."
        refuse_unread(args, ALL, "--precision is fp32", hint)
        out, export = _prepared(args, slots, console)
        _print(export(out), out, console)
        return 0
    precision = read_options(args)
    out, export = _prepared(args, slots, console)
    export_with_precision(export, out, precision, overwrite=args.overwrite, console=console)
    return 0


def _prepared(
    args: argparse.Namespace, slots: tuple[int, int, int] | None, console: Console
) -> tuple[Path, Callable[[Path], Bundle]]:
    """Return the path of the bundle and a function that exports to a path."""
    # Checked before torch is imported, so that a typo is reported at once.
    vocabulary = checked_vocabulary(args.vocab, console, background=args.background)
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
        small_slots=_small_slots(args),
        answer=args.answer,
        template_rank=parse_rank(args.template_rank),
        pictures=args.calibration,
        most_pictures=args.count,
        unknown=args.unknown,
        open_places=args.open_places,
        made_for=args.made_for,
        with_text_tower=args.with_text_tower,
        tower_weights=args.tower_weights,
    )


def _print(bundle: Bundle, out: Path, console: Console) -> None:
    warnings = warn_of_ties(bundle.manifest, console) + warn_of_use(bundle.manifest, console)
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


def _small_slots(args: argparse.Namespace) -> tuple[int, int, int] | str | None:
    if args.small_slots == "none" or (args.small_slots is None and args.precision != "fp32"):
        return "none"
    if args.small_slots is None:
        return None
    if args.precision != "fp32":
        message = f"--small-slots is given with --precision {args.precision}."
        raise UsageError(message, hint="Only float32 bundles have a small graph.")
    return _three(args.small_slots, option="--small-slots", word="none")


def _three(text: str, *, option: str, word: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        message = f"{option} is '{text}'; expected three numbers or '{word}'."
        raise UsageError(message, hint=f"For example {option} 64,48,32.")
    first, second, third = (int(part) for part in parts)
    return first, second, third


def _rejection(args: argparse.Namespace, slots: tuple[int, int, int] | None) -> Rejection | None:
    """Return the rejection that is asked for, or None."""
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
