"""SED: a ConvNeXt CLIP and a decoder that turns image-text similarity into masks.

Source: Xie et al., "SED: A Simple Encoder-Decoder for Open-Vocabulary Semantic Segmentation",
CVPR 2024; parameter names as in the published checkpoints (github.com/xb534/SED).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.sed.decoder import GradualFusionDecoder
from edge_ovss.models.spec import Clip, ModelSpec, WeightsOrigin
from edge_ovss.models.text import as_tensor, encode_vocabulary, text_tower_digest
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


@dataclass(frozen=True)
class SedMaps:
    """Outputs of the decoder for B images and T categories.

    Attributes:
        logits: float32 [B, T, H/4, W/4].
        auxiliary: The three rejection maps without rejection, float32 [B, T, h, w] at strides
            32, 16 and 8.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, Tensor, Tensor]


class Sed(nn.Module):
    """The whole model: `clip_model` (image and text tower) and `transformer` (decoder).

    Args:
        clip: An open_clip CLIP with a timm ConvNeXt trunk.
        decoder: The decoder.
        spec: Name, image specification and templates.
    """

    clip_model: Clip
    transformer: GradualFusionDecoder
    origin: WeightsOrigin
    licenses: dict[str, str]

    def __init__(self, *, clip: Clip, decoder: GradualFusionDecoder, spec: ModelSpec) -> None:
        super().__init__()
        self.clip_model = clip
        self.transformer = decoder
        self.spec = spec

    @property
    def text_clip(self) -> Clip:
        """The open_clip model whose text tower alone encodes prompts."""
        return self.clip_model

    @property
    def text_tower_sha256(self) -> str:
        """Hash of the weights that encode prompts."""
        return text_tower_digest(self.text_clip)

    def encode_text(
        self, vocabulary: Vocabulary, *, progress: Callable[[int, int], None] | None = None
    ) -> TextEmbeddings:
        """Encode every category under every template.

        Args:
            vocabulary: T categories.
            progress: Called with (prompts done, prompts in all).

        Returns:
            Embeddings whose `array` is float32 [T, P, D] of unit norm.
        """
        return encode_vocabulary(self.clip_model, vocabulary, spec=self.spec, progress=progress)

    def encode_picture(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Run the image tower.

        Args:
            image: float32 [B, 3, H, W], normalized RGB, H and W multiples of 32.

        Returns:
            Trunk features at strides 4, 8, 16, and the dense features F_v, float32
            [B, D, H/32, W/32], not normalized.
        """
        visual = self.clip_model.visual
        x = visual.trunk.stem(image)
        features: list[Tensor] = []
        for stage in visual.trunk.stages:
            x = stage(x)
            features.append(x)
        # The head's norm and projection act on every position instead of on the mean.
        x = visual.trunk.head.norm(x).permute(0, 2, 3, 1)
        return features[:3], visual.head(x).permute(0, 3, 1, 2)

    def cost_map(self, dense: Tensor, embeddings: Tensor) -> Tensor:
        """Cosine similarity of every position with every prompt.

        Args:
            dense: float32 [B, D, h, w].
            embeddings: float32 [T, P, D] or [B, T, P, D].

        Returns:
            float32 [B·T, P, h, w].
        """
        picture = F.normalize(dense, dim=1)
        text = F.normalize(embeddings, dim=-1)
        equation = "bdhw,tpd->btphw" if text.ndim == 3 else "bdhw,btpd->btphw"
        return torch.einsum(equation, picture, text).flatten(0, 1)

    def forward(self, image: Tensor, embeddings: TextEmbeddings | Tensor) -> Tensor:
        """Segment without rejection.

        Args:
            image: float32 [B, 3, H, W], normalized RGB, H and W multiples of 32.
            embeddings: The text embeddings, or their array as a tensor [T, P, D].

        Returns:
            Logits, float32 [B, T, H/4, W/4].
        """
        return self.maps(image, embeddings).logits

    def maps(self, image: Tensor, embeddings: TextEmbeddings | Tensor) -> SedMaps:
        """Logits and the three rejection maps, without rejection (see `forward`).

        The rejection heads see detached inputs: in training they must not shape the decoder.
        """
        decoder = self.transformer
        features, dense = self.encode_picture(image)
        cost = self.cost_map(dense, as_tensor(embeddings, like=image))
        guidance, cost_guidance = decoder.guide(features), decoder.guide_cost(cost)
        x = decoder.conv1(cost)
        auxiliary: list[Tensor] = []
        for index, layer in enumerate(decoder.layers):
            auxiliary.append(decoder.rejection_heads[index](x.detach()))
            x = layer(x, guidance[index], cost_guidance[index])
        b = image.shape[0]
        zero, one, two = (_per_picture(a, b) for a in auxiliary)
        return SedMaps(_per_picture(decoder.head(x), b), (zero, one, two))


def _per_picture(maps: Tensor, pictures: int) -> Tensor:
    return maps.view(pictures, -1, *maps.shape[2:])


def published_rejection(
    model: Sed, image: Tensor, embeddings: TextEmbeddings | Tensor, *, topk: int
) -> tuple[Tensor, Sequence[Tensor]]:
    """Segment one image with category early rejection, in the published order of operations.

    The cost guidance of every category is computed before any category is dropped, as in the
    published implementation. Exported graphs are compared with this.

    Args:
        model: The model.
        image: float32 [1, 3, H, W].
        embeddings: As for `Sed.forward`.
        topk: k: a category stays if it is among the k highest of some position.

    Returns:
        Scores float32 [T, H/4, W/4] (sigmoid, 0 where rejected), and the category ids, int64,
        alive after each of the three rejections.
    """
    decoder = model.transformer
    features, dense = model.encode_picture(image)
    cost = model.cost_map(dense, as_tensor(embeddings, like=image))
    guidance, cost_guidance = decoder.guide(features), decoder.guide_cost(cost)
    x = decoder.conv1(cost)
    alive = torch.arange(x.shape[0], device=image.device)
    survivors: list[Tensor] = []
    for index, layer in enumerate(decoder.layers):
        keep = surviving(decoder.rejection_heads[index](x)[:, 0], topk=topk)
        x, alive = x[keep], alive[keep]
        cost_guidance = [c[keep] for c in cost_guidance]
        survivors.append(alive)
        x = layer(x, guidance[index], cost_guidance[index])
    logits = decoder.head(x)[:, 0]
    scores = logits.new_zeros((cost.shape[0], *logits.shape[1:]))
    scores[alive] = logits.sigmoid()
    return scores, survivors


def surviving(scores: Tensor, *, topk: int) -> Tensor:
    """Indices, int64 ascending, of the categories among the `topk` highest of some position.

    Args:
        scores: float [T, h, w].
        topk: Capped at T.
    """
    t = scores.shape[0]
    highest = scores.flatten(1).topk(min(topk, t), dim=0).indices
    return torch.bincount(highest.flatten(), minlength=t).nonzero()[:, 0]
