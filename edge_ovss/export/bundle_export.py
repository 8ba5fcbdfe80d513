"""Words and a checkpoint in, a bundle out."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ovss._addresses import shown_address
from edge_ovss._files import write_json
from edge_ovss._optional import require
from edge_ovss._progress import CountProgress, Note, silent
from edge_ovss._version import VERSION
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.errors import UsageError
from edge_ovss.export.family import PUBLISHED, FrozenGraph, family_export
from edge_ovss.export.graph_files import GraphPair, data_file, with_scores
from edge_ovss.export.loaded_model import Subject, load_subject
from edge_ovss.export.manifest import describe, graph_metadata
from edge_ovss.export.options import ALWAYS, ExportOptions
from edge_ovss.export.overflow_graph import SPARE_FILE, check_spare, fit_spare, save_sharing
from edge_ovss.export.parity_check import (
    FrameParity,
    compare_frame,
    published_scores,
    require_parity,
    run_graph,
)
from edge_ovss.export.reference import (
    FILES,
    Answered,
    choose_reference,
    first_frames,
    more_frames,
    says_little,
    write_reference,
)
from edge_ovss.export.rejection import Rejection
from edge_ovss.export.sed.frozen import FrozenSed
from edge_ovss.export.sed.template_rank import RankReport, apply_rank, check_rank
from edge_ovss.export.slots import SlotChoice, choose_slots, measure_counts
from edge_ovss.export.ties import ties_of
from edge_ovss.export.trace import OPSET, trace
from edge_ovss.frames.sources import open_source
from edge_ovss.models.equal_tokens import refuse_equal_tokens
from edge_ovss.models.registry import family_of
from edge_ovss.models.text import imagenet_templates
from edge_ovss.runtime.reference_check import MIN_LABEL_AGREEMENT
from edge_ovss.runtime.selftest import require_selftest
from edge_ovss.vocabulary import Vocabulary

Frame = NDArray[np.uint8]

GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
SED = "sed"
_PACKAGES = ("torch", "open_clip_torch", "timm", "onnx", "onnxscript", "onnxruntime", "numpy")


def export_bundle(
    vocabulary: Vocabulary | str | Path,
    out: str | Path,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
    note: Note | None = None,
    progress: CountProgress | None = None,
) -> Bundle:
    """Export a model with a frozen vocabulary, compare it with torch, and write a bundle.

    Args:
        vocabulary: A vocabulary, or what `Vocabulary.load` takes.
        out: Folder to write, by custom "NAME.ovss". It appears whole or not at all.
        options: What to export; the defaults export the embedded sed-tiny.
        overwrite: Replace a bundle at `out`.
        note: Called with one line of text at every step.
        progress: Called with (prompts encoded, prompts in all).

    Returns:
        The bundle, opened.

    Raises:
        VocabularyError, CheckpointError, UsageError: About the options, before anything is made.
        OutputError: `out` cannot be written.
        ParityError: The exported graph departs from torch, or the bundle fails its own selftest;
            nothing is written.
    """
    options = options or ExportOptions()
    note = note or silent
    if not isinstance(vocabulary, Vocabulary):
        vocabulary = Vocabulary.load(vocabulary)
    rejection = _checked_rejection(options, len(vocabulary))
    _check_rank(options)
    _check_spare(options, rejection, len(vocabulary))
    with BundleWriter(out, overwrite=overwrite) as writer:
        subject = load_subject(vocabulary, options, note=note, progress=progress)
        refuse_equal_tokens(vocabulary, subject.model.spec, note)
        choice = _choose_slots(subject, rejection, options.slots_from, note)
        if choice is not None:
            rejection = replace(rejection, slots=choice.slots)
        graph = subject.freeze(rejection, with_scores(options.all_outputs))
        rank = _compress(subject, graph, rejection, options, note)
        facts = describe(subject, rejection=rejection, outputs=options.all_outputs)
        metadata = graph_metadata(facts, vocabulary)
        pair = _write_graph(writer, graph, metadata, note, outputs=options.all_outputs)
        parity = _compare(writer, pair, graph, subject, note, lossy=rank is not None)
        spare = _write_spare(writer, subject, facts, rejection, options, note)
        facts["graph"] = {**_describe_graph(graph, subject, options), **spare}
        write_json(writer.path("vocabulary.json"), vocabulary.to_json())
        note("running the selftest of the new bundle")
        manifest = _complete(facts, parity, choice, rank)
        finished = writer.finish(manifest, check=require_selftest)
    return Bundle.open(finished, verify=False)  # every hash was compared just now


def _checked_rejection(options: ExportOptions, categories: int) -> Rejection:
    family = family_export(family_of(options.model).name)
    family.check_answer(options.answer, name=options.model)
    return family.fit_rejection(options.rejection, name=options.model, categories=categories)


def _check_rank(options: ExportOptions) -> None:
    """Refuse a template rank that cannot be, before a model is loaded for it."""
    if options.template_rank is None:
        return
    if family_of(options.model).name != SED:
        message = f"Template compression is for SED; '{options.model}' is of another family."
        raise UsageError(message, hint="Drop --template-rank.")
    check_rank(options.template_rank, templates=len(imagenet_templates()))


def _check_spare(options: ExportOptions, rejection: Rejection, categories: int) -> None:
    check_spare(options.spare_slots, mode=rejection.mode, rank=options.template_rank)
    if options.spare_slots is not None and options.slots_from is None:
        fit_spare(options.spare_slots, rejection, categories=categories)


def _choose_slots(
    subject: Subject, rejection: Rejection, source: str | None, note: Note
) -> SlotChoice | None:
    if source is None or rejection.mode != "slots":
        return None
    note(f"choosing slots from {shown_address(source)}")
    probe = subject.freeze(Rejection("dynamic", topk=rejection.topk), ALWAYS)
    counts = measure_counts(probe, source)
    choice = choose_slots(counts, topk=rejection.topk, categories=len(subject.vocabulary))
    slots = ",".join(map(str, choice.slots))
    note(
        f"slots {slots} chosen from {len(counts)} pictures; "
        f"{100 * choice.overflow:.1f} % of them would overflow"
    )
    return choice


def _compress(
    subject: Subject, graph: FrozenGraph, rejection: Rejection, options: ExportOptions, note: Note
) -> RankReport | None:
    if options.template_rank is None:
        return None
    if not isinstance(graph, FrozenSed):
        raise TypeError(type(graph))
    note("compressing the templates")
    pictures = open_source(options.pictures or "synthetic://street?count=4&seed=7000010")
    report = apply_rank(
        graph,
        options.template_rank,
        fresh=lambda: subject.freeze(rejection, graph.outputs),
        frames=[frame.image for frame in pictures],
    )
    note(
        f"template rank {report.rank} of {report.templates}: {100 * report.energy:.2f} % of the "
        f"energy, {100 * report.label_agreement:.2f} % of the labels on {report.pictures} pictures"
    )
    return report


def _write_graph(
    writer: BundleWriter,
    graph: FrozenGraph,
    facts: dict[str, str],
    note: Note,
    *,
    outputs: tuple[str, ...] | None = None,
) -> GraphPair:
    """Write the graph with `outputs`, or all that it has."""
    note("tracing the graph")
    onnx_ir, onnx = require("onnx_ir", extra="export"), require("onnx", extra="export")
    model = _trace(graph, facts)

    def save(model: Any, path: Path) -> None:  # noqa: ANN401
        onnx_ir.save(model, path, external_data=data_file(path).name)

    pair = GraphPair(writer, model, GRAPH_FILE, outputs=outputs or graph.outputs, save=save)
    onnx.checker.check_model(str(pair.path))
    return pair


def _trace(graph: FrozenGraph, facts: dict[str, str]) -> Any:  # noqa: ANN401
    frame = torch.from_numpy(first_frames()[0])
    return trace(cast(nn.Module, graph), frame[None], outputs=graph.outputs, metadata=facts)


def _describe_graph(graph: FrozenGraph, subject: Subject, options: ExportOptions) -> dict[str, Any]:
    """Return the manifest's "graph"."""
    bytes_of_scores = 2 * 4 * len(subject.vocabulary) if subject.family.scores_at_frame else 0
    kept = bytes_of_scores if "scores" in options.all_outputs else 0
    return {
        "file": GRAPH_FILE,
        "external_data": [DATA_FILE],
        "opset": OPSET,
        "frame_bytes": graph.frame_bytes + kept,
    }


