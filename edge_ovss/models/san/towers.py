"""The CLIP ViT cut in two: blocks that extract features, and blocks that recognize masks.

The modules are open_clip's, under the parameter names of the published checkpoint; attention is
written out here because it is biased by head and because it has to export. Source: SAN
(CVPR 2023), §3.3 and §3.4, and the published implementation github.com/MendelXu/SAN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.san.resizing import clip_positions
from edge_ovss.models.spec import Clip

# Added by the published code where a token must not attend.
UNSEEN = -100.0


@dataclass(frozen=True)
class ClipFeatures:
    """Features of the extractor.

    Attributes:
        tokens: After ln_pre and after every block, float [B, 1 + height·width, C] each, class
            token first.
        height: Patches downwards.
        width: Patches across.
    """

    tokens: tuple[Tensor, ...]
    height: int
    width: int

    def grid(self, index: int) -> Tensor:
        """Patches after `index` blocks, float [B, C, height, width]."""
        patches = self.tokens[index][:, 1:].transpose(1, 2)
        grid: Tensor = patches.unflatten(2, (self.height, self.width))
        return grid


class ClipVisualExtractor(nn.Module):
    """The first blocks of the image tower.

    Args:
        visual: The image tower of an open_clip CLIP (ViT); its modules are taken over.
        blocks: How many of its blocks.
    """

    def __init__(self, visual: Clip, *, blocks: int) -> None:
        super().__init__()
        self.conv1 = visual.conv1
        self.class_embedding = visual.class_embedding
        self.positional_embedding = visual.positional_embedding
        self.ln_pre = visual.ln_pre
        self.resblocks = nn.ModuleList(visual.transformer.resblocks[:blocks])

    def forward(self, image: Tensor) -> ClipFeatures:
        """Encode float [B, 3, h, w]; a remainder of the patch size is dropped."""
        patches = self.conv1(image)
        height, width = patches.shape[-2:]
        positions = clip_positions(self.positional_embedding, height=height, width=width)
        return self.run_blocks(patches, positions)

    def run_blocks(self, patches: Tensor, positions: Tensor) -> ClipFeatures:
        """From embedded patches, float [B, C, h, w], and positions, float [1, 1 + h·w, C]."""
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        x = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
        x = self.ln_pre(x + positions)
        tokens = [x]
        for block in self.resblocks:
            x = run_block(block, x)
            tokens.append(x)
        return ClipFeatures(tuple(tokens), patches.shape[-2], patches.shape[-1])


class ClipRecognitionHead(nn.Module):
    """The last blocks of the image tower, run on copies of the class token, one for each query.

    Args:
        visual: The image tower of an open_clip CLIP (ViT); its modules are taken over.
        first: Index of the first block that belongs here.
    """

    def __init__(self, visual: Clip, *, first: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(visual.transformer.resblocks[first:])
        self.heads = int(visual.transformer.resblocks[first].attn.num_heads)
        self.ln_post = visual.ln_post
        self.proj = visual.proj

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Classify the mask of every query.

        Args:
            tokens: After the last extractor block, float [B, 1 + l, C], class token first.
            bias: Attention bias by head and query, float [B, heads, Q, l].

        Returns:
            float [B, Q, D], unit norm.
        """
        queries = bias.shape[2]
        copies = tokens[:, :1].expand(-1, queries, -1)
        x = torch.cat([copies, tokens], dim=1)
        mask = full_mask(bias)
        for block in self.resblocks:
            x = run_block(block, x, mask=mask)
        return self.project(x[:, :queries])

    def project(self, queries: Tensor) -> Tensor:
        """From the last block to unit vectors, float [B, Q, C] to [B, Q, D]."""
        return F.normalize(self.ln_post(queries) @ self.proj, dim=-1)


def full_mask(bias: Tensor) -> Tensor:
    """Additive mask over [queries; class token; patches].

    A query sees itself and, with its bias, the patches; the others see the class token and the
    patches.

    Args:
        bias: float [B, heads, Q, l].

    Returns:
        float [B, heads, Q + 1 + l, Q + 1 + l].
    """
    b, heads, queries, patches = bias.shape
    others = bias.new_zeros(b, heads, 1 + patches, queries + 1 + patches)
    others[..., :queries] = UNSEEN
    own = UNSEEN * (1 - torch.eye(queries, queries + 1, dtype=bias.dtype, device=bias.device))
    own = own.expand(b, heads, -1, -1)
    return torch.cat([torch.cat([own, bias], dim=-1), others], dim=2)


def run_block(block: Clip, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Run one pre-norm block of open_clip on float [B, N, C]; `mask` is added to the logits."""
    attention = block.attn
    q, k, v = project_heads(attention, block.ln_1(x))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    x = x + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    result: Tensor = x + block.mlp(block.ln_2(x))
    return result


def project_heads(attention: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, float [B, heads, N, C/heads] each, of float [B, N, C]."""
    qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = qkv.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v
