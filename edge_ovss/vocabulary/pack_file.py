"""Read and write the `.npz` of an embedding pack without trusting what it claims."""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy
import numpy.lib.format as npy
import numpy.typing

from edge_ovss._leftovers import new_part, remove_parts
from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.errors import OutputError, VocabularyError
from edge_ovss.vocabulary.words import located, short

SCHEMA = 1
MOST_BYTES = 4 * 2**30
_MOST_HEADER = 16 * 2**20
# Two entries take 200 bytes. The record at the end of an archive may have a comment of 64 KiB.
_MOST_LISTED = 2**16
_MOST_TAIL = 2**16 + 128
# Embeddings hardly shrink; what unpacks to many times its size was made to fill the memory.
_MOST_RATIO = 20
_DTYPES = (numpy.dtype("float32"), numpy.dtype("float16"))
_TEXTS = ("vocabulary_sha256", "templates_sha256", "text_tower", "text_tower_sha256")
_DAMAGES = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    SyntaxError,
    TypeError,
    KeyError,
    AttributeError,
    MemoryError,
)

Array = numpy.typing.NDArray[Any]


def write_pack(path: str | os.PathLike[str], header: dict[str, object], array: Array) -> None:
    """Write a pack through a temporary file in the same folder, then rename it.

    Args:
        path: The file to write or replace.
        header: Facts about the pack, as JSON values.
        array: float32 [T, P, D].

    Raises:
        OutputError: The file cannot be written; nothing is left behind.
    """
    target = Path(path)
    array = numpy.ascontiguousarray(array)
    content = json.dumps({"schema": SCHEMA, **header}, ensure_ascii=True).encode("ascii")
    remove_parts(target.parent, of=target.name)
    temporary = None
    try:
        temporary = new_part(target)
        with temporary.path.open("wb") as file:
            numpy.savez(file, header=numpy.frombuffer(content, dtype=numpy.uint8), embeddings=array)
            file.flush()
            os.fsync(file.fileno())
        temporary.path.replace(target)
    except (OSError, ValueError) as err:
        message = f"The embeddings cannot be written to '{target}': {err}."
        raise OutputError(message, hint="Check the folder, its permissions and the space.") from err
    finally:
        # Also after Ctrl-C; after the rename there is nothing to remove.
        if temporary is not None:
            _remove(temporary.path)
            temporary.release()


def read_pack(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], numpy.typing.NDArray[numpy.float32]]:
    """Read a pack.

    Returns:
        The header, with all its keys and their types checked, and the float32 array; whether the
        vectors have unit norm is for the caller to check.

    Raises:
        VocabularyError: Missing, unreadable, damaged, or not a pack of text embeddings.
    """
    source = Path(path)
    try:
        with located(f"'{source}'"), source.open("rb") as file:
            _check_entries(file)
            archive = zipfile.ZipFile(file)
            header = _read_header(archive)
            return header, _read_array(archive)
    except FileNotFoundError as err:
        message = f"There is no file '{source}'."
        raise VocabularyError(message, hint="Make one with: edge-ovss vocab encode") from err
    # NumPy's reader of headers lets through whatever Python's parser raises.
    except (*_DAMAGES, zipfile.BadZipFile, zlib.error, struct.error, TokenError) as err:
        message = f"'{source}' is no embedding pack, or it is damaged: {err}."
        raise VocabularyError(message, hint="Make it again with: edge-ovss vocab encode") from err


