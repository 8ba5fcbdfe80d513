"""A decoder layer of SED, frozen: the same outputs with less work and memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.export.sed.rewrites import Rewrites, in_pieces, to_planes, to_rows
from edge_ovss.models.sed.blocks import (
    ATTENTION_EPS,
    HEADS,
    DecoderLayer,
    LinearAttention,
    SpatialBlock,
)

Step = Callable[[Tensor], Tensor]


class FrozenLayer(nn.Module):
    """A decoder layer that works on pieces, its first skip convolution split by what it reads.

    Args:
        layer: The layer. It is not changed; what is folded or split is copied.
        head: Makes the scores that decide who comes into the layer.
        rewrites: Which rewrites apply.
    """

    shared: Tensor
    own: Tensor

    def __init__(self, layer: DecoderLayer, head: nn.Conv2d, rewrites: Rewrites) -> None:
        super().__init__()
        self.head, self.up = head, layer.up
        self.attention = copy.deepcopy(layer.attention)
        if rewrites.joint_heads:
            self.attention.attention = JointAttention(self.attention.attention)  # type: ignore[assignment]
        self.cnext = SpatialRows(layer.cnext)
        self.first, self.rest = layer.conv.first, layer.conv.double_conv[1:]
        self.rewrites = rewrites
        weight = layer.conv.first.weight.detach()
        start = layer.up.weight.shape[1]
        stop = start + layer.guidance
        self.register_buffer("shared", weight[:, start:stop].contiguous())
        own = torch.cat([weight[:, :start], weight[:, stop:]], dim=1)
        self.register_buffer("own", own)

    def rejection_score(self, x: Tensor) -> Tensor:
        """Scores float [S, 1, h, w] of the categories before the rejection."""
        limit = self.rewrites.piece_bytes
        return in_pieces(self.head, x, dim=0, widest=x.numel(), limit=limit)

    def mix(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """The spatial step, category by category, and the class step, position by position.

        Args:
            x: float [S, C, h, w].
            valid: float [S], 0 for an empty slot, or None.

        Returns:
            Rows, float [S, h·w, C].
        """

        def attend(rows: Tensor) -> Tensor:
            y = rows.transpose(0, 1)
            return (y + self.attention.mix(y, valid)).transpose(0, 1)

        limit, widest = self.rewrites.piece_bytes, 4 * x.numel()
        rows = in_pieces(self.cnext, x, dim=0, widest=widest, limit=limit)
        return in_pieces(attend, rows, dim=1, widest=widest, limit=limit)

    def upsample(
        self,
        rows: Tensor,
        guidance: Tensor,
        cost: Tensor,
        *,
        before: Step | None = None,
        after: Step | None = None,
    ) -> Tensor:
        """The skip step.

        Args:
            rows: float [S, h·w, C].
            guidance: float [1, guidance, 2h, 2w].
            cost: Cost guidance, float [S, cost_guidance, 2h, 2w], or what `before` makes it from.
            before: Applied to every piece of `cost`.
            after: Applied to every piece of the result.

        Returns:
            float [S, outputs, 2h, 2w], or what `after` makes of it.
        """
        grid = (guidance.shape[2] // 2, guidance.shape[3] // 2)
        shared = F.conv2d(guidance, self.shared, padding=1) if self.rewrites.split_skip else None

        def upsample(part: Tensor, level: Tensor) -> Tensor:
            level = level if before is None else before(level)
            up = self.up(to_planes(part, grid))
            y: Tensor = self.rest(self.skip(up, guidance, level, shared))
            return y if after is None else after(y)

        # Twice as high and wide, and as many channels as the skip convolution reads.
        widest = 4 * rows.shape[0] * rows.shape[1] * self.own.shape[1]
        return in_pieces(
            upsample, rows, cost, dim=0, widest=widest, limit=self.rewrites.piece_bytes
        )

    def skip(self, up: Tensor, guidance: Tensor, cost: Tensor, shared: Tensor | None) -> Tensor:
        """The first skip convolution of some categories."""
        if shared is not None:
            rising = torch.cat([up, cost], dim=1)
            return F.conv2d(rising, self.own, padding=1) + shared
        repeated = guidance.expand(up.shape[0], -1, -1, -1)
        y: Tensor = self.first(torch.cat([up, repeated, cost], dim=1))
        return y


class SpatialRows(nn.Module):
    """The spatial step, with its result in rows, as its linear layers write it.

    Args:
        block: It is not changed.
    """

    def __init__(self, block: SpatialBlock) -> None:
        super().__init__()
        block = copy.deepcopy(block)
        fold_layer_scale(block, block.pwconv2)
        self.dwconv, self.norm = block.dwconv, block.norm
        self.pwconv1, self.pwconv2 = block.pwconv1, block.pwconv2

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, C, h, w] to [N, h·w, C]."""
        y = self.norm(to_rows(self.dwconv(x)))
        rows: Tensor = to_rows(x) + self.pwconv2(F.gelu(self.pwconv1(y)))
        return rows


class JointAttention(nn.Module):
    """Linear attention whose heads stay side by side.

    Published attention moves the heads to an axis of their own and back: four transposes of small
    rows. Here every channel meets every other, and pairs of different heads are multiplied by 0.

    Args:
        attention: Its projections are shared.
    """

    same: Tensor

    def __init__(self, attention: LinearAttention) -> None:
        super().__init__()
        self.q, self.k, self.v = attention.q, attention.k, attention.v
        channels = attention.q.out_features
        head = torch.arange(channels) // (channels // HEADS)
        self.register_buffer("same", (head[:, None] == head).float())

    def forward(self, x: Tensor, alive: Tensor | None = None) -> Tensor:
        """Attend over the second axis (arguments as `LinearAttention`)."""
        q, k = F.elu(self.q(x)) + 1, F.elu(self.k(x)) + 1
        if alive is not None:
            k = k * alive.view(1, -1, 1)
        weighted = q @ (k.transpose(1, 2) @ self.v(x) * self.same)
        total = q @ (k.sum(1).unsqueeze(-1) * self.same)
        result: Tensor = weighted / (total + ATTENTION_EPS)
        return result


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
