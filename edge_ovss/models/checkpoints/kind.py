"""Recognize the format of a checkpoint file by its content."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.errors import CheckpointError

Kind = Literal["torch", "legacy torch", "safetensors", "index"]

MOST_INDEX_BYTES = 64 * 2**20
MOST_DIRECTORY_BYTES = 8 * 2**20
_HEAD = 4096
# The last record of an archive with its comment, and the two that large archives have before it.
_LONGEST_END = 22 + 65535 + 20 + 56
_TAR_MARK = slice(257, 262)
_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = b"annex/objects/"
# The first object of a torch file of the older format: its magic number, pickled.
_LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
_EXPECTED = "Expected a torch file (.pth, .pt, .ckpt, .bin) or a .safetensors file."
_AGAIN = "Download it again; of a page on the web, give the address of the file itself."
_UNPACK = "Unpack it, and give the checkpoint that is in it."
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"\x89HDF", "an HDF5 file", _EXPECTED),
    (b"\x93NUMPY", "a NumPy array", _EXPECTED),
    (b"GGUF", "a GGUF file", _EXPECTED),
    (b"%PDF", "a PDF", _EXPECTED),
    (b"\x89PNG", "an image", _EXPECTED),
    (b"\xff\xd8\xff", "an image", _EXPECTED),
)
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
# ONNX has no magic number: field 1 of its message is the small version of the format, and the
# next field is one of those that exporters write.
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]")


def checkpoint_kind(path: Path, *, shown: str | None = None) -> Kind:
    """Say what the checkpoint `path` is; its content decides, not its name.

    Args:
        path: The file.
        shown: Name for messages, if it is not the path.

    Returns:
        "torch" (a zip archive of torch.save), "legacy torch" (the format before torch 1.6),
        "safetensors", or "index" (the JSON that names the shards of one checkpoint).

    Raises:
        CheckpointError: It is missing, empty, not a regular file or not a checkpoint; the message
            says what it is, and the hint what to do.
    """
    name = str(path) if shown is None else shown
    size = _size(path, name)
    if size == 0:
        raise _refusal(name, "empty", "Download or save it again.")
    head = _head(path, name)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(path, name)
    if _LEGACY_MAGIC in head[:64]:
        return "legacy torch"
    if _is_safetensors(head, size, path):
        return "safetensors"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _json_kind(path, name)
    raise _foreign(name, head)


def _refusal(name: str, what: str, hint: str) -> CheckpointError:
    return CheckpointError(f"Checkpoint '{name}' is {what}, not a checkpoint.", hint=hint)


def _size(path: Path, name: str) -> int:
    try:
        status = path.stat()
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        message = f"Checkpoint '{name}' is not a file that can be opened: {reason}."
        raise CheckpointError(message, hint="Check the path.") from err
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(name, "a folder", _folder_hint(path))
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(name, "no regular file", "Check the path.")
    return status.st_size


def _folder_hint(folder: Path) -> str:
    """Name what in the folder could be meant; an index comes before its shards."""
    endings = (".index.json", ".safetensors", ".pth", ".pt", ".ckpt", ".bin")
    try:
        names = sorted(each.name for each in folder.iterdir())
    except OSError:
        return _EXPECTED
    for ending in endings:
        found = [name for name in names if name.endswith(ending)]
        if found:
            return f"Give the file in it, such as '{folder / found[0]}'."
    return _EXPECTED


def _head(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as err:
        message = f"Checkpoint '{name}' cannot be read: {err.strerror}."
        raise CheckpointError(message, hint="Check its permissions.") from err


def _zip_kind(path: Path, name: str) -> Kind:
    if _directory_size(path) > MOST_DIRECTORY_BYTES:
        raise _refusal(name, "a zip archive of more entries than any model has tensors", _EXPECTED)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, struct.error) as err:
        message = f"Checkpoint '{name}' cannot be read: it is truncated or damaged ({err})."
        raise CheckpointError(message, hint="Download or save it again.") from err
    leaves = {name.rsplit("/", 1)[-1] for name in names if name.count("/") <= 1}
    if "constants.pkl" in leaves:
        hint = "Save its weights: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')."
        raise _refusal(name, "a TorchScript program", hint)
    if "data.pkl" in leaves:
        return "torch"
    shown = ", ".join(ascii(each[:80]) for each in names[:3])
    shown += " and others" if len(names) > 3 else ""
    if names and all(name.endswith(".npy") for name in names):
        raise _refusal(name, f"a NumPy archive ({shown})", _EXPECTED)
    raise _refusal(name, f"a zip archive of {shown or 'nothing'}", _UNPACK)


def _directory_size(path: Path) -> int:
    """Return how large an archive's list of entries is said to be: Python reads all of it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_END))
        end = file.read(_LONGEST_END)
    at = end.rfind(b"PK\x05\x06")
    size = int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0
    if size == 0xFFFFFFFF:  # then a larger record in front of this one has it
        at = end.rfind(b"PK\x06\x06", 0, at)
        size = int.from_bytes(end[at + 40 : at + 48], "little") if at >= 0 else size
    return size