def _write_spare(
    writer: BundleWriter,
    subject: Subject,
    facts: dict[str, Any],
    rejection: Rejection,
    options: ExportOptions,
    note: Note,
) -> dict[str, Any]:
    """Write the graph with more slots, if one is wanted; return what the manifest says of it."""
    if options.spare_slots is None:
        return {}
    roomy = fit_spare(options.spare_slots, rejection, categories=len(subject.vocabulary))
    note(f"tracing the spare graph with slots {','.join(map(str, roomy.slots or ()))}")
    graph = subject.freeze(roomy, with_scores(options.all_outputs))
    own = {**facts, "rejection": {**facts["rejection"], "slots": list(roomy.slots or ())}}
    model = _trace(graph, graph_metadata(own, subject.vocabulary))

    def save(model: Any, path: Path) -> None:  # noqa: ANN401
        save_sharing(model, path, writer.path(GRAPH_FILE))

    pair = GraphPair(writer, model, SPARE_FILE, outputs=options.all_outputs, save=save)
    del model
    _hold(pair, graph, subject, first_frames())
    pair.forget()
    return {"spare": {"file": SPARE_FILE, "slots": list(roomy.slots or ())}}


def _compare(
    writer: BundleWriter,
    pair: GraphPair,
    graph: FrozenGraph,
    subject: Subject,
    note: Note,
    *,
    lossy: bool,
) -> list[FrameParity]:
    note("comparing the graph with torch")
    parities, answers = _hold(pair, graph, subject, first_frames(), lossy=lossy)
    if says_little(answers):
        note("nearly every label is undecided there; comparing on more frames")
        more, others = _hold(pair, graph, subject, more_frames(), lossy=lossy)
        parities, answers = parities + more, answers + others
    pair.forget()
    parities[0] = replace(parities[0], traced=True)
    write_reference(writer, choose_reference(answers))
    return parities


