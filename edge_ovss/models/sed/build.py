"""Numbers of the SED variants, and how a variant is built from them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from torch import nn

from edge_ovss._optional import require
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.sed.decoder import GradualFusionDecoder
from edge_ovss.models.sed.model import Sed
from edge_ovss.models.spec import Clip, ModelSpec, PictureSpec
from edge_ovss.models.text import imagenet_templates

PREFIX = "sem_seg_head.predictor."

# Mean and standard deviation of SED's published configuration (R, G, B, in 0…255).
_MEAN = (122.7709383, 116.7460125, 104.09373615)
_STD = (68.5005327, 66.6321579, 70.3231630)


@dataclass(frozen=True)
class SedNumbers:
    """Numbers of one variant.

    Attributes:
        clip: Name of the open_clip configuration that the two towers follow.
        clip_pretrained: open_clip's tag of the CLIP weights that training started from.
        trunk: Channels of the ConvNeXt trunk at strides 4, 8, 16, 32.
        depths: Blocks of the four trunk stages.
        height: Default image height.
        width: Default image width.
        channels: Decoder channels before layers 1, 2, 3 and after layer 3.
        guidance: Channels of the image guidance.
        cost_guidance: Channels of the cost guidance.
        timm: timm's name of the trunk (sed-tiny: any small one, it is replaced).
        embed_dim: D, where it differs from the configuration; then the image tower is ours.
        text: Differences from the text tower of the configuration.
    """

    clip: str
    clip_pretrained: str | None
    trunk: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    height: int = 768
    width: int = 768
    channels: tuple[int, int, int, int] = (128, 64, 32, 16)
    guidance: tuple[int, int, int] = (32, 16, 8)
    cost_guidance: tuple[int, int, int] = (32, 16, 8)
    timm: str = "convnext_base"
    embed_dim: int | None = None
    text: dict[str, int] = field(default_factory=dict)


VARIANTS: dict[str, SedNumbers] = {
    "sed-base": SedNumbers(
        clip="convnext_base_w_320",
        clip_pretrained="laion_aesthetic_s13b_b82k",
        trunk=(128, 256, 512, 1024),
        depths=(3, 3, 27, 3),
    ),
    "sed-large": SedNumbers(
        clip="convnext_large_d_320",
        timm="convnext_large",
        clip_pretrained="laion2b_s29b_b131k_ft_soup",
        trunk=(192, 384, 768, 1536),
        depths=(3, 3, 27, 3),
    ),
    "sed-tiny": SedNumbers(
        clip="convnext_base_w_320",
        clip_pretrained=None,
        trunk=(40, 80, 160, 320),
        depths=(2, 2, 6, 2),
        height=416,
        width=544,
        channels=(32, 32, 16, 16),
        guidance=(16, 16, 8),
        cost_guidance=(16, 16, 8),
        timm="convnext_atto",
        embed_dim=128,
        text={"width": 96, "heads": 4, "layers": 3},
    ),
}


def build_sed(name: str) -> Sed:
    """Put together a variant with untrained weights, in eval mode.

    Args:
        name: A key of `VARIANTS`.
    """
    numbers = VARIANTS[name]
    templates = imagenet_templates()
    spec = ModelSpec(
        name=name,
        family="sed",
        picture=PictureSpec(height=numbers.height, width=numbers.width, mean=_MEAN, std=_STD),
        templates=templates,
        templates_name="imagenet80",
    )
    decoder = GradualFusionDecoder(
        templates=len(templates),
        channels=numbers.channels,
        guidance=numbers.guidance,
        cost_guidance=numbers.cost_guidance,
        trunk=numbers.trunk[:3],
    )
    return Sed(clip=_build_clip(numbers), decoder=decoder, spec=spec).eval()


def _build_clip(numbers: SedNumbers) -> Clip:
    open_clip = import_open_clip()
    config = open_clip.get_model_config(numbers.clip)
    text = {**config["text_cfg"], **numbers.text}
    embed_dim = numbers.embed_dim or config["embed_dim"]
    vision = {**config["vision_cfg"], "timm_model_name": numbers.timm}
    clip = open_clip.CLIP(embed_dim=embed_dim, vision_cfg=vision, text_cfg=text)
    if numbers.embed_dim is not None:
        _replace_picture_tower(clip, numbers)
    return clip


def _replace_picture_tower(clip: Clip, numbers: SedNumbers) -> None:
    # open_clip takes timm models by name only; a trunk of our own numbers has none.
    timm = require("timm", extra="export")
    clip.visual.trunk = timm.models.ConvNeXt(
        depths=numbers.depths, dims=numbers.trunk, num_classes=0, global_pool=""
    )
    projection = nn.Linear(numbers.trunk[3], numbers.embed_dim or 0, bias=False)
    clip.visual.head = nn.Sequential(OrderedDict(proj=projection))
