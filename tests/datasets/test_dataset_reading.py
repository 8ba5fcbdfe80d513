"""A data set is read whole and rightly, or it is said what is not: files, names, numbers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.cli.shared.data_options import read_ignore
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.check import DataReport, check_data
from edge_ovss.datasets.class_names import read_class_names
from edge_ovss.datasets.coverage import Coverage, number_hints, shift_hint
from edge_ovss.datasets.dataset import Dataset, LabelRule
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError, PictureError, UsageError
from edge_ovss.vocabulary import Vocabulary

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
THINGS = "thing0\nthing1\nthing2\nthing3\n"


def picture(path: Path, answer: list[int]) -> None:
    """A picture that the bundles of conftest.py label so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = np.zeros((1, len(answer), 3), np.uint8)
    frame[0, :, 1] = answer
    done, data = cv2.imencode(".png", frame)  # whatever the name says: the content decides
    assert done
    path.write_bytes(data.tobytes())


def labels(path: Path, numbers: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", np.array([numbers], np.uint8))
    assert done
    path.write_bytes(data.tobytes())


def pair(root: Path, name: str, *, ending: str = ".png", label_ending: str = ".png") -> None:
    picture(root / f"images/{name}{ending}", [0, 1, 2, 3])
    labels(root / f"labels/{name}{label_ending}", [0, 1, 2, 3])


def names_of(root: Path) -> list[str]:
    return [sample.name for sample in opened(root).samples]


def opened(root: Path, **options: object) -> Dataset:
    return open_dataset(str(root), layout="folder", **options)  # type: ignore[arg-type]


# Files


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.jpg", "a.png"), ("a.jpg", "a.jpeg"), ("a.jpg", "a.JPG"), ("in/a.bmp", "in/a.webp")],
)
def test_two_pictures_of_one_name_are_an_error_that_names_both(
    tmp_path: Path, first: str, second: str
) -> None:
    for name in (first, second):
        picture(tmp_path / "images" / name, [0])
    labels(tmp_path / "labels" / f"{first.split('.')[0]}.png", [0])
    with pytest.raises(InputError, match=r"Two images of .* have one name") as caught:
        opened(tmp_path)
    assert f"'{first}'" in caught.value.message
    assert f"'{second}'" in caught.value.message


