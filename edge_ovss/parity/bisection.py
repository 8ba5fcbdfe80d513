"""Find the first block of a graph whose output departs from torch.

Nodes are named "module.path/Op_N" at export, so the end of every torch module can be found in the
graph. Copies of the graph return those tensors as well, a few at a time and in the order of
computation, until one departs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError
from edge_ovss.graph.model import load_graph
from edge_ovss.graph.tensor_probe import TensorProbe
from edge_ovss.graph.walk import module_of
from edge_ovss.metrics.tensors import TensorComparison, compare_layouts

if TYPE_CHECKING:
    import onnx_ir as ir

    from edge_ovss.parity.torch_reference import TorchReference

Array = NDArray[Any]

PREPARE = "prepare"
ANSWER = "answer"
# Blocks per run: their outputs, of the graph and of torch, are in memory together.
_AT_A_TIME = 32


@dataclass(frozen=True)
class BlockParity:
    """The comparison of one block.

    Attributes:
        path: Path of the torch module; "prepare" is the image before the first module.
        comparison: Comparison of the block's output.
    """

    path: str
    comparison: TensorComparison

    def to_json(self) -> dict[str, object]:
        """Return the block as a JSON object."""
        return {"path": self.path, **self.comparison.to_json()}


@dataclass(frozen=True)
class Bisection:
    """The place where a graph departs from torch.

    Attributes:
        first: Path of the first block that departs; "answer" if every block agrees.
        blocks: Compared blocks in the order of computation, up to the one that departs.
        limit: Relative L2 error above which a block departs.
    """

    first: str
    blocks: tuple[BlockParity, ...]
    limit: float

    @property
    def text(self) -> str:
        """The result as one sentence."""
        agreeing = sum(b.comparison.relative_l2 <= self.limit for b in self.blocks)
        if self.first == ANSWER:
            return (
                f"on ONNX Runtime all {agreeing} blocks agree with torch; the difference is in the "
                "steps after them (upsampling, argmax of near ties, output map) or the backend"
            )
        last = self.blocks[-1].comparison
        how = f"relative L2 {last.relative_l2:.3g}" if last.finite else "values are not finite"
        what = f"block '{self.first}'"
        if self.first == PREPARE:
            what = "the image before the first layer (color order, resize)"
        return f"the first to depart is {what}: {how}; {agreeing} blocks before it agree"

    def to_json(self) -> dict[str, object]:
        """Return the place and all compared blocks as a JSON object."""
        return {
            "first": self.first,
            "limit": self.limit,
            "text": self.text,
            "blocks": [block.to_json() for block in self.blocks],
        }


def bisect(
    bundle: Bundle, reference: TorchReference, frame: NDArray[np.uint8], *, limit: float
) -> Bisection:
    """Find the first block of a bundle's graph that departs from torch.

    Args:
        bundle: The bundle; its graph is run on ONNX Runtime, on the CPU.
        reference: The same model in torch.
        frame: uint8 [H, W, 3] RGB.
        limit: Relative L2 error above which a block departs.

    Raises:
        ArtifactError: No node of the graph is named after a module.
        MissingDependencyError: onnx, onnxruntime or torch is not installed.
    """
    model, words = load_graph(bundle.graph_path), bundle.word_inputs()
    ends = _ends(model, reference.block_paths())
    if not any(path != PREPARE for path in ends):
        message = "No node of the graph is named after a torch module; nothing can be compared."
        raise ArtifactError(message, hint="Export the bundle with this version of edge-ovss.")
    seen: list[BlockParity] = []
    left = list(ends)
    while left:
        paths, left = left[:_AT_A_TIME], left[_AT_A_TIME:]
        probe = TensorProbe(model, [ends[path] for path in paths], look=None, words=words)
        given = dict(probe.run(frame))
        found = {path: given[ends[path]] for path in paths}
        seen += _compare(paths, found, _expected(reference, frame, paths))
        first = _first_departure(seen, limit)
        if first is not None and not any(_is_inside(first.path, path) for path in left):
            return Bisection(first.path, tuple(seen[: seen.index(first) + 1]), limit)
    return Bisection(ANSWER, tuple(seen), limit)


def _first_departure(blocks: Sequence[BlockParity], limit: float) -> BlockParity | None:
    """Return the first block that departs and is not inside a block that agrees.

    A rewrite of the graph (a scale that is folded into a matrix) changes the inside of a block and
    not its end: if an enclosing block agrees, a departure within it is not a fault.
    """
    agreeing = [block.path for block in blocks if block.comparison.relative_l2 <= limit]
    for block in blocks:
        departs = not block.comparison.relative_l2 <= limit
        if departs and not any(_is_inside(block.path, path) for path in agreeing):
            return block
    return None


def _is_inside(path: str, other: str) -> bool:
    return path.startswith(f"{other}.")


def _ends(model: ir.Model, paths: Sequence[str]) -> dict[str, str]:
    """Return the last tensor of every module by path, children included, in graph order."""
    known, ends = set(paths), dict[str, tuple[int, int, str]]()
    for position, node in enumerate(model.graph):
        if node.op_type == "Resize" and PREPARE not in ends:
            ends[PREPARE] = (position, 0, node.outputs[0].name)
        parts = module_of(node).split(".")
        for depth in range(1, len(parts) + 1):
            path = ".".join(parts[:depth])
            if path in known:
                # A module ends where its last child does: the child is named before it.
                ends[path] = (position, -depth, node.outputs[0].name)
    return {path: end[2] for path, end in sorted(ends.items(), key=lambda item: item[1])}


def _expected(
    reference: TorchReference, frame: NDArray[np.uint8], paths: Sequence[str]
) -> dict[str, Array]:
    found = reference.blocks(frame, [path for path in paths if path != PREPARE])
    prepared = reference.prepared(frame) if PREPARE in paths else None
    return found if prepared is None else {PREPARE: prepared, **found}


def _compare(
    paths: Sequence[str], given: Mapping[str, Array], expected: Mapping[str, Array]
) -> Iterator[BlockParity]:
    for path in paths:
        comparison = compare_layouts(given[path], expected[path]) if path in expected else None
        # If the graph has no tensor of that shape, the exporter has fused the end of the block.
        if comparison is not None:
            yield BlockParity(path, comparison)
