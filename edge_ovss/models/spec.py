"""What every model says about itself: its name, its picture, its templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

# An open_clip.CLIP: open_clip ships no types, and older versions name their towers alike.
Clip: TypeAlias = Any


@dataclass(frozen=True)
class PictureSpec:
    """How a picture becomes the input of the network.

    Attributes:
        height: Default height in pixels, a multiple of `multiple`.
        width: Default width in pixels, a multiple of `multiple`.
        mean: Mean per channel (R, G, B), in 0…255.
        std: Standard deviation per channel (R, G, B), in 0…255.
        multiple: Every picture size is a multiple of this.
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
    """A model by name.

    Attributes:
        name: "sed-base" and so on.
        family: "sed" or another family.
        picture: The picture specification.
        templates: Prompt templates with "{}" where the category goes, in order.
        templates_name: What this list of templates is called.
        licenses: Licence of code, weights, text encoder and training data, in words.
        synonyms: "average" of all synonyms of a category, or only the "first".
    """

    name: str
    family: str
    picture: PictureSpec
    templates: tuple[str, ...]
    templates_name: str
    licenses: dict[str, str]
    synonyms: str = "average"


@dataclass(frozen=True)
class WeightsOrigin:
    """Where a model's weights came from; goes into the manifest.

    Attributes:
        source: "checkpoint", "random", "embedded" or "clip".
        file: Name of the file, without its folder.
        sha256: Of the file.
        seed: Of random weights.
    """

    source: str
    file: str | None = None
    sha256: str | None = None
    seed: int | None = None
