"""A plain segmentation head that helps the trunk to learn; it is thrown away afterwards.

The cost map reaches the trunk at stride 32 only. A small head on all four stages that learns the
eleven CamVid classes gives every stage a gradient from the first step.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class PlainHead(nn.Module):
    """1x1 convolutions from each trunk stage, summed at stride 4.

    Args:
        trunk: Channels of the stages, fine to coarse.
        classes: Number of classes.
        width: Channels of the sum.
    """

    def __init__(self, *, trunk: Sequence[int], classes: int, width: int = 48) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in trunk)
        self.norm = nn.GroupNorm(4, width)
        self.head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map trunk features, fine to coarse, to logits [B, classes, H/4, W/4]."""
        total = self.lateral[-1](features[-1])
        for lateral, feature in zip(self.lateral[-2::-1], features[-2::-1], strict=True):
            upsampled = F.interpolate(total, scale_factor=2.0, mode="bilinear")
            total = upsampled + lateral(feature)
        result: Tensor = self.head(F.relu(self.norm(total)))
        return result
