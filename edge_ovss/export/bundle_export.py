"""Words and a checkpoint in, a bundle out."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ovss._addresses import shown_address
from edge_ovss._optional import require
from edge_ovss._version import VERSION
from edge_ovss.errors import UsageError
from edge_ovss.export.compare import (
    FrameParity,
    compare_frame,
    published_labels,
    require_parity,
    run_graph,
)
from edge_ovss.export.family import PUBLISHED, FrozenGraph, family_export
from edge_ovss.export.frozen_sed import FrozenSed
from edge_ovss.export.manifest import describe, graph_metadata
from edge_ovss.export.options import ALWAYS, ExportOptions
from edge_ovss.export.rejection import Rejection
from edge_ovss.export.slots import SlotChoice, choose_slots, measure_counts
from edge_ovss.export.spare import SPARE_FILE, check_spare, fit_spare, save_sharing
from edge_ovss.export.subject import Note, Progress, Subject, load_subject
from edge_ovss.export.template_rank import RankReport, apply_rank, check_rank
from edge_ovss.export.trace import OPSET, trace
from edge_ovss.models.equal_tokens import refuse_equal_tokens
from edge_ovss.models.registry import family_of
from edge_ovss.models.text import imagenet_templates
from edge_ovss.runtime.acceptance import MIN_LABEL_AGREEMENT
from edge_ovss.runtime.bundle import Bundle
from edge_ovss.runtime.bundle_writer import BundleWriter
from edge_ovss.runtime.sources import open_source
from edge_ovss.runtime.street import render_street
from edge_ovss.runtime.writing import write_json
from edge_ovss.vocabulary import Vocabulary

Frame = NDArray[np.uint8]

GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
SED = "sed"
_REFERENCE = ("frame", "labels", "alive", "counts")
_PACKAGES = ("torch", "open_clip_torch", "timm", "onnx", "onnxscript", "onnxruntime", "numpy")
# Height, width and seed of the frames that compare programs; the graph is traced with the first.
_FRAMES = ((480, 640, 7_000_001), (361, 499, 7_000_002))


def export_bundle(
    vocabulary: Vocabulary | str | Path,
    out: str | Path,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
    note: Note | None = None,
    progress: Progress | None = None,
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
        ParityError: The exported graph departs from torch; nothing is written.
    """
    options = options or ExportOptions()
    note = note or _silent
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
        graph = subject.freeze(rejection, options.all_outputs)
        rank = _compress(subject, graph, rejection, options, note)
        facts = describe(subject, rejection=rejection, outputs=graph.outputs)
        _write_graph(writer, graph, graph_metadata(facts, vocabulary), note)
        parity = _compare(writer, graph, subject, note, lossy=rank is not None)
        facts["graph"] = _write_spare(writer, subject, facts, rejection, options, note)
        write_json(writer.path("vocabulary.json"), vocabulary.to_json())
        return Bundle.open(writer.finish(_complete(facts, parity, choice, rank)))


def _silent(_: str) -> None:
    return None


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
        fresh=lambda: subject.freeze(rejection, options.all_outputs),
        frames=[frame.image for frame in pictures],
    )
    note(
        f"template rank {report.rank} of {report.templates}: {100 * report.energy:.2f} % of the "
        f"energy, {100 * report.label_agreement:.2f} % of the labels on {report.pictures} pictures"
    )
    return report


def _write_graph(
    writer: BundleWriter, graph: FrozenGraph, facts: dict[str, str], note: Note
) -> None:
    note("tracing the graph")
    onnx_ir, onnx = require("onnx_ir", extra="export"), require("onnx", extra="export")
    model = _trace(graph, facts)
    path = writer.path(GRAPH_FILE)
    onnx_ir.save(model, path, external_data=DATA_FILE)
    del model
    onnx.checker.check_model(str(path))


def _trace(graph: FrozenGraph, facts: dict[str, str]) -> Any:  # noqa: ANN401
    frame = torch.from_numpy(_frames()[0])
    return trace(cast(nn.Module, graph), frame[None], outputs=graph.outputs, metadata=facts)


