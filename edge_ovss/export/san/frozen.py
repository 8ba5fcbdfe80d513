"""SAN with its vocabulary frozen in: camera bytes in, labels out.

Rewritten from the published order of operations, without changing the outputs:

* the frame is fitted and padded by matrix products (`sampling.py`), so that its size stays free;
* position embeddings are resized once, here, and are constants of the graph;
* masks are resized to the padded image, cropped and resized to the frame in one product;
* the attention bias is (queries · weights) · features instead of queries · (weights · features):
  the vectors for every head and position, 3072 to 4096 channels, are never made;
* tokens that recognition cannot see are left out instead of masked: queries read the patches and
  themselves, and the last block computes only the queries.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.parts.answer_bands import AnswerBands, BandedAnswer, bands_for
from edge_ovss.export.parts.mask_graph import MaskGraph
from edge_ovss.export.parts.sampling import bilinear_matrix
from edge_ovss.export.san.clip import FrozenExtractor, FrozenRecognition
from edge_ovss.models.san.model import San
from edge_ovss.models.san.resizing import clip_positions, shrunk_side
from edge_ovss.models.san.side_adapter import MaskDecoder
from edge_ovss.models.san.towers import ClipFeatures

FAST = "fast"


class FrozenSan(MaskGraph):
    """The graph that is exported. The loaded model is not changed."""

    clip_grid_positions: Tensor
    side_grid_positions: Tensor

    def __init__(self, loaded: LoadedModel, rejection: Rejection, outputs: tuple[str, ...]) -> None:
        super().__init__(loaded, rejection, outputs)
        model: San = loaded.model
        self.shrink = Shrink(size=loaded.size, factor=model.clip_scale)
        self.extractor = FrozenExtractor(model.clip_visual_extractor)
        self.side = model.side_adapter_network
        self.decoder = FrozenMaskDecoder(model.side_adapter_network.mask_decoder)
        self.head = FrozenRecognition(model.clip_rec_head)
        fast = loaded.answer == FAST
        bands = bands_for(loaded.made_for)
        self.answer = SanAnswer(
            size=loaded.size, fast=fast, scores="scores" in outputs, bands=bands
        )
        queries = int(model.side_adapter_network.numbers.queries)
        self.frame_bytes = self.answer.pixel_bytes(
            planes=queries, categories=self.categories, bands=bands
        )
        with torch.no_grad():
            classifier = model.classifier(loaded.embeddings)
            self.hold_classes(classifier, scale=float(model.ov_classifier.logit_scale.exp()))
            self._fold_positions(model)

    def _fold_positions(self, model: San) -> None:
        patch = model.clip_visual_extractor.conv1.kernel_size[0]
        height, width = (shrunk_side(side, model.clip_scale) // patch for side in self.size)
        table = model.clip_visual_extractor.positional_embedding
        positions = clip_positions(table, height=height, width=width)
        self.register_buffer("clip_grid_positions", positions.contiguous())
        step = self.side.numbers.patch
        positions = self.side.vit_model.positions(
            height=self.size[0] // step, width=self.size[1] // step
        )
        self.register_buffer("side_grid_positions", positions.contiguous())

    def propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run both networks (see `MaskGraph.propose`)."""
        features = self.extractor(self.shrink(image), self.clip_grid_positions)
        patches = self.side.vit_model.patch_embed(image)
        queries, maps = self.side.run_blocks(patches, self.side_grid_positions, features)
        masks, bias = self.decoder(queries, maps, features)
        recognized = self.head(features.tokens[-1], bias)
        return masks, recognized


class SanAnswer(AnswerBands):
    """Labels from SAN's masks and classes.

    Args:
        size: (height, width) inside the network.
        fast: Add up the masks on their grid and resize the sums, instead of resizing every mask
            before its sigmoid as published: cheaper, and a few labels differ.
        scores: Whether to keep the scores of all categories.
        bands: How many, one after the other.
    """

    def __init__(self, *, size: tuple[int, int], fast: bool, scores: bool, bands: int) -> None:
        super().__init__(size=size, scores=scores, bands=bands)
        self.fast = fast

    def forward(self, masks: Tensor, classes: Tensor, *, height: int, width: int) -> BandedAnswer:
        """Find the best category of every pixel.

        Args:
            masks: Mask logits, float32 [Q, h, w].
            classes: Class probabilities without the background, float32 [T, Q].
            height: Height of the frame.
            width: Width of the frame.
        """
        if self.fast:
            sums = (classes @ masks.sigmoid().flatten(1)).view(-1, *masks.shape[1:])
            return self.answer(sums, height=height, width=width)
        finish = partial(_score_masks, classes=classes)
        return self.answer(masks, height=height, width=width, finish=finish)


