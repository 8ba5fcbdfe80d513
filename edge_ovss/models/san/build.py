"""Numbers of the SAN variants, and how a variant is built from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.san.classifier import OpenVocabularyClassifier
from edge_ovss.models.san.model import San
from edge_ovss.models.san.side_adapter import SideAdapter, SideNumbers
from edge_ovss.models.san.towers import ClipRecognitionHead, ClipVisualExtractor
from edge_ovss.models.spec import Clip, ModelSpec, PictureSpec

# Buffers and training state that published files contain besides the parameters.
IGNORED = ("criterion.", "ov_classifier.attn_mask")

# The layer that scales mask logits and attention bias alike.
MASK_VECTORS = ("mask_decoder.query_mlp.layers.2.weight", "mask_decoder.query_mlp.layers.2.bias")

# OpenAI CLIP's mean and standard deviation (R, G, B), here in 0…255.
_MEAN = (255 * 0.48145466, 255 * 0.4578275, 255 * 0.40821073)
_STD = (255 * 0.26862954, 255 * 0.26130258, 255 * 0.27577711)

# The templates of ViLD that SAN uses, in its order; three of the first five end without a stop.
VILD_TEMPLATES = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    "a photo of a small {}.",
    "a photo of a medium {}.",
    "a photo of a large {}.",
    "This is a photo of a small {}.",
    "This is a photo of a medium {}.",
    "This is a photo of a large {}.",
    "There is a small {} in the scene.",
    "There is a medium {} in the scene.",
    "There is a large {} in the scene.",
)

_SIDE = SideNumbers(
    width=240,
    depth=8,
    heads=6,
    patch=16,
    grid=40,
    queries=100,
    hidden=256,
    fusion={0: 0, 1: 3, 2: 6, 3: 9},
)


@dataclass(frozen=True)
class SanNumbers:
    """Numbers of one variant.

    Attributes:
        clip: Name of the open_clip configuration that the two towers follow.
        clip_scale: Factor by which CLIP's image is smaller than the side adapter's.
        extractor_blocks: CLIP blocks that see the image; the others recognize.
        side: Numbers of the side adapter.
        height: Default image height.
        width: Default image width.
        clip_pretrained: open_clip's tag of the CLIP weights that training started from.
        vision: Differences from the image tower of the configuration.
        text: Differences from the text tower of the configuration.
        embed_dim: D, where it differs from the configuration.
    """

    clip: str
    clip_scale: float
    extractor_blocks: int
    side: SideNumbers
    height: int = 640
    width: int = 640
    clip_pretrained: str | None = "openai"
    vision: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    embed_dim: int | None = None


VARIANTS: dict[str, SanNumbers] = {
    "san-base": SanNumbers(clip="ViT-B-16", clip_scale=0.5, extractor_blocks=9, side=_SIDE),
    "san-large": SanNumbers(
        clip="ViT-L-14-336",
        clip_scale=0.7,
        extractor_blocks=18,
        side=replace(_SIDE, fusion={0: 0, 1: 6, 2: 12, 3: 18}),
    ),
    "san-tiny": SanNumbers(
        clip="ViT-B-16",
        clip_scale=0.5,
        extractor_blocks=3,
        side=SideNumbers(
            width=48,
            depth=4,
            heads=3,
            patch=16,
            grid=8,
            queries=20,
            hidden=32,
            fusion={0: 0, 1: 1, 2: 2, 3: 3},
        ),
        height=192,
        width=256,
        clip_pretrained=None,
        vision={"image_size": 64, "width": 64, "layers": 5, "head_width": 16},
        text={"width": 64, "heads": 4, "layers": 2},
        embed_dim=64,
    ),
}


def build_san(name: str) -> San:
    """Put together a variant with untrained weights, in eval mode.

    Args:
        name: A key of `VARIANTS`.
    """
    return assemble(name, VARIANTS[name])


def assemble(name: str, numbers: SanNumbers) -> San:
    """Put together a model of any numbers with untrained weights, in eval mode."""
    spec = ModelSpec(
        name=name,
        family="san",
        picture=PictureSpec(
            height=numbers.height, width=numbers.width, mean=_MEAN, std=_STD, keep_aspect=True
        ),
        templates=VILD_TEMPLATES,
        templates_name="vild14",
        synonyms="first",
    )
    clip = build_clip(numbers)
    head = ClipRecognitionHead(clip.visual, first=numbers.extractor_blocks)
    side = SideAdapter(
        numbers.side, clip_width=clip.visual.conv1.out_channels, clip_heads=head.heads
    )
    model = San(
        extractor=ClipVisualExtractor(clip.visual, blocks=numbers.extractor_blocks),
        head=head,
        side=side,
        classifier=OpenVocabularyClassifier(clip),
        clip_scale=numbers.clip_scale,
        spec=spec,
    )
    return model.eval()


def build_clip(numbers: SanNumbers) -> Clip:
    """Return the untrained CLIP of a variant; OpenAI's weights need QuickGELU."""
    open_clip = import_open_clip()
    config = open_clip.get_model_config(numbers.clip)
    return open_clip.CLIP(
        embed_dim=numbers.embed_dim or config["embed_dim"],
        vision_cfg={**config["vision_cfg"], **numbers.vision},
        text_cfg={**config["text_cfg"], **numbers.text},
        quick_gelu=True,
    )
