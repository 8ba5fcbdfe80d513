"""Models by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from edge_ovss.errors import CheckpointError, UsageError
from edge_ovss.models.checkpoint import file_sha256, load_into, read_checkpoint
from edge_ovss.models.download import fetch_checkpoint
from edge_ovss.models.random_weights import fill_randomly
from edge_ovss.models.sed.build import PREFIX as SED_PREFIX
from edge_ovss.models.sed.build import VARIANTS as SED_VARIANTS
from edge_ovss.models.sed.build import build_sed
from edge_ovss.models.spec import WeightsOrigin

# A torch.nn.Module with `spec`, `origin`, `encode_text` and `forward`; one class per family.
Model: TypeAlias = Any

EMBEDDED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Entry:
    """How one model is built and filled.

    Attributes:
        build: Returns the model with untrained weights, in eval mode.
        family: "sed" or another family.
        prefix: What its published parameter names begin with.
        embedded: File of the weights that this package carries, if it carries any.
    """

    build: Callable[[], Model]
    family: str
    prefix: str
    embedded: Path | None = None


def _entries() -> dict[str, Entry]:
    entries = {
        name: Entry(build=partial(build_sed, name), family="sed", prefix=SED_PREFIX)
        for name in SED_VARIANTS
    }
    tiny = entries["sed-tiny"]
    entries["sed-tiny"] = Entry(
        tiny.build, tiny.family, tiny.prefix, EMBEDDED / "sed_tiny.safetensors"
    )
    return entries


def list_models() -> tuple[str, ...]:
    """Names of all models."""
    return tuple(_entries())


def load_model(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    weights: str | None = None,
    seed: int = 0,
) -> Model:
    """Build a model and fill it with weights.

    Args:
        name: One of `list_models()`.
        checkpoint: Path of a published checkpoint, an https address, or "hf://owner/name/file".
        weights: "random" for seeded random weights, "embedded" for those of this package, None
            for the checkpoint (or, without one, the embedded weights).
        seed: Of random weights.

    Returns:
        A `torch.nn.Module` in eval mode with `spec`, `origin`, `encode_text` and `forward`.

    Raises:
        UsageError: Unknown model, or options that contradict each other, or no weights at all.
        CheckpointError: The checkpoint cannot be read or does not fit.
    """
    entry = _entry(name)
    if checkpoint is not None and weights is not None:
        message = "Both a checkpoint and other weights were asked for; expected one of them."
        raise UsageError(message, hint="Drop --weights or --checkpoint.")
    if weights not in (None, "random", "embedded"):
        message = f"Weights '{weights}' are unknown; expected 'random' or 'embedded'."
        raise UsageError(message, hint="A file is given with --checkpoint.")
    if weights == "random":
        return _random(entry, seed)
    if checkpoint is not None:
        return _filled(entry, name, fetch_checkpoint(checkpoint), source="checkpoint")
    return _embedded(entry, name)


def _entry(name: str) -> Entry:
    entries = _entries()
    if name not in entries:
        close = difflib.get_close_matches(name, entries, n=3) or list(entries)
        message = f"Model '{name}' is unknown; expected one of: {', '.join(entries)}."
        raise UsageError(message, hint=f"Did you mean: {', '.join(close)}?")
    return entries[name]


def _random(entry: Entry, seed: int) -> Model:
    model = entry.build()
    fill_randomly(model, seed=seed)
    model.origin = WeightsOrigin("random", seed=seed)
    return model


def _embedded(entry: Entry, name: str) -> Model:
    if entry.embedded is None:
        message = f"Model '{name}' needs weights; this package carries none for it."
        hint = "Give --checkpoint FILE, or --weights random --seed 0 for latency work."
        raise UsageError(message, hint=hint)
    if not entry.embedded.is_file():
        message = f"The embedded weights of '{name}' are not installed."
        raise CheckpointError(message, hint="Use --weights random --seed 0, or --checkpoint FILE.")
    return _filled(entry, name, entry.embedded, source="embedded")


def _filled(entry: Entry, name: str, path: Path, *, source: str) -> Model:
    tensors = {key: value.float() for key, value in read_checkpoint(path).items()}
    model = entry.build()
    load_into(model, tensors, name=name, family=entry.family, prefix=entry.prefix)
    model.origin = WeightsOrigin(source, file=path.name, sha256=file_sha256(path))
    return model
