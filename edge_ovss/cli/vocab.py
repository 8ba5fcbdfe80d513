"""List, show and check vocabularies, and encode one into an embedding pack."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss._addresses import shown_address
from edge_ovss._optional import require
from edge_ovss.cli.shared.console import Console, next_step, say
from edge_ovss.errors import GateError, OutputError, UsageError, VocabularyError
from edge_ovss.models.catalogue import DEFAULT_MODEL, list_models

if TYPE_CHECKING:
    from edge_ovss.vocabulary import Category, Finding, Vocabulary

SUMMARY = "list, show, check and encode vocabularies"

_SPEC = 'a built-in name, a .txt, .toml or .json file, or a list such as "road, car, person"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the four sub-verbs."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "list", "the built-in vocabularies", _list)
    show = _action(actions, "show", "the categories, outputs and colours of one", _show)
    show.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    check = _action(actions, "lint", "what looks like a slip in one", _lint)
    check.epilog = "Exit status 4 where export would refuse the words."
    check.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    check.add_argument("--strict", action="store_true", help="exit with 6 if there are findings")
    check.add_argument(
        "--model",
        metavar="NAME",
        help="also run it (needs torch): which words it cannot tell apart",
    )
    check.add_argument("--checkpoint", metavar="PATH", help="weights of the model")
    encode = _action(actions, "encode", "write its text embeddings to a file", _encode)
    encode.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    encode.add_argument("--model", required=True, metavar="NAME", help="whose text tower encodes")
    encode.add_argument("--checkpoint", metavar="PATH", help="weights of the model")
    encode.add_argument(
        "--weights", choices=["random", "clip"], help="seeded, or CLIP's, downloaded"
    )
    encode.add_argument("--seed", type=int, metavar="N", help="of --weights random (default 0)")
    encode.add_argument("--out", required=True, type=Path, metavar="FILE.npz", help="the pack")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run one sub-verb and return the exit status."""
    return int(args.action_run(args, console))


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    action: Callable[[argparse.Namespace, Console], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary, description=f"Print {summary}.")
    if name == "encode":
        parser.description = "Encode a vocabulary and write its text embeddings to a file."
    # The verb has both options already; SUPPRESS keeps what was given in front of the action.
    keep = argparse.SUPPRESS
    parser.add_argument("--json", action="store_true", default=keep, help="print one JSON document")
    parser.add_argument("--quiet", action="store_true", default=keep, help="no progress, no notes")
    parser.set_defaults(action_run=action)
    return parser


def _list(args: argparse.Namespace, console: Console) -> int:
    from edge_ovss.vocabulary import Vocabulary, builtin_about, builtin_names

    rows: list[dict[str, object]] = []
    lines = [f"{'name':<14}{'categories':>10}{'outputs':>9}  what"]
    for name in builtin_names():
        vocabulary, about = Vocabulary.load(name), builtin_about(name)
        total, outputs = len(vocabulary), len(vocabulary.outputs)
        lines.append(f"{name:<14}{total:>10}{outputs:>9}  {about}")
        row = {"name": name, "categories": total, "outputs": outputs, "about": about}
        rows.append({**row, "sha256": vocabulary.sha256})
    console.result("\n".join(lines), {"vocabularies": rows})
    console.note(next_step("vocab", "show", "NAME"))
    return 0


def _show(args: argparse.Namespace, console: Console) -> int:
    vocabulary = _load(args)
    lines = [f"{'index':>5}  {'colour':<7}  {'output':>6}  text"]
    for index, category in enumerate(vocabulary.categories):
        lines.append(_show_line(index, category, vocabulary))
    background = vocabulary.background
    name = "none" if background is None else f"{background} ({vocabulary.outputs[background]})"
    head = [
        f"{vocabulary.name}: {len(vocabulary)} categories, {len(vocabulary.outputs)} outputs",
        f"background {name}",
        f"sha256 {vocabulary.sha256}",
    ]
    console.result("\n".join([*head, *lines]), vocabulary.to_json())
    return 0


def _show_line(index: int, category: Category, vocabulary: Vocabulary) -> str:
    red, green, blue = category.color
    line = f"{index:>5}  #{red:02x}{green:02x}{blue:02x}  {category.output:>6}  {category.text!r}"
    if len(category.synonyms) > 1 or category.synonyms[0] != category.text:
        line += f"  synonyms {', '.join(repr(synonym) for synonym in category.synonyms)}"
    output = vocabulary.outputs[category.output]
    return line if output == category.text else f"{line}  -> {output!r}"


