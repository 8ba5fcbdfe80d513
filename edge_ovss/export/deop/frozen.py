"""DeOP with its vocabulary frozen in: camera bytes in, labels out.

Rewritten from the published order of operations, without changing the outputs:

* the frame is fitted and padded by matrix products (`parts/sampling.py`), so that its size stays
  free;
* frozen norms are part of the convolutions, and all positions are constants of the graph;
* the last block of CLIP makes values of patches only: no queries, no keys, no class token;
* the first self-attention of either decoder is a constant, for its queries start at 0;
* masks reach CLIP's grid as means of four values, and weigh patches by a multiple of their
  probability that cannot underflow;
* masks at the image's size are made tile by tile (`parts/answer_tiles.py`).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.deop.anchors import FrozenAnchors, cover_patches, weigh_patches
from edge_ovss.export.deop.answer import DeopAnswer
from edge_ovss.export.deop.clip import FrozenClip
from edge_ovss.export.deop.convolutions import FrozenBackbone, FrozenPixelDecoder
from edge_ovss.export.deop.decoders import FrozenMaskDecoder
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.parts.answer_bands import bands_for
from edge_ovss.export.parts.mask_graph import MaskGraph
from edge_ovss.models.deop.masks import MaskPredictor, PixelDecoder
from edge_ovss.models.deop.model import TEMPERATURE, Deop

_BACKBONE_STEP = 32
_CLIP_STEP = 16


class FrozenDeop(MaskGraph):
    """The graph that is exported. The loaded model is not changed."""

    def __init__(self, loaded: LoadedModel, rejection: Rejection, outputs: tuple[str, ...]) -> None:
        super().__init__(loaded, rejection, outputs)
        model: Deop = loaded.model
        self.backbone = FrozenBackbone(model.backbone)
        head = model.sem_seg_head
        self.pixel_decoder = FrozenPixelDecoder(cast(PixelDecoder, head["pixel_decoder"]))
        self.mask_decoder = FrozenMaskDecoder(
            cast(MaskPredictor, head["predictor"]), **_grid(loaded.size, _BACKBONE_STEP)
        )
        grid = _grid(loaded.size, _CLIP_STEP)
        self.clip = FrozenClip(model.visual, **grid)
        self.anchors = FrozenAnchors(model.decoder, model.query_embedding.weight, **grid)
        self.answer = DeopAnswer(
            size=loaded.size,
            queries=model.query_embedding.num_embeddings,
            categories=self.categories,
            scores="scores" in outputs,
            bands=bands_for(loaded.made_for),
        )
        self.frame_bytes = self.answer.frame_bytes
        with torch.no_grad():
            classes = TEMPERATURE * model.class_embeddings(loaded.embeddings)
        self.hold_classes(classes, scale=TEMPERATURE)

    def propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run both networks (see `MaskGraph.propose`)."""
        features = self.backbone(image)
        masks = self.mask_decoder(features[-1], self.pixel_decoder(features))
        patches = self.clip(image, cover_patches(masks[None]))
        return masks, self.anchors(patches, weigh_patches(masks[None]))


def _grid(size: tuple[int, int], step: int) -> dict[str, int]:
    return {"height": size[0] // step, "width": size[1] // step}
