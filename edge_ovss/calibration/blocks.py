"""Which products may be quantized, and the blocks that they are measured in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_ovss.graph.walk import (
    WEIGHTED,
    activations,
    answer_nodes,
    has_weight,
    is_weight,
    module_of,
    sides,
    stems,
    upstream,
)

if TYPE_CHECKING:
    import onnx_ir as ir

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
        blocks: Names of the nodes that may be quantized, by block, in the order of the graph.
        excluded: Key of `reasons.NOT_INT8`, by name of a product that may not.
    """

    blocks: Mapping[str, tuple[str, ...]]
    excluded: Mapping[str, str]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes that may be quantized."""
        return tuple(name for names in self.blocks.values() for name in names)


def find_candidates(model: ir.Model) -> Candidates:
    """Sort the products of a float32 graph into blocks, and find out which must stay in float."""
    first, last = set(stems(model)), set(answer_nodes(model))
    blocks: dict[str, list[str]] = {}
    excluded: dict[str, str] = {}
    for node in model.graph:
        if node.op_type not in WEIGHTED:
            continue
        reason = "stem" if node in first else _reason(node, is_head=node in last)
        if reason is None:
            blocks.setdefault(block_of(node), []).append(node.name)
        else:
            excluded[node.name] = reason
    return Candidates({name: tuple(nodes) for name, nodes in blocks.items()}, excluded)


def block_of(node: ir.Node) -> str:
    """Return the block of a node: "visual.trunk.stages.2.blocks.3", "layers.0.cnext"."""
    module = module_of(node)
    found = _BLOCK.match(module)
    if found:
        return found["block"]
    parts = module.split(".")
    # "decoder.decoder_guidance_projection.1.0" is one of three of a kind.
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1] if numbers else parts)


def _reason(node: ir.Node, *, is_head: bool) -> str | None:
    if is_head and has_weight(node):
        return "head"
    if node.op_type == "ConvTranspose":
        return "transposed"
    if not has_weight(node) or node.op_type == "Einsum":
        return "attention"
    group = node.attributes.get("group")
    if node.op_type == "Conv" and group is not None and group.as_int() > 1:
        return "depthwise"
    # The input has unit length: a division by a norm is on the way.
    before = {each.op_type for each in upstream(activations(node), has_weight)}
    if {"ReduceL2", "Div"} <= before:
        return "similarity"
    weight = next(value for value in node.inputs[:2] if is_weight(value))
    return "small" if min(side or 0 for side in (sides(weight) or ())[:2]) < _FEWEST else None
