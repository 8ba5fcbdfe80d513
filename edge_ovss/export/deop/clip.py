"""CLIP's image tower for one image at a fixed size, its last block severed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.deop.clip_tower import run_block
from edge_ovss.models.deop.positions import fit_positions
from edge_ovss.models.spec import Clip


class FrozenClip(nn.Module):
    """The whole tower: float [1, 3, H, W] and a cover to unit vectors of the patches.

    Args:
        visual: Its parameters are shared, except for positions and the last block's values.
        height: Rows of its grid.
        width: Columns of its grid.
    """

    positions: Tensor
    first: Tensor
    proj: Tensor

    def __init__(self, visual: Clip, *, height: int, width: int) -> None:
        super().__init__()
        self.conv1, self.ln_pre, self.ln_post = visual.conv1, visual.ln_pre, visual.ln_post
        blocks = list(visual.transformer.resblocks)
        self.resblocks = nn.ModuleList(
            FrozenBlock(block, height=height, width=width) for block in blocks[:-1]
        )
        self.severed = SeveredBlock(blocks[-1])
        self.register_buffer("proj", visual.proj.detach())
        with torch.no_grad():
            positions = fit_positions(visual.positional_embedding, height, width)
            positions = positions + fit_positions(visual.learned_position, height, width)
            self.register_buffer("first", (visual.class_embedding + positions[:1])[None].clone())
            self.register_buffer("positions", positions[1:].clone())

    def forward(self, image: Tensor, cover: Tensor) -> Tensor:
        """Encode.

        Args:
            image: float [1, 3, H, W].
            cover: How much the masks cover each patch, float [1, h·w].

        Returns:
            float [1, h·w, D].
        """
        patches = self.conv1(image).flatten(2).transpose(1, 2) + self.positions
        x = self.ln_pre(torch.cat([self.first, patches], dim=1))
        for block in self.resblocks:
            x = block(x)
        x = self.severed(x[:, 1:], cover)
        return F.normalize(self.ln_post(x) @ self.proj, dim=-1)


class FrozenBlock(nn.Module):
    """One block, with attention written out and its learned positions at the grid's size."""

    places: Tensor

    def __init__(self, block: Clip, *, height: int, width: int) -> None:
        super().__init__()
        self.attn, self.mlp, self.ln_1, self.ln_2 = block.attn, block.mlp, block.ln_1, block.ln_2
        self.learned = hasattr(block, "learned_position")
        if self.learned:
            places = fit_positions(block.learned_position.detach(), height, width)
            self.register_buffer("places", places.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map float [1, N, C] to the same shape."""
        return run_block(self, x + self.places if self.learned else x)


class SeveredBlock(nn.Module):
    """The last block: values times cover instead of attention; queries and keys are not made."""

    def __init__(self, block: Clip) -> None:
        super().__init__()
        self.ln_1, self.ln_2, self.mlp = block.ln_1, block.ln_2, block.mlp
        self.out_proj = block.attn.out_proj
        width = block.attn.in_proj_bias.shape[0] // 3
        self.v = nn.Linear(width, width)
        self.v.weight.data = block.attn.in_proj_weight.detach()[-width:]
        self.v.bias.data = block.attn.in_proj_bias.detach()[-width:]

    def forward(self, patches: Tensor, cover: Tensor) -> Tensor:
        """Map float [1, h·w, C] with a cover float [1, h·w] to the same shape."""
        value = self.v(self.ln_1(patches))
        x = patches + self.out_proj(value * cover[..., None])
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result
