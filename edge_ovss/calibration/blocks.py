"""Which products may be quantised, and the blocks in which they are judged together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_ovss.graph.view import GraphView, Node, module_of

REASONS = {
    "depthwise": "one filter per channel: no INT8 kernel of use, and the most sensitive",
    "stem": "reads the picture itself",
    "transposed": "inaccurate and slow in INT8 (TensorRT #1699)",
    "head": "makes scores: an INT8 grid makes ties of them",
    "similarity": "compares pictures with words: 256 levels are too few",
    "attention": "a product of two activations, inside attention",
    "small": "fewer than 16 channels: nothing to gain",
    "zero range": "is always 0 on the calibration pictures",
    "budget": "went back to float so that the loss stays within the budget",
    "recipe": "the recipe excludes it",
}
"""Why a product stays in float."""

_FEWEST = 16
_BLOCK = re.compile(
    r"^(?P<block>.*?\b(?:blocks|resblocks)\.\d+"
    r"|.*?\blayers\.\d+(?:\.[A-Za-z]\w*)?"
    r"|.*?\bstages\.\d+\.\w+)"
)


@dataclass(frozen=True)
class Candidates:
    """The products of a graph.

    Attributes:
        blocks: Names of the nodes that may be quantised, by block, in the order of the graph.
        excluded: Key of `REASONS` by name of a node that may not.
    """

    blocks: Mapping[str, tuple[str, ...]]
    excluded: Mapping[str, str]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes that may be quantised."""
        return tuple(name for names in self.blocks.values() for name in names)


def find_candidates(view: GraphView) -> Candidates:
    """Sort the products of a float32 graph into blocks, and say which must stay in float."""
    heads = {node.name for node in _heads(view)}
    stems = {node.name for node in view.stems()}
    blocks: dict[str, list[str]] = {}
    excluded: dict[str, str] = {}
    for node in view.nodes:
        if node.op_type not in {"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum"}:
            continue
        reason = (
            "stem" if node.name in stems else "head" if node.name in heads else _reason(view, node)
        )
        if reason is None:
            blocks.setdefault(block_of(node), []).append(node.name)
        else:
            excluded[node.name] = reason
    return Candidates({name: tuple(nodes) for name, nodes in blocks.items()}, excluded)


def block_of(node: Node) -> str:
    """Return the block of a node: "visual.trunk.stages.2.blocks.3", "layers.0.cnext"."""
    module = module_of(node)
    found = _BLOCK.match(module)
    if found:
        return found["block"]
    parts = module.split(".")
    # "decoder.decoder_guidance_projection.1.0" is one of three of a kind.
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1] if numbers else parts)


def _reason(view: GraphView, node: Node) -> str | None:
    if node.op_type == "ConvTranspose":
        return "transposed"
    if not view.has_weight(node) or node.op_type == "Einsum":
        return "attention"
    weight = next(name for name in node.input[:2] if name in view.weights)
    shape = view.shapes[weight]
    if node.op_type == "Conv" and _group(node) > 1:
        return "depthwise"
    if _is_similarity(view, node):
        return "similarity"
    sides = [int(side or 0) for side in shape[:2]]
    return "small" if min(sides) < _FEWEST else None


def _group(node: Node) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _is_similarity(view: GraphView, node: Node) -> bool:
    """Whether what comes in has unit length: a division by a norm is on the way."""
    before = view.upstream(view.activations(node), view.has_weight)
    kinds = {each.op_type for each in before}
    return "ReduceL2" in kinds and "Div" in kinds


def _heads(view: GraphView) -> list[Node]:
    """Return the last products before the outputs and before every ranking."""
    starts = [item.name for item in view.model.graph.output]
    starts += [node.input[0] for node in view.nodes if node.op_type in {"TopK", "ArgMax"}]
    return [node for node in view.upstream(starts, view.has_weight) if view.has_weight(node)]
