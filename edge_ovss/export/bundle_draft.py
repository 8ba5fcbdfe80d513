"""A bundle that is being written, in which every graph was compared with torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from edge_ovss._files import write_bytes, write_json
from edge_ovss._optional import require
from edge_ovss._progress import Note
from edge_ovss.bundle.manifest import GRAPH_FILE, VOCABULARY_FILE, Manifest
from edge_ovss.bundle.reference import reference_info, write_reference
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.sections import OtherGraph
from edge_ovss.bundle.unknown import UnknownInfo
from edge_ovss.bundle.words.inputs import words_bytes
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.frozen_model import FrozenModel
from edge_ovss.export.graph_files import GraphPair, Save, data_file, trace, with_scores
from edge_ovss.export.manifest import describe, graph_metadata, with_measurements
from edge_ovss.export.other_graphs import SMALL_FILE, SPARE_FILE, save_sharing
from edge_ovss.export.parity_check import FrameCheck, compare_graph, compare_unknown
from edge_ovss.export.reference import (
    choose_reference,
    first_frames,
    more_frames,
    says_little,
)
from edge_ovss.runtime.selftest import require_selftest


class BundleDraft:
    """The files of a bundle, written one after the other.

    Args:
        writer: Keeps the files until the bundle is whole.
        frozen: The model and its graph.
        outputs: Names of the outputs to keep.
        unknown: When a label is "unknown".
        note: Called with one line of text at every step.
    """

    def __init__(
        self,
        writer: BundleWriter,
        frozen: FrozenModel,
        *,
        outputs: tuple[str, ...],
        unknown: UnknownInfo,
        note: Note,
    ) -> None:
        self.unknown = unknown
        self.writer, self.frozen, self.outputs, self.note = writer, frozen, outputs, note
        self._parity: list[FrameCheck] = []
        self._spare: OtherGraph | None = None
        self._small: OtherGraph | None = None

    def write_graph(self) -> None:
        """Trace the graph, compare it with torch, and write it with its reference outputs.

        Raises:
            ParityError: It differs from torch.
        """
        self.note("tracing the graph")
        pair = self._write(GRAPH_FILE, self.frozen, _save_with_data)
        require("onnx", extra="export").checker.check_model(str(pair.path))
        self.note("comparing the graph with torch")
        parity, answers = compare_graph(pair, self.frozen, first_frames())
        if says_little(answers):
            self.note("nearly every label is undecided there; comparing on more frames")
            more, others = compare_graph(pair, self.frozen, more_frames())
            parity, answers = parity + more, answers + others
        self._parity = [replace(parity[0], traced=True), *parity[1:]]
        chosen = choose_reference(answers).reference
        compare_unknown(pair, chosen, outputs=self.frozen.loaded.outputs)
        pair.forget()
        write_reference(self.writer.path, reference_info("fp32"), chosen)

    def write_spare(self, rejection: Rejection) -> None:
        """Write a second graph with more slots, which shares the weights of the first.

        Raises:
            ParityError: It differs from torch.
        """
        self._spare = self._write_other("spare", SPARE_FILE, self.frozen.loaded, rejection)

    def write_small(self, rejection: Rejection) -> None:
        """Write a second graph with fewer slots, which shares the weights of the first.

        It is compared with as many words as it runs with.

        Raises:
            ParityError: It differs from torch.
        """
        loaded = self.frozen.loaded.with_first_words(min(rejection.slots or (0,)))
        self._small = self._write_other("small", SMALL_FILE, loaded, rejection)

    def _write_other(
        self, what: str, name: str, loaded: LoadedModel, rejection: Rejection
    ) -> OtherGraph:
        slots = rejection.slots or ()
        self.note(f"tracing the {what} graph with slots {','.join(map(str, slots))}")
        graph = loaded.freeze(rejection, with_scores(self.outputs))
        frozen = replace(self.frozen, loaded=loaded, graph=graph)
        first = self.writer.path(GRAPH_FILE)
        pair = self._write(name, frozen, lambda model, path: save_sharing(model, path, first))
        _, answers = compare_graph(pair, frozen, first_frames())
        compare_unknown(pair, answers[0].reference, outputs=loaded.outputs)
        pair.forget()
        return OtherGraph(name, slots)

    def _write(self, name: str, frozen: FrozenModel, save: Save) -> GraphPair:
        loaded, graph = frozen.loaded, frozen.graph
        metadata = graph_metadata(self._describe(graph.rejection), loaded.vocabulary)
        frame = torch.from_numpy(first_frames()[0])[None]
        thresholds = torch.zeros(loaded.outputs)
        module, words = cast(nn.Module, graph), loaded.open_text(graph.rejection)
        model = trace(module, frame, thresholds, words, outputs=graph.outputs, metadata=metadata)
        return GraphPair(self.writer, model, name, outputs=self.outputs, save=save, words=words)

    def _describe(self, rejection: Rejection) -> Manifest:
        return describe(
            self.frozen.loaded, rejection=rejection, outputs=self.outputs, unknown=self.unknown
        )

    def finish(self) -> Path:
        """Write the vocabulary and the manifest, and move the bundle to its place.

        Raises:
            ParityError: The bundle fails its own selftest.
        """
        write_json(self.writer.path(VOCABULARY_FILE), self.frozen.loaded.vocabulary.to_json())
        words = self.frozen.loaded.open_text(self.frozen.graph.rejection)
        if words is not None:
            write_bytes(self.writer.path(words.info.file), words_bytes(words.text))
        self.note("running the selftest of the new bundle")
        return self.writer.finish(self._manifest().to_json(), check=require_selftest)

    def _manifest(self) -> Manifest:
        """Return the facts about the model, and what this export did and measured."""
        manifest, frozen = self._describe(self.frozen.graph.rejection), self.frozen
        rejection, templates = manifest.rejection, manifest.templates
        if frozen.slots is not None:
            rejection = replace(rejection, measured=frozen.slots.to_json())
        if frozen.compression is not None:
            templates = replace(templates, compression=frozen.compression.to_json())
        graph = replace(
            manifest.graph,
            frame_bytes=self._frame_bytes(),
            spare=self._spare,
            small=self._small,
        )
        manifest = replace(manifest, rejection=rejection, templates=templates, graph=graph)
        return with_measurements(manifest, self._parity)

    def _frame_bytes(self) -> int:
        """Return the memory that one pixel of a frame takes, with the outputs that are kept."""
        loaded = self.frozen.loaded
        at_frame = loaded.family.scores_at_frame and "scores" in self.outputs
        return self.frozen.graph.frame_bytes + (2 * 4 * loaded.room if at_frame else 0)


def _save_with_data(model: Any, path: Path) -> None:  # noqa: ANN401
    require("onnx_ir", extra="export").save(model, path, external_data=data_file(path).name)