def test_two_label_maps_of_one_name_are_an_error_too(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    labels(tmp_path / "labels/a.TIF", [0])
    with pytest.raises(InputError, match=r"Two label maps of .*'a\.TIF' and 'a\.png'"):
        opened(tmp_path)


def test_names_that_the_file_system_takes_apart_are_one_name(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    picture(tmp_path / f"images/{apart}.jpg", [0])
    labels(tmp_path / f"labels/{composed}.png", [0])
    assert names_of(tmp_path) == [composed]
    picture(tmp_path / f"images/{composed}.jpg", [0])
    with pytest.raises(InputError, match="have one name"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("ending", "label_ending"),
    [(".JPG", ".png"), (".jpg", ".PNG"), (".jpeg", ".tif"), (".webp", ".TIFF"), (".png", ".png")],
)
def test_endings_count_in_any_case(tmp_path: Path, ending: str, label_ending: str) -> None:
    pair(tmp_path, "in/a.b c ", ending=ending, label_ending=label_ending)
    dataset = opened(tmp_path)
    assert [sample.name for sample in dataset.samples] == ["in/a.b c "]
    assert (dataset.unpaired, dataset.unlabeled) == ((), ())
    assert dataset.samples[0].raw_labels().tolist() == [[0, 1, 2, 3]]


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    pair(tmp_path / "else", "b")
    pair(tmp_path / "set", "a")
    for kind in ("images", "labels"):
        (tmp_path / "set" / kind / "far").symlink_to(tmp_path / "else" / kind)
    picture(tmp_path / "set/images/c.jpg", [0])
    (tmp_path / "set/labels/c.png").symlink_to(tmp_path / "else/labels/b.png")
    assert names_of(tmp_path / "set") == ["a", "c", "far/b"]
    (tmp_path / "root").mkdir()
    for kind in ("images", "labels"):
        (tmp_path / "root" / kind).symlink_to(tmp_path / "set" / kind)
    assert names_of(tmp_path / "root") == ["a", "c", "far/b"]


@pytest.mark.parametrize("target", [".", "..", "../images", "in"])
def test_a_link_that_leads_back_is_not_followed_for_ever(tmp_path: Path, target: str) -> None:
    pair(tmp_path, "in/a")
    (tmp_path / "images/in/loop").symlink_to(tmp_path / "images" / target)
    dataset = opened(tmp_path)
    assert [sample.name for sample in dataset.samples] == ["in/a"]
    assert any("form a loop" in note and "in/loop" in note for note in dataset.notes)


def test_a_link_that_leads_nowhere_is_an_error_where_it_is_read(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    labels(tmp_path / "labels/b.png", [0])
    (tmp_path / "images/b.jpg").symlink_to(tmp_path / "gone.jpg")
    sample = opened(tmp_path).samples[1]
    with pytest.raises(PictureError, match=r"b\.jpg"):
        sample.frame()
    with pytest.raises(PictureError, match=r"b\.jpg' cannot be read"):
        sample.sha256()


def test_hidden_files_are_none_of_the_data_set(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    for name in ("images/._a.png", "labels/._a.png", "labels/.old/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    dataset = opened(tmp_path)
    assert [sample.name for sample in dataset.samples] == ["a"]
    assert (dataset.unpaired, dataset.unlabeled) == ((), ())
    assert not any("._a" in note for note in dataset.notes)


def test_files_that_are_not_read_are_named(
    tmp_path: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(tmp_path / "data", "a")
    (tmp_path / "data/images/b.heic").write_bytes(b"x")
    (tmp_path / "data/labels/b.npy").write_bytes(b"x")
    assert main(["data", "check", str(tmp_path / "data"), "--layout", "folder"]) == 0
    out = capsys.readouterr().out
    assert "not read" in out
    assert ".heic (1); such as b.heic" in out
    assert ".npy (1)" in out
    bundle = make_bundle(outputs=4)
    assert main(["eval", str(bundle), str(tmp_path / "data"), "--layout", "folder"]) == 0
    assert capsys.readouterr().err.count("warning: 1 files in") == 2
    assert main(["report", str(bundle)]) == 0
    page = (bundle / "reports/report.html").read_text()
    assert "1 files in &#x27;images&#x27; are not read" in page
    assert str(tmp_path) not in page  # where things lie is nobody's business


def test_labels_of_another_kind_are_named_where_there_is_no_pair(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg", [0])
    labels(tmp_path / "labels/a.bmp", [0])
    with pytest.raises(InputError, match=r"no pairs: 1 images.*0 label maps.*\.bmp \(1\)"):
        opened(tmp_path)
    (tmp_path / "labels/a.bmp").unlink()
    with pytest.raises(InputError, match="no pairs"):
        opened(tmp_path)


def test_a_list_of_names_is_read_as_every_list(tmp_path: Path) -> None:
    base = tmp_path / "VOCdevkit/VOC2012"
    for name in ("a b", "c"):
        picture(base / f"JPEGImages/{name}.jpg", [0])
        labels(base / f"SegmentationClass/{name}.png", [1])
    file = base / "ImageSets/Segmentation/val.txt"
    file.parent.mkdir(parents=True)
    for content in (b"\xef\xbb\xbfc\r\na b\r\n", b"# of\nc\n\na b \n", b"c\ra b\r"):
        file.write_bytes(content)
        dataset = open_dataset(str(tmp_path), layout="pas20-mmseg")
        assert [sample.name for sample in dataset.samples] == ["c", "a b"]
    file.write_text("c\nc\n")
    with pytest.raises(InputError, match="are repeated: c"):
        open_dataset(str(tmp_path), layout="pas20-mmseg")
    file.write_text("c\nd\n")
    with pytest.raises(InputError, match="have no label map: d"):
        open_dataset(str(tmp_path), layout="pas20-mmseg")


# Names of categories


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfsky\nroad side\n",
        b"# of the robot\nsky\n# gray\n road side \n\n\n",
        b"sky\rroad side\r",
        b"sky\r\nroad side",
    ],
)
def test_names_of_categories_are_a_text_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    assert read_class_names(tmp_path / "classes.txt") == ("sky", "road side")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"sky\n\nroad\n", "Line 2 is blank"),
        (b"sky\nroad\n\nSky\n", "Line 3 is blank"),
        (b"sky\nroad\nSky\n", "line 3 is 'Sky', and line 1 'sky'"),
        (b"sky\nroad\nroad \n", "line 3 is 'road', and line 2 'road'"),
        ("café\ncafe\u0301".encode(), "line 2"),
        ("sky\n".encode("utf-16"), "the mark of UTF-16"),
        (b"\n# nothing\n", "are empty"),
    ],
)
def test_names_that_would_move_or_meet_are_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        read_class_names(tmp_path / "classes.txt")
    assert "classes.txt" in caught.value.message


def test_names_that_are_missing_are_said(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    assert any("no classes.txt" in note for note in opened(tmp_path).notes)
    (tmp_path / "classes.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(InputError, match="cannot be read"):
        opened(tmp_path)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "classes.txt").write_text(THINGS)
    assert opened(tmp_path).notes == ()
    with pytest.raises(InputError, match="cannot be read"):
        opened(tmp_path, classes=tmp_path / "other.txt")


def test_words_match_without_case_and_composition(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    (tmp_path / "classes.txt").write_text("CAFE\u0301\nStraße\nvan\n", encoding="utf-8")
    words = Vocabulary.from_names(["strasse", "café", "car; van; automobile"])
    alignment = align(opened(tmp_path), words)
    assert alignment.truth is not None
    assert alignment.truth.tolist() == [1, 0, 2]
    assert alignment.merged == ()
    (tmp_path / "classes.txt").write_text("automobile\ncafé\nvan\n", encoding="utf-8")
    assert align(opened(tmp_path), words).merged == (("automobile", "van"),)


def test_of_two_outputs_of_one_word_the_first_is_meant(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    (tmp_path / "classes.txt").write_text("CAR\n")
    alignment = align(opened(tmp_path), Vocabulary.from_names(["Car", "car"]))
    assert alignment.truth is not None
    assert alignment.truth.tolist() == [0]


def test_the_hint_names_only_what_helps(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    (tmp_path / "classes.txt").write_text("unicorn\ncar\n")
    for words, helps in ((["car"], True), (["road"], False)):
        with pytest.raises(InputError, match="not in the vocabulary") as caught:
            align(opened(tmp_path), Vocabulary.from_names(words))
        assert ("--allow-missing" in str(caught.value.hint)) is helps


# Numbers


def test_labels_that_count_from_one(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", [0, 1, 2, 3])
    labels(tmp_path / "labels/a.png", [0, 1, 4, 255])
    (tmp_path / "classes.txt").write_text(THINGS)
    rule = opened(tmp_path, labels_start=1).rule
    assert rule.read(np.array([0, 1, 4, 255], np.uint8)).tolist() == [-1, 0, 3, -1]
    assert opened(tmp_path, labels_start=0).rule == opened(tmp_path).rule
    with pytest.raises(InputError, match=r"\[4\].*0 to 3") as caught:
        opened(tmp_path).rule.read(np.array([4], np.uint8))
    assert "--labels-start 1" in str(caught.value.hint)


@pytest.mark.parametrize(("layout", "start"), [("pas20-mmseg", 0), ("folder", 2)])
def test_a_layout_that_counts_otherwise_is_not_overruled(
    tmp_path: Path, layout: str, start: int
) -> None:
    pair(tmp_path, "a")
    base = tmp_path / "VOCdevkit/VOC2012"
    picture(base / "JPEGImages/a.jpg", [0])
    labels(base / "SegmentationClass/a.png", [1])
    (base / "ImageSets/Segmentation").mkdir(parents=True)
    (base / "ImageSets/Segmentation/val.txt").write_text("a\n")
    with pytest.raises(UsageError, match=f"--labels-start is {start}"):
        open_dataset(str(tmp_path), layout=layout, labels_start=start)
    assert open_dataset(str(tmp_path), layout="pas20-mmseg", labels_start=1).rule.zero == "ignore"


@pytest.mark.parametrize(
    "options",
    [{"ignore": (1,)}, {"classes": "x.txt"}, {"layout": "folder"}, {"labels_start": 0}],
)
def test_a_drawn_data_set_refuses_options_that_nothing_would_read(
    options: dict[str, object],
) -> None:
    with pytest.raises(UsageError, match="of its own"):
        open_dataset("synthetic://street?count=1", **options)  # type: ignore[arg-type]


def test_ignored_numbers_are_a_list_or_given_repeatedly() -> None:
    assert read_ignore(None) is None
    assert read_ignore(["255"]) == (255,)
    assert read_ignore(["0, 255", "65535", "0"]) == (0, 255, 65535)
    for wrong in (["x"], [""], ["-1"], ["65536"], ["9" * 5000], ["1", "2,"]):
        with pytest.raises(UsageError, match="--ignore has"):
            read_ignore(wrong)


def hints(numbers: dict[int, int], rule: LabelRule, names: list[str] | None = None) -> list[str]:
    return [kind for kind, _ in number_hints(rule, numbers, names)]


def test_masks_of_0_and_255_are_told_from_label_maps() -> None:
    assert hints({0: 5, 255: 5}, LabelRule(2)) == ["binary masks"]
    assert hints({255: 5}, LabelRule(None)) == ["binary masks"]
    assert hints({0: 5}, LabelRule(2)) == []
    assert hints({0: 5, 1: 3, 255: 5}, LabelRule(2)) == []
    assert hints({0: 5, 255: 5}, LabelRule(300, ignore=(65535,))) == []


def test_a_category_whose_number_is_ignored_is_said() -> None:
    names = [f"c{i}" for i in range(256)]
    rule = LabelRule(256)
    found = dict(number_hints(rule, {0: 1, 3: 1, 255: 2}, names))
    assert "255 counts as not labeled (50.0 % of the pixels)" in found["category ignored"]
    assert "(c255)" in found["category ignored"]
    assert hints({0: 1, 3: 1, 255: 2}, LabelRule(255)) == []
    assert hints({0: 1, 3: 1, 255: 2}, LabelRule(255, zero="ignore")) == ["category ignored"]
    assert hints({0: 1, 3: 1}, rule) == []


def confusion(pairs: list[tuple[int, int]]) -> NDArray[Any]:
    matrix = np.zeros((4, 4), np.int64)
    for true, found in pairs:
        matrix[true, found] += 10
    return matrix


def test_labels_that_fit_better_when_shifted_are_said(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    alignment = align(opened(tmp_path), Vocabulary.from_names(["a", "b", "c", "d"]))
    later = shift_hint(confusion([(1, 0), (2, 1), (3, 2), (0, 0)]), alignment)
    earlier = shift_hint(confusion([(0, 1), (1, 2), (2, 3)]), alignment)
    assert later is not None
    assert "--labels-start 1" in later
    assert earlier is not None
    assert "--labels-start 0" in earlier
    assert shift_hint(confusion([(1, 0), (2, 1), (0, 3)]), alignment) == later
    for right in (
        [(0, 0), (1, 1), (2, 1)],
        [(0, 3), (1, 3), (1, 0)],
        [(1, 0), (1, 0)],  # one category alone
        [(1, 0), (2, 1), (1, 1), (2, 2)],  # as much is right
        [(1, 0), (2, 1), (0, 3), (3, 0)],  # half of all
    ):
        assert shift_hint(confusion(right), alignment) is None


def test_a_shift_is_looked_for_among_the_data_sets_own_numbers(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    (tmp_path / "classes.txt").write_text("c\na\nb\n")
    alignment = align(opened(tmp_path), Vocabulary.from_names(["a", "b", "c", "d"]))
    shifted = shift_hint(confusion([(0, 2), (1, 0)]), alignment)
    assert shifted is not None
    assert "--labels-start 1" in shifted
    assert shift_hint(confusion([(1, 0), (0, 0), (2, 2)]), alignment) is None


def test_coverage_counts_every_pixel_once(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    (tmp_path / "classes.txt").write_text("unicorn\nthing1\nthing2\n")
    words = Vocabulary.from_names(["thing1", "thing2"])
    alignment = align(opened(tmp_path), words, allow_missing=True)
    assert alignment.scope == " over 2 of 3 categories"
    found = Coverage.of(opened(tmp_path), alignment, {0: 20, 1: 30, 255: 50})
    assert (found.pixels, found.scored) == (100, 30)
    document = found.to_json()
    assert document["ignored"] == {"255": 50}
    assert document["left_out"] == {"unicorn": 20}
    assert document["never_occur"] == ["thing2"]
    shares = [document[f"{kind}_share"] for kind in ("scored", "ignored", "left_out")]
    assert shares == [30.0, 50.0, 20.0]
    with pytest.raises(InputError, match="in the vocabulary; left out: unicorn"):
        Coverage.of(opened(tmp_path), alignment, {0: 20}).require_scored()
    with pytest.raises(InputError, match="No pixel has a label, so"):
        Coverage.of(opened(tmp_path), alignment, {255: 20}).require_scored()


# data check


def check(root: Path, numbers: list[int], **options: object) -> DataReport:
    labels(root / "labels/a.png", numbers)
    picture(root / "images/a.png", numbers)
    (root / "classes.txt").write_text(THINGS)
    return check_data(opened(root, **options))


def notes(report: DataReport) -> dict[str, str]:
    return {found.kind: found.message for found in report.findings if found.severity == "note"}


def test_numbers_out_of_range_are_not_ignored_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = check(tmp_path, [9, 9, 0, 255])
    assert (report.ignored_share, report.outside_share) == (0.25, 0.5)
    assert report.pixels == {"thing0": 1}
    assert not report.passed
    assert main(["data", "check", str(tmp_path), "--layout", "folder"]) == 4
    out = capsys.readouterr().out
    assert "25.0 % of pixels ignored, 50.0 % with label values of no category" in out


def test_a_set_whose_pictures_are_all_unlabeled_may_be_scored_but_is_noted(
    tmp_path: Path,
) -> None:
    report = check(tmp_path, [255, 255])
    assert "unlabelled" in notes(report)
    assert report.passed
    assert report.ignored_share == 1.0


def test_a_set_of_which_nothing_can_be_read_has_no_shares(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    (tmp_path / "images/a.png").write_bytes(b"damaged")
    report = check_data(opened(tmp_path))
    assert (report.ignored_share, report.outside_share, report.sizes) == (0.0, 0.0, ())


@pytest.mark.parametrize(
    ("numbers", "options", "hinted"),
    [
        ([0, 1, 2], {}, True),  # the last never occurs, nothing is ignored
        ([0, 1, 2, 3], {}, False),
        ([0, 1, 2, 255], {}, False),
        ([1, 1, 2], {}, False),
        ([0, 1, 2], {"labels_start": 1}, False),
    ],
)
def test_labels_that_may_count_from_one_are_hinted_at(
    tmp_path: Path, numbers: list[int], options: dict[str, object], hinted: bool
) -> None:
    found = notes(check(tmp_path, numbers, **options)).get("zero-label shift", "")
    assert ("--labels-start 1" in found) is hinted


def test_binary_masks_are_noted(tmp_path: Path) -> None:
    assert "write 1 instead" in notes(check(tmp_path, [0, 255]))["binary masks"]


# The verb


def evaluated(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[str, str, dict[str, object]]:
    """Return stdout, stderr and the JSON document of eval."""
    command = ["eval", str(bundle), str(data), "--layout", "folder", *options]
    assert main(command) == 0
    shown = capsys.readouterr()
    assert main([*command, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return shown.out, shown.err, document


def test_what_is_left_out_stands_with_every_miou(
    tmp_path: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(outputs=4)
    pair(tmp_path / "monday", "a")
    (tmp_path / "monday/classes.txt").write_text("unicorn\nthing1\n dragon|s \nthing3\n")
    out, err, document = evaluated(bundle, tmp_path / "monday", capsys, "--allow-missing")
    means = [line for line in out.splitlines() if line.startswith(("mIoU", "  d2"))]
    assert len(means) == 3
    assert all("OVER 2 OF 4 CATEGORIES" in line for line in means)
    assert "left out      unicorn, dragon|s (50.0 % of the labeled pixels)" in out
    assert "2 of 4 categories are not in the vocabulary" in err
    assert document["categories_left_out"] == ["unicorn", "dragon|s"]
    found = document["labels"]
    assert isinstance(found, dict)
    assert (found["categories_scored"], found["categories"]) == (2, 4)
    assert main(["report", str(bundle)]) == 0
    page = (bundle / "reports/report.html").read_text()
    assert "<td>2 of 4 categories</td>" in page
    assert "mIoU, folder, 2 of 4 categories" in page  # the tile
    for picture_text in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "folder monday, 2 of 4 categories" in picture_text
    assert "not in the vocabulary: unicorn, dragon|s (50.0 % of the pixels)" in page
    card = (bundle / "reports/report.md").read_text()
    assert "| folder monday | 1 | onnxruntime | fast | d2-main | 2 of 4 categories | " in card
    assert "not in the vocabulary: unicorn, dragon\\|s" in card
    table = [line for line in card.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_ignored_pixels_and_categories_that_never_occur_are_printed(
    tmp_path: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(tmp_path / "data", "a")
    labels(tmp_path / "data/labels/a.png", [0, 1, 255, 7])
    (tmp_path / "data/classes.txt").write_text(THINGS)
    bundle = make_bundle(outputs=4)
    out, _, document = evaluated(
        bundle, tmp_path / "data", capsys, "--ignore", "255", "--ignore", "7"
    )
    assert "pixels          50.0 % scored, 25.0 % ignored as 7, 25.0 % ignored as 255" in out
    assert "never occur     thing2, thing3" in out
    assert "OVER" not in out
    assert document["warnings"] == []
    assert main(["report", str(bundle)]) == 0
    for name in ("report.html", "report.md"):
        text = (bundle / "reports" / name).read_text()
        assert "50.0 % of the pixels are ignored, as 7, 255" in text
        assert "never occur: thing2, thing3" in text
        assert "all categories" in text


def test_masks_and_shifts_are_warned_about(
    tmp_path: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(outputs=4)
    pair(tmp_path / "masks", "a")
    labels(tmp_path / "masks/labels/a.png", [0, 0, 255, 255])
    _, err, document = evaluated(bundle, tmp_path / "masks", capsys)
    assert "nothing but 0 and 255" in err
    assert "nothing but 0 and 255" in str(document["warnings"])
    pair(tmp_path / "shifted", "a")
    labels(tmp_path / "shifted/labels/a.png", [1, 2, 3, 0])
    _, err, _ = evaluated(bundle, tmp_path / "shifted", capsys)
    assert "give --labels-start 1" in err
    (tmp_path / "shifted/classes.txt").write_text(THINGS)
    _, err, document = evaluated(bundle, tmp_path / "shifted", capsys, "--labels-start", "1")
    assert "look shifted" not in err
    assert document["scores"]["miou"] == 100.0  # type: ignore[index]


def test_a_folder_without_a_pair_for_each_file_is_refused(
    tmp_path: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(tmp_path / "data", "a")
    picture(tmp_path / "data/images/A.png", [0])
    command = ["eval", str(make_bundle(outputs=4)), str(tmp_path / "data"), "--layout", "folder"]
    assert main(command) == 4
    said = capsys.readouterr().err
    assert "1 images have no label map: A." in said
    assert "'A' and 'a' differ only by case" in said
    assert main([*command, "--expect", "1"]) == 0
    assert "warning: 1 images have no label map: A" in capsys.readouterr().err
    labels(tmp_path / "data/labels/A.png", [0])  # on this file system both are there
    assert main(command) == 0
