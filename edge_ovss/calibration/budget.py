"""What goes back to float where a lower precision costs too much: blocks of INT8, parts of FP16."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_ovss._leftovers import scratch_folder
from edge_ovss._progress import Note
from edge_ovss.bundle.manifest import DATA_FILE, GRAPH_FILE
from edge_ovss.calibration.accuracy import Accuracy, Baseline
from edge_ovss.errors import GateError
from edge_ovss.graph.fp16 import HalfReport, convert_to_half
from edge_ovss.graph.model import save_graph
from edge_ovss.graph.walk import WEIGHTED

if TYPE_CHECKING:
    import onnx_ir as ir

LEAST_AGREEMENT = 0.996
"""Share of labels that must stay, of those that float32 decides if its scores tell."""

_IMAGES = 4

Try = Callable[[Sequence[str]], Accuracy]
"""Measures the graph in which exactly these blocks are quantized."""


@dataclass(frozen=True)
class BlockCost:
    """One block quantized, everything else in float.

    Attributes:
        block: Name of the block.
        products: Number of its products.
        agreement: Share of labels that do not change.
        drop: mIoU points lost; None without labels.
    """

    block: str
    products: int
    agreement: float
    drop: float | None

    @property
    def cost(self) -> tuple[float, float]:
        """The sort key of blocks: points lost, then labels changed."""
        return (self.drop or 0.0, 1.0 - self.agreement)

    def to_json(self) -> dict[str, object]:
        """Return the line of the table."""
        return asdict(self)


@dataclass(frozen=True)
class BudgetStep:
    """One round of the budget loop: the blocks that it puts back to float, and the accuracy."""

    back_to_float: tuple[str, ...]
    agreement: float
    drop: float


@dataclass(frozen=True)
class Chosen:
    """The result of the budget loop."""

    blocks: tuple[str, ...]
    accuracy: Accuracy
    steps: tuple[BudgetStep, ...]


def measure_blocks(
    blocks: dict[str, tuple[str, ...]], base: Accuracy, attempt: Try, *, note: Note
) -> list[BlockCost]:
    """Quantize one block at a time.

    Args:
        blocks: Names of products by block.
        base: Accuracy of float32.
        attempt: Measures the graph with some blocks quantized.
        note: Called with one line per block.

    Returns:
        The costs, the most expensive block first.
    """
    costs = []
    for number, (block, nodes) in enumerate(blocks.items(), 1):
        accuracy = attempt([block])
        cost = BlockCost(block, len(nodes), accuracy.agreement, accuracy.drop_from(base))
        costs.append(cost)
        drop = "" if cost.drop is None else f", mIoU {-cost.drop:+.2f}"
        note(f"block {number}/{len(blocks)} {block}: labels {100 * cost.agreement:.2f} %{drop}")
    return sorted(costs, key=lambda cost: cost.cost, reverse=True)


def keep_within(
    budget: float,
    costs: Sequence[BlockCost],
    base: Accuracy,
    attempt: Try,
    *,
    note: Note,
    whole: Accuracy | None = None,
) -> Chosen:
    """Put the most expensive blocks back to float, one by one, until the loss is small enough.

    Args:
        budget: mIoU points that may be lost.
        costs: Costs of all blocks that may be quantized, most expensive first.
        base: Accuracy of float32.
        attempt: Measures the graph with some blocks quantized.
        note: Called with one line per round.
        whole: Accuracy with everything quantized, if it is known already.

    Raises:
        GateError: The budget cannot be kept with any block quantized.
    """
    order = [cost.block for cost in costs]
    steps: list[BudgetStep] = []
    for back in range(len(order)):
        quantized = tuple(order[back:])
        accuracy = whole if whole is not None and not back else attempt(quantized)
        drop = accuracy.drop_from(base)
        if drop is None:
            break
        steps.append(BudgetStep(tuple(order[:back]), accuracy.agreement, drop))
        note(
            f"{len(quantized)} of {len(order)} blocks quantized: mIoU {-drop:+.2f}, "
            f"labels {100 * accuracy.agreement:.2f} %"
        )
        if drop <= budget:
            return Chosen(quantized, accuracy, tuple(steps))
    message = f"INT8 loses more than {budget:g} mIoU points with any block quantized."
    raise GateError(message, hint="Allow more, calibrate on other images, or use FP16.")


def halve_within(
    model: ir.Model,
    largest: Mapping[str, float],
    baseline: Baseline,
    *,
    note: Note,
    exact: Collection[str] = (),
    budget: float | None = None,
) -> tuple[ir.Model, HalfReport]:
    """Convert a graph to FP16; where labels change, its beginning stays in float32.

    What is rounded at the beginning goes through everything behind it. So the shortest beginning is
    searched for, in halving steps, with which enough labels stay.

    Args:
        model: A float32 graph; it is not changed.
        largest: Largest magnitude by tensor.
        baseline: Images and the labels of float32; the first few are used, or all for a budget.
        note: Called with one line for every step of a search.
        exact: Names of modules that stay in float32 whatever the labels do.
        budget: mIoU points that may be lost; None to look at labels only.

    Returns:
        The new graph, and which of its nodes are FP16.
    """
    judge = _Judge(baseline, budget, note)
    half, report = halve(model, largest, exact=exact)
    if judge.passes(half, "FP16"):
        return half, report
    converted = set(report.half_nodes)
    products = [
        str(node.name)
        for node in model.graph
        if node.op_type in WEIGHTED and node.name in converted
    ]
    if not products:  # whatever changed the labels is no part of a product
        return half, report
    fewest, most = 0, len(products) - 1
    while fewest < most:
        middle = (fewest + most) // 2
        attempt, _ = halve(model, largest, products[middle], exact=exact)
        passes = judge.passes(attempt, f"{middle + 1} of {len(products)} products in float32")
        fewest, most = (fewest, middle) if passes else (middle + 1, most)
    return halve(model, largest, products[most], exact=exact)


def halve(
    model: ir.Model,
    largest: Mapping[str, float],
    last: str | None = None,
    *,
    exact: Collection[str] = (),
) -> tuple[ir.Model, HalfReport]:
    """Convert a copy of a graph to FP16, in which everything up to the node `last` stays float32.

    Args:
        model: A float32 graph; it is not changed.
        largest: Largest magnitude by tensor.
        last: Name of a node; None to convert all that can be.
        exact: Names of modules that stay in float32 too.

    Returns:
        The new graph, and which of its nodes are FP16.
    """
    half = model.clone()
    names = [str(node.name) for node in half.graph]
    kept = () if last is None else names[: names.index(last) + 1]
    return half, convert_to_half(half, largest, frozenset(kept), exact)


@dataclass(frozen=True)
class _Judge:
    """Says whether an FP16 graph is good enough.

    Attributes:
        baseline: Images and the labels of float32.
        budget: mIoU points that may be lost, or None.
        note: Called with one line for every graph.
    """

    baseline: Baseline
    budget: float | None
    note: Note

    def passes(self, model: ir.Model, what: str) -> bool:
        """Measure a graph, and say so of `what`."""
        if self.budget is None:
            agreement = _share(_measure(model, self.baseline.first(_IMAGES)))
            self.note(f"{what}: labels {100 * agreement:.2f} %")
            return agreement >= LEAST_AGREEMENT
        found = _measure(model, self.baseline)
        drop = found.drop_from(self.baseline.accuracy) or 0.0
        self.note(f"{what}: mIoU {-drop:+.2f}, labels {100 * found.agreement:.2f} %")
        return drop <= self.budget and _share(found) >= LEAST_AGREEMENT


def _share(found: Accuracy) -> float:
    return found.agreement if found.decided_agreement is None else found.decided_agreement


def _measure(model: ir.Model, baseline: Baseline) -> Accuracy:
    with scratch_folder() as folder:
        path = folder / GRAPH_FILE
        save_graph(model, path, data=DATA_FILE)
        return baseline.compare(path)
