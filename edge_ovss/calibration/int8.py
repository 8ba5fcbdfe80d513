"""INT8: candidates, ranges, the sensitivity of blocks and the accuracy budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ovss._leftovers import scratch_folder
from edge_ovss._progress import Note
from edge_ovss.calibration.accuracy import Judge, Judged
from edge_ovss.calibration.blocks import Candidates, find_candidates
from edge_ovss.calibration.budget import BlockCost, Step, keep_within, measure_blocks
from edge_ovss.calibration.histograms import Range
from edge_ovss.calibration.options import CalibrateOptions
from edge_ovss.calibration.quantize import (
    find_target,
    quantise,
    range_tensors,
    zero_range_nodes,
)
from edge_ovss.calibration.ranges import find_ranges, float_tensors
from edge_ovss.errors import ArtifactError
from edge_ovss.graph.fp16 import HalfReport, convert_to_half
from edge_ovss.graph.ort_bias_fusion import widen_biases
from edge_ovss.graph.qdq_scope import keep_to
from edge_ovss.graph.view import GraphView

Pictures = Any


@dataclass(frozen=True)
class Quantised:
    """A quantised graph and how it came about.

    Attributes:
        view: The graph.
        candidates: What may be quantised, and what not for which reason.
        blocks: The blocks that are quantised.
        in_float: The blocks that are not, by the recipe or by the budget loop; sorted.
        excluded: Reason by name of every product that is not.
        ranges: (lowest, highest) by tensor.
        costs: By block, if they were measured.
        steps: Of the budget loop, if there was one.
        half: What became FP16, if anything.
        judged: What the graph reaches, if it was judged by the budget loop.
    """

    view: GraphView
    candidates: Candidates
    blocks: tuple[str, ...]
    in_float: tuple[str, ...]
    excluded: Mapping[str, str]
    ranges: Mapping[str, Range]
    costs: tuple[BlockCost, ...] = ()
    steps: tuple[Step, ...] = ()
    half: HalfReport | None = None
    judged: Judged | None = None


class Quantiser:
    """Makes quantised graphs from one float32 graph.

    Args:
        path: The float32 ONNX file.
        options: What is asked for.
        pictures: Calibration pictures, to be iterated several times.
        key: Hash of graph and pictures, for the cache of ranges.
        note: Called with one line at every step.
    """

    def __init__(
        self, path: Path, options: CalibrateOptions, pictures: Pictures, *, key: str, note: Note
    ) -> None:
        self.options, self.note = options, note
        self.view = GraphView.load(path)
        self.target = find_target(options.target)
        found = find_candidates(self.view)
        if not found.blocks:
            message = "The graph has no product that may be quantised."
            raise ArtifactError(message, hint="Use --precision fp16.")
        note(f"measuring the ranges of {len(found.nodes)} products on {len(pictures)} pictures")
        tensors = range_tensors(self.view, found)
        self.ranges = find_ranges(path, self.view, pictures, tensors, options.method, key=key)
        self.largest = self._largest(path, pictures, key)
        self.candidates = self._usable(found)

    def _largest(self, path: Path, pictures: Pictures, key: str) -> dict[str, float] | None:
        if self.options.float_base != "fp16":
            return None
        tensors = float_tensors(self.view)
        ranges = find_ranges(path, self.view, pictures, tensors, key=key)
        return {name: max(-low, high) for name, (low, high) in ranges.items()}

    def _usable(self, found: Candidates) -> Candidates:
        """Leave out what has no scale and what the recipe excludes."""
        excluded = dict(found.excluded)
        zeros = zero_range_nodes(self.view, found, self.ranges)
        excluded.update(dict.fromkeys(zeros, "zero range"))
        if zeros:
            self.note(f"{len(zeros)} products read nothing but zeros and stay in float")
        if self.options.recipe is not None:
            self.options.recipe.require_blocks(found.blocks)
            for block in self.options.recipe.excluded:
                excluded.update(dict.fromkeys(found.blocks[block], "recipe"))
        blocks = {
            block: tuple(name for name in names if name not in excluded)
            for block, names in found.blocks.items()
        }
        kept = {block: names for block, names in blocks.items() if names}
        if not kept:
            message = "Nothing is left to quantise: everything is excluded or always zero."
            raise ArtifactError(message, hint="Check the pictures and the recipe.")
        return Candidates(kept, excluded)

    def make(self, blocks: Sequence[str], *, base: str) -> tuple[GraphView, HalfReport | None]:
        """Return the graph with these blocks in INT8 and the rest in `base`."""
        nodes = [name for block in blocks for name in self.candidates.blocks[block]]
        model = quantise(self.view.model, nodes, self.ranges, self.target)
        view = GraphView.of(model)
        keep_to(view, nodes, self.target.quantised_outputs)
        if self.target.name == "cpu":
            widen_biases(view, nodes)
        return view, convert_to_half(view, self.largest) if base == "fp16" else None

    def choose(self, judge: Judge) -> Quantised:
        """Quantise everything, or as much as the budget allows."""
        options, blocks = self.options, tuple(self.candidates.blocks)
        with scratch_folder() as folder:

            def attempt(chosen: Sequence[str], base: str) -> Judged:
                view, _ = self.make(chosen, base=base)
                path = folder / "model.onnx"
                (folder / "model.onnx.data").unlink(missing_ok=True)
                view.save(path, data="model.onnx.data")
                return judge.judge(path)

            whole = attempt(blocks, options.float_base)
            drop, budget = whole.drop_from(judge.base), options.max_miou_drop
            self._say_whole(whole, drop)
            within = budget is None or drop is None or drop <= budget
            if within and not options.sensitivity:
                return self._done(blocks, judged=whole)
            costs = measure_blocks(
                dict(self.candidates.blocks),
                judge.base,
                lambda chosen: attempt(chosen, "fp32"),
                note=self.note,
            )
            if within or budget is None:
                return self._done(blocks, costs=costs, judged=whole)
            found = keep_within(
                budget,
                costs,
                judge.base,
                lambda chosen: attempt(chosen, options.float_base),
                note=self.note,
                whole=whole,
            )
            return self._done(found.blocks, costs=costs, steps=found.steps, judged=found.judged)

    def _say_whole(self, judged: Judged, drop: float | None) -> None:
        points = "" if drop is None else f", mIoU {-drop:+.2f}"
        self.note(f"all blocks quantised: labels {100 * judged.agreement:.2f} %{points}")

    def _done(
        self,
        blocks: Sequence[str],
        *,
        costs: Sequence[BlockCost] = (),
        steps: Sequence[Step] = (),
        judged: Judged,
    ) -> Quantised:
        view, half = self.make(blocks, base=self.options.float_base)
        excluded, recipe = dict(self.candidates.excluded), self.options.recipe
        back = [block for block in self.candidates.blocks if block not in blocks]
        for block in back:
            excluded.update(dict.fromkeys(self.candidates.blocks[block], "budget"))
        return Quantised(
            view,
            self.candidates,
            tuple(block for block in self.candidates.blocks if block in blocks),
            tuple(sorted({*back, *(recipe.excluded if recipe else ())})),
            excluded,
            self.ranges,
            tuple(costs),
            tuple(steps),
            half,
            judged,
        )
