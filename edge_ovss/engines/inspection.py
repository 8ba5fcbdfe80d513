"""What an engine became: precisions after fusion, reformats, and what was not fused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from edge_ovss.engines.plan_layers import PlanLayer

_MOST = 50


def summarize(
    layers: Sequence[PlanLayer], asked: Mapping[str, str], *, source: str
) -> dict[str, object]:
    """Return the section `inspection` of `build.json`.

    Args:
        layers: The layers of the engine after fusion.
        asked: Precision that the graph asks for, by the name of a heavy node.
        source: Where the layers were read: "inspector" or "builder log".
    """
    heavy = [layer for layer in layers if layer.heavy]
    fallen = [layer for layer in heavy if layer.precision == "FP32" and not _wanted(layer, asked)]
    bare = [layer.name for layer in layers if layer.bare_quantization]
    return {
        "source": source,
        "layers": dict(Counter(layer.precision for layer in layers).most_common()),
        "heavy": dict(Counter(layer.precision for layer in heavy).most_common()),
        "asked": dict(Counter(asked.values()).most_common()),
        "float_share": round(len(fallen) / len(heavy), 4) if heavy else 0.0,
        "float_layers": [_shown(layer) for layer in fallen[:_MOST]],
        "float_count": len(fallen),
        "unfused_quantization": len(bare),
        "unfused_layers": bare[:_MOST],
        "reformats": sum(layer.reformat for layer in layers),
    }


def _wanted(layer: PlanLayer, asked: Mapping[str, str]) -> bool:
    """Return whether the graph itself keeps a layer in FP32."""
    known = [asked[node] for node in layer.nodes or (layer.name,) if node in asked]
    return bool(known) and all(precision == "FP32" for precision in known)


def _shown(layer: PlanLayer) -> str:
    """Return the name of the heavy node in a layer, or the layer's own."""
    words = ("conv", "matmul", "gemm", "einsum")
    nodes = (node for node in layer.nodes if any(word in node.lower() for word in words))
    return next(nodes, layer.name)


def time_shares(
    times: Mapping[str, float], precisions: Mapping[str, str]
) -> dict[str, float] | None:
    """Return the share of time by precision, of 1; None if nothing was timed.

    Args:
        times: Milliseconds by layer.
        precisions: Precision by layer.
    """
    total = sum(times.values())
    if not total > 0.0:
        return None
    spent: dict[str, float] = {}
    for name, milliseconds in times.items():
        kind = precisions.get(name, "other")
        spent[kind] = spent.get(kind, 0.0) + milliseconds
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    return {name: round(value / total, 4) for name, value in ordered}


def size_facts(plan: int, graph: int) -> dict[str, object]:
    """Return the size of a plan beside that of the weights that went in, in bytes."""
    return {"plan": plan, "graph": graph, "ratio": round(plan / graph, 3) if graph else None}
