"""The manifests in tests/data/manifests: what the writers of bundles write, without what varies.

They were made by commit 90d9c62, before `Manifest` was written typed, and have gained
`graph.frame_bytes`, `unknown` and `reference.measure` since; their licenses are those of random
numbers. Left out is what differs from one machine or version of torch to the next: dates, versions,
hashes, sizes, measured numbers and names of nodes. Keys and their order stay, and so does every
other value.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "manifests"

_HASH = re.compile("[0-9a-f]{64}")
# Sections of `precision` whose keys name nodes and tensors of one version of torch.
_OF_NODES = ("largest", "quantized", "excluded", "ranges")


def golden(name: str) -> str:
    """Return the text of a golden manifest."""
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def as_text(document: Any) -> str:  # noqa: ANN401
    """Return a document as a bundle holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def steady(document: Any) -> Any:  # noqa: ANN401
    """Return a manifest without what varies."""
    found = json.loads(json.dumps(document))
    found["created"] = "2026-11-26T00:00:00Z"
    found["tool"]["version"] = "0"
    found["versions"] = dict.fromkeys(found["versions"], "0")
    for frame in found["parity"]["frames"]:
        frame.update(ties=[], flips=[])
    found["parity"]["ties"] = []
    precision = found["precision"]
    for name in _OF_NODES:
        if name in precision:
            precision[name] = {}
    if "islands" in precision:
        precision["islands"] = {}
        precision["half_nodes"] = precision["casts"] = 0
    if "speed" in precision:
        precision["speed"]["threads"] = 2  # as many as the process may use
    for name in ("parity", "precision"):
        found[name] = _without_numbers(found[name])
    for entry in found["files"].values():
        entry["bytes"] = 0
    return _without_hashes(found)


def _without_numbers(value: Any) -> Any:  # noqa: ANN401
    """Return a value with 0.0 for every number that was measured."""
    if isinstance(value, dict):
        return {k: _without_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_numbers(item) for item in value]
    return 0.0 if isinstance(value, float) else value


def _without_hashes(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {k: _without_hashes(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_hashes(item) for item in value]
    return "0" * 64 if isinstance(value, str) and _HASH.fullmatch(value) else value
