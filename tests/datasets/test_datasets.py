"""Layouts, label files, the published resize, and the traps that `data check` finds."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.check import check_data
from edge_ovss.datasets.dataset import LabelRule
from edge_ovss.datasets.label_files import read_label_file
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError, PictureError, UsageError
from edge_ovss.evaluation.preprocessing import published_size, resize_bilinear_antialiased
from edge_ovss.metrics.confusion import IGNORED
from edge_ovss.vocabulary import Vocabulary

cv2 = pytest.importorskip("cv2")


def write(path: Path, array: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def write_palette_png(path: Path, indices: NDArray[np.uint8], *, bits: int) -> None:
    """A palette PNG whose colors are nothing like its indices."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    height, width = indices.shape
    bit_planes = np.unpackbits(indices[..., None], axis=2)[..., 8 - bits :]
    rows = np.packbits(bit_planes.reshape(height, width * bits), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    palette = bytes((3 * i + 77) % 256 for i in range(3 << bits))
    header = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", palette)
        + chunk(b"tRNS", b"\0")
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_label_map_gives_its_indices(tmp_path: Path, bits: int) -> None:
    indices = np.random.default_rng(bits).integers(0, 1 << bits, (5, 11), np.uint8)
    write_palette_png(tmp_path / "a.png", indices, bits=bits)
    assert np.array_equal(read_label_file(tmp_path / "a.png"), indices)


@pytest.mark.parametrize(("name", "dtype"), [("a.png", "u1"), ("a.png", "u2"), ("a.tif", "u2")])
def test_label_numbers_are_read_as_they_are(tmp_path: Path, name: str, dtype: str) -> None:
    numbers = np.array([[0, 1, 200], [255, np.iinfo(dtype).max, 3]]).astype(dtype)
    write(tmp_path / name, numbers)
    read = read_label_file(tmp_path / name)
    assert read.dtype == numbers.dtype
    assert np.array_equal(read, numbers)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_damaged_label_map_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(PictureError, match=r"a\.png"):
        read_label_file(tmp_path / "a.png")


def test_a_label_map_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write(path, np.random.default_rng(0).integers(0, 9, (40, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(PictureError, match=r"a\.png' cannot be read: it is truncated"):
        read_label_file(path)


def test_a_label_map_that_claims_to_be_huge_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write(path, np.zeros((2, 2), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 30_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it is decoded"))
    with pytest.raises(PictureError, match=r"20000 x 30000, 600000000 pixels"):
        read_label_file(path)


def test_a_label_file_of_too_many_bytes_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    monkeypatch.setattr("edge_ovss.datasets.label_files.MAX_BYTES", 10)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it is read"))
    with pytest.raises(PictureError, match=r"bytes; expected at most 10"):
        read_label_file(tmp_path / "a.png")


def test_a_colored_label_map_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(PictureError, match="3 channels"):
        read_label_file(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("zero", "expected"),
    [
        ("category", [0, 1, 2, IGNORED]),
        ("ignore", [IGNORED, 0, 1, IGNORED]),
        ("background", [2, 0, 1, IGNORED]),
    ],
)
def test_zero_means_what_the_layout_says(zero: str, expected: list[int]) -> None:
    rule = LabelRule(3, zero=zero)
    assert rule.read(np.array([0, 1, 2, 255], np.uint8)).tolist() == expected


def test_numbers_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[7\]; expected 3 categories"):
        LabelRule(3).read(np.array([[7, 0, 255]], np.uint8))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((480, 640), (640, 853)),
        ((640, 480), (853, 640)),
        ((100, 1000), (256, 2560)),
        ((512, 683), (640, 854)),
        ((640, 640), (640, 640)),
    ],
)
def test_the_published_size_rule(given: tuple[int, int], expected: tuple[int, int]) -> None:
    assert published_size(*given) == expected


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((36, 48), (64, 85)), ((120, 90), (85, 64)), ((7, 5), (64, 91)), ((97, 131), (13, 10))],
)
def test_the_resize_is_pillows_in_every_byte(
    given: tuple[int, int], wanted: tuple[int, int]
) -> None:
    image = pytest.importorskip("PIL.Image")
    frame = np.random.default_rng(0).integers(0, 256, (*given, 3), np.uint8)
    pillow = image.fromarray(frame).resize(wanted[::-1], image.Resampling.BILINEAR)
    ours = resize_bilinear_antialiased(frame, height=wanted[0], width=wanted[1])
    assert np.array_equal(ours, np.asarray(pillow))


def test_a_flat_picture_stays_flat() -> None:
    frame = np.full((11, 13, 3), 201, np.uint8)
    assert (resize_bilinear_antialiased(frame, height=29, width=5) == 201).all()


def make_folder(root: Path, labels: list[NDArray[np.uint8]]) -> Path:
    for index, numbers in enumerate(labels):
        write(root / f"images/p{index}.png", np.zeros((*numbers.shape, 3), np.uint8))
        write(root / f"labels/p{index}.png", numbers)
    return root


def test_samples_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.zeros((2, 2), np.uint8)] * 3)
    dataset = open_dataset(str(tmp_path), layout="folder")
    assert [sample.name for sample in dataset.samples] == ["p0", "p1", "p2"]
    assert dataset.total == 3