def _check_entries(file: IO[bytes]) -> None:
    """Check the length of an archive's list of entries: zipfile reads it whole, whatever it is."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _MOST_TAIL))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        return  # no archive: zipfile says so
    lengths: list[int] = [struct.unpack_from("<I", tail, at + 12)[0]]
    if at >= 20 and tail.startswith(b"PK\x06\x07", at - 20):
        # A second record with larger fields; some readers look where it should be, some where the
        # file says.
        for place in (start + at - 76, struct.unpack_from("<Q", tail, at - 12)[0]):
            file.seek(max(0, min(place, size)))
            record = file.read(56)
            if len(record) == 56 and record.startswith(b"PK\x06\x06"):
                lengths = [length for length in lengths if length != 0xFFFFFFFF]
                lengths.append(struct.unpack_from("<Q", record, 40)[0])
    if max(lengths) > _MOST_LISTED:
        message = f"The list of its entries has {max(lengths)} bytes; {_MOST_LISTED} at most."
        raise VocabularyError(message, hint="Make it again with: edge-ovss vocab encode")


def _read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    content = _load(archive, "header", dtypes=(numpy.dtype("uint8"),), rank=1, most=_MOST_HEADER)
    try:
        header = parse_json(content.tobytes(), limit=_MOST_HEADER)
    except DocumentError as err:
        message = f"The header is not JSON: {err}."
        raise VocabularyError(message) from err
    if not isinstance(header, dict):
        message = "The header is not a JSON object."
        raise VocabularyError(message)
    if header.get("schema") != SCHEMA:
        message = f"The pack has schema {short(header.get('schema'))}; this version reads {SCHEMA}."
        raise VocabularyError(message, hint="Update edge-ovss, or make the pack again.")
    _check_header(header)
    return header


def _check_header(header: dict[str, Any]) -> None:
    for key in _TEXTS:
        if not isinstance(header.get(key), str):
            message = f"The header says {short(header.get(key))} for '{key}'; expected text."
            raise VocabularyError(message)
    prompts = header.get("prompts")
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        message = "The header has no list 'prompts' of strings."
        raise VocabularyError(message)


def _read_array(archive: zipfile.ZipFile) -> numpy.typing.NDArray[numpy.float32]:
    array = _load(archive, "embeddings", dtypes=_DTYPES, rank=3, most=MOST_BYTES)
    return array.astype(numpy.float32, copy=False)


def _load(
    archive: zipfile.ZipFile, name: str, *, dtypes: tuple[Any, ...], rank: int, most: int
) -> Array:
    """Read one array; its header is checked before memory is taken for it."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError as err:
        message = f"The array '{name}' is missing; expected 'header' and 'embeddings'."
        raise VocabularyError(message) from err
    if info.file_size > max(_MOST_RATIO * info.compress_size, _MOST_HEADER):
        message = f"The array '{name}' unpacks to over {_MOST_RATIO} times its size."
        raise VocabularyError(message)
    with archive.open(info) as file:
        shape, fortran_order, dtype = _npy_header(file)
        if dtype not in dtypes or len(shape) != rank or fortran_order:
            wanted = " or ".join(each.name for each in dtypes)
            message = (
                f"The array '{name}' is {dtype} of shape {list(shape)}; "
                f"expected {wanted} with {rank} dimensions in C order."
            )
            raise VocabularyError(message)
        size = math.prod(shape) * dtype.itemsize
        if size > most:
            message = f"The array '{name}' claims {size / 2**30:.1f} GiB; {most / 2**30:g} at most."
            raise VocabularyError(message)
        if info.file_size - file.tell() != size:
            message = f"The array '{name}' is truncated, or longer than its header says."
            raise VocabularyError(message)
        return _fill(file, numpy.empty(shape, dtype=dtype), name)


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, numpy.dtype[Any]]:
    header: tuple[tuple[int, ...], bool, numpy.dtype[Any]]
    if npy.read_magic(file) == (1, 0):
        header = npy.read_array_header_1_0(file)
    else:
        header = npy.read_array_header_2_0(file)
    return header


def _fill(file: IO[bytes], array: Array, name: str) -> Array:
    view = array.reshape(-1).view(numpy.uint8).data
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            message = f"The array '{name}' is truncated: {done} bytes of {len(view)}."
            raise VocabularyError(message)
        done += count
    return array


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
