"""Reading what torch.save wrote: nothing in it is executed, and damage in it is found."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from pathlib import Path

import torch

from edge_ovss._progress import Note
from edge_ovss.errors import CheckpointError
from edge_ovss.models.checkpoints.numpy_stand_ins import safe_globals

# The description of the tensors: names, shapes, and whatever was saved beside them.
MOST_PICKLE_BYTES = 32 * 2**20
# Weights hardly shrink; what unpacks to many times its size was made to fill the memory.
MOST_RATIO = 20
_PIECE = 1 << 20
_AGAIN = "Download or save it again."
_TYPE = re.compile(r"GLOBAL ([\w.]+)|<class '([\w.]+)'>")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def read_torch_file(path: Path, *, legacy: bool, note: Note) -> object:
    """Read a torch file with `weights_only=True`, after checking its checksums.

    Args:
        path: The file.
        legacy: Whether it is of the format before torch 1.6, which is no zip archive.
        note: Called with what the user should know.

    Raises:
        CheckpointError: It is truncated or damaged, or contains Python objects besides tensors and
            plain values; the message names their type.
    """
    mmap = False
    if not legacy:
        mmap = _check_archive(path, note)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(safe_globals()):
            warnings.simplefilter("ignore")
            return _load(path, mmap=mmap)
    # A damaged pickle makes torch's reader raise nearly anything, MemoryError included.
    except Exception as err:
        raise _unreadable(path, err) from err


def _load(path: Path, *, mmap: bool) -> object:
    # torch takes any file of that name for safetensors, whatever is in it.
    if mmap and path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    with path.open("rb") as file:
        document: object = torch.load(file, map_location="cpu", weights_only=True)
    return document


def _check_archive(path: Path, note: Note) -> bool:
    """Check sizes and checksums; say whether the file can be mapped into memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_sizes(path, entries)
            if any(entry.CRC for entry in entries):
                _check_sums(path, archive)
            else:
                note(f"Checkpoint '{path}' contains no checksums, so damage cannot be detected.")
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as err:
        raise _damaged(path, str(err)) from err
    return all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    size = path.stat().st_size
    total = sum(entry.file_size for entry in entries)
    if total > max(MOST_RATIO * size, _PIECE):
        message = (
            f"Checkpoint '{path}' of {size} bytes claims to unpack to {total}; "
            f"expected at most {MOST_RATIO} times its size."
        )
        raise CheckpointError(message, hint=_AGAIN)
    for entry in entries:
        if entry.filename.rsplit("/", 1)[-1] == "data.pkl" and entry.file_size > MOST_PICKLE_BYTES:
            message = (
                f"Checkpoint '{path}' describes its tensors by {entry.file_size} bytes; "
                f"expected at most {MOST_PICKLE_BYTES}."
            )
            raise CheckpointError(message, hint="Save its state dict alone with torch.save.")


def _check_sums(path: Path, archive: zipfile.ZipFile) -> None:
    # ZipFile.testzip would do, but it forgives an entry that ends early.
    for entry in archive.infolist():
        length = 0
        with archive.open(entry) as file:
            while piece := file.read(_PIECE):
                length += len(piece)
        if length != entry.file_size:
            raise _damaged(path, f"'{entry.filename}' has {length} bytes of {entry.file_size}")


def _damaged(path: Path, reason: str) -> CheckpointError:
    message = f"Checkpoint '{path}' is damaged: {reason.rstrip('.')}."
    return CheckpointError(message, hint=_AGAIN)


def _unreadable(path: Path, err: Exception) -> CheckpointError:
    """Explain torch's error: its own advice is to switch the protection off."""
    found = _TYPE.search(_ESCAPES.sub("", str(err)))
    # torch chains the reason to a longer text of its own; both name the type.
    if found is not None:
        name = found.group(1) or found.group(2)
        message = (
            f"Checkpoint '{path}' contains a Python object of the type '{name}'; "
            "expected tensors and plain values. It is not opened, as that could run a program."
        )
        hint = "Where you trust it, load it and save its state dict alone with torch.save."
        return CheckpointError(message, hint=hint)
    if "operand" in str(err) or "protocol" in str(err):
        message = f"Checkpoint '{path}' is written with a pickle protocol that is not read safely."
        return CheckpointError(message, hint="Save it again with torch.save and no protocol.")
    if isinstance(err, EOFError) or "EOF" in str(err):
        return _damaged(path, "it ends early, so it is truncated")
    return _damaged(path, f"torch cannot read it ({type(err).__name__})")
