"""Load a model by its name."""

from __future__ import annotations

from pathlib import Path

from edge_ovss._progress import Note
from edge_ovss.errors import CheckpointError, UsageError
from edge_ovss.models.catalogue import entry_of
from edge_ovss.models.checkpoints.download import fetch_checkpoint
from edge_ovss.models.checkpoints.loading import (
    checkpoint_digest,
    load_into,
    read_checkpoint,
    warn_user,
)
from edge_ovss.models.checkpoints.shards import sole_shard
from edge_ovss.models.checkpoints.state_dict import without_wrapping
from edge_ovss.models.families import FAMILIES, Family
from edge_ovss.models.licenses import checkpoint_terms, clip_terms, random_terms
from edge_ovss.models.random_weights import fill_randomly
from edge_ovss.models.spec import Model, WeightsOrigin

EMBEDDED = Path(__file__).parent / "weights"


def family_of(name: str) -> Family:
    """Return the family of a model.

    Raises:
        UsageError: There is no such model; the message lists those that exist.
    """
    entry = entry_of(name)
    return next(family for family in FAMILIES if family.name == entry.name)


def load_model(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    weights: str | None = None,
    seed: int = 0,
    note: Note = warn_user,
) -> Model:
    """Build a model and fill it with weights.

    Args:
        name: One of `catalogue.list_models()`.
        checkpoint: Path of a published checkpoint (of one in shards: of its index), an https
            address, or "hf://owner/name/file".
        weights: "random" for seeded random weights, "embedded" for those of this package, "clip"
            for downloaded CLIP towers with a random decoder, None for the checkpoint (or the
            embedded weights, if there is no checkpoint).
        seed: Seed of random weights.
        note: Called with what was chosen or left out while reading a checkpoint; without it, a
            Python warning is issued.

    Returns:
        A `torch.nn.Module` in eval mode with `spec`, `origin`, `licenses`, `encode_text` and
        `forward`.

    Raises:
        UsageError: Unknown model, contradicting options, or no weights at all.
        CheckpointError: The checkpoint cannot be read or does not fit.
    """
    family = family_of(name)
    if checkpoint is not None and weights is not None:
        message = f"--checkpoint and --weights {weights} are both given; expected one of them."
        raise UsageError(message, hint="Drop --weights or --checkpoint.")
    if weights not in (None, "random", "embedded", "clip"):
        message = f"--weights is '{weights}'; expected 'random', 'embedded' or 'clip'."
        raise UsageError(message, hint="A file is given with --checkpoint.")
    if weights == "random":
        return _random(family, name, seed)
    if weights == "clip":
        return _clip(family, name, seed)
    if checkpoint is not None:
        path = fetch_checkpoint(checkpoint)
        return _filled(family, name, path, source="checkpoint", note=note)
    return _embedded(family, name, note)


def _random(family: Family, name: str, seed: int) -> Model:
    model = family.build(name)
    fill_randomly(model, seed=seed, tempered=family.tempered)
    model.origin = WeightsOrigin("random", seed=seed)
    model.licenses = random_terms(family.terms)
    return model


def _clip(family: Family, name: str, seed: int) -> Model:
    if family.fetch_clip is None:
        message = f"Model '{name}' cannot be filled with CLIP weights alone."
        raise UsageError(message, hint="Give --checkpoint FILE.")
    model = _random(family, name, seed)
    source = family.fetch_clip(name, model)
    model.origin = WeightsOrigin("clip", file=source, seed=seed)
    model.licenses = clip_terms(family.terms, source)
    return model


def _embedded(family: Family, name: str, note: Note) -> Model:
    if name not in family.embedded:
        message = f"Model '{name}' needs weights; this package includes none for it."
        hint = "Give --checkpoint FILE, or --weights random --seed 0 for latency work."
        raise UsageError(message, hint=hint)
    path = EMBEDDED / family.embedded[name]
    if not path.is_file():
        message = f"The embedded weights of '{name}' are not installed."
        raise CheckpointError(message, hint="Use --weights random --seed 0, or --checkpoint FILE.")
    return _filled(family, name, path, source="embedded", note=note)


def _filled(family: Family, name: str, path: Path, *, source: str, note: Note) -> Model:
    model = family.build(name)
    tensors = read_checkpoint(path, note=note)
    tensors = without_wrapping(tensors, model.state_dict(), family.prefix, note)
    own = len(tensors)
    if family.complete is not None:
        tensors = family.complete(name, tensors)
    try:
        load_into(
            model,
            tensors,
            name=name,
            family=family.name,
            prefix=family.prefix,
            ignored=family.ignored,
        )
    except CheckpointError as err:
        raise (sole_shard(path) or err) from err
    model.origin = WeightsOrigin(source, file=path.name, sha256=checkpoint_digest(path))
    model.licenses = checkpoint_terms(
        family.terms, model.origin, path, added_tower=len(tensors) > own
    )
    return model
