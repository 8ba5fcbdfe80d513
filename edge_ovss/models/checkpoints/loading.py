"""Read checkpoints safely, and fill models by the published names."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_ovss._files import sha256_of_file
from edge_ovss._progress import Note
from edge_ovss.errors import CheckpointError
from edge_ovss.models.catalogue import family_entry
from edge_ovss.models.checkpoints.kind import checkpoint_kind
from edge_ovss.models.checkpoints.plain_tensors import plain, refuse_unusual
from edge_ovss.models.checkpoints.safetensors_file import read_safetensors
from edge_ovss.models.checkpoints.shards import read_shards, shard_files
from edge_ovss.models.checkpoints.state_dict import some, state_dict_of
from edge_ovss.models.checkpoints.torch_file import read_torch_file
from edge_ovss.models.families import FAMILIES


def warn_user(text: str) -> None:
    """Issue a Python warning about a checkpoint, if the caller passed no `note`."""
    warnings.warn(text, UserWarning, stacklevel=3)


def read_checkpoint(path: Path, *, note: Note = warn_user) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint.

    Accepted: a torch file that is a state dict, or that holds one under "model", "state_dict" or
    another usual name; a safetensors file; and the index of a checkpoint in shards. Torch files
    are read with `weights_only=True`: nothing in them is executed.

    Args:
        path: The file.
        note: Called with what the user should know; without it, a Python warning is issued.

    Raises:
        CheckpointError: The file is missing, truncated, damaged, or contains no tensors.
    """
    if checkpoint_kind(path) == "index":
        return read_shards(path, lambda shard: _read_one(shard, note))
    return _read_one(path, note)


def _read_one(path: Path, note: Note) -> dict[str, Tensor]:
    kind = checkpoint_kind(path)
    if kind == "safetensors":
        return state_dict_of(read_safetensors(path), path, note)
    if kind == "index":
        message = f"Checkpoint index '{path}' is named as a shard of a checkpoint."
        raise CheckpointError(message, hint="Expected files that contain tensors.")
    document = read_torch_file(path, legacy=kind == "legacy torch", note=note)
    return state_dict_of(document, path, note)


def checkpoint_digest(path: Path) -> str:
    """Return the sha256 of a checkpoint's file; of one in shards, that of all their sha256."""
    if checkpoint_kind(path) != "index":
        return sha256_of_file(path)
    shards = sorted(set(shard_files(path).values()))
    digests = [sha256_of_file(file) for file in (path, *shards)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def recognize_family(names: Iterable[str]) -> str | None:
    """Return the family that a checkpoint belongs to, by its parameter names, or None."""
    listed = list(names)
    for family in FAMILIES:
        if _has_marks(listed, family.marks):
            return family.name
    return None


def _recognize_relative(names: Sequence[str]) -> str | None:
    """Return the title of a model that a family was made from, if it is one's checkpoint."""
    for family in FAMILIES:
        for title, marks in family.relatives.items():
            if _has_marks(names, marks):
                return title
    return None


def _has_marks(names: Sequence[str], marks: Sequence[str]) -> bool:
    return all(any(mark in name for name in names) for mark in marks)


def load_into(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    name: str,
    family: str,
    prefix: str,
    ignored: Sequence[str] = (),
) -> None:
    """Fill `model` with a checkpoint's tensors, all of them or none.

    Args:
        model: The model; its own names plus `prefix` are the published names.
        tensors: The checkpoint. Names with and without `prefix` are accepted.
        name: The model's name, for messages.
        family: The model's family.
        prefix: Prefix of the published names.
        ignored: Beginnings of names (after the prefix) that a checkpoint may contain in addition.

    Raises:
        CheckpointError: It belongs to a different family, or parameters are missing, unexpected,
            of the wrong shape, not finite or not plain numbers; the message names them.
    """
    _refuse_others(list(tensors), name, family)
    expected = model.state_dict()
    values = _strip(tensors, prefix, ignored)
    _compare(expected, values, name)
    # Only what fits is converted: a tensor may claim any size, and cost nothing until it is read.
    ready = {key: plain(key, values[key], like) for key, like in expected.items()}
    _require_finite(ready)
    model.load_state_dict(ready, strict=True)


def _refuse_others(names: Sequence[str], name: str, family: str) -> None:
    """Refuse a checkpoint of a different family, or of a model that a family was made from."""
    found, wanted = recognize_family(names), family_entry(family).title
    if found == family:
        return
    if found is not None:
        entry = family_entry(found)
        message = f"The checkpoint is a {entry.title} checkpoint; '{name}' is {wanted}."
        raise CheckpointError(message, hint=f"Choose --model {' or '.join(entry.published)}.")
    relative = _recognize_relative(names)
    if relative is not None:
        message = f"The checkpoint is a {relative} checkpoint; '{name}' is {wanted}."
        raise CheckpointError(message, hint=f"Give the published checkpoint of {wanted}.")


def _strip(tensors: Mapping[str, Tensor], prefix: str, ignored: Sequence[str]) -> dict[str, Tensor]:
    # Some published files carry evaluation buffers beside the predictor: outside the prefix
    # nothing is a parameter of this model.
    prefixed = any(name.startswith(prefix) for name in tensors)
    values: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if prefixed and not name.startswith(prefix):
            short = name
        else:
            short = name[len(prefix) :] if prefixed else name
        if not short.startswith(tuple(ignored)):
            values[short] = value
    return values


def _compare(expected: Mapping[str, Tensor], values: Mapping[str, Tensor], name: str) -> None:
    missing = [key for key in expected if key not in values]
    unexpected = [key for key in values if key not in expected]
    for key, like in expected.items():
        if key in values:
            refuse_unusual(key, values[key], like)
    shapes = [
        f"{key} {tuple(values[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in values and values[key].shape != expected[key].shape
    ]
    problems = (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of a different shape", shapes),
    )
    parts = [f"{len(keys)} {what}: {some(keys)}" for what, keys in problems if keys]
    if parts:
        message = f"The checkpoint does not fit '{name}': {'; '.join(parts)}."
        hint = "Check --model: the models of a family differ in shapes."
        if len(missing) == len(expected):
            fronts = some(dict.fromkeys(key.split(".")[0] for key in values))
            hint = f"Not one name fits; they begin with: {fronts}. Give the state dict of '{name}'."
        raise CheckpointError(message, hint=hint)


def _require_finite(values: Mapping[str, Tensor]) -> None:
    bad = [key for key, value in values.items() if not torch.isfinite(value).all()]
    if bad:
        message = (
            f"{len(bad)} of {len(values)} tensors of the checkpoint are not finite (NaN or "
            f"infinity): {some(bad)}."
        )
        hint = "The file is damaged, or its training diverged: use a different one."
        raise CheckpointError(message, hint=hint)
