"""The anchor decoder: one embedding per query, pooled from CLIP's patches under its mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.deop.attention import EPS, DecoderLayer, JointProjection, attend

# What the published code adds to all norms as soon as one of them is exactly 0.
_LEAST = 1e-10


@dataclass(frozen=True)
class AnchorNumbers:
    """Numbers of the anchor decoder.

    Attributes:
        width: D, as CLIP's embeddings.
        heads: Attention heads.
        hidden: Width of the feed-forward layer.
    """

    width: int = 512
    heads: int = 8
    hidden: int = 1024


class OutputLayer(nn.Module):
    """Self-attention, then pooling by attention times mask (`multihead_attn_my.`)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.multihead_attn_my = JointProjection(width)
        self.norm1 = nn.LayerNorm(width, eps=EPS)

    def forward(
        self, x: Tensor, anchors: Tensor, patches: Tensor, places: Tensor, masks: Tensor
    ) -> Tensor:
        """Pool patches.

        Args:
            x: Queries after the first layer, float [B, Q, D].
            anchors: Learned query positions, float [Q, D].
            patches: Unit vectors, float [B, h·w, D].
            places: Positions of the patches, float [h·w, D].
            masks: Mask probabilities on the CLIP grid, float [B, Q, h·w].

        Returns:
            float [B, Q, D], not normalized.
        """
        x = self.norm1(x + attend(self.self_attn, x + anchors, x + anchors, x))
        width = x.shape[-1]
        weight = self.multihead_attn_my.in_proj_weight
        bias = self.multihead_attn_my.in_proj_bias
        query = self._heads(F.linear(x + anchors, weight[:width], bias[:width]))
        key = self._heads(
            F.linear(patches + places, weight[width : 2 * width], bias[width : 2 * width])
        )
        scale = float(width // self.heads) ** -0.5
        heat = (query @ key.transpose(2, 3) * scale).softmax(-1) * masks[:, None]
        pooled: Tensor = (heat @ self._heads(patches)).transpose(1, 2).flatten(2)
        return pooled

    def _heads(self, x: Tensor) -> Tensor:
        """Float [B, N, D] as [B, heads, N, D/heads]."""
        split: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return split


class AnchorDecoder(nn.Module):
    """One decoder layer and the output layer (`layers.0.`, `outlayer.`)."""

    def __init__(self, numbers: AnchorNumbers) -> None:
        super().__init__()
        layer = DecoderLayer(
            width=numbers.width,
            heads=numbers.heads,
            hidden=numbers.hidden,
            cross="multihead_attn_my",
        )
        self.layers = nn.ModuleList([layer])
        self.outlayer = OutputLayer(numbers.width, numbers.heads)

    def queries(self, anchors: Tensor, patches: Tensor, places: Tensor) -> Tensor:
        """Queries after the first layer, float [B, Q, D]."""
        start = anchors.new_zeros(len(patches), *anchors.shape)
        result: Tensor = self.layers[0](start, anchors, patches, places)
        return result

    def forward(self, anchors: Tensor, patches: Tensor, places: Tensor, masks: Tensor) -> Tensor:
        """Unit vectors, float [B, Q, D]; arguments as for `OutputLayer.forward`."""
        x = self.queries(anchors, patches, places)
        pooled = self.outlayer(x, anchors, patches, places, masks)
        norms = pooled.norm(dim=-1, keepdim=True)
        unit: Tensor = pooled / torch.where((norms == 0).any(), norms + _LEAST, norms)
        return unit
