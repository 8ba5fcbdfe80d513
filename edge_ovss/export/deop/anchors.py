"""The anchor decoder for one image: from patches and masks to one embedding per query."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.export.deop.decoders import (
    FrozenLayer,
    PlacedKeys,
    SelfAttention,
    attention_scale,
    project,
)
from edge_ovss.models.deop.anchors import AnchorDecoder
from edge_ovss.models.deop.attention import DecoderLayer
from edge_ovss.models.deop.positions import sine_positions

# CLIP's grid has a cell for so many cells of the masks' grid, each way.
_CELLS = 4


def pool_to_patches(values: Tensor) -> Tensor:
    """Resize float [1, Q, 4h, 4w] to [1, Q, h, w], bilinear with half-pixel centers.

    Every result is the mean of the four values in the middle of its 4x4.
    """
    return F.avg_pool2d(values[:, :, 1:-1, 1:-1], 2, stride=_CELLS)


def cover_patches(masks: Tensor) -> Tensor:
    """How much the masks cover each patch: logits float [1, Q, 4h, 4w] to float [1, h·w].

    Logits are resized first here, unlike in `weigh_patches`.
    """
    return pool_to_patches(masks).sigmoid().sum(1).flatten(1)


def weigh_patches(masks: Tensor) -> Tensor:
    """Weight of each patch for each query: logits float [1, Q, 4h, 4w] to float [1, Q, h·w].

    A mask's probability, times a factor of the query that makes its largest weights nearly 1.
    Queries are normalized afterwards, so the factor is of no consequence; but an idle query's
    probabilities can be below every number that a float holds, and its embedding 0/0.
    """
    logs = masks.clamp(max=0) - (1 + (-masks.abs()).exp()).log()
    # Only the places that `pool_to_patches` reads.
    most = F.max_pool2d(logs[:, :, 1:-1, 1:-1], 2, stride=_CELLS).amax((2, 3), keepdim=True)
    return pool_to_patches((logs - most).clamp(max=0).exp()).flatten(2)


class FrozenAnchors(nn.Module):
    """The anchor decoder at a fixed size.

    Args:
        decoder: Its parameters are shared, except for projections.
        anchors: Learned query positions, float [Q, D].
        height: Rows of CLIP's grid.
        width: Columns of CLIP's grid.
    """

    queries: Tensor

    def __init__(self, decoder: AnchorDecoder, anchors: Tensor, *, height: int, width: int) -> None:
        super().__init__()
        out = decoder.outlayer
        places = sine_positions(height, width, channels=anchors.shape[1])
        layers = [cast(DecoderLayer, layer) for layer in decoder.layers]
        self.layers = nn.ModuleList(
            FrozenLayer(layer, queries=anchors, places=places, first=True) for layer in layers
        )
        self.heads = out.heads
        self.self_attn, self.norm1 = SelfAttention(out.self_attn), out.norm1
        joint = out.multihead_attn_my
        scale = attention_scale(anchors.shape[1], out.heads)
        self.q = project(joint, 0, heads=out.heads, scale=scale)
        self.k = PlacedKeys(joint, places, heads=out.heads)
        self.register_buffer("queries", anchors.detach().clone())

    def forward(self, patches: Tensor, weights: Tensor) -> Tensor:
        """Embed the queries.

        Args:
            patches: Unit vectors, float [1, h·w, D].
            weights: `weigh_patches`, float [1, Q, h·w].

        Returns:
            Unit vectors, float [Q, D].
        """
        x: Tensor | None = None
        for layer in self.layers:
            x = layer(x, patches)
        assert x is not None
        x = self.norm1(x + self.self_attn(x, self.queries))
        heat = (self.q(x + self.queries) @ self.k(patches).transpose(2, 3)).softmax(-1)
        values = patches.unflatten(2, (self.heads, -1)).transpose(1, 2)
        pooled = (heat * weights.unsqueeze(1)) @ values
        return F.normalize(pooled.transpose(1, 2).flatten(2)[0], dim=-1)
