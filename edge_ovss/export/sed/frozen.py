"""SED with its vocabulary frozen in: camera bytes in, labels out.

Rewritten from the published order of operations, without changing the outputs:

* normalization is folded into the trunk's first convolution, and every layer scale into the
  linear layer before it;
* text embeddings are normalized once, here, and are constants of the graph;
* the first rejection needs one number per position and category, so `conv1` and its head become
  one operation for all categories, and `conv1` itself runs for the survivors only;
* a category's cost guidance is computed after the rejection that it survived;
* of the first 3×3 convolution of a skip step, the part that reads the image guidance is the
  same for every category and computed once;
* what widens a tensor works on pieces that fit in a processor's cache.

All but the folding can be left out (`Rewrites`), to measure or to test them.

In an open graph the embeddings are an input, and places may be empty. Only the class attention and
the rejections let categories see each other, so that an empty place is neutral if it gets no vote,
its key is 0, and its scores are 0. Until the first rejection the number of places is free.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.bundle.contract import STAGES, UNKNOWN, labels_dtype
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.parts.selection import (
    Selection,
    count_votes,
    select_all_with_votes,
    select_slots,
)
from edge_ovss.export.parts.unknown import mark_unknown
from edge_ovss.export.parts.upsample_argmax import PIXEL_BYTES, best_label, best_label_of_any
from edge_ovss.export.parts.words import Words, count_present, mark_empty
from edge_ovss.export.sed.decoder_layer import FrozenLayer, fold_layer_scale
from edge_ovss.export.sed.first_score import FirstScore
from edge_ovss.export.sed.rewrites import (
    PieceBlock,
    Rewrites,
    in_this_order,
    norm_rows,
    rewrites_for,
    to_planes,
    to_rows,
)
from edge_ovss.models.sed.model import Sed
from edge_ovss.models.spec import Clip


class FrozenSed(nn.Module):
    """The graph that is exported. Not meant to be called for anything but tracing and comparing.

    Args:
        loaded: SED with weights and a vocabulary of T categories and K outputs. It is not changed.
        rejection: The rejection, already fitted to T.
        outputs: Names of the outputs, in the order in which they are returned.
        rewrites: Which rewrites apply; None for those of the device.
    """

    visual: Clip
    text: Tensor
    output_map: Tensor
    stem_weight: Tensor
    stem_bias: Tensor

    def __init__(
        self,
        loaded: LoadedModel,
        rejection: Rejection,
        outputs: tuple[str, ...],
        *,
        rewrites: Rewrites | None = None,
    ) -> None:
        super().__init__()
        model, size = loaded.model, loaded.size
        self.visual = copy.deepcopy(model.clip_model.visual)
        self.decoder = model.transformer
        self.conv1 = model.transformer.conv1
        self.coarse = (size[0] // 32, size[1] // 32)
        self.first_score = FirstScore(self.conv1, self.decoder.head0, size=self.coarse)
        self.cost_guidance = nn.ModuleList(model.transformer.decoder_corr_guidance_projection)
        self.rewrites = rewrites or rewrites_for(loaded.made_for)
        trunk_bytes = self.rewrites.piece_bytes
        if rejection.mode == "dynamic":  # how many are alive is not known: they cannot be cut
            self.rewrites = replace(self.rewrites, piece_bytes=None)
        layers = model.transformer.layers
        heads = model.transformer.rejection_heads
        self.layers = nn.ModuleList(
            FrozenLayer(layer, head, self.rewrites)
            for layer, head in zip(layers, heads, strict=True)
        )
        self.rejection = rejection
        self.size = size
        self.outputs = outputs
        self.frame_bytes = PIXEL_BYTES
        labels = labels_dtype(loaded.outputs)
        self.labels_dtype, self.unknown = getattr(torch, labels), UNKNOWN[labels]
        text = F.normalize(torch.from_numpy(loaded.embeddings.array), dim=-1)
        self.categories, self.templates, _ = text.shape
        self.register_buffer("text", text.flatten(0, 1).contiguous())
        output_map = torch.tensor(loaded.vocabulary.output_map, dtype=torch.float32)
        self.register_buffer("output_map", output_map)
        self._fold_normalization(model)
        self._prepare_trunk(trunk_bytes)

    def _prepare_trunk(self, limit: int | None) -> None:
        for stage in self.visual.trunk.stages:
            for place, block in enumerate(stage.blocks):
                fold_layer_scale(block, block.mlp.fc2)
                stage.blocks[place] = PieceBlock(block, limit)

    def _fold_normalization(self, model: Sed) -> None:
        stem = model.clip_model.visual.trunk.stem
        spec = model.spec.picture
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        weight = stem[0].weight.detach().double() / std.view(1, 3, 1, 1)
        shift = (weight * mean.view(1, 3, 1, 1)).sum((1, 2, 3))
        self.register_buffer("stem_weight", weight.float())
        self.register_buffer("stem_bias", (stem[0].bias.detach().double() - shift).float())

    def forward(
        self,
        frame: Tensor,
        thresholds: Tensor | None = None,
        text: Tensor | None = None,
        places: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Segment one frame.

        Args:
            frame: uint8 [1, H, W, 3] RGB.
            thresholds: float32 [K], of the best score; labels below are unknown. None for none.
            text: Unit embeddings of other words, float32 [n, P, D]; None for the vocabulary.
            places: Output of each, float32 [n], −1 where a place is empty.

        Returns:
            The outputs by name, in the order of `outputs`: labels uint8 or uint16 [1, H, W];
            alive int32 [slots], −1 for an empty slot; counts int32 [3]; scores float32
            [1, T, h, w], sigmoid, 0 where rejected; confidence float32 [1, H, W].
        """
        words = self.words(text, places)
        guidance, dense = self.encode(self.prepare(frame))
        scores, ids, valid, counts = self.decode(guidance, dense, words)
        height, width = frame.shape[1], frame.shape[2]
        table = words.table.index_select(0, ids)
        find = best_label_of_any if self.rejection.mode == "dynamic" else best_label
        best, confidence = find(scores, table, height=height, width=width)
        labels = mark_unknown(best, confidence, thresholds, self.unknown)
        answers = {
            # TensorRT takes uint8 as an output only where the cast is the very last operation.
            "labels": lambda: labels.unsqueeze(0).to(self.labels_dtype),
            "alive": lambda: mark_empty(ids, valid),
            "counts": lambda: counts,
            "scores": lambda: self.spread(scores, ids, valid, words.table.shape[0]).unsqueeze(0),
            "confidence": lambda: confidence.unsqueeze(0),
        }
        return tuple(answers[name]() for name in self.outputs)

    def words(self, text: Tensor | None, places: Tensor | None) -> Words:
        """Return the words that are given, or those of the vocabulary; their text [n·P, D]."""
        if text is None or places is None:
            return Words(self.text, self.output_map, None)
        return Words.given(text.flatten(0, 1), places)

    def prepare(self, frame: Tensor) -> Tensor:
        """uint8 [1, H, W, 3] → float32 [1, 3, height, width], in 0…255."""
        x = frame.to(torch.float32).permute(0, 3, 1, 2)
        return F.interpolate(x, size=self.size, mode="bilinear", align_corners=False)

    def encode(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Image guidance of the three layers, and unit dense features [positions, D]."""
        trunk = self.visual.trunk
        x = F.conv2d(x, self.stem_weight, self.stem_bias, stride=4)
        rows, grid = norm_rows(to_rows(x), trunk.stem[1]), (x.shape[2], x.shape[3])
        features: list[Tensor] = []
        for stage in trunk.stages:
            if isinstance(stage.downsample, nn.Sequential):
                norm, conv = stage.downsample
                x = conv(to_planes(norm_rows(rows, norm), grid))
                rows, grid = to_rows(x), (x.shape[2], x.shape[3])
            for block in stage.blocks:
                rows = block(rows, grid)
            features.append(to_planes(rows, grid))
        rows, *guidance = in_this_order(rows, *self.decoder.guide(features[:3]))
        rows = norm_rows(rows, trunk.head.norm).flatten(0, 1)
        return guidance, F.normalize(self.visual.head(rows), dim=-1)

    def decode(
        self, guidance: list[Tensor], dense: Tensor, words: Words
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Run the decoder with rejection.

        Returns:
            Scores float [S, h, w] with 0 in empty slots, category ids int64 [S], valid float [S]
            or None, counts int32 [3].
        """
        costs = self.cost_guidance_before(self.cost_map(dense, words))
        ids = torch.arange(words.table.shape[0], device=dense.device)
        valid = words.present
        counts: list[Tensor] = []
        x, chosen = self.first_stage(costs[0], valid)
        for stage in range(STAGES):
            if stage > 0:
                layer: Any = self.layers[stage]
                chosen = self.reject(stage, layer.rejection_score(x), valid)
                x = _select(x, chosen)
            if chosen is not None:
                costs = [_select(cost, chosen) for cost in costs]
                ids, valid = _select(ids, chosen), chosen.valid
                counts.append(chosen.wanted)
            x, costs = self.decode_layer(stage, x, guidance[stage], costs, valid)
        return self.mask(x, valid), ids, valid, self.report_counts(counts, words)

    def cost_map(self, dense: Tensor, words: Words) -> Tensor:
        """Unit dense features [positions, D] → similarities [T, P, h, w]."""
        # Text comes first: the result then has the memory layout that the convolutions read.
        return (words.text @ dense.t()).view(words.table.shape[0], self.templates, *self.coarse)

    def cost_guidance_before(self, level: Tensor) -> list[Tensor]:
        """The cost map, and behind it what is computed for all categories before any rejection."""
        if self.rewrites.late_guidance:
            return [level]
        levels = [level]
        for projection in self.cost_guidance:
            levels.append(projection(levels[-1]))
        return levels

    def first_stage(self, level: Tensor, present: Tensor | None) -> tuple[Tensor, Selection | None]:
        """`conv1` and the first rejection: features of those that stay [S, C, h, w]."""
        if self.rejection.mode != "none" and self.rewrites.late_cost:
            chosen = self.reject(0, self.first_score(level), present)
            return self.conv1(_select(level, chosen)), chosen
        x = self.conv1(level)
        chosen = self.reject(0, self.decoder.head0(x), present)
        return _select(x, chosen), chosen

    def reject(self, stage: int, scores: Tensor, valid: Tensor | None) -> Selection | None:
        """Decide by scores float [S, 1, h, w] who stays before layer `stage`; None: everybody."""
        if self.rejection.mode == "none":
            return None
        votes = count_votes(scores[:, 0], topk=self.rejection.k, valid=valid)
        if self.rejection.slots is None:
            return select_all_with_votes(votes, topk=self.rejection.k)
        return select_slots(votes, slots=self.rejection.slots[stage])

    def decode_layer(
        self,
        stage: int,
        x: Tensor,
        guidance: Tensor,
        costs: list[Tensor],
        valid: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run layer `stage`; after the last one come the scores [S, h, w].

        Returns:
            Features for the next layer, and its cost guidance (see `cost_guidance_before`).
        """
        layer: Any = self.layers[stage]
        rows, last = layer.mix(x, valid), stage == STAGES - 1
        after = self.score if last else None
        if not self.rewrites.late_guidance:
            return layer.upsample(rows, guidance, costs[stage + 1], after=after), costs
        project: Any = self.cost_guidance[stage]
        if last:
            return layer.upsample(rows, guidance, costs[0], before=project, after=after), costs
        cost = project(costs[0])
        return layer.upsample(rows, guidance, cost), [cost]

    def score(self, x: Tensor) -> Tensor:
        """Features float [S, C, h, w] → scores [S, h, w]."""
        scores: Tensor = self.decoder.head(x)[:, 0].sigmoid()
        return scores

    def mask(self, scores: Tensor, valid: Tensor | None) -> Tensor:
        """Scores with 0 in empty slots."""
        return scores if valid is None else scores * valid.view(-1, 1, 1)

    def report_counts(self, counts: list[Tensor], words: Words) -> Tensor:
        """int32 [3]; without rejection everybody wants to stay."""
        return torch.stack(counts) if counts else count_present(words, STAGES)

    def spread(self, scores: Tensor, ids: Tensor, valid: Tensor | None, count: int) -> Tensor:
        """Scores of the slots float [S, h, w] → of all categories float [count, h, w]."""
        if self.rejection.mode == "none":
            return scores
        wanted = torch.arange(count, device=ids.device).unsqueeze(1)
        here = (ids.unsqueeze(0) == wanted).to(scores.dtype)
        if valid is not None:
            here = here * valid
        # A product with zeros and ones copies exactly; TensorRT-friendly, unlike a scatter.
        return (here @ scores.flatten(1)).view(count, *scores.shape[1:])


def _select(x: Tensor, chosen: Selection | None) -> Tensor:
    return x if chosen is None else x.index_select(0, chosen.index)