def test_a_subset_is_labeled_as_one(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.zeros((2, 2), np.uint8)] * 9)
    dataset = open_dataset(str(tmp_path), layout="folder")
    subset = dataset.take(3, seed=5)
    assert len(subset.samples) == 3
    assert subset.title == "folder subset(3 of 9, seed 5)"
    assert subset.samples == dataset.take(3, seed=5).samples
    assert dataset.take(9).title == "folder"


def test_another_count_than_stated_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"images/val/{name}.png", np.zeros((2, 2, 3), np.uint8))
        write(tmp_path / f"labels/val/{name}.png", np.zeros((2, 2), np.uint8))
    dataset = open_dataset(str(tmp_path), layout="camvid")
    with pytest.raises(InputError, match="has 2 images here; expected 101"):
        dataset.require_count(None)
    with pytest.raises(InputError, match="expected 3"):
        dataset.require_count(3)
    assert dataset.require_count(2).title == "camvid subset(2 of 101)"


def test_a_missing_folder_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="annotations_detectron2") as caught:
        open_dataset(str(tmp_path), layout="ade150")
    assert caught.value.hint
    with pytest.raises(InputError, match="is not a folder"):
        open_dataset(str(tmp_path / "nowhere"), layout="ade150")


def test_an_unknown_or_missing_layout_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pas20b"):
        open_dataset(str(tmp_path), layout="pas-20b")
    with pytest.raises(UsageError, match="layout"):
        open_dataset(str(tmp_path))


def test_no_pairs_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", np.zeros((2, 2, 3), np.uint8))
    write(tmp_path / "labels/b.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match="no pairs"):
        open_dataset(str(tmp_path), layout="folder")


def test_files_without_a_partner_are_refused_unless_the_pairs_are_counted(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.zeros((2, 2), np.uint8)] * 2)
    write(tmp_path / "images/extra.png", np.zeros((2, 2, 3), np.uint8))
    dataset = open_dataset(str(tmp_path), layout="folder")
    assert dataset.require_count(2) == dataset
    with pytest.raises(InputError, match="1 images have no label map: extra"):
        dataset.require_count(None)
    assert "no label map" in kinds(tmp_path, layout="folder")
    write(tmp_path / "labels/lost.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match="1 label maps have no image: lost"):
        open_dataset(str(tmp_path), layout="folder").require_count(None)


def test_pictures_of_other_sets_in_a_shared_folder_are_no_fault(tmp_path: Path) -> None:
    base = tmp_path / "VOCdevkit/VOC2012"
    for name in ("a", "other"):
        write(base / f"JPEGImages/{name}.jpg", np.zeros((2, 2, 3), np.uint8))
    write(base / "annotations_detectron2/val/a.png", np.zeros((2, 2), np.uint8))
    dataset = open_dataset(str(tmp_path), layout="pas20")
    assert dataset.unlabeled == ()
    assert [sample.name for sample in dataset.samples] == ["a"]


def test_categories_match_by_name_and_synonym(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.zeros((2, 2), np.uint8)])
    (tmp_path / "classes.txt").write_text("Car\npavement\n")
    dataset = open_dataset(str(tmp_path), layout="folder")
    alignment = align(dataset, Vocabulary.from_names(["road", "sidewalk, pavement", "car "]))
    assert alignment.truth is not None
    assert alignment.truth.tolist() == [2, 1]
    truth = alignment.map_truth(np.array([[0, 1, IGNORED]], np.int32))
    assert truth.tolist() == [[2, 1, IGNORED]]


def test_a_category_without_a_word_is_refused_or_ignored(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.zeros((2, 2), np.uint8)])
    (tmp_path / "classes.txt").write_text("car\nunicorn\n")
    dataset = open_dataset(str(tmp_path), layout="folder")
    words = Vocabulary.from_names(["car"])
    with pytest.raises(InputError, match="unicorn"):
        align(dataset, words)
    alignment = align(dataset, words, allow_missing=True)
    assert alignment.left_out == ("unicorn",)
    assert alignment.map_truth(np.array([[0, 1]], np.int32)).tolist() == [[0, IGNORED]]


def test_no_common_word_at_all_is_always_refused(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.zeros((2, 2), np.uint8)])
    (tmp_path / "classes.txt").write_text("unicorn\n")
    dataset = open_dataset(str(tmp_path), layout="folder")
    with pytest.raises(InputError, match="not in the vocabulary"):
        align(dataset, Vocabulary.from_names(["car"]), allow_missing=True)


