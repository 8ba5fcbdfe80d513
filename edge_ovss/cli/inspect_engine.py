"""What is known of engines without a GPU: their records, for `edge-ovss inspect` and `build`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ovss._files import sha256_of_file
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import ENGINES, Bundle
from edge_ovss.errors import ArtifactError, InputError
from edge_ovss.runtime.backends.optimized_graph import OptimizedGraph, kept_graphs
from edge_ovss.runtime.trt.engine_record import RECORD, BuildRecord, read_record

Rows = list[tuple[str, str]]


def engine_rows(bundle: Bundle) -> Rows:
    """Return a line for each engine of a bundle, and for each graph that the cache keeps of it."""
    engines = [(f"engine {one['name']}", _line(bundle, one)) for one in _engines(bundle)]
    return engines + [("optimized graph", _kept_line(one)) for one in _kept(bundle)]


def engine_documents(bundle: Bundle) -> list[dict[str, object]]:
    """Return the records of a bundle's engines as JSON objects, or why one cannot be read."""
    found: list[dict[str, object]] = []
    for one in _engines(bundle):
        record = one["record"]
        facts = {"problem": one["problem"]} if record is None else dict(record.document)
        found.append({"name": one["name"], **facts})
    return found


def optimized_documents(bundle: Bundle) -> list[dict[str, object]]:
    """Return the records of what the cache keeps of a bundle's graphs, as JSON objects."""
    return [{"folder": str(one.folder), **one.to_json()} for one in _kept(bundle)]


def describe_plan(path: Path) -> tuple[str, dict[str, object]]:
    """Return what the record beside a plan says of it, as text and as a JSON object.

    Raises:
        InputError: There is no record beside it.
        ArtifactError: The record is damaged, or belongs to another plan.
    """
    if not (path.parent / RECORD).is_file():
        message = f"There is no {RECORD} beside '{path}', so nothing is known of the plan."
        hint = "Give a plan in the folder where edge-ovss build left it: BUNDLE/engines/NAME/."
        raise InputError(message, hint=hint)
    record = read_record(path.parent)
    digest = sha256_of_file(path)
    if digest != record.sha256:
        message = (
            f"'{path}' is not the plan of {RECORD}: its sha256 is {digest[:12]}…, the record says "
            f"{record.sha256[:12]}…."
        )
        raise ArtifactError(message, hint="Do not use it; build the engine again.")
    rows = [("engine", str(path.parent)), *_rows(record)]
    width = max(len(name) for name, _ in rows)
    text = "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)
    return text, {"path": str(path), **record.document}


def fusion_text(inspection: Mapping[str, object]) -> str:
    """Return one line on the layers after fusion; a record may hold anything."""
    try:
        return _fusion_text(inspection)
    except (AttributeError, KeyError, TypeError, ValueError):
        return "not known: what the record says of the layers is damaged"


def _fusion_text(facts: Any) -> str:  # noqa: ANN401 (what a file says)
    if "layers" not in facts:
        return "not known: neither the builder nor an inspector described the layers"
    heavy = ", ".join(f"{count} {kind}" for kind, count in facts["heavy"].items()) or "none"
    parts = [f"{sum(facts['layers'].values())} layers, heavy ones: {heavy}"]
    if facts["float_count"]:
        parts.append(f"{facts['float_count']} in FP32 against the graph")
    if facts.get("time"):
        shares = ", ".join(f"{100 * share:.0f} % {name}" for name, share in facts["time"].items())
        parts.append(f"time {shares}")
    parts.append(f"{facts['unfused_quantization']} unfused Q/DQ, {facts['reformats']} reformats")
    return "; ".join(parts)


def _engines(bundle: Bundle) -> list[dict[str, Any]]:
    folder = bundle.file(ENGINES)
    found: list[dict[str, Any]] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            found.append({"name": path.name, "record": read_record(path), "problem": None})
        except ArtifactError as err:
            found.append({"name": path.name, "record": None, "problem": err.message})
    return found


def _kept(bundle: Bundle) -> list[OptimizedGraph]:
    """Return the graphs of a bundle that `build --backend onnxruntime` kept."""
    small = bundle.small()
    return list(kept_graphs({graph_hash(one) for one in (bundle, small) if one is not None}))


def _kept_line(one: OptimizedGraph) -> str:
    try:
        size = f"{one.size / 2**20:.1f} MiB"
    except OSError as err:
        size = f"a file is gone ({err.strerror or err})"
    return f"ONNX Runtime {one.key.library} for {one.key.processor}, {size}, {one.folder}"


def _line(bundle: Bundle, one: Mapping[str, Any]) -> str:
    record: BuildRecord | None = one["record"]
    if record is None:
        return str(one["problem"])
    key = record.key
    stale = "" if key.graph == graph_hash(bundle) else ", OF ANOTHER GRAPH"
    return (
        f"{key.surroundings.backend} {key.surroundings.library} for {_gpus(record)}, "
        f"{key.frames}, {record.size / 2**20:.1f} MiB, proof {record.proof.state}{stale}"
    )


def _gpus(record: BuildRecord) -> str:
    places = record.key.surroundings
    name = f" ({places.device})" if places.device else ""
    return ", ".join(places.capabilities) + name


def _rows(record: BuildRecord) -> Rows:
    places, proof, facts = record.key.surroundings, record.proof, record.inspection
    size = facts.get("size")
    ratio = size.get("ratio") if isinstance(size, Mapping) else None
    against = f", {ratio} x the graph's" if ratio else ""
    rows = [
        ("library", f"{places.backend} {places.library}, {places.platform}"),
        ("for", _gpus(record)),
        ("system", places.system or "any"),
        ("frames", str(record.key.frames)),
        ("flags", " ".join(record.key.flags.options()) or "none"),
        ("precision", record.precision),
        ("plan", f"{record.size / 2**20:.1f} MiB{against}, sha256 {record.sha256[:12]}… compared"),
        ("built", f"{record.created}, {sum(map(_number, record.seconds.values())):.1f} s"),
        ("fused", fusion_text(facts)),
        ("timings", str(record.timings.get("after") or "none kept")),
        ("proof", proof.state + (f": {proof.reason}" if proof.reason else "")),
        ("graph sha256", record.key.graph),
    ]
    layers = facts.get("float_layers")
    return rows + [("in FP32", str(name)) for name in (layers if isinstance(layers, list) else ())]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