def _lint(args: argparse.Namespace, console: Console) -> int:
    from edge_ovss.vocabulary import lint

    if args.checkpoint is not None and args.model is None:
        message = "--checkpoint is given without --model."
        raise UsageError(message, hint=f"Add --model, one of: {', '.join(list_models())}.")
    vocabulary = _load(args)
    findings = (*lint(vocabulary), *_ties(args, console, vocabulary))
    lines = [_lint_line(finding) for finding in findings]
    many = f"{len(findings)} finding" + ("" if len(findings) == 1 else "s")
    lines.append(f"{vocabulary.name}: {len(vocabulary)} categories, {many}")
    document = {
        "vocabulary": vocabulary.name,
        "sha256": vocabulary.sha256,
        "categories": len(vocabulary),
        "findings": [vars(finding) for finding in findings],
    }
    console.result("\n".join(lines), document)
    if args.model is None:
        console.note(
            f"To find class names that a model cannot tell apart, add --model {DEFAULT_MODEL}"
        )
    if any(finding.level == "error" for finding in findings):
        return VocabularyError.status
    return GateError.status if args.strict and findings else 0


def _ties(
    args: argparse.Namespace, console: Console, vocabulary: Vocabulary
) -> tuple[Finding, ...]:
    """Run a model on the frames that exports are compared on, where one is asked for."""
    if args.model is None:
        return ()
    require("torch", extra="export")
    from edge_ovss.export import ExportOptions
    from edge_ovss.export.ties import find_ties, tie_findings

    console.note(f"running {args.model} with these words")
    options = ExportOptions(model=args.model, checkpoint=args.checkpoint)
    ties = find_ties(vocabulary, options, progress=_progress(console))
    return tie_findings(vocabulary, ties)


def _lint_line(finding: Finding) -> str:
    from edge_ovss.vocabulary.words import short

    return f"{finding.level}: category {finding.index} ({short(finding.text)}): {finding.message}"


def _encode(args: argparse.Namespace, console: Console) -> int:
    from edge_ovss.vocabulary.alikes import refuse_alikes

    if args.seed is not None and args.weights is None:
        message = "--seed was given without --weights random."
        raise UsageError(message)
    if args.checkpoint is not None and args.weights is not None:
        message = "--checkpoint and --weights were both given; expected one of them."
        raise UsageError(message)
    vocabulary = _load(args)
    refuse_alikes(vocabulary)
    _check_target(args.out)
    require("torch", extra="export")
    from edge_ovss.models import load_model

    seed = 0 if args.seed is None else args.seed
    model = load_model(
        args.model,
        checkpoint=args.checkpoint,
        weights=args.weights,
        seed=seed,
        note=console.note,
    )
    console.note(f"Encoding {len(vocabulary)} categories of '{vocabulary.name}' with {args.model}")
    embeddings = model.encode_text(vocabulary, progress=_progress(console))
    embeddings.save(args.out)
    categories, templates, size = embeddings.array.shape
    document = {
        "file": str(args.out),
        "vocabulary": vocabulary.name,
        "vocabulary_sha256": embeddings.vocabulary_sha256,
        "shape": [categories, templates, size],
        "text_tower": embeddings.text_tower,
        "text_tower_sha256": embeddings.text_tower_sha256,
    }
    text = f"{args.out}: {categories} categories, {templates} templates, size {size}"
    console.result(text, document)
    console.note(_next_step(args))
    return 0


def _next_step(args: argparse.Namespace) -> str:
    """Return the export that uses the pack, with the same weights."""
    words = ["export", "--model", args.model]
    for option in ("checkpoint", "weights", "seed"):
        value = getattr(args, option)
        words += [] if value is None else [f"--{option}", shown_address(str(value))]
    words += ["--vocab", args.vocabulary, "--embeddings", str(args.out), "--out", "DIR"]
    return next_step(*words)


def _check_target(path: Path) -> None:
    """Refuse a target that cannot work before minutes of encoding, not after them."""
    if path.is_dir():
        message = f"'{path}' is a folder; expected the name of a file."
        raise OutputError(message, hint=f"--out {path / 'embeddings.npz'}")
    if not path.parent.is_dir():
        message = f"There is no folder '{path.parent}' to write '{path.name}' into."
        raise OutputError(message, hint="Make the folder first.")
    if not os.access(path.parent, os.W_OK):
        message = f"The folder '{path.parent}' may not be written to."
        raise OutputError(message, hint="Check its permissions, or choose another folder.")


def _progress(console: Console) -> Callable[[int, int], None] | None:
    if console.quiet or not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        say(f"encode {done}/{total} prompts", live=True)
        if done >= total:
            say("")

    return show


def _load(args: argparse.Namespace) -> Vocabulary:
    from edge_ovss.vocabulary import Vocabulary

    return Vocabulary.load(args.vocabulary)
