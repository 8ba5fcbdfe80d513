"""A bundle that is being written: every graph in it was compared with torch."""

from __future__ import annotations

import datetime
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from edge_ovss._files import write_json
from edge_ovss._optional import require
from edge_ovss._progress import Note
from edge_ovss._version import VERSION
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.export.family import FrozenGraph
from edge_ovss.export.frozen_model import FrozenModel
from edge_ovss.export.graph_files import OPSET, GraphPair, Save, data_file, trace, with_scores
from edge_ovss.export.manifest import describe, graph_metadata
from edge_ovss.export.overflow_graph import SPARE_FILE, save_sharing
from edge_ovss.export.parity_check import FrameParity, compare_graph
from edge_ovss.export.reference import (
    FILES,
    choose_reference,
    first_frames,
    more_frames,
    says_little,
    write_reference,
)
from edge_ovss.export.rejection import Rejection
from edge_ovss.export.ties import ties_of
from edge_ovss.runtime.reference_check import MIN_LABEL_AGREEMENT
from edge_ovss.runtime.selftest import require_selftest

GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
_PACKAGES = ("torch", "open_clip_torch", "timm", "onnx", "onnxscript", "onnxruntime", "numpy")


class BundleDraft:
    """The files of a bundle, written one after the other.

    Args:
        writer: Keeps the files until the bundle is whole.
        frozen: The model and its graph.
        outputs: Names of the outputs to keep.
        note: Called with one line of text at every step.
    """

    def __init__(
        self, writer: BundleWriter, frozen: FrozenModel, *, outputs: tuple[str, ...], note: Note
    ) -> None:
        self.writer, self.frozen, self.outputs, self.note = writer, frozen, outputs, note
        self._parity: list[FrameParity] = []
        self._spare: dict[str, Any] = {}

    def write_graph(self) -> None:
        """Trace the graph, compare it with torch, and write it with a reference answer.

        Raises:
            ParityError: It departs from torch.
        """
        self.note("tracing the graph")
        pair = self._write(GRAPH_FILE, self.frozen.graph, _save_with_data)
        require("onnx", extra="export").checker.check_model(str(pair.path))
        self.note("comparing the graph with torch")
        parity, answers = compare_graph(pair, self.frozen, first_frames())
        if says_little(answers):
            self.note("nearly every label is undecided there; comparing on more frames")
            more, others = compare_graph(pair, self.frozen, more_frames())
            parity, answers = parity + more, answers + others
        pair.forget()
        self._parity = [replace(parity[0], traced=True), *parity[1:]]
        write_reference(self.writer, choose_reference(answers))

    def write_spare(self, rejection: Rejection) -> None:
        """Write a second graph with more slots, which shares the weights of the first.

        Raises:
            ParityError: It departs from torch.
        """
        slots = list(rejection.slots or ())
        self.note(f"tracing the spare graph with slots {','.join(map(str, slots))}")
        graph = self.frozen.loaded.freeze(rejection, with_scores(self.outputs))
        first = self.writer.path(GRAPH_FILE)
        pair = self._write(SPARE_FILE, graph, lambda model, path: save_sharing(model, path, first))
        compare_graph(pair, replace(self.frozen, graph=graph), first_frames())
        pair.forget()
        self._spare = {"spare": {"file": SPARE_FILE, "slots": slots}}

    def _write(self, name: str, graph: FrozenGraph, save: Save) -> GraphPair:
        metadata = graph_metadata(self._describe(graph.rejection), self.frozen.loaded.vocabulary)
        frame = torch.from_numpy(first_frames()[0])[None]
        model = trace(cast(nn.Module, graph), frame, outputs=graph.outputs, metadata=metadata)
        return GraphPair(self.writer, model, name, outputs=self.outputs, save=save)

    def _describe(self, rejection: Rejection) -> dict[str, Any]:
        return describe(self.frozen.loaded, rejection=rejection, outputs=self.outputs)

    def finish(self) -> Path:
        """Write the vocabulary and the manifest, and move the bundle to its place.

        Raises:
            ParityError: The bundle fails its own selftest.
        """
        write_json(self.writer.path("vocabulary.json"), self.frozen.loaded.vocabulary.to_json())
        self.note("running the selftest of the new bundle")
        return self.writer.finish(self._manifest(), check=require_selftest)

    def _graph(self) -> dict[str, Any]:
        loaded, graph = self.frozen.loaded, self.frozen.graph
        at_frame = loaded.family.scores_at_frame and "scores" in self.outputs
        scores = 2 * 4 * len(loaded.vocabulary) if at_frame else 0
        return {
            "file": GRAPH_FILE,
            "external_data": [DATA_FILE],
            "opset": OPSET,
            "frame_bytes": graph.frame_bytes + scores,
        }

    def _manifest(self) -> dict[str, Any]:
        """Return the facts about the model, and what this export did and measured."""
        facts, frozen = self._describe(self.frozen.graph.rejection), self.frozen
        if frozen.slots is not None:
            facts["rejection"]["measured"] = frozen.slots.to_json()
        if frozen.compression is not None:
            facts["templates"]["compression"] = frozen.compression.to_json()
        return {
            **facts,
            "graph": {**self._graph(), **self._spare},
            "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reference": {
                **{name: f"reference/{name}.npy" for name in FILES},
                "min_label_agreement": MIN_LABEL_AGREEMENT["fp32"],
            },
            "parity": {
                "against": "torch",
                "frames": [frame.to_json() for frame in self._parity],
                "ties": [pair.to_json() for pair in ties_of(self._parity)],
            },
            "versions": _versions(),
        }


def _versions() -> dict[str, str]:
    ours = {"edge-ovss": VERSION, "python": platform.python_version()}
    return {**ours, **{name: version(name) for name in _PACKAGES}}


def _save_with_data(model: Any, path: Path) -> None:  # noqa: ANN401
    require("onnx_ir", extra="export").save(model, path, external_data=data_file(path).name)
