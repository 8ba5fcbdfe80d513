"""The licenses of a model, from what is known of the weights that fill it.

A model's name says nothing: anybody may have trained the checkpoint that is given for it. What a
safetensors file states in its header is taken over; of all others the license is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_ovss.bundle.sections import WeightsInfo
from edge_ovss.models.checkpoints.kind import checkpoint_kind
from edge_ovss.models.checkpoints.safetensors_file import read_metadata

_PARTS = ("weights", "text_encoder", "training_data")
_LONGEST = 300
_NO_TERMS = "unknown: the checkpoint states none"
_STATED = "(stated by the checkpoint)"
_NOTHING = "none"  # there is nothing to license
_OPENAI = "MIT (OpenAI's CLIP, from open_clip)"

_OF_THIS_PROJECT = {
    "weights": "Apache-2.0 (trained by this project)",
    "text_encoder": "Apache-2.0 (trained by this project)",
    "training_data": "CamVid (research use) and procedural scenes",
}

# Files of which more is known than they state, by sha256.
_KNOWN: dict[str, dict[str, str]] = {
    # The weights of the package, and those before them.
    "b1810b805bfe165d39dbade998dd2a2c8814edd332ec1fd5deea46383a315c7d": _OF_THIS_PROJECT,
    "9273904014683476d5aa8fa52e64d65fa35b3c1b53af2626c90edfd2b0a1ac99": _OF_THIS_PROJECT,
    "fb9362d4fb99c431b606ab8b554fae17c63eb6cd8b2a06cbfee47404075bdb70": _OF_THIS_PROJECT,
    "f507d49b949fbbf14a0e835105884b90d741d673cea85cf032eeb4474c1ebe29": _OF_THIS_PROJECT,
}


@dataclass(frozen=True)
class FamilyTerms:
    """What holds for all weights of a family.

    Attributes:
        code: License of the code.
        parts: Licenses of parts that every trained checkpoint of the family contains.
    """

    code: str = "Apache-2.0"
    parts: Mapping[str, str] = field(default_factory=dict)


def random_terms(terms: FamilyTerms) -> dict[str, str]:
    """Return the licenses of random weights: there is nothing to license but the code."""
    return {
        "code": terms.code,
        "weights": f"{_NOTHING}: random numbers",
        "text_encoder": f"{_NOTHING}: random numbers",
        "training_data": _NOTHING,
    }


def clip_terms(terms: FamilyTerms, source: str) -> dict[str, str]:
    """Return the licenses of downloaded CLIP towers with a random decoder.

    Args:
        terms: Of the family.
        source: open_clip's name and tag of the towers.
    """
    towers = f"MIT (open_clip's {source}; see its model card)"
    return {
        "code": terms.code,
        "weights": towers,
        "text_encoder": towers,
        "training_data": "unknown: image-text pairs of the web",
    }


def checkpoint_terms(
    terms: FamilyTerms, origin: WeightsInfo, path: Path, *, added_tower: bool
) -> dict[str, str]:
    """Return the licenses of a checkpoint.

    Args:
        terms: Of its family.
        origin: Its name and sha256.
        path: The file.
        added_tower: Whether the text tower is not the checkpoint's, but OpenAI's.
    """
    known = _KNOWN.get(origin.sha256 or "")
    if known is not None:
        return {"code": terms.code, **known}
    stated = _stated(path)
    found = {part: stated.get(part, _NO_TERMS) for part in _PARTS}
    if "text_encoder" not in stated and "weights" in stated:
        found["text_encoder"] = stated["weights"]  # it is one of the file's tensors
    if added_tower:
        found["text_encoder"] = _OPENAI
    parts = {name: stated.get(name, text) for name, text in terms.parts.items()}
    return {"code": terms.code, **found, **parts}


def _stated(path: Path) -> dict[str, str]:
    """Return the licenses that a safetensors file states in its header, by part.

    The keys are `license` for the weights, and `license_text_encoder`, `license_training_data`
    and the like for other parts.
    """
    if checkpoint_kind(path) != "safetensors":
        return {}
    found = {}
    for key, text in read_metadata(path).items():
        if key == "license" or key.startswith("license_"):
            part = key.removeprefix("license").removeprefix("_") or "weights"
            found[part] = _as_stated(" ".join(str(text).split())[:_LONGEST])
    return found


def _as_stated(text: str) -> str:
    """Return what stands in a bundle for a license that a file states.

    "none" in a file names no license, while in a bundle there is nothing to license.
    """
    if not text or text.lower().startswith(_NOTHING):
        return f"unknown: the checkpoint states '{text}'"
    return f"{text} {_STATED}"
