"""The text tower as a module that can be traced for any number and length of prompts.

open_clip's own module is not used because its attention reads the length of the tokens while it is
traced. The parameters are the same, and so is the order of operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.spec import Clip


class TowerGraph(nn.Module):
    """Tokens int64 [N, L] → embeddings float32 [N, D] of unit norm.

    Args:
        clip: An open_clip CLIP.
    """

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.token_embedding, self.ln_final = clip.token_embedding, clip.ln_final
        self.positional_embedding = clip.positional_embedding
        self.text_projection = clip.text_projection
        self.blocks = nn.ModuleList(Block(block) for block in clip.transformer.resblocks)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode; the feature is read at the end token, which has the largest id."""
        length = tokens.shape[1]
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        places = torch.arange(length, device=tokens.device)
        # No position sees a later one. A large number and not -inf, which FP16 engines dislike.
        later = (places[None, :] > places[:, None]).float() * -1e4
        for block in self.blocks:
            x = block(x, later)
        x = self.ln_final(x)
        ends = tokens.argmax(-1)[:, None, None].expand(-1, 1, x.shape[-1])
        return F.normalize(x.gather(1, ends)[:, 0] @ self.text_projection, dim=-1)


class Block(nn.Module):
    """One residual block: self-attention with a mask, then two linear layers.

    Args:
        block: open_clip's.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.ln_1, self.ln_2, self.mlp = block.ln_1, block.ln_2, block.mlp
        self.ls_1, self.ls_2 = block.ls_1, block.ls_2
        attention = block.attn
        self.heads = int(attention.num_heads)
        self.in_weight, self.in_bias = attention.in_proj_weight, attention.in_proj_bias
        self.out_proj = attention.out_proj

    def forward(self, x: Tensor, later: Tensor) -> Tensor:
        """Map float [N, L, C] to the same shape; `later` float [L, L] is added to the scores."""
        x = x + self.ls_1(self._attend(self.ln_1(x), later))
        y: Tensor = x + self.ls_2(self.mlp(self.ln_2(x)))
        return y

    def _attend(self, x: Tensor, later: Tensor) -> Tensor:
        width = x.shape[-1] // self.heads
        joint = F.linear(x, self.in_weight, self.in_bias)
        parts = (part.unflatten(-1, (self.heads, width)) for part in joint.chunk(3, dim=-1))
        query, key, value = (part.transpose(1, 2) for part in parts)
        scores = (query * width**-0.5) @ key.transpose(-2, -1) + later
        y: Tensor = self.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return y
