"""INT8: candidates, ranges, the sensitivity of blocks and the accuracy budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_ovss._leftovers import scratch_folder
from edge_ovss._progress import Note, silent
from edge_ovss.bundle.contract import Arrays
from edge_ovss.calibration.accuracy import Accuracy, Baseline
from edge_ovss.calibration.blocks import Candidates, find_candidates
from edge_ovss.calibration.budget import BlockCost, BudgetStep, keep_within, measure_blocks
from edge_ovss.calibration.histograms import Range
from edge_ovss.calibration.options import CalibrateOptions
from edge_ovss.calibration.quantize import (
    find_target,
    quantize,
    range_tensors,
    zero_range_nodes,
)
from edge_ovss.calibration.ranges import measure_largest, measure_ranges
from edge_ovss.calibration.recipe import Recipe
from edge_ovss.errors import ArtifactError
from edge_ovss.graph.confine_qdq import confine_qdq
from edge_ovss.graph.fp16 import HalfReport, convert_to_half
from edge_ovss.graph.keep_bias_apart import keep_bias_apart
from edge_ovss.graph.model import save_graph

if TYPE_CHECKING:
    import onnx_ir as ir

Pictures = Any


@dataclass(frozen=True)
class Quantized:
    """A quantized graph and how it was made.

    Attributes:
        model: The graph.
        candidates: The products that may be quantized, and why others may not.
        blocks: The blocks that are quantized.
        in_float: The blocks that the recipe or the budget keeps in float, sorted.
        excluded: Why a product stays in float, by its name.
        ranges: (lowest, highest) by tensor.
        costs: Costs of the blocks, if they were measured.
        steps: Rounds of the budget loop, if there was one.
        half: The conversion to FP16, if there was one.
    """

    model: ir.Model
    candidates: Candidates
    blocks: tuple[str, ...]
    in_float: tuple[str, ...]
    excluded: Mapping[str, str]
    ranges: Mapping[str, Range]
    costs: tuple[BlockCost, ...] = ()
    steps: tuple[BudgetStep, ...] = ()
    half: HalfReport | None = None


@dataclass(frozen=True)
class Quantizer:
    """Makes quantized graphs from one float32 graph.

    Attributes:
        model: The float32 graph.
        options: The options of the calibration.
        candidates: The products that may be quantized.
        ranges: (lowest, highest) by tensor.
        largest: Largest magnitude by tensor, where the float base is FP16.
        note: Called with one line at every step.
    """

    model: ir.Model
    options: CalibrateOptions
    candidates: Candidates
    ranges: Mapping[str, Range]
    largest: dict[str, float] | None
    note: Note

    @classmethod
    def measure(
        cls,
        model: ir.Model,
        options: CalibrateOptions,
        pictures: Pictures,
        *,
        key: str,
        note: Note = silent,
        words: Arrays | None = None,
    ) -> Quantizer:
        """Measure the ranges that quantizing a graph needs.

        Args:
            model: The float32 graph.
            options: The options of the calibration.
            pictures: Calibration images, to be iterated several times.
            key: Hash of graph and images, for the cache of ranges.
            note: Called with one line at every step.
            words: `text` and `places` of an open graph.

        Raises:
            ArtifactError: No product of the graph can be quantized.
            InputError: The recipe names blocks that the graph does not have.
        """
        found = find_candidates(model)
        if not found.blocks:
            message = "The graph has no product that may be quantized."
            raise ArtifactError(message, hint="Use --precision fp16.")
        note(f"measuring the ranges of {len(found.nodes)} products on {len(pictures)} images")
        tensors = range_tensors(model, found)
        ranges = measure_ranges(model, pictures, tensors, options.method, key=key, words=words)
        largest = None
        if options.float_base == "fp16":
            largest = measure_largest(model, pictures, key=key, words=words)
        zeros = zero_range_nodes(model, found, ranges)
        if zeros:
            note(f"{len(zeros)} products read nothing but zeros and stay in float")
        return cls(model, options, _usable(found, zeros, options.recipe), ranges, largest, note)

    def make(self, blocks: Sequence[str], *, base: str) -> tuple[ir.Model, HalfReport | None]:
        """Return a graph with these blocks in INT8 and the rest in `base`."""
        nodes = [name for block in blocks for name in self.candidates.blocks[block]]
        target = find_target(self.options.target)
        model = quantize(self.model, nodes, self.ranges, target)
        confine_qdq(model, set(nodes), target.quantized_outputs)
        if target.name == "cpu":
            keep_bias_apart(model, set(nodes))
        return model, convert_to_half(model, self.largest) if base == "fp16" else None

    def choose(self, baseline: Baseline) -> Quantized:
        """Quantize everything, or as much as the budget allows."""
        options, blocks = self.options, tuple(self.candidates.blocks)
        with scratch_folder() as folder:

            def attempt(chosen: Sequence[str], base: str = options.float_base) -> Accuracy:
                path = folder / "model.onnx"
                save_graph(self.make(chosen, base=base)[0], path, data="model.onnx.data")
                return baseline.compare(path)

            whole = attempt(blocks)
            drop, budget = whole.drop_from(baseline.accuracy), options.max_miou_drop
            self._say_whole(whole, drop)
            within = budget is None or drop is None or drop <= budget
            if within and not options.sensitivity:
                return self._done(blocks)
            costs = measure_blocks(
                dict(self.candidates.blocks),
                baseline.accuracy,
                lambda chosen: attempt(chosen, "fp32"),
                note=self.note,
            )
            if within or budget is None:
                return self._done(blocks, costs=costs)
            found = keep_within(
                budget, costs, baseline.accuracy, attempt, note=self.note, whole=whole
            )
            return self._done(found.blocks, costs=costs, steps=found.steps)

    def _say_whole(self, accuracy: Accuracy, drop: float | None) -> None:
        points = "" if drop is None else f", mIoU {-drop:+.2f}"
        self.note(f"all blocks quantized: labels {100 * accuracy.agreement:.2f} %{points}")

    def _done(
        self,
        blocks: Sequence[str],
        *,
        costs: Sequence[BlockCost] = (),
        steps: Sequence[BudgetStep] = (),
    ) -> Quantized:
        model, half = self.make(blocks, base=self.options.float_base)
        excluded, recipe = dict(self.candidates.excluded), self.options.recipe
        back = [block for block in self.candidates.blocks if block not in blocks]
        for block in back:
            excluded.update(dict.fromkeys(self.candidates.blocks[block], "budget"))
        return Quantized(
            model,
            self.candidates,
            tuple(block for block in self.candidates.blocks if block in blocks),
            tuple(sorted({*back, *(recipe.excluded if recipe else ())})),
            excluded,
            self.ranges,
            tuple(costs),
            tuple(steps),
            half,
        )


def _usable(found: Candidates, zeros: Sequence[str], recipe: Recipe | None) -> Candidates:
    """Leave out what has no scale and what the recipe excludes."""
    excluded = {**found.excluded, **dict.fromkeys(zeros, "zero range")}
    if recipe is not None:
        recipe.require_blocks(found.blocks)
        for block in recipe.excluded:
            excluded.update(dict.fromkeys(found.blocks[block], "recipe"))
    blocks = {
        block: tuple(name for name in names if name not in excluded)
        for block, names in found.blocks.items()
    }
    kept = {block: names for block, names in blocks.items() if names}
    if not kept:
        message = "Nothing is left to quantize: everything is excluded or always zero."
        raise ArtifactError(message, hint="Check the images and the recipe.")
    return Candidates(kept, excluded)
