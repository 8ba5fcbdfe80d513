"""Building blocks of SED's decoder, under the parameter names of the published checkpoint.

Every block works on one batch of categories: [B·T, C, h, w] with B images of T categories each,
the categories of one image next to each other. Source: SED (CVPR 2024), §3.2 and §3.3, and the
published implementation github.com/xb534/SED.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 4
ATTENTION_EPS = 1e-6


class SpatialBlock(nn.Module):
    """ConvNeXt block with a 9×9 depthwise convolution; sees one category at a time."""

    def __init__(self, *, channels: int, kernel: int = 9) -> None:
        super().__init__()
        self.gamma: nn.Parameter | None = nn.Parameter(torch.full((channels,), 1e-6))
        self.dwconv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, C, h, w] to the same shape."""
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.pwconv2(F.gelu(self.pwconv1(self.norm(y))))
        if self.gamma is not None:
            y = self.gamma * y
        result: Tensor = x + y.permute(0, 3, 1, 2)
        return result


class LinearAttention(nn.Module):
    """Linear attention (feature map elu + 1) over the categories of one position."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.q = nn.Linear(channels, channels)
        self.k = nn.Linear(channels, channels)
        self.v = nn.Linear(channels, channels)

    def forward(self, x: Tensor, alive: Tensor | None = None) -> Tensor:
        """Attend over the second axis.

        Args:
            x: float [N, T, C]: N positions, T categories.
            alive: float [T], 1 for a category and 0 for an empty slot that nobody may see.

        Returns:
            float [N, T, C].
        """
        n, t, c = x.shape
        heads = (n, t, HEADS, c // HEADS)
        q = (F.elu(self.q(x)) + 1).view(heads).transpose(1, 2)
        k = (F.elu(self.k(x)) + 1).view(heads).transpose(1, 2)
        v = self.v(x).view(heads).transpose(1, 2)
        if alive is not None:
            k = k * alive.view(1, 1, t, 1)
        # Published code divides v by T and multiplies the result by T: the two cancel.
        weighted = q @ (k.transpose(2, 3) @ v)
        total = q @ k.sum(2).unsqueeze(-1)
        result: Tensor = (weighted / (total + ATTENTION_EPS)).transpose(1, 2).reshape(n, t, c)
        return result


class ClassBlock(nn.Module):
    """Lets the categories of one image see each other, position by position."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.attention = LinearAttention(channels=channels)
        self.MLP = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, channels)
        )
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, *, pictures: int = 1, alive: Tensor | None = None) -> Tensor:
        """Map float [B·T, C, h, w] to the same shape; the input is added once more at the end."""
        _, c, h, w = x.shape
        y = x.view(pictures, -1, c, h * w).permute(0, 3, 1, 2)
        t = y.shape[2]
        y = self.mix(y.reshape(pictures * h * w, t, c), alive)
        y = y.view(pictures, h * w, t, c).permute(0, 2, 3, 1)
        return x + y.reshape(-1, c, h, w)

    def mix(self, y: Tensor, alive: Tensor | None = None) -> Tensor:
        """Attention and MLP with their residual connections, float [N, T, C] to the same shape."""
        y = y + self.attention(self.norm1(y), alive)
        result: Tensor = y + self.MLP(self.norm2(y))
        return result


class DoubleConv(nn.Module):
    """Twice [3×3 convolution without bias, GroupNorm, ReLU]."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        groups = max(1, outputs // 16)
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
        )

    @property
    def first(self) -> nn.Conv2d:
        """The convolution that reads everything at once."""
        layer = self.double_conv[0]
        if not isinstance(layer, nn.Conv2d):
            raise TypeError(type(layer))
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, inputs, h, w] to [N, outputs, h, w]."""
        result: Tensor = self.double_conv(x)
        return result


class DecoderLayer(nn.Module):
    """Spatial step, class step, and the skip step that doubles the resolution."""

    def __init__(self, *, inputs: int, outputs: int, guidance: int, cost_guidance: int) -> None:
        super().__init__()
        rising = inputs - guidance
        self.guidance = guidance
        self.cnext = SpatialBlock(channels=inputs)
        self.attention = ClassBlock(channels=inputs)
        self.up = nn.ConvTranspose2d(inputs, rising, 2, stride=2)
        self.conv = DoubleConv(inputs=rising + guidance + cost_guidance, outputs=outputs)

    def forward(self, x: Tensor, guidance: Tensor, cost_guidance: Tensor) -> Tensor:
        """Run the layer.

        Args:
            x: float [B·T, inputs, h, w].
            guidance: float [B, guidance, 2h, 2w], the same for every category of an image.
            cost_guidance: float [B·T, cost_guidance, 2h, 2w].

        Returns:
            float [B·T, outputs, 2h, 2w].
        """
        pictures = guidance.shape[0]
        x = self.attention(self.cnext(x), pictures=pictures)
        return self.skip(x, guidance, cost_guidance)

    def skip(self, x: Tensor, guidance: Tensor, cost_guidance: Tensor) -> Tensor:
        """The skip step alone, as published: guidance repeated for every category."""
        repeats = x.shape[0] // guidance.shape[0]
        shared = guidance.repeat_interleave(repeats, dim=0)
        result: Tensor = self.conv(torch.cat([self.up(x), shared, cost_guidance], dim=1))
        return result
