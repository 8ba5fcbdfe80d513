"""A JPEG whose coded data end too early is refused, and one that is whole never is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import PictureError
from edge_ovss.frames import images as pictures
from edge_ovss.frames.image_files.jpeg_scan import jpeg_fault, read_jpeg
from edge_ovss.frames.images import read_picture
from edge_ovss.synthetic import render_street

cv2: Any = pytest.importorskip("cv2")

END = b"\xff\xd9"
KINDS = {
    "baseline": (),
    "gray": (),
    "optimized": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 13),
    "coarse": (cv2.IMWRITE_JPEG_QUALITY, 20),
    "fine": (cv2.IMWRITE_JPEG_QUALITY, 100),
    "progressive restarts": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 40),
}


@pytest.fixture(scope="module")
def street() -> NDArray[np.uint8]:
    return np.ascontiguousarray(render_street(seed=3, height=180, width=240).image[:, :, ::-1])


def encoded(image: NDArray[np.uint8], kind: str) -> bytes:
    image = image[:, :, 1] if kind == "gray" else image
    done, data = cv2.imencode(".jpg", image, KINDS[kind])
    assert done
    return bytes(data.tobytes())


def read(folder: Path, data: bytes) -> NDArray[np.uint8]:
    (folder / "a.jpg").write_bytes(data)
    return read_picture(folder / "a.jpg")


def scan_span(data: bytes) -> tuple[int, int]:
    scans = read_jpeg(data).scans
    return scans[0].start, scans[-1].end


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_one_is_read_with_and_without_its_end_marker(
    tmp_path: Path, street: NDArray[np.uint8], kind: str
) -> None:
    data = encoded(street, kind)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    for whole in (data, data[:-2], data + b"a trailer" + END, data[:-2] + b"\xff\xff" + END):
        assert np.array_equal(read(tmp_path, whole), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [END, b""], ids=["end marker", "no end marker"])
def test_one_that_is_cut_anywhere_is_refused(
    tmp_path: Path, street: NDArray[np.uint8], kind: str, end: bytes
) -> None:
    data = encoded(street, kind)
    first, last = scan_span(data)
    for part in (0.001, 0.1, 0.34, 0.5, 0.77, 0.95, 0.99):
        with pytest.raises(PictureError, match=r"truncated|restart markers"):
            read(tmp_path, data[: first + int(part * (last - first))] + end)


@pytest.mark.parametrize("kind", ["baseline", "optimized", "progressive", "restarts", "fine"])
def test_a_hole_of_zeros_is_refused(tmp_path: Path, street: NDArray[np.uint8], kind: str) -> None:
    data = encoded(street, kind)
    first, last = scan_span(data)
    size = (last - first) // 5
    for part in (0.05, 0.4, 0.7):
        at = first + int(part * (last - first))
        with pytest.raises(PictureError, match="cannot be read"):
            read(tmp_path, data[:at] + bytes(size) + data[at + size :])


@pytest.mark.parametrize("kind", ["baseline", "optimized", "progressive"])
def test_flat_pictures_whose_data_are_mostly_zeros_are_whole(tmp_path: Path, kind: str) -> None:
    flat = np.zeros((600, 800, 3), np.uint8)
    flat[250:300, 300:400] = render_street(seed=1, height=50, width=100).image
    for image in (flat, np.zeros_like(flat), np.full_like(flat, 255)):
        assert read(tmp_path, encoded(image, kind)).shape == (600, 800, 3)


def test_restart_markers_count_in_order_and_are_all_there(
    tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    data = encoded(street, "restarts")
    marks = [found.start() for found in re.finditer(b"\xff[\xd0-\xd7]", data)]
    assert len(marks) > 9
    wrong_number = bytearray(data)
    wrong_number[marks[3] + 1] ^= 1
    one_interval_lost = data[: marks[3]] + data[marks[4] :]
    # Eight are lost together, so that the numbers still follow each other.
    eight_lost = data[: marks[1]] + data[marks[9] :]
    stray = encoded(street, "baseline")
    stray = stray[:-200] + b"\xff\xd0" + stray[-198:]
    for broken in (bytes(wrong_number), one_interval_lost, eight_lost, stray):
        with pytest.raises(PictureError, match="restart markers"):
            read(tmp_path, broken)
    one_more = data[:-2] + b"\xff" + bytes([0xD0 + len(marks) % 8]) + END
    assert jpeg_fault(one_more, read_jpeg(one_more)) is None


def test_a_progressive_one_without_its_last_scans_is_refused(
    tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    data = encoded(street, "progressive")
    for scan in read_jpeg(data).scans[:-1]:
        with pytest.raises(PictureError, match="truncated"):
            read(tmp_path, data[: scan.end] + END)


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_one_scan_cut_in_the_middle_of_a_file_is_found(
    tmp_path: Path, street: NDArray[np.uint8], kind: str
) -> None:
    data = encoded(street, kind)
    scan = max(read_jpeg(data).scans, key=lambda scan: scan.end - scan.start)
    half = (scan.start + scan.end) // 2
    with pytest.raises(PictureError, match="truncated"):
        read(tmp_path, data[:half] + data[scan.end :])


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restarts"])
def test_a_large_one_is_judged_at_half_the_size_and_read_at_full_size(
    tmp_path: Path, street: NDArray[np.uint8], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(street, kind)
    expected = read(tmp_path, data)
    monkeypatch.setattr(pictures, "_LARGE", 1000)
    assert np.array_equal(read(tmp_path, data), expected)
    first, last = scan_span(data)
    for part in (0.1, 0.5, 0.9):
        with pytest.raises(PictureError, match="cannot be read"):
            read(tmp_path, data[: first + int(part * (last - first))] + END)


def test_a_small_file_that_claims_to_be_large_is_refused_before_it_is_decoded(
    tmp_path: Path, street: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(encoded(street, "baseline"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = (9000).to_bytes(2, "big") * 2
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(PictureError, match="truncated"):
        read(tmp_path, bytes(data))


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_picture_makes_no_decoder_complain(
    tmp_path: Path, street: NDArray[np.uint8], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, encoded(street, kind))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_truncated_one_is_reported_once_and_not_by_the_decoder(
    tmp_path: Path, street: NDArray[np.uint8], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(street, kind)
    with pytest.raises(PictureError, match="truncated"):
        read(tmp_path, data[:-10])
    assert capfd.readouterr() == ("", "")


def test_random_bytes_behind_the_first_marker_end_in_an_error_and_never_in_another(
    tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    data = encoded(street, "progressive restarts")
    rng = np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(2, len(data), rng.integers(1, 8)):
            broken[at] = rng.integers(0, 256)
        try:
            assert read(tmp_path, bytes(broken)).ndim == 3
        except PictureError as err:
            assert err.hint


def test_a_hole_begins_at_64_zeros(street: NDArray[np.uint8]) -> None:
    data = encoded(street, "baseline")
    first, last = scan_span(data)
    middle = (first + last) // 2
    at = next(at for at in range(middle, last) if data[at - 1] not in (0, 0xFF))
    for size, fault in ((63, None), (64, "a part of it is zeros")):
        holed = data[:at] + bytes(size) + b"\x5a" + data[at + size :]
        assert jpeg_fault(holed, read_jpeg(holed)) == fault


def test_bits_that_are_refined_may_all_be_zeros(tmp_path: Path) -> None:
    # Blocks of two grays in turn, whose means are even: the last bit of each is zero.
    board = (np.indices((64, 64)).sum(0) % 2 * 64 + 64).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    done, data = cv2.imencode(
        ".jpg", board, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 100)
    )
    assert done
    assert bytes(64) in data.tobytes()
    assert np.array_equal(read(tmp_path, data.tobytes())[:, :, 0], board)


def test_a_marker_in_the_middle_of_the_data_is_not_called_truncation_alone(
    tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    broken = bytearray(encoded(street, "baseline"))
    middle = len(broken) // 2
    broken[middle : middle + 2] = b"\xff\xd9"
    with pytest.raises(PictureError, match="truncated or damaged"):
        read(tmp_path, bytes(broken))
