"""Keep the graphs of a bundle as ONNX Runtime optimizes them for this processor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge_ovss._files import make_folder, sha256_of_file
from edge_ovss._machine import available_cores
from edge_ovss._optional import require
from edge_ovss._progress import Note, silent
from edge_ovss.bundle.reader import Bundle
from edge_ovss.engines.build import Workshop, mend_engines
from edge_ovss.errors import ArtifactError, ParityError, UsageError
from edge_ovss.runtime.backends.optimized_graph import (
    GRAPH,
    WEIGHTS,
    OptimizedGraph,
    OptimizedKey,
    find_optimized,
    key_here,
    optimized_folder,
)
from edge_ovss.runtime.backends.ort import CpuBackend, load_error, open_session, session_options

_OUTSIDE = "session.optimized_model_external_initializers_file_name"
# Weights stay unpacked: ONNX Runtime 1.31 crashes over writing packed ones of some graphs.


@dataclass(frozen=True)
class Optimized:
    """A kept graph, whether it existed before, and the seconds of making it."""

    graph: OptimizedGraph
    reused: bool
    seconds: float


def optimize_graphs(
    bundle: Bundle, *, overwrite: bool = False, note: Note | None = None
) -> list[Optimized]:
    """Optimize the first and the small graph of a bundle into the cache of this user.

    Each is kept only if it gives the same bytes as before for the reference frame.

    Args:
        bundle: The bundle, opened with its files verified.
        overwrite: Do it again even if it was done.
        note: Called with one line of text at every step.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        ArtifactError: It cannot load the graph, or memory ran out.
        ParityError: The optimized graph gives something else; it is not kept.
        UsageError: There is no cache.
        OutputError: The cache cannot be written.
    """
    runtime = require("onnxruntime", extra=CpuBackend.extra)
    place = optimized_folder()
    if place is None:
        message = "The optimized graph is kept in the cache, and EDGE_OVSS_CACHE is empty."
        raise UsageError(message, hint="Set EDGE_OVSS_CACHE to a folder, or unset it.")
    mend_engines(make_folder(place))
    kept = partial(_kept, place, runtime=runtime, note=note or silent, overwrite=overwrite)
    return [kept(one) for one in _graphs(bundle)]


def _graphs(bundle: Bundle) -> Iterator[Bundle]:
    yield bundle
    small = bundle.small()
    if small is not None:
        yield small


def _kept(
    folder: Path, bundle: Bundle, *, runtime: ModuleType, note: Note, overwrite: bool
) -> Optimized:
    key = key_here(bundle, runtime)
    known = None if overwrite else find_optimized(key)
    if known is not None and _is_whole(known):
        return Optimized(known, reused=True, seconds=0.0)
    note(f"optimizing {bundle.graph_path.name} for {key.processor}")
    start = time.monotonic()
    place = folder / key.name
    with Workshop(place) as made:
        files = _make(bundle, runtime, key, made)
    return Optimized(OptimizedGraph(place, key, files), False, time.monotonic() - start)


def _is_whole(graph: OptimizedGraph) -> bool:
    try:
        with graph.checked():
            return True
    except ArtifactError:
        return False


def _make(bundle: Bundle, runtime: ModuleType, key: OptimizedKey, folder: Path) -> dict[str, str]:
    options = session_options(runtime, available_cores())
    options.optimized_model_filepath = str(folder / GRAPH)
    options.add_session_config_entry(_OUTSIDE, WEIGHTS)
    source = bundle.graph_path
    try:
        first = runtime.InferenceSession(str(source), options, providers=CpuBackend.providers)
        expected = _answer(bundle, first)
        del first
        threads = available_cores()
        again = open_session(runtime, folder / GRAPH, threads=threads, is_optimized=True)
        found = _answer(bundle, again)
    except Exception as err:  # ONNX Runtime raises a class of its own for every status
        raise load_error(err, source, runtime) from err
    _require_equal(found, expected)
    kept = OptimizedGraph(folder, key, _hashes(folder))
    kept.write()
    return dict(kept.files)


def _answer(bundle: Bundle, session: Any) -> dict[str, Any]:  # noqa: ANN401 (a class of onnxruntime)
    contract, frame = bundle.manifest.contract, bundle.reference().frame
    names = list(contract.output_names)
    inputs = contract.feed(frame[np.newaxis], None, bundle.word_inputs())
    return dict(zip(names, session.run(names, inputs), strict=True))


def _require_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    other = [name for name, array in found.items() if not np.array_equal(array, expected[name])]
    if other:
        message = (
            f"The optimized graph gives other {', '.join(other)} than the graph of the bundle."
        )
        raise ParityError(message, hint="Use the bundle without it.")


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        path.chmod(0o600)
        found[path.name] = sha256_of_file(path)
    return found
