"""What a measurement belongs to."""

from __future__ import annotations

import hashlib

from edge_ovss._checksums import sha256_of_file
from edge_ovss.runtime.bundle import Bundle
from edge_ovss.runtime.engines.cache import ENGINES
from edge_ovss.runtime.engines.record import RECORD

_WITHOUT_ENGINES = ("onnxruntime", "openvino")


def graph_hash(bundle: Bundle) -> str:
    """Return one sha256 over the graph and its external weights, from the manifest's own."""
    graph = bundle.manifest.graph
    names = (graph.file, *graph.external_data)
    parts = "\n".join(bundle.manifest.files[name].sha256 for name in names)
    return hashlib.sha256(parts.encode()).hexdigest()


def engine_hashes(bundle: Bundle, backend: str) -> dict[str, str]:
    """Return the sha256 of the build record by engine, where a backend answers with engines."""
    if backend.startswith(_WITHOUT_ENGINES):
        return {}
    records = sorted((bundle.path / ENGINES).glob(f"*/{RECORD}"))
    return {record.parent.name: sha256_of_file(record) for record in records}
