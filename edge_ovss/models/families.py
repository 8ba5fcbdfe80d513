"""The registry of model families: how each is built, filled and recognized."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from edge_ovss.models.deop import build as deop
from edge_ovss.models.licenses import FamilyTerms
from edge_ovss.models.san import build as san
from edge_ovss.models.san.text_tower import add_text_tower
from edge_ovss.models.sed import build as sed
from edge_ovss.models.sed.clip_weights import fetch_clip
from edge_ovss.models.spec import Model


@dataclass(frozen=True)
class Family:
    """One family (docs/adding-a-family.md).

    Attributes:
        name: Its name in `catalogue.CATALOGUE`, which lists its models.
        build: Builds a model by name, with untrained weights, in eval mode.
        marks: Parts of parameter names that together occur only in checkpoints of this family.
        relatives: Marks of models that this family was made from and that are no family here, by
            title: their checkpoints are named when they are refused.
        prefix: Prefix of its published parameter names.
        ignored: Beginnings of names (after the prefix) that a checkpoint may contain in addition.
        embedded: Files in `models/weights`, by model, for weights that this package includes.
        tempered: Factors for random weights, by parameter name or pattern (`fill_randomly`).
        complete: Adds what a checkpoint may lack; called with a model's name and the checkpoint's
            tensors, returns all tensors.
        terms: Licenses that hold for all weights of the family.
        fetch_clip: Downloads published CLIP weights into a model; called with its name and the
            model, returns where they came from. None if the family has no such weights.
    """

    name: str
    build: Callable[[str], Model]
    marks: tuple[str, ...]
    relatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    embedded: Mapping[str, str] = field(default_factory=dict)
    tempered: Mapping[str, float] = field(default_factory=dict)
    complete: Callable[[str, Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    fetch_clip: Callable[[str, Model], str] | None = None
    terms: FamilyTerms = field(default_factory=FamilyTerms)


FAMILIES: tuple[Family, ...] = (
    Family(
        name="sed",
        build=sed.build_sed,
        marks=("decoder_corr_guidance_projection.", "decoder1.cnext."),
        prefix=sed.PREFIX,
        embedded={"sed-tiny": "sed_tiny.safetensors"},
        fetch_clip=fetch_clip,
    ),
    Family(
        name="san",
        build=san.build_san,
        marks=("side_adapter_network.", "clip_rec_head."),
        ignored=san.IGNORED,
        tempered={f"side_adapter_network.{part}": 0.05 for part in san.MASK_VECTORS},
        complete=add_text_tower,
    ),
    Family(
        name="deop",
        build=deop.build_deop,
        marks=("decoder.outlayer.", "clip_adapter.prompt_learner."),
        relatives={"MaskFormer": deop.MASKFORMER_MARKS},
        ignored=deop.IGNORED,
        tempered=deop.TEMPERED,
        terms=FamilyTerms(
            code="Apache-2.0 (written from a description; the published code has no license file)",
            parts={
                "mask_proposals": "CC-BY-NC-4.0 (derived from MaskFormer, as are the masks that "
                "DeOP's published code trains)"
            },
        ),
    ),
)
