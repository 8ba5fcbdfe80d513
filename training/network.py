"""The model in training: starting values, the forward pass with its by-products, averaging."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from data import CAMVID_CLASSES
from safetensors.torch import load_file
from torch import Tensor, nn
from warmup import PlainHead

from edge_ovss.models.sed import PREFIX, VARIANTS, Sed, SedMaps, build_sed
from edge_ovss.models.text import encode_prompts

logger = logging.getLogger("train_sed_tiny")

_GAMMA = 0.2


@dataclass(frozen=True)
class Outputs:
    """What one forward pass gives.

    Attributes:
        maps: Logits and rejection maps; None if the decoder was left out.
        dense: Dense picture features, float32 [B, D, H/32, W/32].
        plain: Logits of the plain head, float32 [B, 11, H/4, W/4], or None.
    """

    maps: SedMaps | None
    dense: Tensor
    plain: Tensor | None

    def float(self) -> Outputs:
        """The same in float32, for the losses."""
        maps = self.maps
        if maps is not None:
            zero, one, two = (a.float() for a in maps.auxiliary)
            maps = SedMaps(maps.logits.float(), (zero, one, two))
        plain = None if self.plain is None else self.plain.float()
        return Outputs(maps, self.dense.float(), plain)


class Trainee(nn.Module):
    """sed-tiny with its temporary plain head.

    Args:
        name: Variant to build.
    """

    def __init__(self, name: str = "sed-tiny") -> None:
        super().__init__()
        self.model: Sed = build_sed(name)
        numbers = VARIANTS[name]
        dims = (*numbers.trunk[:3], numbers.embed_dim or 0)
        self.plain = PlainHead(trunk=dims, classes=len(CAMVID_CLASSES))
        initialize(self.model)

    def forward(
        self, image: Tensor, embeddings: Tensor, *, decode: bool = True, plain: bool = True
    ) -> Outputs:
        """Run what the losses need (see `Sed.maps`): the decoder, the plain head, or both."""
        features, dense = self.model.encode_picture(image)
        maps = self._decode(features, dense, embeddings) if decode else None
        return Outputs(maps, dense, self.plain([*features, dense]) if plain else None)

    def _decode(self, features: list[Tensor], dense: Tensor, embeddings: Tensor) -> SedMaps:
        decoder = self.model.transformer
        cost = self.model.cost_map(dense, embeddings)
        guidance, cost_guidance = decoder.guide(features), decoder.guide_cost(cost)
        x = decoder.conv1(cost)
        auxiliary: list[Tensor] = []
        for index, layer in enumerate(decoder.layers):
            auxiliary.append(decoder.rejection_heads[index](x.detach()))
            x = layer(x, guidance[index], cost_guidance[index])
        pictures = len(dense)
        logits = decoder.head(x).unflatten(0, (pictures, -1))[:, :, 0]
        zero, one, two = (a.unflatten(0, (pictures, -1))[:, :, 0] for a in auxiliary)
        return SedMaps(logits, (zero, one, two))


def initialize(model: Sed) -> None:
    """Starting values of trunk and decoder: blocks that contribute from the first step."""
    trunk = model.clip_model.visual.trunk
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, _GAMMA)
    decoder = model.transformer
    for head in (decoder.head, *decoder.rejection_heads):
        if head.bias is not None:
            nn.init.constant_(head.bias, -2.0)


def load_text_tower(model: Sed, path: Path) -> None:
    """Fill the text tower with what `text_pretrain.py` wrote."""
    state = torch.load(path, weights_only=True)
    # Rounded as the published file is, so that training sees the embeddings that users get.
    halves = {name: value.half().float() for name, value in state.items()}
    missing = model.clip_model.load_state_dict(halves, strict=False).missing_keys
    unexpected = [name for name in missing if not name.startswith(("visual", "logit", "attn"))]
    if unexpected:
        message = f"File '{path}' lacks {', '.join(unexpected)}."
        raise KeyError(message)


def load_start(trainee: Trainee, path: Path) -> None:
    """Fill a model with the average of a checkpoint, or with a weights file of the package.

    Parameters whose shape has changed since, and those the file lacks, keep their starting values.
    """
    if path.suffix == ".safetensors":
        found = load_file(path)
        state = {f"model.{name.removeprefix(PREFIX)}": v.float() for name, v in found.items()}
    else:
        state = torch.load(path, weights_only=True)["average"]
    own = trainee.state_dict()
    fits = {n: v for n, v in state.items() if n in own and own[n].shape == v.shape}
    logger.info("%d of %d parameters from '%s'", len(fits), len(own), path)
    trainee.load_state_dict(fits, strict=False)


def freeze_text_tower(model: Sed) -> None:
    """Leave only the picture tower of the CLIP trainable."""
    for name, parameter in model.clip_model.named_parameters():
        parameter.requires_grad_(name.startswith("visual"))


def embed_words(model: Sed, words: Sequence[str]) -> Tensor:
    """Text embeddings of single words, float32 [N, P, D]."""
    templates = model.spec.templates
    prompts = [template.replace("{}", word) for word in words for template in templates]
    return encode_prompts(model.clip_model, prompts).view(len(words), len(templates), -1).clone()


class Average:
    """Exponential moving average of the trained parameters.

    Args:
        module: What is averaged.
        keep: Share of the old average that stays at each step.
    """

    def __init__(self, module: nn.Module, *, keep: float) -> None:
        self.keep = keep
        self.values = {n: p.detach().clone() for n, p in _trained(module)}

    def update(self, module: nn.Module, step: int) -> None:
        """Take in the parameters after a step; young averages forget faster."""
        keep = min(self.keep, (1 + step) / (10 + step))
        for name, parameter in _trained(module):
            self.values[name].lerp_(parameter.detach(), 1 - keep)

    def copy_to(self, module: nn.Module) -> None:
        """Write the average into a module."""
        for name, parameter in module.named_parameters():
            if name in self.values:
                parameter.data.copy_(self.values[name])


def _trained(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(n, p) for n, p in module.named_parameters() if p.requires_grad]