def _score_masks(masks: Tensor, *, classes: Tensor) -> Tensor:
    """Mask logits float [band, Q, W] → scores float [band, T, W]."""
    return classes @ masks.sigmoid()


class Shrink(nn.Module):
    """The image that CLIP sees (see `models.san.resizing.shrink`), at a fixed size.

    Args:
        size: (height, width) of the image.
        factor: Below 1.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, *, size: tuple[int, int], factor: float) -> None:
        super().__init__()
        # Half the size samples between four pixels: their mean.
        self.halves = factor == 0.5
        for name, side in zip(("rows", "columns"), size, strict=True):
            count = shrunk_side(side, factor)
            matrix = bilinear_matrix(count, source=side, step=1 / factor)
            self.register_buffer(name, torch.empty(0) if self.halves else matrix)

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [1, 3, height, width] to a smaller image."""
        if self.halves:
            return F.avg_pool2d(image, 2)
        return self.rows @ image @ self.columns.t()


class FrozenMaskDecoder(nn.Module):
    """Masks and pooled attention bias for one image.

    Args:
        decoder: Its parameters are shared, except for those of the last bias layer.
    """

    weight: Tensor
    offset: Tensor

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.query_mlp, self.pix_mlp = decoder.query_mlp, decoder.pix_mlp
        self.hidden = nn.ModuleList(list(decoder.attn_mlp.layers)[:-1])
        last, scale = decoder.attn_mlp.layers[-1], decoder.bias_scaling.weight.detach()
        weight, offset = _last_parameters(last)
        self.register_buffer("weight", weight.unflatten(0, (decoder.heads, -1)) * scale)
        self.register_buffer("offset", offset.unflatten(0, (decoder.heads, -1)).t() * scale)
        self.shift = float(decoder.bias_scaling.bias.detach())

    def forward(
        self, queries: Tensor, patches: Tensor, features: ClipFeatures
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            queries: float [1, Q, C].
            patches: float [1, C, h, w].
            features: For the size of CLIP's grid.

        Returns:
            Mask logits float [Q, h, w], and attention bias float [heads, Q, patches of CLIP].
        """
        vectors = self.query_mlp(queries)[0]
        height, width = patches.shape[-2:]
        pixels = self.pix_mlp(patches)[0].flatten(1)
        masks = (vectors @ pixels).view(-1, height, width)
        for layer in self.hidden:
            patches = F.relu(layer(patches))
        bias = (vectors @ self.weight) @ patches[0].flatten(1)
        bias = bias + (vectors @ self.offset).t().unsqueeze(-1)
        bias = bias.view(*bias.shape[:2], height, width)
        pooled = pool_windows(bias, height=features.height, width=features.width)
        return masks, pooled.flatten(2) + self.shift


def _last_parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight float [outputs, inputs] and bias float [outputs] of a 1×1 convolution."""
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    return weight.detach().flatten(1), bias.detach()


def pool_windows(maps: Tensor, *, height: int, width: int) -> Tensor:
    """Adaptive max pooling of float [A, B, h, w] to [A, B, height, width], fit for export."""
    h, w = maps.shape[-2:]
    if h % height == 0 and w % width == 0:
        return F.max_pool2d(maps, (h // height, w // width))
    maps = _pool_axis(maps, 2, height)
    return _pool_axis(maps, 3, width)


def _pool_axis(maps: Tensor, axis: int, count: int) -> Tensor:
    """Windows floor(i·n/count) … ceil((i + 1)·n/count); short ones repeat their last place."""
    n = maps.shape[axis]
    starts = [i * n // count for i in range(count)]
    ends = [-(-(i + 1) * n // count) for i in range(count)]
    longest = max(end - start for start, end in zip(starts, ends, strict=True))
    pooled: Tensor | None = None
    for offset in range(longest):
        places = [min(s + offset, e - 1) for s, e in zip(starts, ends, strict=True)]
        picked = maps.index_select(axis, torch.tensor(places))
        pooled = picked if pooled is None else torch.maximum(pooled, picked)
    return maps if pooled is None else pooled
