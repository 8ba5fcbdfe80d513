"""Checkpoints in several files: a JSON index lists the file of every tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from edge_ovss.errors import CheckpointError
from edge_ovss.models.checkpoints.kind import read_json_object

MOST_SHARDS = 1000
_SHARD = re.compile(r"-(\d{1,6})-of-(\d{1,6})\.\w+$")

Value = TypeVar("Value")


def shard_files(index: Path) -> dict[str, Path]:
    """Read an index and return the file of each tensor.

    Args:
        index: Such as model.safetensors.index.json; its `weight_map` names files in its folder.

    Returns:
        By tensor name the path of an existing file.

    Raises:
        CheckpointError: A name that is no plain file name, too many shards, or a missing one.
    """
    weight_map = read_json_object(index, str(index)).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        message = f"Checkpoint index '{index}' names no tensors."
        raise CheckpointError(message, hint='Expected {"weight_map": {"tensor": "file", ...}}.')
    names = dict.fromkeys(_plain_name(value, index) for value in weight_map.values())
    if len(names) > MOST_SHARDS:
        message = f"Checkpoint index '{index}' names {len(names)} files; {MOST_SHARDS} at most."
        raise CheckpointError(message)
    _require_files(index, list(names))
    return {str(tensor): index.parent / str(name) for tensor, name in weight_map.items()}


def _plain_name(value: object, index: Path) -> str:
    """Return a file name that cannot lead out of the folder of the index."""
    plain = isinstance(value, str) and value not in ("", ".", "..")
    if not plain or re.search(r"[/\\\x00:\ud800-\udfff]", str(value)) or len(str(value)) > 200:
        message = f"Checkpoint index '{index}' names the file {str(value)[:80]!a}."
        raise CheckpointError(message, hint="Expected names of files in the folder of the index.")
    return str(value)


def _require_files(index: Path, names: list[str]) -> None:
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        shown = ", ".join(missing[:3]) + more
        message = f"Checkpoint index '{index}' names {len(names)} files; missing: {shown}."
        raise CheckpointError(message, hint=f"Put all of them into '{index.parent}'.")


def read_shards(index: Path, read: Callable[[Path], Mapping[str, Value]]) -> dict[str, Value]:
    """Read each tensor from the file that the index names for it.

    Args:
        index: The index.
        read: From the path of a shard to its tensors.

    Raises:
        CheckpointError: As `shard_files`; or a shard lacks a tensor that it should contain.
    """
    files = shard_files(index)
    tensors: dict[str, Value] = {}
    for path in dict.fromkeys(files.values()):
        held = read(path)
        wanted = [name for name, file in files.items() if file == path]
        lacking = [name for name in wanted if name not in held]
        if lacking:
            message = f"Shard '{path}' lacks {lacking[0][:80]!a}, which '{index.name}' promises."
            raise CheckpointError(message, hint="Take the index and all shards from one source.")
        tensors.update((name, held[name]) for name in wanted)
    return tensors


def sole_shard(path: Path) -> CheckpointError | None:
    """Return the error for one shard given as if it were a whole checkpoint, else None."""
    found = _SHARD.search(path.name)
    if found is None or int(found.group(2)) < 2:
        return None
    message = (
        f"Checkpoint '{path}' is part {int(found.group(1))} of {int(found.group(2))} "
        "of a checkpoint, and does not contain all of its tensors."
    )
    indices = sorted(path.parent.glob("*.index.json"))
    shown = f"'{indices[0]}'" if indices else "the *.index.json that lies beside the parts"
    return CheckpointError(message, hint=f"Give {shown}.")
