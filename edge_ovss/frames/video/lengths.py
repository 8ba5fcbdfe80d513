"""Read the length that a video file states, and check that its end is present.

Only bytes are examined, which finds what a player, showing whatever there is, does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edge_ovss._safe_text import shown
from edge_ovss.errors import InputError
from edge_ovss.frames.video import matroska, mpeg_streams

# Top-level boxes of an MP4 or QuickTime file; anything else at that level is not taken for one.
_BOXES = frozenset(
    b"ftyp moov mdat free skip wide uuid moof mfra sidx styp udta meta pnot pdin emsg prft ssix "
    b"junk PICT mdta imdt".split()
)
_INDEX = frozenset({b"moov", b"moof"})
_UNKNOWN = 0xFFFFFFFF
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEAD = 1 << 16
_OGG_TAIL = 2 * 65307  # twice the longest Ogg page
_FLV_TAGS = frozenset({8, 9, 18})
# A film has fewer; a file full of empty parts would take minutes.
_MOST_PARTS = 1_000_000


def cut_off(path: Path) -> str | None:
    """Return how a video file shows that its end is missing, in words; None if it does not.

    Raises:
        InputError: It cannot be read.
    """
    try:
        there = path.stat().st_size
        with path.open("rb") as file:
            stated = stated_bytes(file)
            if stated > there:
                return f"it states {stated} bytes and has {there}"
            return _open_end(file, there)
    except OSError as err:
        message = f"Video '{shown(path)}' cannot be read: {err.strerror or err}."
        raise InputError(message, hint="Check its permissions.") from err


def last_time(path: Path) -> float | None:
    """Return the start of the last packet of any track, in seconds; None for other containers.

    The length in the header is that of the longest track, which may be the audio.
    """
    with path.open("rb") as file:
        head = file.read(4)
        if head == matroska.MAGIC:
            return matroska.structure(file, path.stat().st_size).last_s
        if head[:3] == b"FLV":
            return max((time for _, time in _tags(file)), default=0) / 1000
    return None


def is_damaged(path: Path) -> bool:
    """Whether a container has stray bytes between its parts."""
    there = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head.startswith(matroska.MAGIC):
            return matroska.structure(file, there).damaged
        form = mpeg_streams.packet_form(head)
        return form is not None and mpeg_streams.lost_sync(file, form)


def states_its_length(path: Path) -> bool:
    """Whether the header of a container states the length of the video.

    Where it does not, as in MPEG streams and Ogg, players estimate it.
    """
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] in (b"RIFF", matroska.MAGIC) or head[:3] == b"FLV" or head[4:8] in _BOXES


def shows_its_end(path: Path) -> bool:
    """Whether the part sizes of a file that is not cut off prove it complete, as in most MP4 files.

    Its edit list may omit frames that its header counts.
    """
    with path.open("rb") as file:
        ends = [end for _, end in _boxes(file)]
    return bool(ends) and all(ends)


def stated_bytes(file: BinaryIO) -> int:
    """Return the number of bytes that a video file states; 0 where it states none."""
    head = _read(file, 0, _HEAD)
    if head.startswith(b"RIFF"):
        return max(_riffs(file), default=0)
    if head.startswith(matroska.MAGIC):
        return matroska.stated_end(file)
    if head.startswith(_ASF):
        return _asf_size(head)
    return max((end for _, end in _boxes(file)), default=0)


def _open_end(file: BinaryIO, there: int) -> str | None:
    """Return what is missing at the end of a file that states no length, or enough bytes."""
    head = _read(file, 0, _HEAD)
    if head.startswith(matroska.MAGIC) and not matroska.stated_end(file):
        return "its last block is incomplete" if matroska.structure(file, there).cut else None
    if head[:3] == b"FLV":
        ends = max((end for end, _ in _tags(file)), default=0)
        return "its last tag is incomplete" if ends > there else None
    if head.startswith(b"OggS"):
        return _ogg_end(file, there)
    if head.startswith(b"\0\0\1\xba"):
        return mpeg_streams.program_cut(file, there)
    kinds = {kind for kind, _ in _boxes(file)}
    if b"mdat" in kinds and not kinds & _INDEX:
        return "it has no index, which is written last"
    form = mpeg_streams.packet_form(head)
    return mpeg_streams.transport_cut(file, there, form) if form else None


def _riffs(file: BinaryIO) -> Iterator[int]:
    """Yield the end of each part of an AVI; long files have several."""
    at = 0
    for _ in range(_MOST_PARTS):
        head = _read(file, at, 8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return
        size = int.from_bytes(head[4:], "little")
        if size in (0, _UNKNOWN):  # written to a pipe
            return
        yield at + 8 + size
        at += 8 + size + size % 2


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and the end of each top-level box of an MP4."""
    at = 0
    for _ in range(_MOST_PARTS):
        head = _read(file, at, 16)
        if len(head) < 8 or head[4:8] not in _BOXES:
            return
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # the actual size follows, in 64 bits
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # 0 means up to the end of the file
            yield head[4:8], 0
            return
        yield head[4:8], at + size
        at += size


def _asf_size(head: bytes) -> int:
    at = head.find(_ASF_FILE)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:  # 1: a broadcast without an end
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")


def _tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the end of each FLV tag, including the size that follows it, and its milliseconds."""
    at = int.from_bytes(_read(file, 5, 4), "big") + 4
    for _ in range(_MOST_PARTS):
        head = _read(file, at, 11)
        if not head or head[0] & 0x1F not in _FLV_TAGS:
            return
        if len(head) < 11:
            yield at + 11, 0
            return
        end = at + 11 + int.from_bytes(head[1:4], "big") + 4
        yield end, int.from_bytes(head[7:8] + head[4:7], "big")
        at = end


def _ogg_end(file: BinaryIO, there: int) -> str | None:
    first = max(0, there - _OGG_TAIL)
    tail = _read(file, first, there - first)
    page = tail[tail.rfind(b"OggS\0") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return "its last page is incomplete"
    if len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "its last page is incomplete"
    return None if page[5] & 4 else "its last page is not marked as the end"


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
