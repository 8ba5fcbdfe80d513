"""Every kind of picture becomes the same kind of frame, or an error that says why not."""

from __future__ import annotations

import errno
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import OutputError, PictureError
from edge_ovss.frames.image_files.integrity import picture_fault, picture_size
from edge_ovss.frames.images import (
    MAX_PIXELS,
    read_picture,
    write_label_map,
    write_picture,
)

cv2: Any = pytest.importorskip("cv2")


def colors(height: int = 6, width: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def encode(path: Path, array: NDArray[Any], *options: int) -> Path:
    """Write an array in OpenCV's order (BGR) whatever the path's letters."""
    done, data = cv2.imencode(path.suffix, array, options)
    assert done
    path.write_bytes(data.tobytes())
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_a_lossless_picture_is_read_exactly_in_rgb(tmp_path: Path, suffix: str) -> None:
    frame = colors()
    path = encode(tmp_path / f"a{suffix}", frame[:, :, ::-1])
    read = read_picture(path)
    assert np.array_equal(read, frame)
    assert read.flags["C_CONTIGUOUS"]
    assert read.dtype == np.uint8


def test_a_jpeg_is_read_in_rgb(tmp_path: Path) -> None:
    red = np.zeros((16, 24, 3), np.uint8)
    red[:, :, 2] = 250
    read = read_picture(encode(tmp_path / "a.jpg", red))
    assert read.shape == (16, 24, 3)
    assert read[8, 12, 0] > 240 > 10 > read[8, 12, 2]


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.png", colors())
    assert read_picture(path.rename(tmp_path / "a.jpg")).shape == (6, 8, 3)


def test_grey_is_repeated(tmp_path: Path) -> None:
    gray = colors()[:, :, 0]
    read = read_picture(encode(tmp_path / "a.png", gray))
    assert np.array_equal(read, np.repeat(gray[:, :, None], 3, axis=2))


def test_alpha_is_dropped_and_not_blended(tmp_path: Path) -> None:
    frame = colors()
    clear = np.zeros((6, 8, 1), np.uint8)
    path = encode(tmp_path / "a.png", np.concatenate([frame[:, :, ::-1], clear], axis=2))
    assert np.array_equal(read_picture(path), frame)


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)], ids=["color", "gray"])
def test_sixteen_bits_are_divided_by_257_and_rounded(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, shape).astype(np.uint16)
    deep.flat[:4] = (0, 128, 129, 65535)
    expected = np.round(deep / 257).astype(np.uint8)
    if len(shape) == 2:
        expected = np.repeat(expected[:, :, None], 3, axis=2)
    else:
        expected = expected[:, :, ::-1]
    assert np.array_equal(read_picture(encode(tmp_path / "a.png", deep)), expected)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    table = bytes([255, 0, 0, 0, 255, 0, 10, 20, 30])
    rows = b"\0" + bytes([0, 1]) + b"\0" + bytes([2, 0])
    head = struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"PLTE", table)]
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    expected = [[[255, 0, 0], [0, 255, 0]], [[10, 20, 30], [255, 0, 0]]]
    assert read_picture(path).tolist() == expected


def exif(orientation: int) -> bytes:
    """Return a JPEG segment that holds nothing but an orientation."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize(
    ("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)], ids=["0", "180", "90", "270"]
)
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int, turns: int) -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 255
    path = encode(tmp_path / "a.jpg", picture)
    data = path.read_bytes()
    path.write_bytes(data[:2] + exif(orientation) + data[2:])
    expected = np.rot90(picture, turns)
    read = read_picture(path)
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() < 40


@pytest.mark.parametrize("size", [(1, 1), (31, 47), (1, 5000)])
def test_odd_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    assert read_picture(encode(tmp_path / "a.png", colors(*size))).shape == (*size, 3)


def test_paths_outside_ascii_work(tmp_path: Path) -> None:
    folder = tmp_path / "Straße 日本"
    folder.mkdir()
    frame = colors()
    write_picture(folder / "été.png", frame)
    assert np.array_equal(read_picture(folder / "été.png"), frame)


def test_what_is_no_picture_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "noise.png").write_bytes(bytes(range(256)) * 8)
    for name, words in {
        "missing.png": "does not exist",
        ".": "is not a file",
        "empty.png": "is empty",
        "text.jpg": "is not an image",
        "noise.png": "is not an image",
    }.items():
        with pytest.raises(PictureError, match=words) as caught:
            read_picture(tmp_path / name)
        assert caught.value.status == 4
        assert caught.value.hint


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9, 0.999])
def test_a_truncated_picture_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = encode(tmp_path / f"a{suffix}", colors(100, 100))
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(PictureError):
        read_picture(path)


@pytest.mark.parametrize("progressive", [0, 1])
def test_what_follows_a_jpeg_and_a_missing_end_marker_do_not_matter(
    tmp_path: Path, progressive: int
) -> None:
    options = (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    path = encode(tmp_path / "a.jpg", colors(64, 64), *options)
    data, frame = path.read_bytes(), read_picture(path)
    assert picture_size(data) == (64, 64)
    for other in (data + b"trailer of a phone", data[:-2], data[:-1], data[:-2] + b"\xff\xff\xd9"):
        assert picture_fault(other) is None
        path.write_bytes(other)
        assert np.array_equal(read_picture(path), frame)


def test_a_damaged_png_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.png", colors(40, 40))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(PictureError, match="damaged"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bomb"
    side = 60_000
    if kind == "png":
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        parts = [chunk(b"IHDR", head), chunk(b"IDAT", b""), chunk(b"IEND", b"")]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    else:
        size = struct.pack(">HH", 8, 8)
        data = encode(tmp_path / "a.jpg", colors(8, 8)).read_bytes()
        path.write_bytes(data.replace(size + b"\x03", struct.pack(">HH", side, side) + b"\x03"))
    with pytest.raises(PictureError, match=f"at most {MAX_PIXELS}"):
        read_picture(path)


def test_float_pictures_are_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.tiff", np.ones((4, 4, 3), np.float32))
    with pytest.raises(PictureError, match="float32"):
        read_picture(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_label_map_comes_back_as_it_was(tmp_path: Path, dtype: type[Any]) -> None:
    highest = np.iinfo(dtype).max
    labels = np.random.default_rng(3).integers(0, highest + 1, (31, 47)).astype(dtype)
    write_label_map(tmp_path / "a.labels.png", labels)
    read = cv2.imread(str(tmp_path / "a.labels.png"), cv2.IMREAD_UNCHANGED)
    assert read.dtype == dtype
    assert np.array_equal(read, labels)


def test_a_label_map_of_another_type_is_refused(tmp_path: Path) -> None:
    labels: Any = np.zeros((4, 4), np.int64)
    with pytest.raises(PictureError, match="int64"):
        write_label_map(tmp_path / "a.png", labels)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_picture(path, colors())
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_picture(path, colors(9, 9))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        write_picture(tmp_path / "no" / "a.png", colors())
