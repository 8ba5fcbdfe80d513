"""Write a model's text tower: ONNX, weights, tokenizer and a manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_ovss._files import write_json
from edge_ovss._progress import Note, silent
from edge_ovss._version import VERSION
from edge_ovss.bundle.writer import BundleWriter, file_entry
from edge_ovss.errors import ParityError, UsageError
from edge_ovss.export.graph_files import trace_module
from edge_ovss.export.text_tower.stored_weights import store_weights
from edge_ovss.export.text_tower.tokenizer_file import write_tokenizer
from edge_ovss.export.text_tower.tower_graph import TowerGraph
from edge_ovss.graph.model import save_graph
from edge_ovss.models.spec import Clip, Model, ModelSpec
from edge_ovss.models.text import encode_prompts, text_tower_digest
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS
from edge_ovss.words.tower import TextTower
from edge_ovss.words.tower_folder import (
    GRAPH,
    KIND,
    MANIFEST,
    SCHEMA,
    TOKENIZER,
    WEIGHTS,
    TowerError,
)

# Relative L2 distance of embeddings from torch's.
TOLERANCE = 1e-5
# The same where weights are rounded, at most: more would be a mistake, or a model for which so few
# bits are too few.
_MOST_ERROR = {"fp16": 0.02, "int8": 0.2}
EXACT = TOWER_WEIGHTS[0]
MEASURED_ON = "cityscapes19"
"""The vocabulary on which rounded weights are measured if there is no other."""

_PROBES = ("road", "traffic light", "forklift; lift truck", "café, 2nd floor", "a " * 100, "")


def export_text_tower(
    model: Model,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    note: Note = silent,
    weights: str = EXACT,
    reference: TextEmbeddings | None = None,
) -> Path:
    """Write the text tower of a model as a folder that runs without torch.

    The new folder's embeddings are compared with torch's before it is moved into place. Where
    weights are rounded, its manifest says by how much they differ.

    Args:
        model: A loaded model.
        out: The folder to write.
        overwrite: Replace one that is there.
        note: Called with one line of text at every step.
        weights: "fp32"; or "fp16" or "int8", to which the large ones are rounded.
        reference: Embeddings by torch on which rounded weights are measured; None for those of
            `MEASURED_ON`.

    Raises:
        UsageError: The weights are none of these, or the model's prompt is learned, so that its
            text tower is not CLIP's alone.
        ParityError: The embeddings differ from torch's; where weights are rounded, by more than
            rounding explains.
        OutputError: The folder cannot be written.
    """
    clip = require_text_clip(model)
    if weights not in TOWER_WEIGHTS:
        message = f"The weights of a text tower are '{weights}'; expected fp32, fp16 or int8."
        raise UsageError(message)
    with BundleWriter(out, overwrite=overwrite) as writer:
        note("tracing the text tower")
        graph = _trace(clip)
        if weights != EXACT:
            store_weights(graph, weights)
        save_graph(graph, writer.path(GRAPH), data=WEIGHTS)
        write_tokenizer(writer.path(TOKENIZER))
        note("comparing it with torch")
        manifest = _manifest(clip, model, weights)
        if weights == EXACT:
            return writer.finish(manifest, check=lambda at: compare(clip, at, model))
        reference = reference or model.encode_text(Vocabulary.load(MEASURED_ON))
        error = measure_error(writer.folder, manifest, reference)
        return writer.finish({**manifest, "error": asdict(error)})


def require_text_clip(model: Model) -> Clip:
    """Return what encodes the text of a model.

    Raises:
        UsageError: The model's prompt is learned, so its text tower is not CLIP's alone.
    """
    clip: Clip | None = getattr(model, "text_clip", None)
    if clip is None:
        message = f"'{model.spec.name}' encodes text with a learned prompt, which is not exported."
        raise UsageError(message, hint="Write its embeddings: edge-ovss vocab encode.")
    return clip


def compare(clip: Clip, folder: Path, model: Model) -> float:
    """Return the largest relative L2 distance of a prompt's embedding from torch's.

    Raises:
        ParityError: It is above `TOLERANCE`.
    """
    templates: Sequence[str] = model.spec.templates
    prompts = [template.replace("{}", probe) for probe in _PROBES for template in templates[:3]]
    wanted = encode_prompts(clip, prompts).numpy()
    found = TextTower(folder).encode_prompts(prompts)
    distance = float(np.linalg.norm(found - wanted, axis=-1).max())
    if not distance <= TOLERANCE:
        message = f"The text tower's embeddings differ from torch's by {distance:.1e}; expected at "
        raise ParityError(message + f"most {TOLERANCE:.0e}.", hint="Nothing was written.")
    return distance


def measure_error(
    folder: Path, manifest: Mapping[str, object], reference: TextEmbeddings
) -> TowerError:
    """Return by how much the embeddings of a new text tower differ from torch's.

    Args:
        folder: All files but the manifest.
        manifest: The manifest without files.
        reference: Embeddings by torch.

    Raises:
        ParityError: By more than rounding explains.
    """
    assert reference.vocabulary is not None
    files = {name: file_entry(folder / name) for name in (GRAPH, TOKENIZER, WEIGHTS)}
    write_json(folder / MANIFEST, {**manifest, "files": files})
    found = TextTower(folder).encode_vocabulary(reference.vocabulary)
    distances = np.linalg.norm(found.array - reference.array, axis=-1)
    largest, weights = float(distances.max()), found.tower_weights
    if not largest <= _MOST_ERROR[weights]:
        message = (
            f"With {weights} weights the text tower's embeddings differ from torch's by "
            f"{largest:.1e}; expected at most {_MOST_ERROR[weights]:.0e}."
        )
        hint = "Nothing was written. Keep more bits: --tower-weights fp16, or fp32."
        raise ParityError(message, hint=hint)
    vocabulary = reference.vocabulary
    return TowerError(vocabulary.name, len(vocabulary), largest, float(distances.mean()))


def _trace(clip: Clip) -> Any:  # noqa: ANN401 (onnx_ir is optional)
    tokens = torch.zeros(2, 8, dtype=torch.int64)
    tokens[:, 5] = 9
    longest = int(clip.context_length)
    sides = {0: torch.export.Dim("N", min=1), 1: torch.export.Dim("L", min=3, max=longest)}
    return trace_module(
        TowerGraph(clip).eval(),
        {"tokens": tokens},
        outputs=["embeddings"],
        free={"tokens": sides},
    )


def _manifest(clip: Clip, model: Model, weights: str) -> dict[str, object]:
    spec: ModelSpec = model.spec
    projection: Tensor = clip.text_projection
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "tool": {"name": "edge-ovss", "version": VERSION},
        "model": spec.name,
        "sha256": text_tower_digest(clip),
        "context_length": int(clip.context_length),
        "width": int(projection.shape[1]),
        "synonyms": spec.synonyms,
        "templates": list(spec.templates),
        "templates_name": spec.templates_name,
        "precision": weights,
        "licenses": dict(model.licenses),
    }
