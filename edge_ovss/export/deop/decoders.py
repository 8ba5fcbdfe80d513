"""Attention of the two decoders with the norm behind, for one image at a fixed size.

Queries start at 0, so the first self-attention of a decoder is one constant vector. Positions enter
keys as constants: W·(memory + positions) + b = W·memory + (W·positions + b).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.export.parts.head_projection import HeadProjection
from edge_ovss.models.deop.attention import DecoderLayer, JointProjection
from edge_ovss.models.deop.masks import MaskPredictor
from edge_ovss.models.deop.positions import sine_positions

Joint = nn.MultiheadAttention | JointProjection


def project(joint: Joint, part: int, *, heads: int, scale: float = 1.0) -> HeadProjection:
    """Return the part of a joint projection that makes queries (0), keys (1) or values (2)."""
    weight = joint.in_proj_weight.detach().chunk(3)[part]
    bias = joint.in_proj_bias.detach().chunk(3)[part]
    return HeadProjection(weight * scale, bias * scale, heads=heads)


def attention_scale(width: int, heads: int) -> float:
    """What queries are multiplied by: 1/√(channels of a head)."""
    scale: float = (width // heads) ** -0.5
    return scale


class PlacedKeys(nn.Module):
    """Keys of a memory with positions, float [1, heads, L, C/heads].

    Args:
        joint: The joint projection that they are a part of.
        places: Positions, float [L, C].
        heads: How many.
    """

    weight: Tensor
    places: Tensor

    def __init__(self, joint: Joint, places: Tensor, *, heads: int) -> None:
        super().__init__()
        whole = project(joint, 1, heads=heads)
        self.heads = heads
        self.register_buffer("weight", whole.weight)
        placed = F.linear(places.double(), whole.weight.double(), whole.bias.double())
        self.register_buffer("places", placed.float())

    def forward(self, memory: Tensor) -> Tensor:
        """Map float [1, L, C]."""
        whole = F.linear(memory, self.weight) + self.places
        keys: Tensor = whole.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return keys


class SelfAttention(nn.Module):
    """Queries look at each other, with positions on queries and keys."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        heads = attention.num_heads
        scale = attention_scale(attention.embed_dim, heads)
        self.q = project(attention, 0, heads=heads, scale=scale)
        self.k, self.v = (project(attention, part, heads=heads) for part in (1, 2))
        self.out_proj = attention.out_proj

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        """Map float [1, N, C] with positions float [N, C] to the same shape."""
        placed = x + queries
        mixed: Tensor = self.out_proj(mix(self.q(placed), self.k(placed), self.v(x)))
        return mixed


class CrossAttention(nn.Module):
    """Queries look at a memory with positions, float [L, C]."""

    def __init__(self, attention: nn.MultiheadAttention, places: Tensor) -> None:
        super().__init__()
        heads = attention.num_heads
        scale = attention_scale(attention.embed_dim, heads)
        self.q = project(attention, 0, heads=heads, scale=scale)
        self.k = PlacedKeys(attention, places, heads=heads)
        self.v = project(attention, 2, heads=heads)
        self.out_proj = attention.out_proj

    def forward(self, q: Tensor, memory: Tensor) -> Tensor:
        """Map what `q` makes of the queries, and float [1, L, C], to float [1, N, C]."""
        mixed: Tensor = self.out_proj(mix(q, self.k(memory), self.v(memory)))
        return mixed


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of float [1, heads, N, C/heads], q scaled already: float [1, N, C]."""
    weights = (q @ k.transpose(2, 3)).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


class FrozenLayer(nn.Module):
    """One decoder layer; the first one of a decoder starts from a constant."""

    queries: Tensor
    start: Tensor
    first_q: Tensor

    def __init__(
        self, layer: DecoderLayer, *, queries: Tensor, places: Tensor, first: bool
    ) -> None:
        super().__init__()
        cross = cast(nn.MultiheadAttention, layer.get_submodule(layer.cross))
        self.cross_attn = CrossAttention(cross, places)
        self.linear1, self.linear2 = layer.linear1, layer.linear2
        self.norm1, self.norm2, self.norm3 = layer.norm1, layer.norm2, layer.norm3
        self.self_attn = None if first else SelfAttention(layer.self_attn)
        self.register_buffer("queries", queries.detach().clone())
        if first:
            start = _start(layer, count=len(queries))
            self.register_buffer("start", start)
            self.register_buffer("first_q", self.cross_attn.q(start + self.queries).detach())

    def forward(self, x: Tensor | None, memory: Tensor) -> Tensor:
        """Map queries float [1, N, C] (None for those of the start) to the same shape."""
        if self.self_attn is None or x is None:
            x, q = self.start, self.first_q
        else:
            x = self.norm1(x + self.self_attn(x, self.queries))
            q = self.cross_attn.q(x + self.queries)
        x = self.norm2(x + self.cross_attn(q, memory))
        result: Tensor = self.norm3(x + self.linear2(F.relu(self.linear1(x))))
        return result


def _start(layer: DecoderLayer, *, count: int) -> Tensor:
    """What the first self-attention makes of zeros: every value is the bias, float [1, N, C]."""
    attention = layer.self_attn
    with torch.no_grad():
        value = attention.in_proj_bias.chunk(3)[2]
        start: Tensor = layer.norm1(attention.out_proj(value)).expand(1, count, -1).clone()
    return start


class FrozenMaskDecoder(nn.Module):
    """From res5 and mask features to mask logits.

    Args:
        predictor: Its parameters are shared, except for projections.
        height: Rows of res5.
        width: Columns of res5.
    """

    def __init__(self, predictor: MaskPredictor, *, height: int, width: int) -> None:
        super().__init__()
        self.input_proj, self.mask_embed = predictor.input_proj, predictor.mask_embed
        decoder = predictor.transformer["decoder"]
        queries = predictor.query_embed.weight
        places = sine_positions(height, width, channels=queries.shape[1])
        layers = cast(Sequence[DecoderLayer], decoder.get_submodule("layers"))
        self.layers = nn.ModuleList(
            FrozenLayer(layer, queries=queries, places=places, first=number == 0)
            for number, layer in enumerate(layers)
        )
        self.norm = decoder.get_submodule("norm")

    def forward(self, res5: Tensor, features: Tensor) -> Tensor:
        """Decode float [1, c, h, w] and float [1, C, H/4, W/4] to float [Q, H/4, W/4]."""
        memory = self.input_proj(res5).flatten(2).transpose(1, 2)
        x: Tensor | None = None
        for layer in self.layers:
            x = layer(x, memory)
        vectors = self.mask_embed(self.norm(x))[0]
        masks: Tensor = vectors @ features[0].flatten(1)
        return masks.view(-1, *features.shape[2:])
