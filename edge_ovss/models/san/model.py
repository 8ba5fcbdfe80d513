"""SAN: a CLIP ViT on a small image, and a side adapter that tells it where to look.

Source: Xu et al., "Side Adapter Network for Open-Vocabulary Semantic Segmentation", CVPR 2023;
parameter names as in the published checkpoints (github.com/MendelXu/SAN).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.padding import pad_to_multiple
from edge_ovss.models.san.classifier import OpenVocabularyClassifier
from edge_ovss.models.san.resizing import shrink
from edge_ovss.models.san.side_adapter import SideAdapter
from edge_ovss.models.san.towers import ClipRecognitionHead, ClipVisualExtractor
from edge_ovss.models.spec import Clip, ModelSpec, WeightsOrigin
from edge_ovss.models.text import as_tensor, encode_vocabulary, text_tower_digest
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


@dataclass(frozen=True)
class SanMaps:
    """Outputs of SAN for B images and T categories.

    Attributes:
        classifier: float32 [T + 1, D], temperature included, background last.
        query_logits: float32 [B, Q, T + 1].
        mask_logits: float32 [B, Q, h, w], at a 16th of the padded image.
    """

    classifier: Tensor
    query_logits: Tensor
    mask_logits: Tensor


class San(nn.Module):
    """The whole model, under its published parameter names.

    Args:
        extractor: The first blocks of CLIP's image tower.
        head: Its last blocks.
        side: The side adapter.
        classifier: The text side.
        clip_scale: Factor by which CLIP's image is smaller.
        spec: Name, image specification and templates.
    """

    origin: WeightsOrigin
    licenses: dict[str, str]

    def __init__(
        self,
        *,
        extractor: ClipVisualExtractor,
        head: ClipRecognitionHead,
        side: SideAdapter,
        classifier: OpenVocabularyClassifier,
        clip_scale: float,
        spec: ModelSpec,
    ) -> None:
        super().__init__()
        self.side_adapter_network = side
        self.clip_visual_extractor = extractor
        self.clip_rec_head = head
        self.ov_classifier = classifier
        self.clip_scale = clip_scale
        self.spec = spec

    @property
    def text_clip(self) -> Clip:
        """The open_clip model whose text tower alone encodes prompts."""
        return self.ov_classifier

    @property
    def text_tower_sha256(self) -> str:
        """Hash of the weights that encode prompts."""
        return text_tower_digest(self.text_clip)

    def encode_text(
        self, vocabulary: Vocabulary, *, progress: Callable[[int, int], None] | None = None
    ) -> TextEmbeddings:
        """Encode the first synonym of every category under every template.

        Args:
            vocabulary: T categories.
            progress: Called with (prompts done, prompts in all).

        Returns:
            Embeddings whose `array` is float32 [T, P, D] of unit norm; `classifier` averages
            them over the templates.
        """
        return encode_vocabulary(self.ov_classifier, vocabulary, spec=self.spec, progress=progress)

    def classifier(self, embeddings: TextEmbeddings | Tensor) -> Tensor:
        """Classifier of a vocabulary, float32 [T + 1, D], temperature included, background last.

        Args:
            embeddings: The text embeddings, or their array as a tensor [T, P, D].
        """
        text = self.ov_classifier
        result: Tensor = text(as_tensor(embeddings, like=text.bg_embed))
        return result

    def maps(self, image: Tensor, embeddings: TextEmbeddings | Tensor) -> SanMaps:
        """Run both networks.

        Args:
            image: float32 [B, 3, H, W], normalized RGB, any H and W; it is padded with zeros at
                the right and the bottom to multiples of 32, as published.
            embeddings: The text embeddings, or their array as a tensor [T, P, D].
        """
        image = pad_to_multiple(image, multiple=self.spec.picture.multiple)
        features = self.clip_visual_extractor(shrink(image, factor=self.clip_scale))
        mask_logits, bias = self.side_adapter_network(image, features)
        bias = pool_bias(bias, height=features.height, width=features.width)
        queries = self.clip_rec_head(features.tokens[-1], bias)
        classifier = self.classifier(embeddings)
        return SanMaps(classifier, queries @ classifier.t(), mask_logits)

    def masks(self, mask_logits: Tensor, *, height: int, width: int) -> Tensor:
        """Mask logits at the padded image's size, cropped to the image.

        Args:
            mask_logits: float32 [B, Q, h, w] of `maps`.
            height: Height of the image before padding.
            width: Width of the image before padding.

        Returns:
            float32 [B, Q, height, width].
        """
        patch = self.side_adapter_network.numbers.patch
        padded = (mask_logits.shape[-2] * patch, mask_logits.shape[-1] * patch)
        full = F.interpolate(mask_logits, padded, mode="bilinear", align_corners=False)
        return full[..., :height, :width]

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
            size: (height, width) of the scores; None for those of `image`.

        Returns:
            Scores float32 [B, T, height, width]: for every category the sum over the queries of
            class probability times mask probability. Their argmax is the label.
        """
        height, width = image.shape[-2:]
        maps = self.maps(image, embeddings)
        masks = self.masks(maps.mask_logits, height=height, width=width)
        if size is not None and size != (height, width):
            masks = F.interpolate(masks, size, mode="bilinear", align_corners=False)
        classes = maps.query_logits.softmax(-1)[..., :-1]
        return torch.einsum("bqt,bqhw->bthw", classes, masks.sigmoid())

    def segment_clip(
        self,
        frames: Tensor,
        embeddings: TextEmbeddings | Tensor,
        *,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Segment a whole clip as R-SAN's published video mode does; see `san.video`."""
        from edge_ovss.models.san.video import segment_clip

        return segment_clip(self, frames, embeddings, size=size)


def pool_bias(bias: Tensor, *, height: int, width: int) -> Tensor:
    """Attention bias at CLIP's grid: the highest value in each window.

    Args:
        bias: float [B, heads, Q, h, w].
        height: Height of CLIP's grid.
        width: Width of CLIP's grid.

    Returns:
        float [B, heads, Q, height·width].
    """
    pooled = F.adaptive_max_pool2d(bias.flatten(0, 1), (height, width))
    return pooled.view(*bias.shape[:3], height * width)
