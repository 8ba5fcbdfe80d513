"""Run `edge-ovss inspect`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.onnx_reader.file import GraphFile, TensorInfo, read_graph_file
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.inspect_engine import (
    describe_plan,
    engine_documents,
    engine_rows,
    optimized_documents,
)
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.errors import EdgeOvssError, InputError, UsageError
from edge_ovss.evaluation.gates import (
    check_gates,
    license_value,
    parse_gates,
    require_known,
    require_passed,
)
from edge_ovss.graph.reasons import kept_in_float
from edge_ovss.metrics.license_terms import use_of
from edge_ovss.words.encoding import TOWER_FOLDER
from edge_ovss.words.tower_folder import MANIFEST, read_facts

_PREFIX = "edge_ovss."
_MOST_OPERATORS = 12
_MOST_NODES = 2_000_000  # of an ONNX file that need not be ours


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the facts."""
    path = Path(args.path)
    gates = parse_gates(args.gate)
    require_known(gates, ())
    if path.is_file() and gates:
        message = f"--gate is given for '{path}', which is not a bundle."
        raise UsageError(message, hint="The licenses are in a bundle's manifest.")
    if path.is_file() and path.suffix.lower() == ".plan":
        console.result(*describe_plan(path))
        return 0
    if path.is_file() and path.suffix.lower() != ".onnx":
        message = f"'{path}' is neither a bundle (a folder) nor an .onnx or .plan file."
        raise InputError(message, hint="Give the folder that edge-ovss export wrote.")
    if path.is_file():
        graph = read_graph_file(path, most=_MOST_NODES)
        console.result(_lines(_graph_rows(graph, path)), _graph_document(graph, path))
        return 0
    bundle = Bundle.open(path, verify=not args.no_verify)
    document = {
        "path": str(bundle.path),
        "verified": not args.no_verify,
        "manifest": bundle.manifest.document,
        "licenses": use_of(bundle.manifest.licenses).to_json(),
        "engines": engine_documents(bundle),
        "optimized_graphs": optimized_documents(bundle),
        "graph": _graph_document(bundle.graph, bundle.graph_path),
    }
    verdicts = check_gates(gates, license_value(bundle))
    if verdicts:
        document["gates"] = [verdict.to_json() for verdict in verdicts]
    lines = [_lines(_bundle_rows(bundle, verified=not args.no_verify))]
    console.result("\n".join([*lines, *(verdict.text for verdict in verdicts)]), document)
    require_passed(verdicts)
    console.note(next_step("selftest", args.path))
    return 0


