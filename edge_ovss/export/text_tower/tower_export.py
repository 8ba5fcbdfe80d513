"""Write a model's text tower: ONNX, weights, tokenizer and a manifest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_ovss._progress import Note, silent
from edge_ovss._version import VERSION
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.errors import ParityError, UsageError
from edge_ovss.export.graph_files import trace_module
from edge_ovss.export.text_tower.tokenizer_file import write_tokenizer
from edge_ovss.export.text_tower.tower_graph import TowerGraph
from edge_ovss.graph.model import save_graph
from edge_ovss.models.spec import Clip, Model, ModelSpec
from edge_ovss.models.text import encode_prompts, text_tower_digest
from edge_ovss.words.tower import TextTower
from edge_ovss.words.tower_folder import GRAPH, KIND, SCHEMA, TOKENIZER, WEIGHTS

# Relative L2 distance of embeddings from torch's.
TOLERANCE = 1e-5
_PROBES = ("road", "traffic light", "forklift; lift truck", "café, 2nd floor", "a " * 100, "")


def export_text_tower(
    model: Model, out: str | os.PathLike[str], *, overwrite: bool = False, note: Note = silent
) -> Path:
    """Write the text tower of a model as a folder that runs without torch.

    The new folder's embeddings are compared with torch's before it is moved into place.

    Args:
        model: A loaded model.
        out: The folder to write.
        overwrite: Replace one that is there.
        note: Called with one line of text at every step.

    Raises:
        UsageError: The model's prompt is learned, so its text tower is not CLIP's alone.
        ParityError: The embeddings differ from torch's.
        OutputError: The folder cannot be written.
    """
    clip = require_text_clip(model)
    with BundleWriter(out, overwrite=overwrite) as writer:
        note("tracing the text tower")
        save_graph(_trace(clip), writer.path(GRAPH), data=WEIGHTS)
        write_tokenizer(writer.path(TOKENIZER))
        note("comparing it with torch")
        return writer.finish(_manifest(clip, model), check=lambda at: compare(clip, at, model))


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


def _manifest(clip: Clip, model: Model) -> dict[str, object]:
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
        "precision": "fp32",
        "licenses": dict(model.licenses),
    }
