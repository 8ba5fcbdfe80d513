"""EXIF turns a picture once, in every format and with every version of OpenCV."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.frames.image_files.orientation import picture_orientation, turn_upright
from edge_ovss.frames.images import read_picture

cv2: Any = pytest.importorskip("cv2")

STORED = np.zeros((16, 32, 3), np.uint8)
STORED[:8, :16] = (240, 0, 0)
STORED[:8, 16:] = (0, 240, 0)
STORED[8:, :16] = (0, 0, 240)
# What EXIF says of each number: which side of the scene the first row and the first column show.
SHOWN = {
    1: STORED,
    2: np.fliplr(STORED),
    3: np.rot90(STORED, 2),
    4: np.flipud(STORED),
    5: STORED.transpose(1, 0, 2),
    6: np.rot90(STORED, -1),
    7: np.rot90(STORED, 2).transpose(1, 0, 2),
    8: np.rot90(STORED, 1),
}


def exif(number: int, order: str = ">", kind: int = 3) -> bytes:
    """Return the TIFF that EXIF is, with an orientation only."""
    value = struct.pack(f"{order}HH", number, 0) if kind == 3 else struct.pack(f"{order}I", number)
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return mark + struct.pack(f"{order}IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)


def encoded(suffix: str, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, STORED[:, :, ::-1], options)
    assert done
    return bytes(data.tobytes())


def jpeg(tags: bytes) -> bytes:
    data = encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    body = b"Exif\0\0" + tags
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png(tags: bytes) -> bytes:
    data = encoded(".png")
    part = b"eXIf" + tags
    chunk = struct.pack(">I", len(tags)) + part + struct.pack(">I", zlib.crc32(part))
    return data[:33] + chunk + data[33:]


def webp(tags: bytes) -> bytes:
    image = encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101)[12:]
    size = struct.pack("<I", 31)[:3] + struct.pack("<I", 15)[:3]
    parts = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + size + image
    parts += b"EXIF" + struct.pack("<I", len(tags)) + tags + bytes(len(tags) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def tiff(number: int, dtype: str) -> bytes:
    pixels = STORED.astype(dtype)
    pixels = pixels * 257 if dtype == "<u2" else pixels
    bits = pixels.itemsize * 8
    tags = [(256, 3, 1, 32), (257, 3, 1, 16), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 8), (274, 3, 1, number), (277, 3, 1, 3), (278, 3, 1, 16)]
    tags += [(279, 4, 1, pixels.nbytes)]
    pages = struct.pack("<H", len(tags))
    pages += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + pixels.nbytes) + pixels.tobytes() + pages


def read(path: Path, data: bytes) -> NDArray[np.uint8]:
    path.write_bytes(data)
    return read_picture(path)


@pytest.mark.parametrize("number", SHOWN)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff of 8 bits", "tiff of 16 bits"])
def test_all_eight_orientations_are_applied_once(tmp_path: Path, kind: str, number: int) -> None:
    data = {
        "jpg": lambda: jpeg(exif(number)),
        "png": lambda: png(exif(number)),
        "webp": lambda: webp(exif(number)),
        "tiff of 8 bits": lambda: tiff(number, "u1"),
        "tiff of 16 bits": lambda: tiff(number, "<u2"),
    }[kind]()
    image = read(tmp_path / "a", data)
    expected = SHOWN[number]
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < (10 if kind == "jpg" else 1e-9)
    assert image.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_both_orders_of_bytes_and_both_lengths_are_understood(
    order: str, kind: int, prefix: bytes
) -> None:
    assert picture_orientation(webp(prefix + exif(6, order, kind)), "WebP") == 6


@pytest.mark.parametrize("number", [0, 9, 65535])
def test_numbers_without_a_meaning_turn_nothing(number: int) -> None:
    assert picture_orientation(jpeg(exif(number)), "JPEG") == 1


def test_damaged_exif_turns_nothing() -> None:
    whole = exif(6)
    for end in range(len(whole) - 4):
        assert picture_orientation(jpeg(whole[:end]), "JPEG") in (1, 6)
    looped = b"MM\0*" + struct.pack(">IHI", 8, 0, 8)
    assert picture_orientation(jpeg(looped), "JPEG") == 1


def test_a_view_is_returned_that_agrees_with_numpy() -> None:
    for number, expected in SHOWN.items():
        assert np.array_equal(turn_upright(STORED, number), expected)


@pytest.mark.parametrize("number", SHOWN)
def test_avif_is_turned_by_its_own_boxes(tmp_path: Path, number: int) -> None:
    image = pytest.importorskip("PIL.Image")
    tags = image.Exif()
    tags[0x0112] = number
    try:
        image.fromarray(STORED).save(tmp_path / "a.avif", exif=tags, quality=100)
    except (KeyError, OSError, ValueError):
        pytest.skip("this Pillow writes no AVIF")
    if not cv2.haveImageReader(str(tmp_path / "a.avif")):
        pytest.skip("this OpenCV reads no AVIF")
    read_back = read_picture(tmp_path / "a.avif")
    assert read_back.shape == SHOWN[number].shape
    assert np.abs(read_back.astype(int) - SHOWN[number]).mean() < 8
