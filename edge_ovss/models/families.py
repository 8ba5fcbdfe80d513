"""The model families: what must be known of one to build it, fill it and recognise it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

from edge_ovss.models.san import build as san
from edge_ovss.models.san.text_tower import add_text_tower
from edge_ovss.models.sed import build as sed
from edge_ovss.models.sed.clip_weights import fetch_clip

# A torch.nn.Module with `spec`, `origin`, `encode_text` and `forward`; one class per family.
Model: TypeAlias = Any


@dataclass(frozen=True)
class Family:
    """One family (docs/adding-a-family.md).

    Attributes:
        name: "sed" and so on; `edge_ovss.export.NAME.family` says how it is exported.
        models: Names of its models.
        build: From one of these names to the model with untrained weights, in eval mode.
        marks: Parts of parameter names that together occur in checkpoints of this family only.
        prefix: What its published parameter names begin with.
        ignored: Beginnings of names (behind the prefix) that a checkpoint may hold in addition.
        embedded: File in `models/weights` by model, where this package carries weights.
        tempered: Factor by parameter name, for random weights only: what keeps them lively
            elsewhere saturates there.
        complete: From a model's name and a checkpoint's tensors to these and what a checkpoint
            may lack.
        fetch_clip: From a model's name and the model to where its towers' CLIP weights, which it
            downloads into it, came from; None where the family has no such route.
    """

    name: str
    models: tuple[str, ...]
    build: Callable[[str], Model]
    marks: tuple[str, ...]
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    embedded: Mapping[str, str] = field(default_factory=dict)
    tempered: Mapping[str, float] = field(default_factory=dict)
    complete: Callable[[str, Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    fetch_clip: Callable[[str, Model], str] | None = None


FAMILIES: tuple[Family, ...] = (
    Family(
        name="sed",
        models=tuple(sed.VARIANTS),
        build=sed.build_sed,
        marks=("decoder_corr_guidance_projection.", "decoder1.cnext."),
        prefix=sed.PREFIX,
        embedded={"sed-tiny": "sed_tiny.safetensors"},
        fetch_clip=fetch_clip,
    ),
    Family(
        name="san",
        models=tuple(san.VARIANTS),
        build=san.build_san,
        marks=("side_adapter_network.", "clip_rec_head."),
        ignored=san.IGNORED,
        tempered={f"side_adapter_network.{part}": 0.05 for part in san.MASK_VECTORS},
        complete=add_text_tower,
    ),
)
