"""How much each block costs when it is quantized, and which go back to float for a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from edge_ovss._progress import Note
from edge_ovss.calibration.accuracy import Accuracy
from edge_ovss.errors import GateError

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
