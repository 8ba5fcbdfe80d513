"""Decoder layers with the norm behind, for single images: [N, C] queries, [L, C] memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


class JointProjection(nn.Module):
    """The parameters of an attention without output projection, under torch's names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))


def attend(attention: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Torch's attention: [B, N, C] queries over [B, L, C] keys and values."""
    result: Tensor = attention(query, key, value, need_weights=False)[0]
    return result


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; the norm comes after each.

    Args:
        width: C.
        heads: Attention heads.
        hidden: Width of the feed-forward layer.
        cross: Name of the cross-attention in the checkpoint.
    """

    def __init__(self, *, width: int, heads: int, hidden: int, cross: str) -> None:
        super().__init__()
        self.cross = cross
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.add_module(cross, nn.MultiheadAttention(width, heads, batch_first=True))
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.norm3 = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor, queries: Tensor, memory: Tensor, places: Tensor) -> Tensor:
        """Run the layer.

        Args:
            x: float [B, N, C].
            queries: Learned query positions, float [N, C].
            memory: float [B, L, C].
            places: Positions of the memory, float [L, C].
        """
        attention = self.get_submodule(self.cross)
        assert isinstance(attention, nn.MultiheadAttention)
        x = self.norm1(x + attend(self.self_attn, x + queries, x + queries, x))
        x = self.norm2(x + attend(attention, x + queries, memory + places, memory))
        result: Tensor = self.norm3(x + self.linear2(F.relu(self.linear1(x))))
        return result
