"""What a bundle says about the model in it; the same facts go into the ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from edge_ovss._version import VERSION
from edge_ovss.bundle.contract import labels_dtype
from edge_ovss.bundle.manifest import SCHEMA
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.rejection import Rejection
from edge_ovss.vocabulary import Vocabulary


def describe(
    loaded: LoadedModel, *, rejection: Rejection, outputs: tuple[str, ...]
) -> dict[str, Any]:
    """Facts of the manifest that do not depend on the files (docs/bundle.md)."""
    spec, vocabulary, embeddings = loaded.model.spec, loaded.vocabulary, loaded.embeddings
    height, width = loaded.size
    return {
        "schema": SCHEMA,
        "tool": {"name": "edge-ovss", "version": VERSION},
        "model": {
            "family": spec.family,
            "name": spec.name,
            "weights": asdict(loaded.model.origin),
        },
        "licenses": dict(spec.licenses),
        "vocabulary": {
            "file": "vocabulary.json",
            "name": vocabulary.name,
            "sha256": vocabulary.sha256,
            "categories": len(vocabulary),
            "outputs": len(vocabulary.outputs),
        },
        "templates": {
            "name": spec.templates_name,
            "count": len(spec.templates),
            "sha256": embeddings.templates_sha256,
        },
        "text_tower": {"name": embeddings.text_tower, "sha256": embeddings.text_tower_sha256},
        "picture": {
            "input": "frame",
            "dtype": "uint8",
            "layout": "HWC",
            "channels": "RGB",
            "height": height,
            "width": width,
            "keep_aspect": spec.picture.keep_aspect,
            "interpolation": "bilinear",
            "coordinates": "half_pixel",
            "antialias": False,
            "mean": list(spec.picture.mean),
            "std": list(spec.picture.std),
            "in_graph": True,
            **loaded.family.picture(spec),
        },
        "output": {
            "labels_dtype": labels_dtype(len(vocabulary.outputs)),
            "outputs": list(outputs),
            "scores": _scores_size(loaded) if "scores" in outputs else None,
            "answer": loaded.answer,
        },
        "rejection": {
            "mode": rejection.mode,
            "topk": None if rejection.mode == "none" else rejection.topk,
            "slots": list(rejection.slots) if rejection.slots else None,
        },
        "precision": {"name": "fp32"},
    }


def _scores_size(loaded: LoadedModel) -> dict[str, int]:
    """Return the fixed size of the scores; {0, 0} where it is the frame's."""
    if loaded.family.scores_at_frame:
        return {"height": 0, "width": 0}
    height, width = loaded.size
    return {"height": height // 4, "width": width // 4}


def graph_metadata(facts: dict[str, Any], vocabulary: Vocabulary) -> dict[str, str]:
    """Return the ONNX file's `metadata_props`: JSON values under `edge_ovss.*`.

    The plain keys `names`, `imgsz` and `task` are there for other tools that look for them.
    """
    named = {f"edge_ovss.{key}": json.dumps(value) for key, value in facts.items()}
    picture = facts["picture"]
    return {
        "edge_ovss.version": VERSION,
        **named,
        "edge_ovss.names": json.dumps(list(vocabulary.outputs)),
        "edge_ovss.output_map": json.dumps(list(vocabulary.output_map)),
        "names": json.dumps(dict(enumerate(vocabulary.outputs))),
        "imgsz": json.dumps([picture["height"], picture["width"]]),
        "task": "segment",
    }
