"""All numbers of the DeOP variants, and how a variant is put together from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.deop.anchors import AnchorDecoder, AnchorNumbers
from edge_ovss.models.deop.backbone import Backbone, BackboneNumbers
from edge_ovss.models.deop.clip_tower import add_learned_positions
from edge_ovss.models.deop.masks import MaskNumbers, MaskPredictor, PixelDecoder
from edge_ovss.models.deop.model import Deop
from edge_ovss.models.deop.prompts import ClipAdapter
from edge_ovss.models.spec import Clip, ModelSpec, PictureSpec
from edge_ovss.words.prompts import LEARNED

# Beginnings of names that published files hold and that inference does not read.
IGNORED = (
    "criterion.",
    "sem_seg_head.predictor.class_embed.",
    "decoder.norm.",
    "clip_adapter.clip_model.logit_scale",
)

# What checkpoints of the mask proposals alone hold: they look like a part of this model.
MASKFORMER_MARKS = (
    "sem_seg_head.predictor.query_embed.",
    "sem_seg_head.predictor.mask_embed.layers.",
)

# Factors for random weights. Frozen norms do not tame random residual blocks, each of which would
# double the variance. Queries and patches must differ from each other, for otherwise all masks get
# one class: positions are made to count, and what every token adds alike is made small.
_VISUAL = "clip_adapter.clip_model.visual."
TEMPERED = {
    "backbone.res*.conv3.weight": 0.3,
    "sem_seg_head.predictor.query_embed.weight": 12.0,
    "sem_seg_head.predictor.mask_embed.layers.2.*": 0.2,
    "query_embedding.weight": 12.0,
    "decoder.outlayer.multihead_attn_my.in_proj_weight": 2.0,
    f"{_VISUAL}positional_embedding": 4.0,
    f"{_VISUAL}*learned_position": 3.0,
    f"{_VISUAL}*.attn.out_proj.*": 0.3,
    f"{_VISUAL}*.mlp.c_proj.*": 0.3,
}

# ImageNet's mean and standard deviation (R, G, B), in 0…255; CLIP gets the same image.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class DeopNumbers:
    """Numbers of one variant.

    Attributes:
        clip: Name of the open_clip configuration that the towers follow.
        backbone: Numbers of the ResNet.
        masks: Numbers of the mask proposals.
        anchors: Numbers of the anchor decoder; its width is CLIP's embedding.
        grid: Side of the learned positions' grid.
        learned: CLIP blocks with learned positions of their own.
        vectors: Learned vectors of the prompt.
        height: Default image height.
        width: Default image width.
        vision: What differs from the configuration's image tower.
        text: What differs from the configuration's text tower.
        embed_dim: D, where it differs from the configuration.
    """

    clip: str = "ViT-B-16"
    backbone: BackboneNumbers = field(default_factory=BackboneNumbers)
    masks: MaskNumbers = field(default_factory=MaskNumbers)
    anchors: AnchorNumbers = field(default_factory=AnchorNumbers)
    grid: int = 24
    learned: tuple[int, ...] = (1, 2, 3, 4, 5)
    vectors: int = 16
    height: int = 512
    width: int = 704
    vision: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    embed_dim: int | None = None


VARIANTS: dict[str, DeopNumbers] = {
    "deop": DeopNumbers(),
    "deop-tiny": DeopNumbers(
        backbone=BackboneNumbers(
            stem=(8, 16), blocks=(1, 1, 2, 3), channels=(32, 64, 96, 128), dilations=(1, 2, 4)
        ),
        masks=MaskNumbers(width=32, heads=4, hidden=64, layers=2, queries=20),
        anchors=AnchorNumbers(width=64, heads=4, hidden=96),
        grid=8,
        learned=(1, 2),
        vectors=4,
        height=192,
        width=256,
        vision={"image_size": 96, "width": 64, "layers": 4, "head_width": 16},
        text={"width": 64, "heads": 4, "layers": 2},
        embed_dim=64,
    ),
}


def build_deop(name: str) -> Deop:
    """Put together a variant with untrained weights, in eval mode.

    Args:
        name: A key of `VARIANTS`.
    """
    return assemble(name, VARIANTS[name])


def assemble(name: str, numbers: DeopNumbers) -> Deop:
    """Put together a model of any numbers with untrained weights, in eval mode."""
    spec = ModelSpec(
        name=name,
        family="deop",
        picture=PictureSpec(
            height=numbers.height, width=numbers.width, mean=_MEAN, std=_STD, keep_aspect=True
        ),
        templates=("{}",),
        templates_name=LEARNED,
        synonyms="whole",
    )
    channels = numbers.backbone.channels
    model = Deop(
        backbone=Backbone(numbers.backbone),
        pixel_decoder=PixelDecoder(channels, numbers.masks.width),
        predictor=MaskPredictor(channels[-1], numbers.masks),
        clip=ClipAdapter(build_clip(numbers), vectors=numbers.vectors),
        decoder=AnchorDecoder(numbers.anchors),
        queries=numbers.masks.queries,
        spec=spec,
    )
    return model.eval()


def build_clip(numbers: DeopNumbers) -> Clip:
    """Return the untrained CLIP of a variant, with its learned positions."""
    open_clip = import_open_clip()
    config = open_clip.get_model_config(numbers.clip)
    clip = open_clip.CLIP(
        embed_dim=numbers.embed_dim or config["embed_dim"],
        vision_cfg={**config["vision_cfg"], **numbers.vision},
        text_cfg={**config["text_cfg"], **numbers.text},
        quick_gelu=True,
    )
    add_learned_positions(clip.visual, side=numbers.grid, blocks=numbers.learned)
    return clip
