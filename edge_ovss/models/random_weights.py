"""Weights for latency work without a checkpoint: lively, finite, the same for the same seed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def fill_randomly(model: nn.Module, *, seed: int) -> None:
    """Fill every parameter from one generator, in the order of their names.

    A fresh network is no stand-in for a trained one: layer scales of 1e-6 switch its blocks off.
    Here every block contributes, so that a comparison of two programs compares something.

    Args:
        model: The model to fill, in place.
        seed: Any integer; the same seed gives the same weights.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(_values(name, parameter, generator))


def _values(name: str, parameter: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(parameter.shape, generator=generator)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "logit_scale":
        return torch.full_like(noise, math.log(100.0))
    if leaf == "gamma":
        return 0.3 + 0.05 * noise
    if "embedding" in name or leaf.endswith("embed"):
        return 0.5 * noise
    if parameter.ndim <= 1:
        return 1 + 0.1 * noise if leaf == "weight" else 0.05 * noise
    return noise * math.sqrt(2.0 / math.prod(parameter.shape[1:]))
