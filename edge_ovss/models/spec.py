"""Facts about a model: its name, image size, prompt templates and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from edge_ovss.bundle.sections import ImageSpec, WeightsInfo

# An open_clip.CLIP: open_clip ships no types, and older versions name their towers alike.
Clip: TypeAlias = Any

Synonyms: TypeAlias = Literal["average", "first", "whole"]

# A torch.nn.Module with `spec`, `origin`, `licenses`, `encode_text` and `forward`; one class for
# each family.
Model: TypeAlias = Any


PictureSpec = ImageSpec
WeightsOrigin = WeightsInfo
"""Models and manifests share these two classes."""


@dataclass(frozen=True)
class ModelSpec:
    """Facts about a model that do not depend on its weights.

    Attributes:
        name: One of `catalogue.list_models()`.
        family: Name of its family.
        picture: How an image becomes its input.
        templates: Prompt templates with "{}" where the class name goes, in order.
        templates_name: Name of this list of templates.
        synonyms: What is encoded of a class: the "average" of all its synonyms, only the "first",
            or its text as it was written, commas included ("whole").
    """

    name: str
    family: str
    picture: ImageSpec
    templates: tuple[str, ...]
    templates_name: str
    synonyms: Synonyms = "average"
