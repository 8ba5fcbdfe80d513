"""Whether the end of a video file is there, by its bytes alone."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from edge_ovss.frames.video import lengths as video_lengths
from edge_ovss.frames.video import matroska, mpeg_streams
from edge_ovss.frames.video.lengths import (
    cut_off,
    last_time,
    shows_its_end,
    states_its_length,
)


def ebml(kind: str, data: bytes, size: int | None = None) -> bytes:
    stated = (1 << 56) - 1 if size == -1 else len(data) if size is None else size
    return bytes.fromhex(kind) + struct.pack(">Q", stated | 1 << 56) + data


HEAD = ebml("1a45dfa3", b"1234")
CLUSTER = ebml("e7", b"\x03\xe8") + ebml("a3", b"\x81\0\x28\x80abc")
OPEN = HEAD + ebml("18538067", ebml("1f43b675", CLUSTER, -1), -1)


def test_a_matroska_stream_without_a_length_is_walked() -> None:
    assert matroska.stated_end(io.BytesIO(OPEN)) == 0
    assert matroska.structure(io.BytesIO(OPEN), len(OPEN)) == matroska.Structure(False, False, 1.04)
    for lost in (1, 5, 9):
        assert matroska.structure(io.BytesIO(OPEN[:-lost]), len(OPEN) - lost).cut
    spoiled = OPEN + bytes(40)
    assert matroska.structure(io.BytesIO(spoiled), len(spoiled)).damaged


def test_matroska_without_a_length_may_be_cut_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(OPEN)
    assert cut_off(tmp_path / "a") is None
    assert last_time(tmp_path / "a") == pytest.approx(1.04)
    (tmp_path / "a").write_bytes(OPEN[:-2])
    assert cut_off(tmp_path / "a") == "its last block is incomplete"


def test_a_file_of_empty_parts_keeps_nobody_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_lengths, "_MOST_PARTS", 5)
    monkeypatch.setattr(matroska, "_MOST_ELEMENTS", 5)
    whole = (struct.pack(">I", 8) + b"moov") * 4
    (tmp_path / "a").write_bytes(whole + struct.pack(">I", 9) + b"free")
    assert cut_off(tmp_path / "a") is not None
    (tmp_path / "a").write_bytes(whole + whole + struct.pack(">I", 9) + b"free")
    assert cut_off(tmp_path / "a") is None
    many = OPEN + b"\xec\x80" * 20 + b"\0"
    assert matroska.structure(io.BytesIO(many), len(many)) == matroska.Structure(
        cut=False, damaged=False, last_s=1.04
    )


def packet(payload: bytes, *, start: bool = False, number: int = 256) -> bytes:
    head = bytes([0x47, 0x40 * start | number >> 8, number & 255])
    if len(payload) == 184:
        return head + b"\x10" + payload
    gap = 183 - len(payload)
    return head + b"\x30" + bytes([gap]) + b"\xff" * gap + payload


def pes(size: int, length: int = 0) -> bytes:
    return b"\0\0\1\xe0" + length.to_bytes(2, "big") + b"\x55" * (size - 6)


TRANSPORT = {
    "stuffed": (packet(pes(184), start=True) + packet(b"\x55" * 90), None),
    "open": (packet(pes(184), start=True) * 6, mpeg_streams.OPEN_FRAME),
    "stated": (packet(pes(184, 178), start=True), None),
    "short": (packet(pes(100, 178), start=True), mpeg_streams.OPEN_FRAME),
    "partial": (packet(pes(90), start=True) + b"\x47" * 100, "its last packet is incomplete"),
    "table": (packet(bytes(184), start=True, number=0), None),
}


@pytest.mark.parametrize("what", TRANSPORT)
def test_a_transport_stream_has_an_end_or_none(what: str) -> None:
    data, words = TRANSPORT[what]
    found = mpeg_streams.transport_cut(io.BytesIO(data), len(data), (188, 0))
    assert found == words


def test_packets_of_a_transport_stream_are_known_by_their_marks() -> None:
    whole = packet(pes(90), start=True) * 8
    spaced = b"".join(b"\0\0\0\0" + whole[at : at + 188] for at in range(0, len(whole), 188))
    assert mpeg_streams.packet_form(whole) == (188, 0)
    assert mpeg_streams.packet_form(spaced) == (192, 4)
    assert mpeg_streams.packet_form(b"G" + bytes(2000)) is None
    assert mpeg_streams.packet_form(b"") is None
    assert not mpeg_streams.lost_sync(io.BytesIO(whole), (188, 0))
    spoiled = whole[:188] + bytes(188) + whole[376:]
    assert mpeg_streams.lost_sync(io.BytesIO(spoiled), (188, 0))


def ogg(data: bytes, *, last: bool) -> bytes:
    return b"OggS\0" + bytes([4 * last]) + bytes(20) + bytes([1, len(data)]) + data


def asf(size: int, *, live: bool = False) -> bytes:
    facts = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + bytes(24)
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14)
    return head + facts + struct.pack("<Q", size) + bytes(40) + bytes([live, 0, 0, 0]) + bytes(8)


ENDS = {
    "ogg": (ogg(b"abc", last=False) + ogg(b"abc", last=True), None),
    "ogg without the last page": (ogg(b"abc", last=False), "its last page is not marked"),
    "ogg cut": (ogg(b"abc", last=True)[:-1], "its last page is incomplete"),
    "asf": (asf(len(asf(0))), None),
    "asf cut": (asf(5000), "it states 5000 bytes"),
    "asf live": (asf(5000, live=True), None),
    "mp4 without an index": (
        struct.pack(">I", 8) + b"ftyp" + struct.pack(">I", 9) + b"mdat1",
        "no index",
    ),
    "flv": (b"FLV\x01\x01\0\0\0\x09\0\0\0\0" + b"\x09\0\0\x01" + bytes(8) + bytes(4), None),
    "flv cut": (b"FLV\x01\x01\0\0\0\x09\0\0\0\0" + b"\x09\0\0\x01" + bytes(8), "its last tag"),
    "flv cut early": (b"FLV\x01\x01\0\0\0\x09\0\0\0\0" + b"\x09\0\0", "its last tag"),
    "program": (b"\0\0\1\xba\x44" + bytes(9) + b"\0\0\1\xe0\0\x02ab" + b"\0\0\1\xb9", None),
    "program cut": (b"\0\0\1\xba\x44" + bytes(9) + b"\0\0\1\xe0\0\x02a", "its last packet"),
    "program padded": (b"\0\0\1\xba\x21" + bytes(7) + b"\0\0\1\xe0\0\x02ab" + bytes(3), None),
    "text": (b"nothing of all this", None),
}


@pytest.mark.parametrize("what", ENDS)
def test_how_a_file_shows_that_its_end_is_missing(tmp_path: Path, what: str) -> None:
    data, words = ENDS[what]
    (tmp_path / "a").write_bytes(data)
    found = cut_off(tmp_path / "a")
    assert (found is None) if words is None else (found is not None and words in found)


@pytest.mark.parametrize(
    ("what", "stated", "shown"),
    [("flv", True, False), ("ogg", False, False), ("text", False, False), ("asf", False, False)],
)
def test_only_some_containers_state_their_length(
    tmp_path: Path, what: str, stated: bool, shown: bool
) -> None:
    (tmp_path / "a").write_bytes(ENDS[what][0])
    assert states_its_length(tmp_path / "a") is stated
    assert shows_its_end(tmp_path / "a") is shown


@pytest.mark.parametrize(("size", "shown"), [(9, True), (0, False)])
def test_an_mp4_with_an_open_part_does_not_show_its_end(
    tmp_path: Path, size: int, shown: bool
) -> None:
    data = struct.pack(">I", 8) + b"moov" + struct.pack(">I", size) + b"mdat1"
    (tmp_path / "a").write_bytes(data)
    assert states_its_length(tmp_path / "a")
    assert shows_its_end(tmp_path / "a") is shown
