"""DeOP: MaskFormer's masks, and one pass of CLIP over the whole image for their classes.

Source: Han et al., "Open-Vocabulary Semantic Segmentation with Decoupled One-Pass Network", ICCV
2023; parameter names as in the published checkpoint. Written from a description of what that code
computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.deop.anchors import AnchorDecoder
from edge_ovss.models.deop.backbone import Backbone
from edge_ovss.models.deop.clip_tower import (
    embed_patches,
    patch_tokens,
    run_blocks,
    severance,
    severed_block,
)
from edge_ovss.models.deop.masks import MaskPredictor, PixelDecoder
from edge_ovss.models.deop.positions import sine_positions
from edge_ovss.models.deop.prompts import ClipAdapter
from edge_ovss.models.padding import pad_to_multiple
from edge_ovss.models.spec import Clip, ModelSpec, WeightsOrigin
from edge_ovss.models.text import as_tensor, encode_vocabulary, text_tower_digest
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary

# Cosines become logits by this factor; the checkpoint's temperature is not read.
TEMPERATURE = 100.0


@dataclass(frozen=True)
class DeopMaps:
    """What DeOP says about B images and T classes.

    Attributes:
        query_logits: float32 [B, Q, T + 1], "no class" last.
        mask_logits: float32 [B, Q, h, w], at a quarter of the padded image.
    """

    query_logits: Tensor
    mask_logits: Tensor


class Deop(nn.Module):
    """The whole model, under its published parameter names.

    Args:
        backbone: The ResNet.
        pixel_decoder: Mask features.
        predictor: Masks.
        clip: CLIP with its prompt.
        decoder: The anchor decoder.
        queries: How many masks.
        spec: What this model is: name, image specification, templates.
    """

    origin: WeightsOrigin
    licenses: dict[str, str]

    def __init__(
        self,
        *,
        backbone: Backbone,
        pixel_decoder: PixelDecoder,
        predictor: MaskPredictor,
        clip: ClipAdapter,
        decoder: AnchorDecoder,
        queries: int,
        spec: ModelSpec,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.sem_seg_head = nn.ModuleDict({"pixel_decoder": pixel_decoder, "predictor": predictor})
        self.clip_adapter = clip
        self.decoder = decoder
        self.query_embedding = nn.Embedding(queries, clip.non_object_embedding.shape[1])
        self.spec = spec

    @property
    def visual(self) -> Clip:
        """CLIP's image tower."""
        return self.clip_adapter.clip_model.visual

    @property
    def text_tower_sha256(self) -> str:
        """Hash of the weights that encode prompts, the learned prompt among them."""
        adapter = self.clip_adapter
        return text_tower_digest(adapter.clip_model, adapter.prompt_learner)

    def encode_text(
        self, vocabulary: Vocabulary, *, progress: Callable[[int, int], None] | None = None
    ) -> TextEmbeddings:
        """Encode every class name, whole, with the learned prompt.

        Args:
            vocabulary: T categories.
            progress: Called with (prompts done, prompts in all).

        Returns:
            Embeddings whose `array` is float32 [T, 1, D] of unit norm.
        """
        adapter = self.clip_adapter
        return encode_vocabulary(
            adapter.clip_model,
            vocabulary,
            spec=self.spec,
            progress=progress,
            encode=adapter.encode_names,
            learned=adapter.prompt_learner,
        )

    def masks(self, image: Tensor) -> Tensor:
        """Mask logits at a quarter of a padded image: float [B, Q, H/4, W/4]."""
        features = self.backbone(image)
        mask_features = self.sem_seg_head["pixel_decoder"](features)
        result: Tensor = self.sem_seg_head["predictor"](features[-1], mask_features)
        return result

    def patches(self, image: Tensor, mask_logits: Tensor) -> tuple[Tensor, int, int]:
        """Unit vectors of CLIP's patches, float [B, h·w, D]; and h, w."""
        tokens, height, width = patch_tokens(self.visual, image)
        last = run_blocks(self.visual, tokens, height=height, width=width)[-1][:, 1:]
        cover = severance(mask_logits, height=height, width=width).flatten(1)
        severed = severed_block(self.visual.transformer.resblocks[-1], last, cover)
        return embed_patches(self.visual, severed), height, width

    def embed_queries(
        self, mask_logits: Tensor, patches: Tensor, height: int, width: int
    ) -> Tensor:
        """Unit vectors of the queries, float [B, Q, D].

        Here the masks' sigmoids are resized, where the severance resizes the logits.
        """
        size = (height, width)
        masks = F.interpolate(mask_logits.sigmoid(), size, mode="bilinear", align_corners=False)
        places = sine_positions(height, width, channels=patches.shape[-1]).to(patches)
        result: Tensor = self.decoder(
            self.query_embedding.weight, patches, places, masks.flatten(2)
        )
        return result

    def maps(self, image: Tensor, embeddings: TextEmbeddings | Tensor) -> DeopMaps:
        """Run the networks.

        Args:
            image: float32 [B, 3, H, W], normalized RGB, any H and W; it is padded with zeros at
                the right and the bottom to multiples of 32, as published.
            embeddings: The text embeddings, or their array as a tensor [T, 1, D].
        """
        image = pad_to_multiple(image, multiple=self.spec.picture.multiple)
        mask_logits = self.masks(image)
        patches, height, width = self.patches(image, mask_logits)
        queries = self.embed_queries(mask_logits, patches, height, width)
        classes = self.class_embeddings(embeddings)
        return DeopMaps(TEMPERATURE * queries @ classes.t(), mask_logits)

    def class_embeddings(self, embeddings: TextEmbeddings | Tensor) -> Tensor:
        """Unit vectors of the classes, "no class" last: float [T + 1, D]."""
        adapter = self.clip_adapter
        return adapter.class_embeddings(as_tensor(embeddings, like=adapter.non_object_embedding))

    def forward(
        self,
        image: Tensor,
        embeddings: TextEmbeddings | Tensor,
        *,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Segment, in the published order of operations.

        Args:
            image: As for `maps`.
            embeddings: As for `maps`.
            size: (height, width) of the answer; None for those of `image`.

        Returns:
            Scores float32 [B, T, height, width]: for every class the sum over the queries of class
            probability times mask probability, resized as scores. Their argmax is the label.
        """
        height, width = image.shape[-2:]
        scores = self.scores(self.maps(image, embeddings), height=height, width=width)
        if size is None or size == (height, width):
            return scores
        return F.interpolate(scores, size, mode="bilinear", align_corners=False)

    def scores(self, maps: DeopMaps, *, height: int, width: int) -> Tensor:
        """Scores float32 [B, T, height, width] of an image that was padded to the maps' size."""
        full = (4 * maps.mask_logits.shape[-2], 4 * maps.mask_logits.shape[-1])
        masks = F.interpolate(maps.mask_logits, full, mode="bilinear", align_corners=False)
        masks = masks[..., :height, :width].sigmoid()
        classes = maps.query_logits.softmax(-1)[..., :-1]
        return torch.einsum("bqt,bqhw->bthw", classes, masks)
