"""Which graph a bundle has, in one hash that engines, reports and calibrated bundles share."""

from __future__ import annotations

import hashlib

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.words.inputs import words_bytes


def graph_hash(bundle: Bundle | Manifest) -> str:
    """Return one sha256 over the ONNX file and its external data, from the manifest's own."""
    lines = [f"{name}:{digest}" for name, digest in _digests(bundle)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def answer_hash(bundle: Bundle) -> str:
    """Return one sha256 over everything that decides what a bundle answers.

    That is the graph, and of an open bundle its words as well: what was measured with other words
    says nothing of it. Engines do not depend on words.
    """
    info, graph = bundle.manifest.open, graph_hash(bundle)
    if info is None or bundle.text is None:
        return graph
    words = hashlib.sha256(words_bytes(bundle.text)).hexdigest()
    return hashlib.sha256(f"{graph}:{bundle.vocabulary.sha256}:{words}".encode()).hexdigest()


def is_of_graph(bundle: Bundle, given: object) -> bool:
    """Whether a measurement with this hash is of what this bundle answers.

    Reports that were written before engines and reports had the same hash are recognized too.
    """
    if bundle.manifest.open is not None:
        return given == answer_hash(bundle)
    former = "\n".join(digest for _, digest in _digests(bundle))
    return given in (answer_hash(bundle), hashlib.sha256(former.encode()).hexdigest())


def _digests(bundle: Bundle | Manifest) -> list[tuple[str, str]]:
    """Return name and sha256 of the files that make up the graph."""
    manifest = bundle if isinstance(bundle, Manifest) else bundle.manifest
    names = (manifest.graph.file, *manifest.graph.external_data)
    return [(name, manifest.files[name].sha256) for name in names]
