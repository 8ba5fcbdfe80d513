"""CLIP's image tower on the whole image, its last block severed.

In the last block patches do not look at each other: each keeps its own value, weighted by how much
the masks cover it. So one pass gives an embedding per patch.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.deop.positions import fit_positions
from edge_ovss.models.spec import Clip


def add_learned_positions(visual: Clip, *, side: int, blocks: Collection[int]) -> None:
    """Add `learned_position` [1 + side², C] to an open_clip image tower and to its `blocks`."""
    width = visual.conv1.out_channels
    for module in (visual, *(visual.transformer.resblocks[index] for index in blocks)):
        module.learned_position = nn.Parameter(torch.zeros(1 + side * side, width))


def patch_tokens(visual: Clip, image: Tensor) -> tuple[Tensor, int, int]:
    """Tokens after `ln_pre`, float [B, 1 + h·w, C], class token first; and h, w.

    Args:
        visual: The image tower.
        image: float [B, 3, H, W], H and W multiples of the patch size.
    """
    patches = visual.conv1(image)
    height, width = patches.shape[-2:]
    first = visual.class_embedding.expand(len(image), 1, -1)
    tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
    for learned in (visual.positional_embedding, visual.learned_position):
        tokens = tokens + fit_positions(learned, height, width)
    return visual.ln_pre(tokens), height, width


def run_blocks(visual: Clip, tokens: Tensor, *, height: int, width: int) -> list[Tensor]:
    """Run all blocks but the last; the tokens after each, float [B, 1 + h·w, C]."""
    after: list[Tensor] = []
    for block in visual.transformer.resblocks[:-1]:
        if hasattr(block, "learned_position"):
            tokens = tokens + fit_positions(block.learned_position, height, width)
        tokens = run_block(block, tokens)
        after.append(tokens)
    return after


def run_block(block: Clip, x: Tensor) -> Tensor:
    """Run one pre-norm block of open_clip on float [B, N, C]."""
    attention = block.attn
    qkv = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = qkv.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x + attention.out_proj(mixed)
    result: Tensor = x + block.mlp(block.ln_2(x))
    return result


def severance(mask_logits: Tensor, *, height: int, width: int) -> Tensor:
    """How much the masks cover each patch: logits are resized first, their sigmoids summed then.

    Args:
        mask_logits: float [B, Q, H/4, W/4].
        height: Rows of the CLIP grid.
        width: Columns of the CLIP grid.

    Returns:
        float [B, height, width].
    """
    size = (height, width)
    resized = F.interpolate(mask_logits, size, mode="bilinear", align_corners=False)
    return resized.sigmoid().sum(1)


def severed_block(block: Clip, patches: Tensor, cover: Tensor) -> Tensor:
    """The last block on patches only: values times cover instead of attention.

    The class token never reaches a patch here, so it is left out.

    Args:
        block: The last block of an open_clip image tower.
        patches: float [B, h·w, C].
        cover: `severance`, flattened: float [B, h·w].
    """
    attention = block.attn
    width = patches.shape[-1]
    value = F.linear(
        block.ln_1(patches), attention.in_proj_weight[-width:], attention.in_proj_bias[-width:]
    )
    x = patches + attention.out_proj(value * cover[..., None])
    result: Tensor = x + block.mlp(block.ln_2(x))
    return result


def embed_patches(visual: Clip, patches: Tensor) -> Tensor:
    """Unit vectors, float [B, h·w, D], of patches after the last block, float [B, h·w, C]."""
    return F.normalize(visual.ln_post(patches) @ visual.proj, dim=-1)
