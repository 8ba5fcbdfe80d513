"""SED's two towers from the CLIP weights that its training started from, by open_clip."""

from __future__ import annotations

from edge_ovss.errors import CheckpointError, UsageError
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.sed.build import VARIANTS
from edge_ovss.models.sed.model import Sed


def fetch_clip(name: str, model: Sed) -> str:
    """Download CLIP weights through open_clip and put them into the towers, in place.

    The decoder keeps what it has: this is for text embeddings and for training, not for masks.

    Args:
        name: A key of `VARIANTS`.
        model: The model of that name.

    Returns:
        open_clip's name and tag of the weights, such as "convnext_base_w_320/laion_...".

    Raises:
        UsageError: The variant started from no published CLIP.
        CheckpointError: The weights cannot be fetched.
    """
    numbers = VARIANTS[name]
    if numbers.clip_pretrained is None:
        message = f"Model '{name}' did not start from a published CLIP."
        raise UsageError(message, hint="Its own weights are embedded: drop --weights.")
    source = f"{numbers.clip}/{numbers.clip_pretrained}"
    try:
        clip = import_open_clip().create_model(numbers.clip, pretrained=numbers.clip_pretrained)
    except Exception as err:  # open_clip and the hub client have dozens of error types
        message = f"open_clip cannot fetch '{source}': {type(err).__name__}: {err}"
        hint = (
            "Without a network, give a whole checkpoint with --checkpoint FILE; for latency work "
            "no weights are needed: --weights random --seed 0."
        )
        raise CheckpointError(message, hint=hint) from err
    model.clip_model.load_state_dict(clip.state_dict(), strict=True)
    return source
