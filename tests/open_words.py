"""Open bundles for tests of backends, without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

WIDTH = 4


def open_up(path: Path, *, places: int, least: int, words: int) -> None:
    """Give a bundle room for words, which its graph takes and does not use.

    Args:
        path: A bundle of `make_bundle` with confidence.
        places: N.
        least: The fewest rows; N for a graph that takes nothing else.
        words: T, as many as the bundle has categories.
    """
    import onnx

    model = onnx.load(path / "model.onnx", load_external_data=False)
    rows = places if least == places else "words"
    for name, shape in (("text", [rows, 1, WIDTH]), ("places", [rows])):
        kind = onnx.TensorProto.FLOAT
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    document = json.loads((path / "manifest.json").read_text())
    sizes = {"places": places, "least": least, "prompts": 1, "width": WIDTH}
    document["open"] = {**sizes, "file": "words.f32", "made_by": "export", "changed": None}
    changed = {
        "model.onnx": model.SerializeToString(),
        "words.f32": np.zeros((words, 1, WIDTH), "<f4").tobytes(),
    }
    for name, data in changed.items():
        (path / name).write_bytes(data)
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        document["files"][name] = entry
    (path / "manifest.json").write_text(json.dumps(document))
