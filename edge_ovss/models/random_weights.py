"""Random weights for latency work without a checkpoint: finite, and the same for each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn


def fill_randomly(
    model: nn.Module, *, seed: int, tempered: Mapping[str, float] | None = None
) -> None:
    """Fill every parameter from one generator, in the order of their names.

    A fresh network cannot replace a trained one in tests: layer scales of 1e-6 switch its blocks
    off. Here every block contributes, so that comparing two programs means something. Buffers, such
    as the statistics of a frozen batch norm, keep their defaults.

    Args:
        model: The model to fill, in place.
        seed: Any integer; the same seed gives the same weights.
        tempered: Factor by parameter name or pattern (`fnmatch`), for layers that would saturate.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(_values(name, parameter, generator))
            for pattern, factor in (tempered or {}).items():
                if fnmatchcase(name, pattern):
                    parameter.mul_(factor)


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
