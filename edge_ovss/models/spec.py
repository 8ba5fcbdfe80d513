"""Facts about a model: its name, image size, prompt templates and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

# An open_clip.CLIP: open_clip ships no types, and older versions name their towers alike.
Clip: TypeAlias = Any

Synonyms: TypeAlias = Literal["average", "first", "whole"]

# A torch.nn.Module with `spec`, `origin`, `encode_text` and `forward`; one class for each family.
Model: TypeAlias = Any


@dataclass(frozen=True)
class PictureSpec:
    """How an image becomes the input of the network.

    Attributes:
        height: Default height in pixels, a multiple of `multiple`.
        width: Default width in pixels, a multiple of `multiple`.
        mean: Mean per channel (R, G, B), in 0…255.
        std: Standard deviation per channel (R, G, B), in 0…255.
        multiple: Height and width are multiples of this.
        keep_aspect: Fit the frame and pad, instead of stretching it.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    multiple: int = 32
    keep_aspect: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """Facts about a model that do not depend on its weights.

    Attributes:
        name: One of `catalogue.list_models()`.
        family: Name of its family.
        picture: How an image becomes its input.
        templates: Prompt templates with "{}" where the class name goes, in order.
        templates_name: Name of this list of templates.
        licenses: Licence of code, weights, text encoder and training data, in words.
        synonyms: What is encoded of a class: the "average" of all its synonyms, only the "first",
            or its text as it was written, commas included ("whole").
    """

    name: str
    family: str
    picture: PictureSpec
    templates: tuple[str, ...]
    templates_name: str
    licenses: dict[str, str]
    synonyms: Synonyms = "average"


@dataclass(frozen=True)
class WeightsOrigin:
    """Where the weights of a model came from; goes into the manifest.

    Attributes:
        source: "checkpoint", "random", "embedded" or "clip".
        file: Name of the file, without its folder.
        sha256: SHA-256 of the file.
        seed: Seed of random weights.
    """

    source: str
    file: str | None = None
    sha256: str | None = None
    seed: int | None = None