def _lines(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def _bundle_rows(bundle: Bundle, *, verified: bool) -> list[tuple[str, str]]:
    manifest = bundle.manifest
    weights = manifest.model.weights
    source = weights.file or (f"seed {weights.seed}" if weights.seed is not None else "")
    words, picture, rejection = manifest.vocabulary, manifest.picture, manifest.rejection
    total = sum(entry.bytes for entry in manifest.files.values())
    slots = f", slots {_list(rejection.slots)}" if rejection.slots else ""
    rows = [
        ("bundle", str(bundle.path)),
        ("written by", f"{manifest.tool}, {manifest.created}"),
        ("model", f"{manifest.model.name} ({manifest.model.family})"),
        ("weights", f"{weights.source} {source} {(weights.sha256 or '')[:12]}".strip()),
        ("vocabulary", f"{words.name}: {words.categories} categories, {words.outputs} outputs"),
        ("words", _words(bundle)),
        ("templates", f"{manifest.templates.name} ({manifest.templates.count})"),
        ("network size", f"{picture.height}x{picture.width}; frames of any size"),
        ("labels", manifest.output.labels_dtype),
        ("unknown", _unknown(manifest)),
        ("rejection", f"{rejection.mode}{slots}{_other_graphs(manifest)}"),
        ("precision", _precision(manifest)),
        ("files", f"{len(manifest.files)}, {total / 2**20:.1f} MiB, " + _verified(verified)),
        ("checked", "manifest, vocabulary, graph, metadata and reference output agree"),
        ("not checked", "the exporter's statements on tool, time, versions and parity"),
    ]
    rows += _rounded(manifest)
    rows += kept_in_float(manifest.document.get("precision"))
    rows += [(f"license {part}", str(name)) for part, name in manifest.licenses.items()]
    rows.append(("licenses allow", f"{use_of(manifest.licenses)}"))
    rows += [
        (f"parity {name}", _short(json.dumps(value))) for name, value in manifest.parity.items()
    ]
    return rows + engine_rows(bundle) + _graph_rows(bundle.graph, bundle.graph_path)


def _words(bundle: Bundle) -> str:
    """Return whether words can be changed, who made those that are there, and by what tower."""
    info = bundle.manifest.open
    if info is None:
        return "frozen into the graph"
    made = "those of the export" if info.is_export else f"changed {info.changed}"
    return f"open: {len(bundle.vocabulary)} of {info.places} places, {made}; {_tower(bundle)}"


def _other_graphs(manifest: Manifest) -> str:
    """Return what other graphs there are, and for which frames or words."""
    found, spare, small = "", manifest.graph.spare, manifest.graph.small
    if spare is not None:
        found += f"; spare graph {_list(spare.slots)} for frames that overflow"
    if small is not None:
        found += f"; small graph {_list(small.slots)} for up to {manifest.graph.small_room} words"
    return found


def _list(slots: Sequence[int]) -> str:
    return ",".join(map(str, slots))


def _rounded(manifest: Manifest) -> list[tuple[str, str]]:
    """Return a row with how many words a text tower with rounded weights encoded, if any."""
    counts = Counter((manifest.rounded_words or {}).values())
    said = ", ".join(f"{count} with {weights} weights" for weights, count in counts.items())
    return [("encoded", f"{said}, the others with fp32 weights")] if said else []


def _tower(bundle: Bundle) -> str:
    if not (bundle.path / TOWER_FOLDER / MANIFEST).is_file():
        return "no text tower in the bundle"
    try:
        return f"text tower in {TOWER_FOLDER}, {read_facts(bundle.path / TOWER_FOLDER).summary}"
    except EdgeOvssError as err:  # the bundle works without it
        return f"text tower in {TOWER_FOLDER}, which cannot be used: {err}"


def _unknown(manifest: Manifest) -> str:
    info = manifest.unknown
    return "the graph takes no thresholds" if info is None else f"labels are {info.summary}"


def _precision(manifest: Manifest) -> str:
    """Return the precision, and for INT8 also the runtime it is made for."""
    facts = manifest.precision_facts
    if facts.target is None or facts.name != "int8":
        return facts.name
    return f"{facts.name} for {facts.target}, the rest in {facts.base or 'float'}"


def _verified(verified: bool) -> str:
    return "sha256 compared" if verified else "sha256 not compared"


def _graph_rows(graph: GraphFile, path: Path) -> list[tuple[str, str]]:
    operators = list(graph.operators.items())
    most = ", ".join(f"{name} {count}" for name, count in operators[:_MOST_OPERATORS])
    more = (
        f" and {len(operators) - _MOST_OPERATORS} more" if len(operators) > _MOST_OPERATORS else ""
    )
    rows = [
        ("graph", f"{path.name}, opset {graph.opset}, {sum(graph.operators.values())} nodes"),
        ("produced by", graph.producer),
        ("inputs", "; ".join(map(_tensor, graph.inputs))),
        ("outputs", "; ".join(map(_tensor, graph.outputs))),
        ("operators", most + more),
        ("weights in", ", ".join(graph.external_data) or "the file itself"),
    ]
    return rows + [(key, _short(value)) for key, value in graph.metadata.items()]


def _tensor(info: TensorInfo) -> str:
    return f"{info.name} {info.dtype} [{', '.join(map(str, info.shape))}]"


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


def _graph_document(graph: GraphFile, path: Path) -> dict[str, object]:
    return {"file": path.name, **asdict(graph), "metadata": _decoded(graph.metadata)}


def _decoded(metadata: Mapping[str, str]) -> dict[str, object]:
    """Return the metadata; values under `edge_ovss.` are JSON, and are decoded where they parse."""
    decoded: dict[str, object] = {}
    for key, value in metadata.items():
        decoded[key] = value
        if key.startswith(_PREFIX):
            try:
                decoded[key] = parse_json(value)
            except DocumentError:
                continue
    return decoded
