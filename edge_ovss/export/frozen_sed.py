"""SED with its vocabulary frozen in: camera bytes in, labels out.

Rewritten against the published order of operations, without changing the answer:

* normalisation is folded into the trunk's first convolution, and every layer scale into the
  linear layer before it;
* text embeddings are normalised once, here, and are constants of the graph;
* a category's cost guidance is computed after the rejection that it survived;
* of the first 3×3 convolution of a skip step, the part that reads the picture guidance is the
  same for every category and computed once.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.export.answer import CHUNK, best_category
from edge_ovss.export.rejection import (
    STAGES,
    Rejection,
    Selection,
    count_votes,
    select_all_with_votes,
    select_slots,
)
from edge_ovss.models.sed.blocks import DecoderLayer
from edge_ovss.models.sed.model import Sed
from edge_ovss.models.spec import Clip
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


class FrozenSed(nn.Module):
    """The graph that is exported. Not meant to be called for anything but tracing and comparing.

    Args:
        model: SED, filled, in eval mode. It is not changed.
        embeddings: Text embeddings of `vocabulary`.
        vocabulary: T categories, K outputs.
        rejection: Already fitted to T.
        size: (height, width) inside the network, multiples of 32.
        outputs: Names of the outputs, in the order in which they are returned.
    """

    visual: Clip
    text: Tensor
    output_map: Tensor
    stem_weight: Tensor
    stem_bias: Tensor

    def __init__(
        self,
        model: Sed,
        *,
        embeddings: TextEmbeddings,
        vocabulary: Vocabulary,
        rejection: Rejection,
        size: tuple[int, int],
        outputs: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.visual = copy.deepcopy(model.clip_model.visual)
        self.decoder = model.transformer
        self.conv1 = model.transformer.conv1
        self.cost_guidance = nn.ModuleList(model.transformer.decoder_corr_guidance_projection)
        self.layers = nn.ModuleList(FrozenLayer(layer) for layer in model.transformer.layers)
        self.rejection = rejection
        self.size = size
        self.outputs = outputs
        self.labels_dtype = torch.uint8 if len(vocabulary.outputs) <= 255 else torch.uint16
        text = F.normalize(torch.from_numpy(embeddings.array), dim=-1)
        self.categories, self.templates, _ = text.shape
        self.register_buffer("text", text.flatten(0, 1).t().contiguous())
        output_map = torch.tensor(vocabulary.output_map, dtype=torch.float32)
        self.register_buffer("output_map", output_map)
        self._fold_normalisation(model)
        for stage in self.visual.trunk.stages:
            for block in stage.blocks:
                fold_layer_scale(block, block.mlp.fc2)

    def _fold_normalisation(self, model: Sed) -> None:
        stem = model.clip_model.visual.trunk.stem
        spec = model.spec.picture
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        weight = stem[0].weight.detach().double() / std.view(1, 3, 1, 1)
        shift = (weight * mean.view(1, 3, 1, 1)).sum((1, 2, 3))
        self.register_buffer("stem_weight", weight.float())
        self.register_buffer("stem_bias", (stem[0].bias.detach().double() - shift).float())

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Segment one frame.

        Args:
            frame: uint8 [1, H, W, 3] RGB.

        Returns:
            The outputs by name, in the order of `outputs`: labels uint8 or uint16 [1, H, W];
            alive int32 [slots], −1 for an empty slot; counts int32 [3]; scores float32
            [1, T, h, w], sigmoid, 0 where rejected; confidence float32 [1, H, W].
        """
        features, dense = self.encode(self.prepare(frame))
        scores, ids, valid, counts = self.decode(features, dense)
        height, width = frame.shape[1], frame.shape[2]
        # How many are alive under `dynamic` is not known while tracing: one chunk holds them all.
        chunk = None if self.rejection.mode == "dynamic" else CHUNK
        index, confidence = best_category(scores, height=height, width=width, chunk=chunk)
        answers = {
            "labels": lambda: self.label(index, ids),
            "alive": lambda: self.report_alive(ids, valid),
            "counts": lambda: counts,
            "scores": lambda: self.spread(scores, ids, valid).unsqueeze(0),
            "confidence": lambda: confidence.unsqueeze(0),
        }
        return tuple(answers[name]() for name in self.outputs)

    def prepare(self, frame: Tensor) -> Tensor:
        """uint8 [1, H, W, 3] → float32 [1, 3, height, width], in 0…255."""
        x = frame.to(torch.float32).permute(0, 3, 1, 2)
        return F.interpolate(x, size=self.size, mode="bilinear", align_corners=False)

    def encode(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Trunk features at strides 4, 8, 16, and unit dense features [positions, D]."""
        trunk = self.visual.trunk
        x = trunk.stem[1](F.conv2d(x, self.stem_weight, self.stem_bias, stride=4))
        features: list[Tensor] = []
        for stage in trunk.stages:
            x = stage(x)
            features.append(x)
        x = trunk.head.norm(x).permute(0, 2, 3, 1).flatten(0, 2)
        return features[:3], F.normalize(self.visual.head(x), dim=-1)

    def decode(
        self, features: list[Tensor], dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Run the decoder with rejection.

        Returns:
            Scores float [S, h, w] with 0 in empty slots, category ids int64 [S], valid float [S]
            or None, counts int32 [3].
        """
        height, width = self.size[0] // 32, self.size[1] // 32
        cost = (dense @ self.text).view(height, width, self.categories, self.templates)
        level = cost.permute(2, 3, 0, 1)
        guidance = self.decoder.guide(features)
        x = self.conv1(level)
        ids = torch.arange(self.categories, device=dense.device)
        valid: Tensor | None = None
        counts: list[Tensor] = []
        for stage in range(STAGES):
            chosen = self.reject(stage, x, valid)
            if chosen is not None:
                x, level = x.index_select(0, chosen.index), level.index_select(0, chosen.index)
                ids, valid = ids.index_select(0, chosen.index), chosen.valid
                counts.append(chosen.wanted)
            level = self.cost_guidance[stage](level)
            x = self.layers[stage](x, guidance[stage], level, valid)
        scores = self.decoder.head(x)[:, 0].sigmoid()
        if valid is not None:
            scores = scores * valid.view(-1, 1, 1)
        return scores, ids, valid, self.report_counts(counts)

    def reject(self, stage: int, x: Tensor, valid: Tensor | None) -> Selection | None:
        """Decide who stays before layer `stage`; None where everybody does."""
        if self.rejection.mode == "none":
            return None
        head = self.decoder.rejection_heads[stage]
        votes = count_votes(head(x)[:, 0], topk=self.rejection.topk, valid=valid)
        if self.rejection.slots is None:
            return select_all_with_votes(votes, topk=self.rejection.topk)
        return select_slots(votes, slots=self.rejection.slots[stage])

    def report_counts(self, counts: list[Tensor]) -> Tensor:
        """int32 [3]; without rejection everybody wants to stay."""
        if not counts:
            return torch.full((STAGES,), self.categories, dtype=torch.int32)
        return torch.stack(counts)

    def report_alive(self, ids: Tensor, valid: Tensor | None) -> Tensor:
        """int32 [S], −1 for an empty slot."""
        if valid is None:
            return ids.to(torch.int32)
        return (ids.to(valid.dtype) * valid - (1 - valid)).to(torch.int32)

    def label(self, index: Tensor, ids: Tensor) -> Tensor:
        """Slot index float [H, W] → output index, uint8 or uint16 [1, H, W]."""
        table = self.output_map.index_select(0, ids)
        picked = table.index_select(0, index.to(torch.int64).flatten())
        # TensorRT takes uint8 as an output only where the cast is the very last operation.
        return picked.view(1, *index.shape).to(self.labels_dtype)

    def spread(self, scores: Tensor, ids: Tensor, valid: Tensor | None) -> Tensor:
        """Scores of the slots float [S, h, w] → of all categories float [T, h, w]."""
        if self.rejection.mode == "none":
            return scores
        wanted = torch.arange(self.categories, device=ids.device).unsqueeze(1)
        here = (ids.unsqueeze(0) == wanted).to(scores.dtype)
        if valid is not None:
            here = here * valid
        # A product with zeros and ones copies exactly; TensorRT-friendly, unlike a scatter.
        return (here @ scores.flatten(1)).view(self.categories, *scores.shape[1:])


def fold_layer_scale(block: Any, last: nn.Linear) -> None:  # noqa: ANN401
    """Multiply a block's layer scale into its last linear layer, in place.

    Args:
        block: A ConvNeXt block with `gamma`, float [C] or None; afterwards `gamma` is None.
        last: The linear layer whose output `gamma` multiplies.
    """
    if block.gamma is None:
        return
    scale = block.gamma.detach()
    with torch.no_grad():
        last.weight.mul_(scale[:, None])
        last.bias.mul_(scale)
    block.gamma = None


class FrozenLayer(nn.Module):
    """A decoder layer whose first skip convolution is split by what it reads.

    Args:
        layer: The layer. It is not changed; what is folded or split is copied.
    """

    shared: Tensor
    own: Tensor

    def __init__(self, layer: DecoderLayer) -> None:
        super().__init__()
        self.attention, self.up = layer.attention, layer.up
        self.cnext = copy.deepcopy(layer.cnext)
        fold_layer_scale(self.cnext, self.cnext.pwconv2)
        self.rest = layer.conv.double_conv[1:]
        weight = layer.conv.first.weight.detach()
        start = layer.up.weight.shape[1]
        stop = start + layer.guidance
        self.register_buffer("shared", weight[:, start:stop].contiguous())
        own = torch.cat([weight[:, :start], weight[:, stop:]], dim=1)
        self.register_buffer("own", own)

    def forward(
        self, x: Tensor, guidance: Tensor, cost_guidance: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Run the layer for one picture (see `DecoderLayer.forward`); `valid` marks empty slots."""
        x = self.attention(self.cnext(x), alive=valid)
        rising = torch.cat([self.up(x), cost_guidance], dim=1)
        y = F.conv2d(rising, self.own, padding=1) + F.conv2d(guidance, self.shared, padding=1)
        result: Tensor = self.rest(y)
        return result
