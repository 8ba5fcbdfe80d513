"""The backbone and the pixel decoder for one image, with the frozen norms folded in."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.deop.backbone import Backbone, NormConv
from edge_ovss.models.deop.masks import PixelDecoder

_Module = TypeVar("_Module", bound=nn.Module)


def fold_norm(conv: NormConv) -> nn.Conv2d:
    """Return one convolution that is the convolution and its norm; computed in float64."""
    scale, shift = (each.detach() for each in copy.deepcopy(conv.norm).double().affine())
    folded = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        cast("tuple[int, int]", conv.kernel_size),
        stride=cast("tuple[int, int]", conv.stride),
        padding=cast("tuple[int, int]", conv.padding),
        dilation=cast("tuple[int, int]", conv.dilation),
    )
    folded.weight.data = (conv.weight.detach().double() * scale[:, None, None, None]).float()
    assert folded.bias is not None
    folded.bias.data = shift.float()
    return folded


def fold_norms(module: _Module) -> _Module:
    """Return a copy of a module in which a convolution with its norm is one convolution."""
    folded = copy.deepcopy(module)
    for name, child in module.named_children():
        if isinstance(child, NormConv):
            setattr(folded, name, fold_norm(child))
    return folded


class FrozenBackbone(nn.Module):
    """The backbone, each block a module: INT8 is judged by blocks (`stages.N.blocks.M`)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.stem = fold_norms(backbone.stem)
        stages = (cast(nn.Sequential, backbone.get_submodule(f"res{n}")) for n in range(2, 6))
        self.stages = nn.ModuleList(FrozenStage(stage) for stage in stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode float [1, 3, H, W]: res2 to res5, at strides 4, 8, 16, 32."""
        x = self.stem(image)
        found: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class FrozenStage(nn.Module):
    """One stage of the backbone (`blocks.N`)."""

    def __init__(self, stage: nn.Sequential) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*map(fold_norms, stage))

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks on float [1, C, H, W]."""
        result: Tensor = self.blocks(x)
        return result


class FrozenPixelDecoder(nn.Module):
    """The feature pyramid; its parameters are shared."""

    def __init__(self, decoder: PixelDecoder) -> None:
        super().__init__()
        places = range(1, decoder.levels + 1)
        self.layers = nn.ModuleList(decoder.get_submodule(f"layer_{n}") for n in places)
        self.adapters = nn.ModuleList(decoder.get_submodule(f"adapter_{n}") for n in places[:-1])
        self.mask_features = decoder.mask_features

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """From res2 … res5 to mask features, float [1, C, H/4, W/4]."""
        y = F.relu(self.layers[-1](features[-1]))
        for place in reversed(range(len(self.adapters))):
            side = self.adapters[place](features[place])
            y = F.relu(self.layers[place](side + twice_as_large(y)))
        result: Tensor = self.mask_features(y)
        return result


def twice_as_large(x: Tensor) -> Tensor:
    """Repeat every row and column of float [1, C, h, w].

    Without a Resize, so that it stays in FP16; and ONNX Runtime joins copies five times as fast as
    it expands.
    """
    wide = torch.stack([x, x], dim=4).flatten(3)
    tall: Tensor = torch.stack([wide, wide], dim=3).flatten(2, 3)
    return tall