@pytest.mark.parametrize(("words", "grass"), [("camvid", "tree"), ("ade150", "grass")])
def test_the_street_speaks_the_bundles_words(words: str, grass: str) -> None:
    dataset = open_dataset("synthetic://street?count=1&size=64x64")
    vocabulary = Vocabulary.load(words)
    alignment = align(dataset, vocabulary)
    assert alignment.truth is not None
    assert dataset.classes is not None
    output = alignment.truth[dataset.classes.index("grass")]
    assert vocabulary.display_names[output] == grass


def kinds(root: Path, *, layout: str = "camvid", expected: int | None = None) -> set[str]:
    report = check_data(open_dataset(str(root), layout=layout), expected=expected)
    return {finding.kind for finding in report.findings if finding.severity == "error"}


def camvid(root: Path, numbers: NDArray[np.generic], *, picture: tuple[int, int]) -> Path:
    write(root / "images/val/a.png", np.zeros((*picture, 3), np.uint8))
    write(root / "labels/val/a.png", numbers)
    return root


def test_a_sound_data_set_has_no_errors(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    numbers[2, 3] = 255
    report = check_data(
        open_dataset(str(camvid(tmp_path, numbers, picture=(3, 4))), layout="camvid"), expected=1
    )
    assert report.passed
    assert report.findings == ()
    assert report.ignored_share == pytest.approx(1 / 12)
    assert report.pixels["sky"] == 1


def test_a_wrong_count_is_found(tmp_path: Path) -> None:
    root = camvid(tmp_path, np.zeros((2, 2), np.uint8), picture=(2, 2))
    assert "count" in kinds(root)
    assert "count" not in kinds(root, expected=1)


def test_sizes_that_differ_are_found(tmp_path: Path) -> None:
    root = camvid(tmp_path, np.zeros((2, 2), np.uint8), picture=(4, 2))
    assert kinds(root, expected=1) == {"sizes differ"}


def test_labels_that_count_from_one_are_found(tmp_path: Path) -> None:
    numbers = np.arange(1, 13, dtype=np.uint8).reshape(3, 4) % 12
    root = camvid(tmp_path, numbers, picture=(3, 4))
    assert kinds(root, expected=1) == {"zero-label shift", "labels outside the vocabulary"}


def test_labels_that_are_shifted_already_are_found(tmp_path: Path) -> None:
    base = tmp_path / "ADEChallengeData2016"
    write(base / "images/validation/a.jpg", np.zeros((1, 3, 3), np.uint8))
    write(base / "annotations/validation/a.png", np.array([[1, 2, 255]], np.uint8))
    assert "zero-label shift" in kinds(tmp_path, layout="ade150-mmseg", expected=1)


def test_8_bit_files_where_16_are_needed_are_found(tmp_path: Path) -> None:
    base = tmp_path / "ADE20K_2021_17_01"
    write(base / "images_detectron2/validation/a.jpg", np.zeros((2, 2, 3), np.uint8))
    write(base / "annotations_detectron2/validation/a.tif", np.zeros((2, 2), np.uint8))
    assert kinds(tmp_path, layout="ade847", expected=1) == {"8 bits"}


@pytest.mark.parametrize(("short", "found"), [(512, set()), (513, {"not resized"})])
def test_ade847_pictures_that_are_not_the_resized_copies_are_found(
    tmp_path: Path, short: int, found: set[str]
) -> None:
    base = tmp_path / "ADE20K_2021_17_01"
    write(base / "images_detectron2/validation/a.jpg", np.zeros((short, 700, 3), np.uint8))
    write(base / "annotations_detectron2/validation/a.tif", np.zeros((short, 700), np.uint16))
    assert kinds(tmp_path, layout="ade847", expected=1) == found


def test_unreadable_and_unlabeled_samples_are_found(tmp_path: Path) -> None:
    make_folder(tmp_path, [np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8)])
    (tmp_path / "images/p1.png").write_bytes(b"damaged")
    report = check_data(open_dataset(str(tmp_path), layout="folder"))
    found = {finding.kind: finding.samples for finding in report.findings}
    assert found["unlabelled"] == ("p0",)
    assert found["unreadable"] == ("p1",)


def test_the_verb_reports_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = camvid(tmp_path, np.full((2, 2), 11, np.uint8), picture=(2, 2))
    assert main(["data", "check", str(root), "--layout", "camvid"]) == 4
    captured = capsys.readouterr()
    assert "labels outside the vocabulary" in captured.out
    assert "must not be scored" in captured.err


def test_the_verb_lists_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "layouts"]) == 0
    out = capsys.readouterr().out
    assert "pas20b" in out
    assert "annotations_detectron2/pc459_val" in out
