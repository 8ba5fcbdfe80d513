"""MaskFormer's part: from backbone features to one mask per query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.deop.attention import EPS, DecoderLayer
from edge_ovss.models.deop.positions import sine_positions

_GROUPS = 32


@dataclass(frozen=True)
class MaskNumbers:
    """Numbers of the mask proposals.

    Attributes:
        width: Channels of the pixel decoder and of the mask decoder.
        heads: Attention heads.
        hidden: Width of the feed-forward layers.
        layers: Decoder layers.
        queries: Masks per image.
    """

    width: int = 256
    heads: int = 8
    hidden: int = 2048
    layers: int = 6
    queries: int = 100


class GroupConv(nn.Conv2d):
    """A convolution without bias, followed by a group norm (`norm.`)."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(min(_GROUPS, outputs), outputs, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalize float [B, C, H, W]."""
        result: Tensor = self.norm(super().forward(x))
        return result


class PixelDecoder(nn.Module):
    """A feature pyramid: from four scales to features at a quarter of the size."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        for index, inputs in enumerate(channels[:-1], 1):
            self.add_module(f"adapter_{index}", GroupConv(inputs, width, 1))
            self.add_module(f"layer_{index}", GroupConv(width, width, 3))
        self.levels = len(channels)
        self.add_module(f"layer_{self.levels}", GroupConv(channels[-1], width, 3))
        self.mask_features = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """From res2 … res5 to mask features, float [B, C, H/4, W/4]."""
        y = F.relu(self.get_submodule(f"layer_{self.levels}")(features[-1]))
        for index in range(self.levels - 1, 0, -1):
            side = self.get_submodule(f"adapter_{index}")(features[index - 1])
            below = F.interpolate(y, size=side.shape[-2:], mode="nearest")
            y = F.relu(self.get_submodule(f"layer_{index}")(side + below))
        result: Tensor = self.mask_features(y)
        return result


class MaskHead(nn.Module):
    """Three linear layers (`layers.`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Run on float [..., C]."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        result: Tensor = self.layers[-1](x)
        return result


class DecoderStack(nn.Module):
    """Decoder layers and the norm behind the last (`layers.`, `norm.`)."""

    def __init__(self, numbers: MaskNumbers) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(
                width=numbers.width,
                heads=numbers.heads,
                hidden=numbers.hidden,
                cross="multihead_attn",
            )
            for _ in range(numbers.layers)
        )
        self.norm = nn.LayerNorm(numbers.width, eps=EPS)


class MaskPredictor(nn.Module):
    """Queries look at res5 and give a mask each.

    Args:
        inputs: Channels of res5.
        numbers: Numbers of the mask proposals.
    """

    def __init__(self, inputs: int, numbers: MaskNumbers) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict({"decoder": DecoderStack(numbers)})
        self.query_embed = nn.Embedding(numbers.queries, numbers.width)
        self.input_proj = nn.Conv2d(inputs, numbers.width, 1)
        self.mask_embed = MaskHead(numbers.width)

    def queries(self, res5: Tensor) -> Tensor:
        """Queries after the last norm, float [B, Q, C], of float [B, c, h, w]."""
        memory = self.input_proj(res5)
        places = sine_positions(*memory.shape[-2:], channels=memory.shape[1]).to(memory)
        memory = memory.flatten(2).transpose(1, 2)
        learned = self.query_embed.weight
        x = learned.new_zeros(len(memory), *learned.shape)
        decoder = self.transformer["decoder"]
        for layer in decoder.layers:  # type: ignore[union-attr]
            x = layer(x, learned, memory, places)
        result: Tensor = decoder.norm(x)  # type: ignore[operator]
        return result

    def forward(self, res5: Tensor, mask_features: Tensor) -> Tensor:
        """Mask logits, float [B, Q, H/4, W/4]."""
        vectors = self.mask_embed(self.queries(res5))
        masks = vectors @ mask_features.flatten(2)
        result: Tensor = masks.unflatten(2, mask_features.shape[-2:])
        return result
