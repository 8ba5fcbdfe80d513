"""Graphs of SED with random weights and made-up embeddings, without the bundle around them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.shared.fixture import survivor_pack
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.families import family_export
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.graph_files import trace
from edge_ovss.export.options import ALWAYS
from edge_ovss.export.sed.frozen import FrozenSed
from edge_ovss.export.sed.rewrites import Rewrites
from edge_ovss.export.sed.template_rank import compress_templates
from edge_ovss.models import load_model
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import Vocabulary


class Maker:
    """Writes variants of one model for one vocabulary.

    Args:
        model: Such as "sed-base".
        vocabulary: Such as "ade150".
        survivors: How many categories survive the first rejection.
        slots: Places after the three rejections.
    """

    def __init__(
        self, model: str, vocabulary: str, *, survivors: int, slots: tuple[int, ...]
    ) -> None:
        self.vocabulary = Vocabulary.load(vocabulary)
        self.model = load_model(model, weights="random", seed=0)
        self.embeddings = survivor_pack(self.model, self.vocabulary, survivors=survivors)
        first, second, third = slots
        rejection = Rejection("slots", topk=8, slots=(first, second, third))
        self.rejection = rejection.fit(len(self.vocabulary))

    def write(self, path: Path, *, rank: int | None = None, **rewrites: Any) -> float:  # noqa: ANN401
        """Write a graph; returns its multiply-adds for one frame, in billions.

        Args:
            path: The ONNX file; weights go beside it.
            rank: Template rank, or None.
            rewrites: Of `Rewrites`, what to leave out.
        """
        import onnx_ir

        graph = self._freeze(self.rejection, Rewrites(**rewrites))
        if rank is not None:
            compress_templates(graph, rank)
        frame = render_street(seed=7, height=480, width=640).image
        facts = {"edge_ovss.version": "benchmark"}
        x = torch.from_numpy(np.array(frame))[None]
        model = trace(graph, x, outputs=ALWAYS, metadata=facts)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx_ir.save(model, path, external_data="model.onnx.data")
        return count_multiply_adds(graph)

    def published_multiply_adds(self, survivors: tuple[int, int, int]) -> float:
        """Billions of multiply-adds of the published order of operations."""
        rewrites = Rewrites(
            late_cost=False,
            late_guidance=False,
            split_skip=False,
            joint_heads=False,
            piece_bytes=None,
        )
        rejection = Rejection("slots", topk=8, slots=survivors)
        return count_multiply_adds(self._freeze(rejection, rewrites))

    def _freeze(self, rejection: Rejection, rewrites: Rewrites) -> FrozenSed:
        picture = self.model.spec.picture
        size = (picture.height, picture.width)
        family = family_export(self.model.spec.family)
        loaded = LoadedModel(family, self.model, self.vocabulary, self.embeddings, size)
        return FrozenSed(loaded, rejection, ALWAYS, rewrites=rewrites).eval()


def count_multiply_adds(graph: FrozenSed) -> float:
    """Billions of multiply-adds of convolutions and matrix products for one frame."""
    empty = copy.deepcopy(graph).to("meta")  # shapes are enough; the weights may be shared
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        empty(torch.zeros(1, 480, 640, 3, dtype=torch.uint8, device="meta"))
    return counter.get_total_flops() / 2e9
