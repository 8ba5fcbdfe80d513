"""Run `edge-ovss tune`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_ovss._machine import onnxruntime_providers
from edge_ovss._optional import require
from edge_ovss.bundle.reader import MANIFEST
from edge_ovss.cli.options.tune import MODEL_OPTIONS
from edge_ovss.cli.shared.console import Console
from edge_ovss.cli.shared.data_options import check_fps, check_limit, read_ignore
from edge_ovss.cli.shared.precision_options import refuse_unread
from edge_ovss.cli.shared.vocabulary import checked_vocabulary, file_part
from edge_ovss.doctor.backends import survey_backends
from edge_ovss.doctor.engines import survey
from edge_ovss.errors import GateError, UsageError
from edge_ovss.models.catalogue import DEFAULT_MODEL, PUBLISHED, entry_of, list_models
from edge_ovss.runtime.backends import AUTO, REGISTRY, resolve_backend
from edge_ovss.tune import candidate as axes
from edge_ovss.tune.budget import parse_budget
from edge_ovss.tune.choices import PRECISIONS, read_size
from edge_ovss.tune.outcome import Outcome, text_of
from edge_ovss.tune.run import TuneOptions, tune
from edge_ovss.tune.subject import LabeledData, Subject

_DATA = ("layout", "classes", "ignore", "labels_start", "limit", "allow_missing", "expect", "fps")
_LEVELS = {
    axes.SIZE: "sizes",
    axes.REJECT: "reject",
    axes.RANK: "template_ranks",
    axes.ANSWER: "answers",
    axes.PRECISION: "precisions",
    axes.KEYFRAME: "keyframe",
    axes.STABILIZE: "stabilize",
}
_USUAL = {
    axes.REJECT: "slots",
    axes.RANK: "none",
    axes.ANSWER: PUBLISHED,
    axes.PRECISION: "fp32",
    axes.KEYFRAME: "1",
    axes.STABILIZE: "off",
}
_DEFAULT_SLOTS = "default"


def run(args: argparse.Namespace, console: Console) -> int:
    """Search, print the table and the recommendation; status 6 if nothing meets the budget."""
    parse_budget(args.budget)  # a typo is reported before anything is read
    options = _options(args, console)
    found = tune(options, note=console.note, progress=console.progress)
    files = f"files  {options.out}"
    console.result(f"{text_of(found)}\n{files}", {**found.to_json(), "out": str(options.out)})
    for gate in found.unchecked:
        console.warn(f"'{gate}' was not checked: without --data, tune measures speed only")
    _require_one(found)
    return 0


def _require_one(found: Outcome) -> None:
    if found.recommended is not None:
        return
    closest = found.closest()
    limits = ", ".join(str(gate) for gate in found.gates)
    message = f"No candidate meets the budget ({limits})."
    if closest is not None:
        missed = "; ".join(verdict.text for verdict in closest[1] if not verdict.passed)
        message = f"{message} The closest is '{closest[0].candidate.title}': {missed}."
    more = "" if found.complete else " give more --time-limit, or"
    raise GateError(message, hint=f"To go on,{more} allow more in --budget.")


def _options(args: argparse.Namespace, console: Console) -> TuneOptions:
    if not (math.isfinite(args.time_limit) and args.time_limit > 0):
        message = f"--time-limit is {args.time_limit:g}; expected minutes, above 0."
        raise UsageError(message)
    bundles = _bundles(args.subjects)
    data = _data(args)
    if bundles:
        refuse_unread(args, MODEL_OPTIONS, "bundles are given", "Give a model, or leave it out.")
        subject = Subject(bundles=bundles, seed=args.seed, data=data, source=args.source)
        name = Path(bundles[0]).absolute().stem
    else:
        subject, name = _model(args, data, console)
    threads = _threads(args.threads)
    backends = _backends(args.backends, exact=data is None)
    chosen = backends[0] if args.backends else None
    return TuneOptions(
        subject=replace(subject, backend=chosen, threads=next(iter(threads), None)),
        out=Path(args.out or f"tune-{name}").expanduser(),
        backends=backends,
        budget=args.budget,
        levels=_levels(args, subject.model),
        threads=threads,
        time_limit_s=60 * args.time_limit,
        fresh=args.fresh,
    )


def _bundles(subjects: Sequence[str]) -> tuple[str, ...]:
    """Return the bundles; () for a model or a checkpoint."""
    are = [Path(one).is_dir() or one.endswith(".ovss") for one in subjects]
    if all(are):
        return tuple(dict.fromkeys(subjects))
    if len(subjects) > 1:
        other = subjects[are.index(False)]
        message = f"'{other}' is no bundle; expected one model, one checkpoint, or bundles."
        raise UsageError(message, hint=f"A bundle is a folder with {MANIFEST}.")
    return ()


def _model(
    args: argparse.Namespace, data: LabeledData | None, console: Console
) -> tuple[Subject, str]:
    (given,) = args.subjects
    checkpoint = None if given in list_models() else given
    if checkpoint is None and args.model not in (None, given):
        message = f"Two models are given: '{given}' and --model {args.model}."
        raise UsageError(message, hint="Leave --model out.")
    if checkpoint is not None and args.model is None:
        if not Path(given).exists() and "://" not in given:
            entry_of(given)  # a typo: the message lists the models
        message = f"'{given}' is a checkpoint, and --model does not say of which model."
        raise UsageError(message, hint=f"For example --model {DEFAULT_MODEL}.")
    if args.vocab is None:
        message = "--vocab is missing: a model needs classes."
        raise UsageError(message, hint="For example --vocab ade150, or --vocab 'road, car'.")
    if args.count is not None and args.calibration is None:
        message = f"--count is {args.count}, and --calibration names no images."
        raise UsageError(message, hint="Give --calibration DIR.")
    vocabulary = checked_vocabulary(args.vocab, console, background=args.background)
    model = args.model or given
    entry_of(model)
    require("torch", extra="export")
    subject = Subject(
        model=model,
        vocab=args.vocab,
        background=args.background,
        checkpoint=checkpoint,
        weights=args.weights,
        seed=args.seed,
        embeddings=args.embeddings,
        calibration=args.calibration,
        count=args.count,
        data=data,
        source=args.source,
    )
    return subject, f"{model}-{file_part(vocabulary.name)}"


def _data(args: argparse.Namespace) -> LabeledData | None:
    if args.data is None:
        refuse_unread(args, _DATA, "--data is not given", "Give --data, or leave it out.")
        return None
    check_limit(args.limit)
    return LabeledData(
        args.data,
        layout=args.layout,
        classes=args.classes,
        ignore=read_ignore(args.ignore),
        labels_start=args.labels_start,
        limit=args.limit,
        seed=args.seed,
        allow_missing=args.allow_missing,
        expect=args.expect,
        fps=None if args.fps is None else check_fps(args.fps),
    )


def _levels(args: argparse.Namespace, model: str) -> dict[str, list[str]]:
    found = {
        axis: [value for value in _parts(text, name) if value != _USUAL.get(axis)]
        for axis, name in _LEVELS.items()
        if (text := getattr(args, name)) is not None
    }
    for size in found.get(axes.SIZE, ()):
        read_size(size, 1, 1)
    _require(found.get(axes.REJECT, ()), ("slots", "dynamic", "none"), "reject")
    _require(found.get(axes.PRECISION, ()), PRECISIONS, "precisions")
    if model:
        _require(found.get(axes.ANSWER, ()), tuple(entry_of(model).answers), "answers")
    _require_numbers(found.get(axes.KEYFRAME, ()), "keyframe")
    _require_numbers(found.get(axes.STABILIZE, ()), "stabilize")
    ranks = [rank for rank in found.get(axes.RANK, ()) if rank != "auto"]
    _require_numbers(ranks, "template-ranks")
    if args.slots is not None:
        found[axes.SLOTS] = [_slots(text) for text in args.slots if text != _DEFAULT_SLOTS]
    return found


def _parts(text: str, name: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        message = f"--{name.replace('_', '-')} is '{text}'; expected values with commas between."
        raise UsageError(message)
    return list(dict.fromkeys(parts))


def _require(values: Sequence[str], known: Sequence[str], name: str) -> None:
    for value in values:
        if value not in known:
            message = f"--{name} has '{value}'; expected some of: {', '.join(known)}."
            raise UsageError(message)


def _require_numbers(values: Sequence[str], name: str) -> None:
    for value in values:
        if not (value.isascii() and value.isdecimal() and int(value[:6]) >= 1 and len(value) <= 6):
            message = f"--{name} has '{value}'; expected whole numbers of at least 1."
            raise UsageError(message)


def _slots(text: str) -> str:
    parts = [part.strip() for part in text.split(",")]
    _require_numbers(parts, "slots")
    if len(parts) != 3:
        message = f"--slots is '{text}'; expected three numbers, such as 32,24,16."
        raise UsageError(message)
    return ",".join(parts)


def _threads(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = _parts(text, "threads")
    _require_numbers(parts, "threads")
    return tuple(int(part) for part in parts)


def _backends(text: str | None, *, exact: bool) -> tuple[str, ...]:
    """Return the backends to try; by default all that can run here, the one of `auto` first.

    Args:
        text: What the user asked for.
        exact: Without that, leave out those that change labels.
    """
    if text is not None:
        return tuple(dict.fromkeys(resolve_backend(name) for name in _parts(text, "backends")))
    first = resolve_backend(AUTO)
    usable = survey_backends(survey(), onnxruntime_providers())
    names = [name for name in REGISTRY if name != first and usable[name].usable]
    return (first, *(name for name in names if not (exact and REGISTRY[name].precision)))
