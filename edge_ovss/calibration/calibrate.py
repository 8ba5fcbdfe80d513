"""Convert a float32 bundle to FP16 or INT8."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._leftovers import scratch_folder
from edge_ovss._progress import Note, Progress, silent
from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.bundle.manifest import DATA_FILE, GRAPH_FILE
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.reference import Reference, write_reference
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.calibration.accuracy import Accuracy, Baseline, Labeled
from edge_ovss.calibration.budget import halve, halve_within
from edge_ovss.calibration.images import (
    RECOMMENDED,
    CalibrationPictures,
    collect_pictures,
    refuse_overlap,
)
from edge_ovss.calibration.int8 import Quantizer
from edge_ovss.calibration.manifest_section import (
    CalibrationOutcome,
    Made,
    calibrated_manifest,
    precision_facts,
    write_reports,
)
from edge_ovss.calibration.options import CalibrateOptions, Validation, require_other_place
from edge_ovss.calibration.race import Race, race
from edge_ovss.calibration.ranges import find_edges, float_tensors, measure_largest
from edge_ovss.calibration.warnings import caution
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import ArtifactError, GateError, InputError
from edge_ovss.graph.emulate_fp16 import emulate_half
from edge_ovss.graph.fp16 import HalfReport
from edge_ovss.graph.model import feed, load_graph, save_graph
from edge_ovss.graph.tensor_probe import TensorProbe, open_session
from edge_ovss.graph.walk import measured_value
from edge_ovss.models.catalogue import exact_modules
from edge_ovss.runtime.selftest import require_selftest
from edge_ovss.words.encoding import TOWER_FOLDER

if TYPE_CHECKING:
    import onnx_ir as ir

_METADATA = "edge_ovss.precision"

_MEASURED = 50
_PROBED = 8
# Weights whose labels are noise, all or but for the image tower; they are for work on latency.
_UNTRAINED = ("random", "clip")
_RACED = 3


@dataclass(frozen=True)
class Calibrated:
    """The result of a calibration.

    Attributes:
        bundle: The new bundle, opened.
        judged: Its accuracy on the validation data or, without them, on calibration images.
        base: The accuracy of float32 on the same images.
        race: Speed against float32 on this CPU, for the target "cpu".
        warnings: Sentences for the user.
    """

    bundle: Bundle
    judged: Accuracy
    base: Accuracy
    race: Race | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """State that the steps share."""

    source: Bundle
    options: CalibrateOptions
    pictures: CalibrationPictures
    dataset: Dataset | None
    baseline: Baseline
    note: Note
    scope: str = ""

    @property
    def key(self) -> str:
        """Hash of the graph and of the images."""
        return ranges_key(self.source, self.pictures)


def ranges_key(source: Bundle, pictures: CalibrationPictures) -> str:
    """Hash a graph with its weights and the images: the key of the cache of ranges."""
    return hashlib.sha256(f"{answer_hash(source)}{pictures.sha256}".encode()).hexdigest()


def calibrate_bundle(
    bundle: Bundle | str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: CalibrateOptions,
    *,
    overwrite: bool = False,
    note: Note | None = None,
    progress: Progress | None = None,
) -> Calibrated:
    """Write a bundle in a different precision; the given one is not changed.

    Args:
        bundle: A float32 bundle.
        out: Folder of the new bundle; it appears whole or not at all.
        options: Precision, calibration images, target and limits.
        overwrite: Replace a bundle at `out`.
        note: Called with one line at every step.
        progress: Wraps the images while they are read, to show progress.

    Raises:
        ArtifactError: The bundle is not float32, its graph is not finite or cannot be changed.
        InputError: Images or labels cannot be used, or the two sets overlap.
        GateError: The accuracy budget cannot be kept, or INT8 is not faster where it must be.
        OutputError: `out` cannot be written.
        ParityError: The new bundle fails its own selftest.
        UsageError: `out` is the given bundle, or in it.
    """
    note = note or silent
    source = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    _require_float32(source)
    require_other_place(source.path, out)
    with BundleWriter(out, overwrite=overwrite) as writer:
        work = _prepare(source, options, note, progress)
        make = _make_int8 if options.precision == "int8" else _make_half
        made = make(work, load_graph(source.graph_path))
        facts = {"name": options.precision, "base": options.float_base, "target": options.target}
        made.model.metadata_props[_METADATA] = json.dumps(facts)
        graph = writer.path(GRAPH_FILE)
        save_graph(made.model, graph, data=DATA_FILE)
        _check_file(graph)
        note("measuring the new graph")
        judged = work.baseline.compare(graph)
        _check_budget(judged, work)
        on = work.dataset.title + work.scope if work.dataset else "calibration pictures"
        outcome = CalibrationOutcome(judged, work.baseline.accuracy, on, _race(work, graph))
        _write_rest(writer, work, graph)
        write_reports(writer, made, outcome, options, model=source.manifest.model.name)
        section = precision_facts(source, made, outcome, options, work.pictures)
        manifest = calibrated_manifest(source, section).to_json()
        finished = Bundle.open(writer.finish(manifest, check=require_selftest), verify=False)
    raced = outcome.race
    return Calibrated(finished, judged, outcome.base, raced, _warnings(work, raced))


def _require_float32(bundle: Bundle) -> None:
    precision = bundle.manifest.precision
    if precision != "fp32":
        message = f"Bundle '{bundle.path.name}' is in {precision}; expected a float32 bundle."
        raise ArtifactError(message, hint="Export it again without --precision.")


def _prepare(
    source: Bundle, options: CalibrateOptions, note: Note, progress: Progress | None
) -> _Work:
    dataset = None
    if options.validation is not None:  # a wrong layout is reported before images are read
        dataset = _open_validation(options.validation, seed=options.seed)
    note(f"reading calibration images: {options.calibration}")
    pictures = collect_pictures(
        options.calibration, count=options.count, seed=options.seed, progress=progress
    )
    if dataset is None or options.validation is None:
        frames = [frame.read() for frame in pictures.frames[:_MEASURED]]
        output_map = source.vocabulary.output_map
        baseline = Baseline.measure(
            source.graph_path,
            frames,
            output_map=output_map,
            thresholds=source.manifest.thresholds,
            words=source.word_inputs(),
        )
        return _Work(source, options, pictures, None, baseline, note)
    allow_missing = options.validation.allow_missing
    labeled = Labeled.read(dataset, source.vocabulary, allow_missing=allow_missing)
    refuse_overlap(pictures, labeled.hashes())
    note(f"measuring float32 on {len(labeled.names)} images of {dataset.title}")
    output_map = source.vocabulary.output_map
    baseline = Baseline.measure_labeled(
        source.graph_path,
        labeled,
        output_map=output_map,
        thresholds=source.manifest.thresholds,
        words=source.word_inputs(),
    )
    scope = labeled.alignment.scope
    if scope:
        left_out = ", ".join(name.strip() for name in labeled.alignment.left_out)
        caution(f"mIoU is{scope} of the validation data; left out: {left_out}.")
    return _Work(source, options, pictures, dataset, baseline, note, scope)


def _open_validation(validation: Validation, *, seed: int) -> Dataset:
    try:
        found = open_dataset(
            validation.data,
            layout=validation.layout,
            ignore=validation.ignore,
            classes=validation.classes,
            labels_start=validation.labels_start,
        )
    except InputError as err:
        message = f"The validation data cannot be used: {err.message}"
        raise type(err)(message, hint=err.hint) from err
    for remark in found.remarks:
        caution(f"Validation data: {remark}.")
    return found.take(validation.limit, seed=seed)


def _make_half(work: _Work, model: ir.Model) -> Made:
    work.note(f"looking for large values on {len(work.pictures)} images")
    largest = measure_largest(model, work.pictures, key=work.key, words=work.baseline.words)
    half, report = _halve(work, model, largest)
    return Made(half, report, None, largest, _measure_rounding(work, model, report))


def _halve(
    work: _Work, model: ir.Model, largest: Mapping[str, float]
) -> tuple[ir.Model, HalfReport]:
    """Convert to FP16; untrained weights keep no more in float32, unless a budget asks for it."""
    source, budget = work.source.manifest.model, work.options.max_miou_drop
    exact = exact_modules(source.family)
    if source.weights.source in _UNTRAINED and budget is None:
        return halve(model, largest, exact=exact)
    return halve_within(model, largest, work.baseline, note=work.note, exact=exact, budget=budget)


def _measure_rounding(work: _Work, model: ir.Model, report: HalfReport) -> Accuracy:
    """Measure a graph with FP16's rounding everywhere, and look for NaN and Inf in it.

    Args:
        work: The images and the baseline.
        model: What `report` was made from, in float32, with Q/DQ or without; it is changed.
        report: Which nodes became FP16.
    """
    work.note("rounding every tensor as an FP16 device does")
    emulate_half(model, report)
    with scratch_folder() as folder:
        path = folder / GRAPH_FILE
        save_graph(model, path, data=DATA_FILE)
        rounded = load_graph(path)
        frames = (frame.read() for frame in work.pictures.frames[:_PROBED])
        probe = TensorProbe(rounded, float_tensors(rounded), words=work.baseline.words)
        find_edges(probe, frames)
        return work.baseline.compare(path)


def _make_int8(work: _Work, model: ir.Model) -> Made:
    quantizer = Quantizer.measure(
        model,
        work.options,
        work.pictures,
        key=work.key,
        note=work.note,
        words=work.baseline.words,
    )
    quantized = quantizer.choose(work.baseline)
    emulated = None
    if quantized.half is not None:
        plain, _ = quantizer.make(quantized.blocks, base="fp32")
        emulated = _measure_rounding(work, plain, quantized.half)
    return Made(quantized.model, quantized.half, quantized, quantizer.largest, emulated)


def _check_file(path: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as err:
        message = f"The new graph has mixed types or is damaged: {err}"
        raise RuntimeError(message) from err  # our fault, not the user's


def _check_budget(judged: Accuracy, work: _Work) -> None:
    budget, drop = work.options.max_miou_drop, judged.drop_from(work.baseline.accuracy)
    if budget is not None and drop is not None and drop > budget:
        message = (
            f"{work.options.precision} loses {drop:.2f} mIoU points on {judged.pictures} images; "
            f"the budget is {budget:g}. Nothing was written."
        )
        raise GateError(message, hint="Allow more, or keep FP32.")


def _race(work: _Work, graph: Path) -> Race | None:
    if work.options.target != "cpu":
        return None
    work.note("comparing the speed with float32 on this CPU")
    frames, words = work.baseline.frames[:_RACED], work.baseline.words
    result = race(work.source.graph_path, graph, frames, words=words)
    if work.options.require_faster and result.factor <= 1:
        message = (
            f"INT8 takes {result.after_ms:.1f} ms here and FP32 {result.before_ms:.1f} ms "
            f"(medians of {result.runs}). Nothing was written."
        )
        raise GateError(message, hint="Use FP32 on this device; INT8 would only cost accuracy.")
    return result


def _warnings(work: _Work, raced: Race | None) -> tuple[str, ...]:
    warnings = []
    count = len(work.pictures)
    if work.options.precision == "int8" and count < RECOMMENDED:
        warnings.append(f"{count} calibration images; at least {RECOMMENDED} are recommended.")
    if work.pictures.duplicates:
        warnings.append(f"{work.pictures.duplicates} images were duplicates and left out.")
    graph = work.source.manifest.graph
    for what, other in (("spare", graph.spare), ("small", graph.small)):
        if other is not None:
            warnings.append(f"The {what} graph is float32, and is not in the new bundle.")
    if work.dataset is None:
        warnings.append("The loss was not measured: no --validation data were given.")
    if raced is not None and raced.factor <= 1:
        warnings.append(
            f"INT8 is not faster here: {raced.after_ms:.1f} ms, FP32 {raced.before_ms:.1f} ms."
        )
    return tuple(warnings)


def _write_rest(writer: BundleWriter, work: _Work, graph: Path) -> None:
    """Copy the words, and write the outputs of the new graph for the old reference frame."""
    info = work.source.manifest
    for name in (info.vocabulary.file, *(() if info.open is None else (info.open.file,))):
        shutil.copyfile(work.source.file(name), writer.path(name))
    tower = work.source.path / TOWER_FOLDER
    if tower.is_dir():
        shutil.copytree(tower, writer.folder / TOWER_FOLDER)
    given = work.baseline.words
    old = work.source.reference()
    session = open_session(graph)
    names = ("labels", "alive", "counts")
    labels, alive, counts = session.run(list(names), feed(session, old.frame, words=given))
    lead = None
    if old.lead is not None:
        lead = _lead_below_float32(old.lead, labels[0] == old.labels)
    measure = _measured(graph, old.frame, given)
    answer = Reference(old.frame, labels[0], alive, counts, lead, measure)
    write_reference(writer.path, info.reference, answer)


def _measured(
    path: Path, frame: NDArray[np.uint8], words: Arrays | None
) -> NDArray[np.float32] | None:
    """Return what the graph compares with its thresholds, float32 [H, W]; None without any."""
    model = load_graph(path)
    value = measured_value(model)
    if value is None:
        return None
    ((_, measure),) = TensorProbe(model, [str(value.name)], look=None, words=words).run(frame)
    return np.ascontiguousarray(measure).reshape(frame.shape[:2])


def _lead_below_float32(float32: NDArray[Any], equal: NDArray[Any]) -> NDArray[np.float32]:
    """Return the leads of labels in a coarser graph: those of float32 where labels are `equal`.

    The new graph may have no scores. A label that its rounding changed, the rounding of a different
    backend may change back.
    """
    lead: NDArray[np.float32] = np.where(equal, float32, 0.0).astype(np.float32)
    return lead
