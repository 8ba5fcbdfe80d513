"""Which graph a bundle has, in one hash that engines, reports and calibrated bundles share."""

from __future__ import annotations

import hashlib

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.reader import Bundle


def graph_hash(bundle: Bundle | Manifest) -> str:
    """Return one sha256 over the ONNX file and its external data, from the manifest's own."""
    lines = [f"{name}:{digest}" for name, digest in _digests(bundle)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_of_graph(bundle: Bundle, given: object) -> bool:
    """Whether a measurement with this graph hash is of this bundle's graph.

    Reports that were written before engines and reports had the same hash are recognized too.
    """
    former = "\n".join(digest for _, digest in _digests(bundle))
    return given in (graph_hash(bundle), hashlib.sha256(former.encode()).hexdigest())


def _digests(bundle: Bundle | Manifest) -> list[tuple[str, str]]:
    """Return name and sha256 of the files that make up the graph."""
    manifest = bundle if isinstance(bundle, Manifest) else bundle.manifest
    names = (manifest.graph.file, *manifest.graph.external_data)
    return [(name, manifest.files[name].sha256) for name in names]