def _is_safetensors(head: bytes, size: int, path: Path) -> bool:
    """Say whether a header in JSON follows its length, or the name says that it should."""
    if len(head) < 9 or head[8:9] != b"{":
        return False
    claimed = int.from_bytes(head[:8], "little")
    return claimed <= size - 8 or path.suffix == ".safetensors"


def _json_kind(path: Path, name: str) -> Kind:
    if isinstance(read_json_object(path, name).get("weight_map"), dict):
        return "index"
    raise _refusal(name, "JSON text, such as a configuration or an answer of a server", _EXPECTED)


def read_json_object(path: Path, name: str) -> dict[str, object]:
    """Return the JSON object in `path`, or an empty one where there is none in it.

    Raises:
        CheckpointError: It is too large for a list of shards; the message calls it `name`.
    """
    with path.open("rb") as file:
        content = file.read(MOST_INDEX_BYTES + 1)
    if len(content) > MOST_INDEX_BYTES:
        most = MOST_INDEX_BYTES // 2**20
        raise _refusal(name, f"JSON text of more than {most} MiB", _EXPECTED)
    try:
        document = parse_json(content, limit=MOST_INDEX_BYTES)
    except DocumentError:
        return {}
    return document if isinstance(document, dict) else {}


def _foreign(name: str, head: bytes) -> CheckpointError:
    if head.startswith(_LFS):
        return _refusal(
            name,
            "a Git LFS pointer: a few lines that stand for a file that was not fetched",
            "Run 'git lfs pull' in its repository, or download the file itself.",
        )
    if _ANNEX in head[:512]:
        return _refusal(name, "a git-annex pointer", "Run 'git annex get' on it.")
    if _HTML.match(head):
        return _refusal(name, "a web page (HTML)", _AGAIN)
    if head[_TAR_MARK] == b"ustar":
        return _refusal(name, "a tar archive", _UNPACK)
    for magic, what, hint in _FOREIGN:
        if head.startswith(magic):
            return _refusal(name, what, hint)
    return _unmarked(name, head)


def _unmarked(name: str, head: bytes) -> CheckpointError:
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        hint = (
            "A pickle can run programs, so it is not opened. Where you trust it, load it and save "
            "its tensors alone with torch.save or safetensors."
        )
        return _refusal(name, "a Python pickle that torch.save did not write", hint)
    if _ONNX.match(head):
        return _refusal(name, "an ONNX graph", _EXPECTED)
    if _is_text(head):
        first = head.decode("utf-8", "replace").strip().splitlines()[:1]
        shown = f" ({first[0][:60]!r})" if first else ""
        return _refusal(name, f"text{shown}", _AGAIN)
    return _refusal(name, "of an unknown format, or damaged at its beginning", _EXPECTED)


def _is_text(head: bytes) -> bool:
    return not _controls(head) and _decodes(head)


def _controls(head: bytes) -> Sequence[int]:
    return [byte for byte in head if byte < 9 or 13 < byte < 32]


def _decodes(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as err:
        return err.start > len(head) - 4  # a letter may be cut at the end of the head
    return True
