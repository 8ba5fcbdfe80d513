"""The side adapter: a small ViT beside CLIP that proposes masks and biases CLIP's attention.

Parameter names as in the published checkpoint (`side_adapter_network.`). Source: SAN (CVPR 2023),
§3.2, and the published implementation github.com/MendelXu/SAN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.san.resizing import resize_positions
from edge_ovss.models.san.towers import ClipFeatures


@dataclass(frozen=True)
class SideNumbers:
    """Numbers of a side adapter.

    Attributes:
        width: Channels.
        depth: Blocks.
        heads: Attention heads.
        patch: Side of a patch in pixels.
        grid: Side of the grid that the position embeddings were learned for.
        queries: Q.
        hidden: Channels inside and behind the three heads.
        fusion: Index of the CLIP feature that is added, by side block (0 = before any).
    """

    width: int
    depth: int
    heads: int
    patch: int
    grid: int
    queries: int
    hidden: int
    fusion: Mapping[int, int]


class SideAttention(nn.Module):
    """Self-attention."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, N, width] to the same shape."""
        heads = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = heads.unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        result: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return result


class SideMlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, N, width] to the same shape."""
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class SideBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = SideAttention(width=width, heads=heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = SideMlp(width=width)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, N, width] to the same shape."""
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class PatchEmbed(nn.Module):
    """Patch embedding."""

    def __init__(self, *, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        """Map float [B, 3, H, W] to [B, width, H/patch, W/patch]."""
        result: Tensor = self.proj(image)
        return result


class SideVit(nn.Module):
    """The parameters of the ViT (`vit_model.`); `SideAdapter` runs them."""

    def __init__(self, numbers: SideNumbers) -> None:
        super().__init__()
        self.grid = numbers.grid
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, numbers.grid**2, numbers.width))
        self.patch_embed = PatchEmbed(width=numbers.width, patch=numbers.patch)
        self.blocks = nn.ModuleList(
            SideBlock(width=numbers.width, heads=numbers.heads) for _ in range(numbers.depth)
        )

    def positions(self, *, height: int, width: int) -> Tensor:
        """Position embeddings for a grid, float [1, height·width, C]."""
        grid = self.pos_embed.view(1, self.grid, self.grid, -1)
        return resize_positions(grid, height=height, width=width)


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of maps."""

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, h, w] to the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FusionLayer(nn.Module):
    """From CLIP features to something that can be added to the patch tokens."""

    def __init__(self, *, clip_width: int, width: int) -> None:
        super().__init__()
        self.input_proj = nn.Sequential(
            ChannelNorm(clip_width, eps=1e-6), nn.Conv2d(clip_width, width, 1)
        )

    def forward(self, features: Tensor, *, height: int, width: int) -> Tensor:
        """Map float [B, clip_width, h, w] to [B, height·width, width]."""
        x = self.input_proj(features)
        x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)
        return x.flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    """Layers with ReLU between them: linear ones, or 1×1 convolutions."""

    def __init__(self, kind: type[nn.Linear] | type[nn.Conv2d], widths: tuple[int, ...]) -> None:
        super().__init__()
        extra = (1,) if kind is nn.Conv2d else ()
        pairs = pairwise(widths)
        self.layers = nn.ModuleList(kind(a, b, *extra) for a, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Run all layers."""
        return self.layers[-1](self.hidden(x))  # type: ignore[no-any-return]

    def hidden(self, x: Tensor) -> Tensor:
        """Run all layers but the last."""
        for layer in list(self.layers)[:-1]:
            x = F.relu(layer(x))
        return x


class MaskDecoder(nn.Module):
    """Masks, and attention bias for every head of the recognition blocks."""

    def __init__(self, *, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_mlp = Mlp(nn.Linear, (width, hidden, hidden, hidden))
        self.pix_mlp = Mlp(nn.Conv2d, (width, hidden, hidden, hidden))
        self.attn_mlp = Mlp(nn.Conv2d, (width, hidden, hidden, heads * hidden))
        self.bias_scaling = nn.Linear(1, 1)

    def forward(self, queries: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            queries: float [B, Q, C].
            patches: float [B, C, h, w].

        Returns:
            Mask logits float [B, Q, h, w], and attention bias float [B, heads, Q, h, w].
        """
        vectors = self.query_mlp(queries)
        masks = torch.einsum("bqc,bchw->bqhw", vectors, self.pix_mlp(patches))
        keys = self.attn_mlp(patches).unflatten(1, (self.heads, -1))
        bias = torch.einsum("bqc,bnchw->bnqhw", vectors, keys)
        return masks, self.bias_scaling(bias[..., None])[..., 0]


class SideAdapter(nn.Module):
    """The side adapter.

    Args:
        numbers: Its numbers.
        clip_width: Channels of the CLIP features.
        clip_heads: Heads of the recognition blocks.
    """

    def __init__(self, numbers: SideNumbers, *, clip_width: int, clip_heads: int) -> None:
        super().__init__()
        self.numbers = numbers
        shape = (1, numbers.queries, numbers.width)
        self.query_embed = nn.Parameter(0.02 * torch.randn(shape))
        self.query_pos_embed = nn.Parameter(0.02 * torch.randn(shape))
        self.vit_model = SideVit(numbers)
        layers = {
            f"layer_{block}": FusionLayer(clip_width=clip_width, width=numbers.width)
            for block in numbers.fusion
        }
        self.fusion_layers = nn.ModuleDict(layers)
        self.mask_decoder = MaskDecoder(
            width=numbers.width, hidden=numbers.hidden, heads=clip_heads
        )

    def forward(self, image: Tensor, features: ClipFeatures) -> tuple[Tensor, Tensor]:
        """Propose masks.

        Args:
            image: float [B, 3, H, W], normalized, multiples of the patch size.
            features: Features of the CLIP extractor for the same image.

        Returns:
            As `MaskDecoder.forward`, at H/patch × W/patch.
        """
        patches = self.vit_model.patch_embed(image)
        height, width = patches.shape[-2:]
        positions = self.vit_model.positions(height=height, width=width)
        return self.mask_decoder(*self.run_blocks(patches, positions, features))  # type: ignore[no-any-return]

    def run_blocks(
        self, patches: Tensor, positions: Tensor, features: ClipFeatures
    ) -> tuple[Tensor, Tensor]:
        """From embedded patches, float [B, C, h, w], and positions, float [1, h·w, C].

        Returns:
            Queries float [B, Q, C] and patches float [B, C, h, w] after the last block.
        """
        b, _, height, width = patches.shape
        positions = torch.cat([self.query_pos_embed, positions], dim=1)
        queries = self.query_embed.expand(b, -1, -1)
        x = torch.cat([queries, patches.flatten(2).transpose(1, 2)], dim=1) + positions
        x = self._fuse(0, x, features, height=height, width=width)
        last = len(self.vit_model.blocks)
        for index, block in enumerate(self.vit_model.blocks, start=1):
            x = self._fuse(index, block(x), features, height=height, width=width)
            if index < last:
                x = x + positions
        q = self.numbers.queries
        return x[:, :q], x[:, q:].transpose(1, 2).unflatten(2, (height, width))

    def _fuse(
        self, index: int, x: Tensor, features: ClipFeatures, *, height: int, width: int
    ) -> Tensor:
        if index not in self.numbers.fusion:
            return x
        layer = self.fusion_layers[f"layer_{index}"]
        added = layer(features.grid(self.numbers.fusion[index]), height=height, width=width)
        q = self.numbers.queries
        return torch.cat([x[:, :q], x[:, q:] + added], dim=1)
