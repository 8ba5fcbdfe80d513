"""Add OpenAI's text tower, through open_clip, to checkpoints that come without one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from edge_ovss.errors import CheckpointError
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.san.build import VARIANTS, SanNumbers
from edge_ovss.models.spec import Clip

PREFIX = "ov_classifier."
_TOWER = (
    "token_embedding.",
    "transformer.",
    "ln_final.",
    "positional_embedding",
    "text_projection",
)


def add_text_tower(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the text tower to a SAN checkpoint without one; other checkpoints stay unchanged.

    Training does not change the tower, so a checkpoint may leave it out.

    Args:
        name: A key of `VARIANTS`.
        tensors: The checkpoint.

    Raises:
        CheckpointError: The tower is needed and cannot be fetched.
    """
    beginnings = tuple(PREFIX + part for part in _TOWER)
    ours = any(key.startswith("side_adapter_network.") for key in tensors)
    numbers = VARIANTS[name]
    has_tower = any(key.startswith(beginnings) for key in tensors)
    if not ours or has_tower or numbers.clip_pretrained is None:
        return dict(tensors)
    clip = _fetch(name, numbers)
    tower = {PREFIX + key: value for key, value in clip.state_dict().items()}
    return {**tensors, **{k: v for k, v in tower.items() if k.startswith(beginnings)}}


def _fetch(name: str, numbers: SanNumbers) -> Clip:
    try:
        return import_open_clip().create_model(numbers.clip, pretrained=numbers.clip_pretrained)
    except Exception as err:  # open_clip and the hub client have dozens of error types
        message = (
            f"The checkpoint contains no text tower, and open_clip cannot fetch "
            f"'{numbers.clip}' ({numbers.clip_pretrained}): {type(err).__name__}: {err}"
        )
        hint = f"Use a checkpoint of '{name}' with '{PREFIX}*', or export where there is "
        raise CheckpointError(message, hint=hint + "a network.") from err
