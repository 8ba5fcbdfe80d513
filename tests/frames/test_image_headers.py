"""Size, depth and number of pictures are known before a file is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import PictureError
from edge_ovss.frames import images as pictures
from edge_ovss.frames.image_files.headers import PictureHeader, picture_header
from edge_ovss.frames.image_files.integrity import picture_fault
from edge_ovss.frames.image_files.tiff_tags import tiff_pages
from edge_ovss.frames.images import MAX_DECODED, read_picture
from edge_ovss.frames.source_notes import PictureWarning

cv2: Any = pytest.importorskip("cv2")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(height: int, width: int, bits: int = 8, extra: bytes = b"", data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def gif(images: int) -> bytes:
    extension = b"\x21\xf9\x04\0\0\0\0\0"
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 3, 2, 0x80) + bytes(6) + b"\x02\x02\x4c\x01\0"
    head = b"GIF89a" + struct.pack("<HHBBB", 3, 2, 0x81, 0, 0) + bytes(12)
    return head + (extension + image) * images + b"\x3b"


def webp(frames: int) -> bytes:
    size = struct.pack("<I", 2)[:3] + struct.pack("<I", 1)[:3]
    parts = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    parts += (b"ANMF" + struct.pack("<I", 3) + bytes(4)) * frames
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def tiff(subfiles: list[int], *, big: bool = False, order: str = "<") -> bytes:
    mark = b"II" if order == "<" else b"MM"
    number, count = ("Q", "Q") if big else ("I", "H")
    data = mark + struct.pack(f"{order}H", 43 if big else 42)
    data += struct.pack(f"{order}HH", 8, 0) if big else b""
    data += struct.pack(f"{order}{number}", len(data) + (8 if big else 4))
    for place, flag in enumerate(subfiles):
        page = struct.pack(f"{order}{count}", 4)
        for tag, value in ((254, flag), (256, 3), (257, 2), (258, 16)):
            page += struct.pack(f"{order}HH{number}", tag, 4, 1)
            page += struct.pack(f"{order}I", value) + bytes(4 if big else 0)
        data += page
        last = place == len(subfiles) - 1
        data += struct.pack(f"{order}{number}", 0 if last else len(data) + (8 if big else 4))
    return data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(2, 3), PictureHeader("PNG", 2, 3)),
        (png(2, 3, 16), PictureHeader("PNG", 2, 3, 16)),
        (
            png(2, 3, extra=chunk(b"acTL", bytes([0, 0, 0, 4] * 2))),
            PictureHeader("PNG", 2, 3, 8, 4),
        ),
        (png(2, 3, extra=chunk(b"acTL", bytes([0, 0, 0, 1] * 2))), PictureHeader("PNG", 2, 3)),
        (gif(1), PictureHeader("GIF", 2, 3)),
        (gif(3), PictureHeader("GIF", 2, 3, 8, 3)),
        (webp(0), PictureHeader("WebP", 2, 3)),
        (webp(1), PictureHeader("WebP", 2, 3)),
        (webp(5), PictureHeader("WebP", 2, 3, 8, 5)),
        (tiff([0]), PictureHeader("TIFF", 2, 3, 16)),
        (tiff([0, 0]), PictureHeader("TIFF", 2, 3, 16, 2)),
        (tiff([0, 2, 2], big=True), PictureHeader("TIFF", 2, 3, 16, 3)),
        (tiff([0, 0], order=">"), PictureHeader("TIFF", 2, 3, 16, 2)),
        # Smaller versions and masks of the first page are no pages of their own.
        (tiff([0, 1, 1, 4]), PictureHeader("TIFF", 2, 3, 16)),
        (b"P6\n# made by hand\n3 2\n255\n" + bytes(18), PictureHeader("PNM", 2, 3)),
        (b"P5\n3 2\n4095\n" + bytes(12), PictureHeader("PNM", 2, 3, 12)),
        (b"P4\n3 2\n" + bytes(2), PictureHeader("PNM", 2, 3, 1)),
        (b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nENDHDR\n", PictureHeader("PNM", 2, 3)),
        (b"P6\nno number", None),
        (b"no picture", None),
        (b"", None),
    ],
)
def test_heads_are_read(data: bytes, expected: PictureHeader | None) -> None:
    assert picture_header(data) == expected


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".jp2", ".ras"]
)
def test_the_size_is_that_of_the_decoded_picture(suffix: str) -> None:
    done, data = cv2.imencode(suffix, np.zeros((121, 134, 3), np.uint8))
    assert done
    header = picture_header(data.tobytes())
    assert header is not None
    assert (header.height, header.width, header.bits, header.frames) == (121, 134, 8, 1)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm", ".jp2"])
def test_sixteen_bits_are_seen(suffix: str) -> None:
    done, data = cv2.imencode(suffix, np.zeros((121, 134, 3), np.uint16))
    assert done
    header = picture_header(data.tobytes())
    assert header is not None
    assert header.bits == 16


@pytest.mark.parametrize(
    ("name", "data", "count"),
    [
        ("a.gif", gif(3), 3),
        ("a b.png", png(2, 3, extra=chunk(b"acTL", bytes([0, 0, 0, 2] * 2))), 2),
        ("a.webp", webp(4), 4),
        ("scan.tif", tiff([0, 2]), 2),
    ],
)
def test_more_than_one_picture_in_a_file_is_an_error(
    tmp_path: Path, name: str, data: bytes, count: int
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PictureError, match=f"holds {count} images") as caught:
        read_picture(tmp_path / name)
    assert caught.value.hint is not None
    assert ("'a b.png'" in caught.value.hint) == (name == "a b.png")


def test_a_stereo_jpeg_of_a_phone_is_its_first_picture(tmp_path: Path) -> None:
    frame = np.full((16, 24, 3), 90, np.uint8)
    first, second = (cv2.imencode(".jpg", frame + place)[1].tobytes() for place in (0, 100))
    (tmp_path / "a.mpo").write_bytes(first + second)
    assert np.abs(read_picture(tmp_path / "a.mpo").astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    "data",
    [
        png(16384, 16384, 16),
        b"P6\n16000 16000\n65535\n",
        b"\0\0\0\x0cjP  \r\n"
        + bytes(30)
        + b"\xff\x4f\xff\x51"
        + struct.pack(">HHIIII", 47, 0, 9000, 9000, 0, 0)
        + bytes(30),
        webp(0).replace(b"\2\0\0\1\0\0", b"\xfe\x3f\0\xfe\x3f\0"),
    ],
    ids=["png", "ppm", "jp2", "webp"],
)
def test_what_takes_too_much_memory_is_refused_before_it_is_decoded(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(data)
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(PictureError, match=r"GiB to decode; expected at most 1\.0"):
        read_picture(tmp_path / "large")


def test_the_limit_of_memory_is_met_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_DECODED == 1 << 30
    done, data = cv2.imencode(".png", np.zeros((10, 20, 3), np.uint16))
    assert done
    (tmp_path / "a.png").write_bytes(data.tobytes())
    monkeypatch.setattr(pictures, "MAX_DECODED", 10 * 20 * 6)
    assert read_picture(tmp_path / "a.png").shape == (10, 20, 3)
    monkeypatch.setattr(pictures, "MAX_DECODED", 10 * 20 * 6 - 1)
    with pytest.raises(PictureError, match="10 x 20 with 16 bits"):
        read_picture(tmp_path / "a.png")


def test_a_png_with_too_few_data_for_its_size_is_truncated(tmp_path: Path) -> None:
    whole = zlib.compress(bytes(2000 * 6001), 9)
    (tmp_path / "a.png").write_bytes(png(2000, 2000, data=whole))
    assert read_picture(tmp_path / "a.png").max() == 0
    (tmp_path / "a.png").write_bytes(png(2000, 2000, data=whole[:8000]))
    with pytest.raises(PictureError, match="truncated"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("highest", "bits"),
    [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16383, 14)],
)
def test_fewer_bits_in_a_file_of_sixteen_are_warned_of(
    tmp_path: Path, highest: int, bits: int
) -> None:
    values = np.linspace(0, highest, 12 * 9).astype(np.uint16).reshape(12, 9)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    words = rf"no value above {highest}.*of {bits} bits, multiply them by {1 << 16 - bits} "
    with pytest.warns(PictureWarning, match=words):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("highest", [0, 16384, 65535])
@pytest.mark.filterwarnings("error")
def test_bright_and_black_pictures_are_not_warned_of(tmp_path: Path, highest: int) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((12, 9), highest, np.uint16))
    assert read_picture(tmp_path / "a.png").shape == (12, 9, 3)


@pytest.mark.parametrize("place", [b"IHDR", b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_any_part_of_a_png_is_named(tmp_path: Path, place: bytes) -> None:
    data = bytearray(png(2, 3, data=zlib.compress(bytes(20))))
    at = data.index(place)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    data[end + 3] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(PictureError, match=rf"its part b'{place.decode()}' is damaged"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\0\0\0\x1cftypheic" + bytes(20), "format HEIC, which is not read"),
        (b"8BPS" + bytes(40), "format PSD, which is not read"),
        (b"GIF89a" + bytes(40), "damaged GIF image, or OpenCV"),
    ],
)
def test_a_format_that_is_not_read_is_named(tmp_path: Path, head: bytes, words: str) -> None:
    (tmp_path / "a.jpg").write_bytes(head)
    with pytest.raises(PictureError, match=words):
        read_picture(tmp_path / "a.jpg")


def test_a_jpeg_of_several_scans_takes_three_times_the_memory() -> None:
    for progressive, each in ((0, 3), (1, 9)):
        options = (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
        done, data = cv2.imencode(".jpg", np.zeros((24, 40, 3), np.uint8), options)
        assert done
        header = picture_header(data.tobytes())
        assert header is not None
        assert header.decoded_bytes == 24 * 40 * each


@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_webp_that_lacks_its_last_bytes_is_truncated(lost: int) -> None:
    done, data = cv2.imencode(".webp", np.zeros((24, 40, 3), np.uint8))
    assert done
    assert picture_fault(data.tobytes()) is None
    assert picture_fault(data.tobytes()[:-lost]) == "it is truncated"


def test_pages_that_follow_each_other_in_a_ring_are_counted_once() -> None:
    ring = b"MM\0*" + struct.pack(">IHI", 8, 0, 8)
    assert len(list(tiff_pages(ring))) == 1
