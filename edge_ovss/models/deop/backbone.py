"""The backbone: a ResNet "c" with frozen norms and a dilated last stage.

Parameter names as in the published checkpoint (`backbone.stem.conv1.norm.weight`, …).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


@dataclass(frozen=True)
class BackboneNumbers:
    """Numbers of a backbone.

    Attributes:
        stem: Channels of the first two and of the third stem convolution.
        blocks: Bottlenecks of res2, res3, res4, res5.
        channels: Output channels of res2, res3, res4, res5; inside a block a quarter of them.
        dilations: Of the 3x3 convolutions of res5, one per block.
    """

    stem: tuple[int, int] = (64, 128)
    blocks: tuple[int, int, int, int] = (3, 4, 23, 3)
    channels: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    dilations: tuple[int, ...] = (1, 2, 4)


class FrozenNorm(nn.Module):
    """Batch norm that never updates: everything is a buffer, running statistics are used."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize float [B, C, H, W]."""
        scale, shift = self.affine()
        return x * scale[:, None, None] + shift[:, None, None]

    def affine(self) -> tuple[Tensor, Tensor]:
        """The norm as scale and shift, float [C] each."""
        scale = self.weight * (self.running_var + EPS).rsqrt()
        return scale, self.bias - self.running_mean * scale


class NormConv(nn.Conv2d):
    """A convolution without bias, followed by a frozen norm (`norm.`)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            inputs, outputs, kernel, stride, padding=padding, dilation=dilation, bias=False
        )
        self.norm = FrozenNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalize float [B, C, H, W]."""
        result: Tensor = self.norm(super().forward(x))
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; the stride is on the 3x3 and on the shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        inner = outputs // 4
        first = inputs != outputs or stride != 1
        self.shortcut = NormConv(inputs, outputs, 1, stride=stride) if first else None
        self.conv1 = NormConv(inputs, inner, 1)
        self.conv2 = NormConv(inner, inner, 3, stride=stride, dilation=dilation)
        self.conv3 = NormConv(inner, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block on float [B, C, H, W]."""
        y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Stem(nn.Module):
    """Three 3x3 convolutions and a max pooling: a quarter of the size."""

    def __init__(self, inner: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = NormConv(3, inner, 3, stride=2)
        self.conv2 = NormConv(inner, inner, 3)
        self.conv3 = NormConv(inner, outputs, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Run on float [B, 3, H, W]."""
        x = F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(image))))))
        return F.max_pool2d(x, 3, stride=2, padding=1)


class Backbone(nn.Module):
    """The whole backbone."""

    def __init__(self, numbers: BackboneNumbers) -> None:
        super().__init__()
        self.stem = Stem(*numbers.stem)
        inputs = numbers.stem[1]
        for index, (count, outputs) in enumerate(
            zip(numbers.blocks, numbers.channels, strict=True)
        ):
            last = index == len(numbers.blocks) - 1
            dilations = numbers.dilations if last else (1,) * count
            blocks = [
                Bottleneck(
                    inputs if place == 0 else outputs,
                    outputs,
                    stride=2 if place == 0 and index > 0 else 1,
                    dilation=dilations[place],
                )
                for place in range(count)
            ]
            self.add_module(f"res{index + 2}", nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode float [B, 3, H, W]: res2 to res5, at strides 4, 8, 16, 32."""
        res2: Tensor = self.get_submodule("res2")(self.stem(image))
        res3: Tensor = self.get_submodule("res3")(res2)
        res4: Tensor = self.get_submodule("res4")(res3)
        return res2, res3, res4, self.get_submodule("res5")(res4)
