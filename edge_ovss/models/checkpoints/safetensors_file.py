"""Reading a safetensors file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from edge_ovss._optional import require
from edge_ovss.errors import CheckpointError


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file; its header is checked before anything is read.

    Raises:
        CheckpointError: It is truncated or damaged, or contains a type that torch does not know.
    """
    load_file = require("safetensors.torch", extra="export").load_file
    try:
        tensors: dict[str, Tensor] = load_file(path)
    # SafetensorError for the header; for a dtype that torch lacks, whatever its reader runs into.
    except Exception as err:
        reason = str(err).strip().splitlines() or [type(err).__name__]
        message = f"Checkpoint '{path}' cannot be read: {reason[0].rstrip('.')}."
        hint = "The file is truncated or damaged; download or save it again."
        raise CheckpointError(message, hint=hint) from err
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """Return what the header of a safetensors file, whose tensors were read, states of them."""
    with require("safetensors", extra="export").safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})
