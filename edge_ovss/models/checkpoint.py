"""Reading checkpoints: safely, by their published names, and refusing what does not fit."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_ovss._optional import require
from edge_ovss.errors import CheckpointError
from edge_ovss.models.families import FAMILIES

_SHOWN = 5


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint.

    Accepted: a torch file that is a state dict, or that holds one under "model" or "state_dict"
    (both are published layouts), and a safetensors file. Torch files are read with
    `weights_only=True`: nothing in them is executed.

    Raises:
        CheckpointError: No such file, truncated, not a checkpoint, or no tensors in it.
    """
    if not path.is_file():
        message = f"Checkpoint '{path}' is not a file."
        raise CheckpointError(message, hint="Check the path.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        document = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError) as err:
        message = f"Checkpoint '{path}' cannot be read: {_first_line(err)}"
        hint = (
            "The file is truncated, is no torch checkpoint, or holds Python objects beside "
            "tensors. Download it again, or save its state dict alone with torch.save."
        )
        raise CheckpointError(message, hint=hint) from err
    return _state_dict(document, path)


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def _first_line(err: BaseException) -> str:
    text = str(err).strip().splitlines()
    return f"{type(err).__name__}: {text[0] if text else 'no details'}"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    load_file = require("safetensors.torch", extra="export").load_file
    error = require("safetensors", extra="export").SafetensorError
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (error, OSError) as err:
        message = f"Checkpoint '{path}' cannot be read: {_first_line(err)}"
        raise CheckpointError(message, hint="The file is truncated or no safetensors.") from err
    return tensors


def _state_dict(document: object, path: Path) -> dict[str, Tensor]:
    for key in ("model", "state_dict"):
        if isinstance(document, Mapping) and isinstance(document.get(key), Mapping):
            document = document[key]
    if not isinstance(document, Mapping):
        message = f"Checkpoint '{path}' holds a {type(document).__name__}, not a state dict."
        raise CheckpointError(message, hint='Expected {"model": state dict} or a state dict.')
    tensors = {str(k): v for k, v in document.items() if isinstance(v, Tensor)}
    if not tensors:
        message = f"Checkpoint '{path}' holds no tensors; its keys are {_some(document)}."
        raise CheckpointError(message, hint='Expected {"model": state dict} or a state dict.')
    return tensors


def recognise_family(names: Iterable[str]) -> str | None:
    """Tell by parameter names which family a checkpoint belongs to, or None."""
    listed = list(names)
    for family in FAMILIES:
        if all(any(mark in name for name in listed) for mark in family.marks):
            return family.name
    return None


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
        prefix: What published names begin with.
        ignored: Beginnings of names (behind the prefix) that a checkpoint may hold in addition.

    Raises:
        CheckpointError: It belongs to another family, or parameters are missing, unexpected,
            mis-shaped or not finite; the message names them.
    """
    found = recognise_family(tensors)
    if found is not None and found != family:
        message = f"The checkpoint is a {found.upper()} checkpoint; '{name}' is {family.upper()}."
        raise CheckpointError(message, hint=f"Choose --model {found}-base or {found}-large.")
    values = _strip(tensors, prefix, ignored)
    _compare(model.state_dict(), values, name)
    model.load_state_dict(values, strict=True)


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
    shapes = [
        f"{key} {tuple(values[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in values and values[key].shape != expected[key].shape
    ]
    bad = [k for k in expected if k in values and not torch.isfinite(values[k]).all()]
    problems = (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", shapes),
        ("not finite", bad),
    )
    parts = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems if keys]
    if parts:
        message = f"The checkpoint does not fit '{name}': {'; '.join(parts)}."
        raise CheckpointError(message, hint="Check --model: base and large differ in shapes.")


def _some(keys: Iterable[object]) -> str:
    listed = [str(key) for key in keys]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
