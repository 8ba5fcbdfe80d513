"""A projection of attention by itself.

TensorRT for RTX 1.7 does not build a joint projection (q, k and v in one matrix) of which only a
part is used, and INT8 is judged by modules: every projection is one of its own.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class HeadProjection(nn.Module):
    """A linear layer whose channels are parted into heads.

    Args:
        weight: float [C, C].
        bias: float [C].
        heads: How many.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [1, N, C] to [1, heads, N, C/heads]."""
        y = F.linear(x, self.weight, self.bias)
        heads: Tensor = y.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return heads
