"""CLIP's image tower as SAN runs it, for one image: feature extractor and recognition head.

Every block and every projection is a module of its own, because nodes of the graph are named after
modules, and INT8 is judged by blocks of that name.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from edge_ovss.export.parts.head_projection import HeadProjection
from edge_ovss.models.san.towers import (
    ClipFeatures,
    ClipRecognitionHead,
    ClipVisualExtractor,
    run_block,
)
from edge_ovss.models.spec import Clip


class FrozenExtractor(nn.Module):
    """The feature extractor of CLIP, each block a module: nodes are named after modules.

    Args:
        extractor: Its parameters are shared, except for the position embeddings.
    """

    def __init__(self, extractor: ClipVisualExtractor) -> None:
        super().__init__()
        self.conv1, self.ln_pre = extractor.conv1, extractor.ln_pre
        self.class_embedding = extractor.class_embedding
        self.resblocks = nn.ModuleList(ExtractorBlock(block) for block in extractor.resblocks)

    def forward(self, image: Tensor, positions: Tensor) -> ClipFeatures:
        """Encode float [1, 3, h, w] with position embeddings float [1, 1 + patches, C]."""
        patches = self.conv1(image)
        embedded = patches.flatten(2).transpose(1, 2)
        x = self.ln_pre(torch.cat([self.class_embedding.expand(1, 1, -1), embedded], 1) + positions)
        tokens = [x]
        for block in self.resblocks:
            tokens.append(block(tokens[-1]))
        return ClipFeatures(tuple(tokens), patches.shape[-2], patches.shape[-1])


class ExtractorBlock(nn.Module):
    """One block of open_clip, with attention written out.

    Args:
        block: It is shared.
    """

    def __init__(self, block: Clip) -> None:
        super().__init__()
        self.attn, self.mlp, self.ln_1, self.ln_2 = block.attn, block.mlp, block.ln_1, block.ln_2

    def forward(self, x: Tensor) -> Tensor:
        """Map float [1, N, C] to the same shape."""
        return run_block(self, x)


class FrozenRecognition(nn.Module):
    """The recognition head for one image, computing only what reaches the queries.

    Args:
        head: Its parameters are shared, except for the projections of attention.
    """

    def __init__(self, head: ClipRecognitionHead) -> None:
        super().__init__()
        self.head = head
        self.blocks = nn.ModuleList(RecognitionBlock(block) for block in head.resblocks)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Classify the mask of every query.

        Args:
            tokens: float [1, 1 + l, C], class token first.
            bias: float [heads, Q, l].

        Returns:
            float [Q, D], unit norm.
        """
        # All queries start as the class token: in the first block one stands for all.
        queries = tokens[:, :1]
        blocks = [cast(RecognitionBlock, block) for block in self.blocks]
        for block in blocks[:-1]:
            queries = block.run_queries(queries, tokens[:, 1:], bias)
            tokens = block(tokens)
        return self.head.project(blocks[-1].run_queries(queries, tokens[:, 1:], bias))[0]


class RecognitionBlock(nn.Module):
    """One block of CLIP for tokens and for queries.

    Queries, keys and values are projected one by one: queries want no query of the patches, and
    TensorRT for RTX 1.7 does not build a joint projection of which only a part is used.

    Args:
        block: A block of open_clip; all but the projections is shared.
    """

    def __init__(self, block: Clip) -> None:
        super().__init__()
        self.ln_1, self.ln_2, self.mlp = block.ln_1, block.ln_2, block.mlp
        self.out_proj = block.attn.out_proj
        self.heads = int(block.attn.num_heads)
        weights = block.attn.in_proj_weight.detach().chunk(3)
        offsets = block.attn.in_proj_bias.detach().chunk(3)
        scales = ((weights[0].shape[0] // self.heads) ** -0.5, 1.0, 1.0)
        self.q, self.k, self.v = (
            HeadProjection(w * scale, b * scale, heads=self.heads)
            for w, b, scale in zip(weights, offsets, scales, strict=True)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Run the block for the tokens themselves, float [1, N, C] to the same shape."""
        x = self.ln_1(tokens)
        q, k, v = self.q(x), self.k(x), self.v(x)
        weights = (q @ k.transpose(2, 3)).softmax(-1)
        return self.finish(tokens, weights @ v)

    def run_queries(self, queries: Tensor, patches: Tensor, bias: Tensor) -> Tensor:
        """Run the block for the queries, float [1, 1 or Q, C] to [1, Q, C]."""
        own, others = self.ln_1(queries), self.ln_1(patches)
        q = self.q(own)
        itself = (q * self.k(own)).sum(-1, keepdim=True)
        itself = itself.expand(-1, -1, bias.shape[1], -1)
        seen = q @ self.k(others).transpose(2, 3) + bias
        weights = torch.cat([itself, seen], dim=-1).softmax(-1)
        mixed = weights[..., 1:] @ self.v(others)
        return self.finish(queries, mixed + weights[..., :1] * self.v(own))

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """From what attention mixed, float [1, heads, N, C/heads], to the end of the block."""
        x = x + self.out_proj(mixed.transpose(1, 2).flatten(2))
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result