def _write_spare(
    writer: BundleWriter,
    subject: Subject,
    facts: dict[str, Any],
    rejection: Rejection,
    options: ExportOptions,
    note: Note,
) -> dict[str, Any]:
    """Write the graph with more slots, if one is wanted; return the manifest's "graph"."""
    info = {"file": GRAPH_FILE, "external_data": [DATA_FILE], "opset": OPSET}
    if options.spare_slots is None:
        return info
    roomy = fit_spare(options.spare_slots, rejection, categories=len(subject.vocabulary))
    note(f"tracing the spare graph with slots {','.join(map(str, roomy.slots or ()))}")
    graph = subject.freeze(roomy, options.all_outputs)
    own = {**facts, "rejection": {**facts["rejection"], "slots": list(roomy.slots or ())}}
    path = writer.path(SPARE_FILE)
    model = _trace(graph, graph_metadata(own, subject.vocabulary))
    save_sharing(model, path, writer.path(GRAPH_FILE))
    del model
    frames = _frames()
    pairs = zip(frames, run_graph(path, frames), strict=True)
    require_parity([_compare_one(graph, subject, frame, answer)[0] for frame, answer in pairs])
    return {**info, "spare": {"file": SPARE_FILE, "slots": list(roomy.slots or ())}}


def _frames() -> list[Frame]:
    return [render_street(seed=s, height=h, width=w).image for h, w, s in _FRAMES]


def _compare(
    writer: BundleWriter, graph: FrozenGraph, subject: Subject, note: Note, *, lossy: bool
) -> list[FrameParity]:
    note("comparing the graph with torch")
    frames = _frames()
    answers = run_graph(writer.path(GRAPH_FILE), frames)
    parities: list[FrameParity] = []
    for frame, answer in zip(frames, answers, strict=True):
        traced = not parities
        parity, expected = _compare_one(graph, subject, frame, answer, traced=traced, lossy=lossy)
        parities.append(parity)
        if traced:
            _write_reference(writer, {**expected, "frame": frame, "labels": expected["labels"][0]})
    require_parity(parities)
    return parities


def _compare_one(
    graph: FrozenGraph,
    subject: Subject,
    frame: Frame,
    answer: dict[str, NDArray[Any]],
    *,
    traced: bool = False,
    lossy: bool = False,
) -> tuple[FrameParity, dict[str, NDArray[Any]]]:
    """Compare one answer with torch; return torch's answer too."""
    expected = _run_torch(graph, frame)
    parity = compare_frame(
        answer,
        expected,
        traced=traced,
        published=_run_published(graph, subject, frame, expected["counts"]),
        exact=subject.answer == PUBLISHED and not lossy,
    )
    return parity, expected


def _run_torch(graph: FrozenGraph, frame: Frame) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        outputs = graph(torch.from_numpy(frame)[None])
    return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}


def _run_published(
    graph: FrozenGraph, subject: Subject, frame: Frame, counts: NDArray[np.int32]
) -> NDArray[np.int64] | None:
    rejection = graph.rejection
    if rejection.slots is not None and bool((counts > np.array(rejection.slots)).any()):
        return None  # an overflowing frame has another answer, and says so
    topk = None if rejection.mode == "none" else rejection.topk
    return published_labels(subject, frame, topk=topk)


def _write_reference(writer: BundleWriter, arrays: dict[str, NDArray[Any]]) -> None:
    for name in _REFERENCE:
        array = np.ascontiguousarray(arrays[name])
        with writer.path(f"reference/{name}.npy").open("wb") as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)


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
    versions = {name: metadata.version(name) for name in _PACKAGES}
    templates = dict(facts["templates"])
    if rank is not None:
        templates["compression"] = rank.to_json()
    return {
        **facts,
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rejection": rejection,
        "templates": templates,
        "reference": {
            **{name: f"reference/{name}.npy" for name in _REFERENCE},
            "min_label_agreement": MIN_LABEL_AGREEMENT["fp32"],
        },
        "parity": {"against": "torch", "frames": [asdict(frame) for frame in parity]},
        "versions": {
            "edge-ovss": VERSION,
            "python": platform.python_version(),
            **versions,
        },
    }
