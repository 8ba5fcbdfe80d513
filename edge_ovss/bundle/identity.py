"""What a bundle is, in one hash."""

from __future__ import annotations

import hashlib

from edge_ovss.bundle.reader import Bundle


def graph_hash(bundle: Bundle) -> str:
    """Return one sha256 over the graph and its external weights, from the manifest's own."""
    graph = bundle.manifest.graph
    names = (graph.file, *graph.external_data)
    parts = "\n".join(bundle.manifest.files[name].sha256 for name in names)
    return hashlib.sha256(parts.encode()).hexdigest()