def _hold(
    pair: GraphPair,
    graph: FrozenGraph,
    subject: Subject,
    frames: Sequence[Frame],
    *,
    lossy: bool = False,
) -> tuple[list[FrameParity], list[Answered]]:
    """Compare the answers of a graph with torch; return torch's answers too.

    Raises:
        ParityError: They differ.
    """
    parities: list[FrameParity] = []
    answers: list[Answered] = []
    for frame, answer in zip(frames, pair.answers(run_graph, frames), strict=True):
        expected = _run_torch(graph, frame)
        parity, ranking = compare_frame(
            answer,
            expected,
            subject.vocabulary,
            traced=False,
            published=_run_published(graph, subject, frame, expected["counts"]),
            exact=subject.answer == PUBLISHED and not lossy,
        )
        parities.append(parity)
        answers.append(Answered(frame, expected, ranking.lead))
    require_parity(parities)
    return parities, answers


def _run_torch(graph: FrozenGraph, frame: Frame) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        outputs = graph(torch.from_numpy(frame)[None])
    return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}


def _run_published(
    graph: FrozenGraph, subject: Subject, frame: Frame, counts: NDArray[np.int32]
) -> NDArray[np.float32] | None:
    rejection = graph.rejection
    if rejection.slots is not None and bool((counts > np.array(rejection.slots)).any()):
        return None  # an overflowing frame has another answer, and says so
    topk = None if rejection.mode == "none" else rejection.topk
    return published_scores(subject, frame, topk=topk)


def _complete(
    facts: dict[str, Any],
    parity: Sequence[FrameParity],
    choice: SlotChoice | None,
    rank: RankReport | None,
) -> dict[str, Any]:
    """Add to the facts about the model what this export did and measured."""
    rejection = dict(facts["rejection"])
    if choice is not None:
        rejection["measured"] = choice.to_json()
    versions = {name: version(name) for name in _PACKAGES}
    templates = dict(facts["templates"])
    if rank is not None:
        templates["compression"] = rank.to_json()
    return {
        **facts,
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rejection": rejection,
        "templates": templates,
        "reference": {
            **{name: f"reference/{name}.npy" for name in FILES},
            "min_label_agreement": MIN_LABEL_AGREEMENT["fp32"],
        },
        "parity": {
            "against": "torch",
            "frames": [frame.to_json() for frame in parity],
            "ties": [pair.to_json() for pair in ties_of(parity)],
        },
        "versions": {
            "edge-ovss": VERSION,
            "python": platform.python_version(),
            **versions,
        },
    }
