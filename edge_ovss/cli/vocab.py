"""Run `edge-ovss vocab`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from edge_ovss._addresses import shown_address
from edge_ovss._optional import require
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.errors import GateError, OutputError, UsageError, VocabularyError
from edge_ovss.models.catalogue import DEFAULT_MODEL, list_models
from edge_ovss.vocabulary import (
    Category,
    Finding,
    TextEmbeddings,
    Vocabulary,
    builtin_about,
    builtin_names,
    lint,
)
from edge_ovss.vocabulary.alikes import refuse_alikes
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS
from edge_ovss.vocabulary.words import short


def run(args: argparse.Namespace, console: Console) -> int:
    """Run one action and return the exit status."""
    actions = {"list": _list, "show": _show, "lint": _lint, "encode": _encode, "tower": _tower}
    return actions[args.action](args, console)


def _list(args: argparse.Namespace, console: Console) -> int:
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
    vocabulary = Vocabulary.load(args.vocabulary, background=args.background)
    lines = [f"{'index':>5}  {'color':<7}  {'output':>6}  text"]
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
    if args.checkpoint is not None and args.model is None:
        message = "--checkpoint is given without --model."
        raise UsageError(message, hint=f"Add --model, one of: {', '.join(list_models())}.")
    vocabulary = Vocabulary.load(args.vocabulary, background=args.background)
    findings = (*lint(vocabulary), *_ties(args, console, vocabulary))
    lines = [_lint_line(finding) for finding in findings]
    many = f"{len(findings)} finding" + ("" if len(findings) == 1 else "s")
    notes = _notes(vocabulary)
    lines += [f"note: {each}" for each in notes]
    lines.append(f"{vocabulary.name}: {len(vocabulary)} categories, {many}")
    document = {
        "vocabulary": vocabulary.name,
        "sha256": vocabulary.sha256,
        "categories": len(vocabulary),
        "findings": [vars(finding) for finding in findings],
        "notes": notes,
    }
    console.result("\n".join(lines), document)
    if args.model is None:
        console.note(
            f"To find class names that a model cannot tell apart, add --model NAME, such as "
            f"{DEFAULT_MODEL}"
        )
    if any(finding.level == "error" for finding in findings):
        return VocabularyError.status
    return GateError.status if args.strict and findings else 0


def _notes(vocabulary: Vocabulary) -> list[str]:
    """Say what is true of the list as a whole, which is no mistake."""
    if vocabulary.background is not None:
        return []
    count = len(vocabulary.outputs)
    words = "its only word" if count == 1 else f"one of its {count} words"
    return [
        f"the list has no background: every pixel is labeled with {words}, whatever it shows, "
        "unless labels may be unknown (export --unknown)"
    ]


def _ties(
    args: argparse.Namespace, console: Console, vocabulary: Vocabulary
) -> tuple[Finding, ...]:
    """Run the model of --model, if given, on the frames that exports are compared on."""
    if args.model is None:
        return ()
    require("torch", extra="export")
    from edge_ovss.export import ExportOptions
    from edge_ovss.export.ties import find_ties, tie_findings

    console.note(f"running {args.model} with this vocabulary")
    options = ExportOptions(model=args.model, checkpoint=args.checkpoint)
    ties = find_ties(vocabulary, options, progress=console.counter("prompts"))
    return tie_findings(vocabulary, ties)


def _lint_line(finding: Finding) -> str:
    return f"{finding.level}: category {finding.index} ({short(finding.text)}): {finding.message}"


def _encode(args: argparse.Namespace, console: Console) -> int:
    _check_weights(args)
    vocabulary = Vocabulary.load(args.vocabulary, background=args.background)
    refuse_alikes(vocabulary)
    _check_target(args.out)
    source, name = _encoder(args, console, vocabulary)
    console.note(f"Encoding {len(vocabulary)} categories of '{vocabulary.name}' with {name}")
    embeddings: TextEmbeddings = source(vocabulary, progress=console.counter("prompts"))
    embeddings.save(args.out)
    if embeddings.tower_weights != TOWER_WEIGHTS[0]:
        console.note(f"the pack says that its tower has {embeddings.tower_weights} weights")
    categories, templates, size = embeddings.array.shape
    document = {
        "file": str(args.out),
        "vocabulary": vocabulary.name,
        "vocabulary_sha256": embeddings.vocabulary_sha256,
        "shape": [categories, templates, size],
        "text_tower": embeddings.text_tower,
        "text_tower_sha256": embeddings.text_tower_sha256,
        "tower_weights": embeddings.tower_weights,
    }
    text = f"{args.out}: {categories} categories, {templates} templates, size {size}"
    console.result(text, document)
    console.note(_next_step(args, embeddings.text_tower))
    return 0


def _encoder(args: argparse.Namespace, console: Console, vocabulary: Vocabulary) -> tuple[Any, str]:
    """Return what encodes a vocabulary, and its name."""
    if args.tower is None:
        return _load_model(args, console).encode_text, args.model
    from edge_ovss.words.tower import TextTower

    tower = TextTower(args.tower)
    tower.refuse_equal_tokens(vocabulary)
    return tower.encode_vocabulary, f"the text tower of {tower.info.model} ({tower.info.summary})"


def _tower(args: argparse.Namespace, console: Console) -> int:
    _check_weights(args)
    rounds = args.tower_weights not in (None, TOWER_WEIGHTS[0])
    if args.vocab is not None and not rounds:
        message = "--vocab is given, but no weights are rounded, so nothing is measured on it."
        raise UsageError(message, hint="Add --tower-weights fp16 or int8, or leave it out.")
    words = Vocabulary.load(args.vocab) if args.vocab else None
    model = _load_model(args, console)
    from edge_ovss.export.text_tower.tower_export import export_text_tower
    from edge_ovss.words.tower_folder import read_facts

    progress = console.counter("prompts")
    out = export_text_tower(
        model,
        args.out,
        overwrite=args.overwrite,
        note=console.note,
        weights=args.tower_weights or TOWER_WEIGHTS[0],
        reference=None if words is None else model.encode_text(words, progress=progress),
    )
    size = sum(path.stat().st_size for path in out.iterdir())
    info = read_facts(out)
    document = {"folder": str(out), "model": args.model, **info.to_json(), "bytes": size}
    console.result(f"{out}: the text tower of {args.model}, {info.summary}", document)
    console.note(
        next_step("vocab", "encode", "VOCABULARY", "--tower", str(args.out), "--out", "FILE.npz")
    )
    return 0


def _check_weights(args: argparse.Namespace) -> None:
    if getattr(args, "tower", None) is not None:
        given = [name for name in ("checkpoint", "weights", "seed") if getattr(args, name)]
        if args.model is not None or given:
            name = "model" if args.model is not None else given[0]
            message = f"--tower and --{name} are both given; expected one of them."
            raise UsageError(message, hint="A tower has its weights in it.")
        return
    if args.model is None:
        message = "Neither --model nor --tower is given; expected one of them."
        raise UsageError(message, hint=f"Models: {', '.join(list_models())}.")
    if args.seed is not None and args.weights is None:
        message = "--seed is given without --weights random."
        raise UsageError(message)
    if args.checkpoint is not None and args.weights is not None:
        message = "--checkpoint and --weights are both given; expected one of them."
        raise UsageError(message)


def _load_model(args: argparse.Namespace, console: Console) -> Any:  # noqa: ANN401 (torch)
    require("torch", extra="export")
    from edge_ovss.models import load_model

    return load_model(
        args.model,
        checkpoint=args.checkpoint,
        weights=args.weights,
        seed=0 if args.seed is None else args.seed,
        note=console.note,
    )


def _next_step(args: argparse.Namespace, model: str) -> str:
    """Return the export that uses the pack, with the same weights."""
    words = ["export", "--model", model]
    for option in ("checkpoint", "weights", "seed"):
        value = getattr(args, option)
        words += [] if value is None else [f"--{option}", shown_address(str(value))]
    words += ["--vocab", args.vocabulary, "--embeddings", str(args.out), "--out", "DIR"]
    return next_step(*words)


def _check_target(path: Path) -> None:
    """Refuse a path that cannot be written before minutes of encoding, not after them."""
    if path.is_dir():
        message = f"'{path}' is a folder; expected the name of a file."
        raise OutputError(message, hint=f"--out {path / 'embeddings.npz'}")
    if not path.parent.is_dir():
        message = f"There is no folder '{path.parent}' to write '{path.name}' into."
        raise OutputError(message, hint="Create the folder first.")
    if not os.access(path.parent, os.W_OK):
        message = f"The folder '{path.parent}' is not writable."
        raise OutputError(message, hint="Check its permissions, or choose a different folder.")
