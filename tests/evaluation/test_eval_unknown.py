"""Eval where labels may be "unknown": what is right there, and thresholds tuned on images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.unknown import UnknownInfo
from edge_ovss.cli import main
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.dataset import Dataset, LabelRule
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError, UsageError
from edge_ovss.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from edge_ovss.evaluation.preprocessing import predict
from edge_ovss.evaluation.tune_unknown import tune_unknown
from edge_ovss.frames.images import picture_hash, read_picture
from edge_ovss.metrics.confusion import IGNORED
from edge_ovss.runtime import Result, Segmenter
from edge_ovss.vocabulary import Vocabulary

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]

# Sums of the colors of pixels: the label is the sum modulo 4, the confidence the sum / 765.
SURE, UNSURE = 400, 40
# What the pictures show, as (sum, true category); category 4 is no word of the bundle.
PIXELS: tuple[list[tuple[int, int]], ...] = (
    [(SURE + 0, 0), (SURE + 1, 1), (UNSURE + 2, 4), (UNSURE + 3, 4)],
    [(SURE + 0, 0), (SURE + 2, 1), (UNSURE + 0, 0), (UNSURE + 1, 4)],
    [(SURE + 3, 3), (SURE + 3, 4), (UNSURE + 1, 4), (UNSURE + 1, 255)],
)


def frame_of(sums: list[int]) -> NDArray[np.uint8]:
    frame = np.zeros((1, len(sums), 3), np.uint8)
    for place, number in enumerate(sums):
        frame[0, place] = (min(number, 255), min(max(number - 255, 0), 255), 0)
    return frame


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number, pixels in enumerate(PIXELS):
        frame = frame_of([each for each, _ in pixels])
        truth = np.array([[category for _, category in pixels]], np.uint8)
        assert cv2.imwrite(str(root / "images" / f"{number}.png"), frame)
        assert cv2.imwrite(str(root / "labels" / f"{number}.png"), truth)
    (root / "classes.txt").write_text("thing0\nthing1\nthing2\nthing3\nsky\n")
    return root


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Path:
    return make_bundle(outputs=4, extras=["confidence"], unknown=[0.2])


def score(bundle: Path, data: Path, out: Path, **options: Any) -> Evaluation:  # noqa: ANN401
    with Segmenter.open(bundle, unknown=options.pop("unknown", None)) as segmenter:
        dataset = open_dataset(str(data), layout="folder")
        return evaluate(segmenter, dataset, out, EvaluationOptions(missing_unknown=True, **options))


def test_the_words_of_the_bundle_are_those_of_the_data(bundle: Path) -> None:
    with Segmenter.open(bundle) as segmenter:
        assert [name.strip() for name in segmenter.names] == [f"thing{i}" for i in range(4)]


def test_unknown_is_right_where_the_truth_is_no_word(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    found = score(bundle, data, tmp_path / "out")
    numbers = found.numbers()
    # Of 11 labeled pixels 6 have a word; 4 of those are right, and 4 of the 5 unknown ones.
    assert numbers["coverage"] == pytest.approx(100 * 6 / 11)
    assert numbers["risk"] == pytest.approx(100 * 2 / 6)
    assert numbers["pixel_accuracy"] == pytest.approx(100 * 8 / 11)
    assert numbers["unknown_precision"] == pytest.approx(100 * 4 / 5)
    assert numbers["unknown_recall"] == pytest.approx(100 * 4 / 5)
    assert numbers["unknown_iou"] == pytest.approx(100 * 4 / 6)
    # thing 0: 2 of 3; thing 1: 1 of 2; thing 3: 1 of 1.
    assert numbers["known_miou"] == pytest.approx(100 * (2 / 3 + 1 / 2 + 1) / 3)
    assert numbers["miou"] == pytest.approx(100 * (2 / 3 + 1 / 2 + 1 / 2) / 3)
    assert found.coverage.unnamed == {"sky": 5}
    assert found.confusion.shape == (5, 5)


def test_the_curve_is_that_of_labels_without_thresholds(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    with_thresholds = score(bundle, data, tmp_path / "on")
    without = score(bundle, data, tmp_path / "off", unknown="off")
    assert with_thresholds.curve is not None
    assert without.curve is not None
    assert np.array_equal(with_thresholds.curve.coverage, without.curve.coverage)
    assert with_thresholds.curve.area == without.curve.area
    # All pixels: 5 of 11 are right. The surest 6: 4 are.
    assert without.curve.risk[0] == pytest.approx(6 / 11)
    assert without.curve.risk[200] == pytest.approx(2 / 6)
    assert without.numbers()["coverage"] == 100
    assert without.numbers()["unknown_recall"] == 0


@pytest.mark.parametrize(("preprocessing", "runs"), [("fast", 6), ("published", 3)])
def test_labels_without_thresholds_take_a_second_run_only_in_the_graph(
    make_bundle: MakeBundle,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preprocessing: str,
    runs: int,
) -> None:
    whole = make_bundle("whole.ovss", outputs=4, extras=["confidence", "scores"], unknown=[0.2])
    calls = []
    segment = Segmenter.segment

    def counted(self: Segmenter, frame: NDArray[np.uint8], **options: Any) -> Result:  # noqa: ANN401
        calls.append(options)
        return segment(self, frame, **options)

    monkeypatch.setattr(Segmenter, "segment", counted)
    assert score(whole, data, tmp_path / "out", preprocessing=preprocessing).curve is not None
    assert len(calls) == runs


def test_without_the_confidence_there_is_no_curve(
    make_bundle: MakeBundle, data: Path, tmp_path: Path
) -> None:
    plain = make_bundle("plain.ovss", outputs=4, unknown=[0.2])
    found = score(plain, data, tmp_path / "out")
    assert found.curve is None
    assert found.numbers()["aurc"] is None
    assert found.numbers()["pixel_accuracy"] == pytest.approx(100 * 8 / 11)


def test_thresholds_count_where_missing_categories_are_ignored(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    with Segmenter.open(bundle) as segmenter:
        dataset = open_dataset(str(data), layout="folder")
        options = EvaluationOptions(allow_missing=True)
        found = evaluate(segmenter, dataset, tmp_path / "out", options)
    assert found.numbers()["pixel_accuracy"] == pytest.approx(100 * 4 / 6)
    assert found.numbers()["coverage"] == pytest.approx(100 * 5 / 6)
    assert found.numbers()["unknown_precision"] is None


def test_a_run_with_other_thresholds_uses_no_line_of_the_first(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    first = score(bundle, data, tmp_path / "out")
    again = score(bundle, data, tmp_path / "out")
    other = score(bundle, data, tmp_path / "out", unknown="0.01")
    assert (first.reused, again.reused, other.reused) == (0, 3, 0)
    assert again.curve is not None
    assert first.curve is not None
    assert again.curve.area == first.curve.area
    assert other.restarted == "not used: it differs in unknown"


def test_the_published_preprocessing_compares_upsampled_scores() -> None:
    scores = np.array([[[0.1, 0.1]], [[0.0, 0.9]]], np.float32)
    result = SimpleNamespace(scores=scores)
    words = Vocabulary.from_names(["road", "car"])
    segmenter: Any = SimpleNamespace(
        segment=lambda *_, **__: result,
        unknown=UnknownInfo(thresholds=(0.05, 0.5)),
        names=words.outputs,
        bundle=SimpleNamespace(vocabulary=words),
    )
    frame = np.zeros((1, 8, 3), np.uint8)
    found = predict(segmenter, frame, preprocessing="published")
    # Car grows from left to right: it is the best from the third pixel on, and sure from the fifth.
    assert found.labels.tolist() == [[0, 0, 65535, 65535, 1, 1, 1, 1]]
    assert found.measure is not None
    assert found.measure[0, 0] == pytest.approx(0.1)
    assert found.plain is not None
    assert found.plain.tolist() == [[0, 0, 1, 1, 1, 1, 1, 1]]
    without = predict(segmenter, frame, preprocessing="published", unknown="off")
    assert without.labels.tolist() == [[0, 0, 1, 1, 1, 1, 1, 1]]


def test_words_given_as_background_are_unknown(bundle: Path) -> None:
    vocabulary = Vocabulary.from_json(
        {
            "schema": 1,
            "name": "street",
            "background": 1,
            "outputs": [{"name": "road", "color": [1, 1, 1]}, {"name": "rest", "color": [0, 0, 0]}],
            "categories": [
                {"text": "road", "synonyms": ["road"], "output": 0},
                {"text": "sky", "synonyms": ["sky"], "output": 1},
            ],
        }
    )
    dataset = Dataset("mini", (), LabelRule(3), ("road", "sky", "lamp"))
    found = align(dataset, vocabulary, missing_unknown=True)
    assert found.unnamed == ("sky", "lamp")
    truth = np.array([[0, 1, 2, IGNORED]], np.int32)
    assert found.map_truth(truth).tolist() == [[0, 2, 2, IGNORED]]
    labels = np.array([[0, 1, 255]], np.uint8)
    assert found.map_prediction(labels).tolist() == [[0, 2, 2]]


def test_unknown_is_the_background_where_the_data_have_one() -> None:
    vocabulary = Vocabulary.load("road, car", background="sky, tree")
    dataset = Dataset("mini", (), LabelRule(3), ("road", "tree", "car"))
    found = align(dataset, vocabulary, says_unknown=True)
    assert found.map_truth(np.array([[0, 1, 2]], np.int32)).tolist() == [[0, 2, 1]]
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    assert found.map_prediction(labels).tolist() == [[0, 1, 2, 2]]
    # Without a background in the truth it is no category.
    words = Dataset("mini", (), LabelRule(2), ("road", "car"))
    assert align(words, vocabulary, says_unknown=True).map_prediction(labels).tolist() == [
        [0, 1, 2, 3]
    ]


def test_voc_with_a_background_counts_unknown_as_that() -> None:
    vocabulary = Vocabulary.load("voc20b")
    dataset = Dataset("pas20b", (), LabelRule(21), vocabulary.outputs, "voc20b", 20)
    found = align(dataset, vocabulary, says_unknown=True)
    assert found.map_prediction(np.array([[3, 20, 255]], np.uint8)).tolist() == [[3, 20, 20]]


@pytest.mark.parametrize("classes", [None, ("road", "car", "background")])
def test_the_background_is_unknown_where_the_data_have_the_same_outputs(
    classes: tuple[str, ...] | None,
) -> None:
    vocabulary = Vocabulary.load("road, car", background="sky, tree")
    dataset = Dataset("mini", (), LabelRule(3), classes)
    found = align(dataset, vocabulary, missing_unknown=True)
    assert found.unnamed == ("background",)
    assert found.map_truth(np.array([[0, 1, 2]], np.int32)).tolist() == [[0, 1, 3]]
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    assert found.map_prediction(labels).tolist() == [[0, 1, 3, 3]]


def test_wide_labels_have_their_own_unknown() -> None:
    words = Vocabulary.from_names([f"w{i}" for i in range(300)])
    dataset = Dataset("mini", (), LabelRule(300), words.outputs)
    found = align(dataset, words, says_unknown=True)
    labels = np.array([[0, 299, 255, 65535]], np.uint16)
    assert found.map_prediction(labels).tolist() == [[0, 299, 255, 300]]


def test_both_ways_with_missing_categories_are_refused(bundle: Path, data: Path) -> None:
    both = ["--allow-missing", "--missing-unknown"]
    assert main(["eval", str(bundle), str(data), "--layout", "folder", *both]) == 2


def test_images_without_a_word_are_no_score(bundle: Path, data: Path, tmp_path: Path) -> None:
    for path in (data / "labels").iterdir():
        assert cv2.imwrite(str(path), np.full((1, 4), 4, np.uint8))
    with pytest.raises(InputError, match="No pixel has a label of a category in the vocabulary"):
        score(bundle, data, tmp_path / "out")


# --- tuning


def tune(bundle: Path, data: Path, *options: str) -> int:
    return main(["eval", str(bundle), str(data), "--layout", "folder", "--tune-unknown", *options])


def test_tuned_thresholds_are_the_best_and_fit_the_bundle(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "unknown.json"
    assert tune(bundle, data, "--out", str(out), "--figure", "pixel_accuracy", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    document = json.loads(out.read_text())
    assert printed["without_thresholds"] == pytest.approx(100 * 5 / 11)
    assert printed["one"]["figure"] == pytest.approx(100 * 8 / 11)
    assert printed["one"]["cross_validated"] <= printed["one"]["figure"]
    assert document["tuned"]["images"] == 3
    assert document["tuned"]["folds"] == 3
    with Segmenter.open(bundle, unknown=out) as segmenter:
        found = evaluate(
            segmenter,
            open_dataset(str(data), layout="folder"),
            tmp_path / "out",
            EvaluationOptions(missing_unknown=True),
        )
    chosen = printed[printed["chosen"]]["figure"]
    assert found.numbers()["pixel_accuracy"] == pytest.approx(chosen)


def test_the_default_figure_is_the_mean_of_words_and_unknown(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(bundle, data, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    # thing 0: 2 of 3, thing 1: 1 of 3, thing 3: 1 of 3, unknown: 0 of 5.
    assert printed["without_thresholds"] == pytest.approx(100 * (3 / 3 + 1 / 4 + 1 / 3 + 0) / 4)
    assert Path(printed["out"]).parent == bundle / "reports"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gate", "miou>=1"], "--gate is given with --tune-unknown"),
        (["--allow-missing"], "--allow-missing is given with --tune-unknown"),
        (["--preproc", "published"], "--preproc published is given"),
        (["--out", "."], "--out is the folder"),
    ],
)
def test_options_that_tuning_does_not_take_are_refused(
    bundle: Path,
    data: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tune(bundle, data, *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unknown": None, "extras": ["confidence"]}, "exported before labels could be unknown"),
        ({"unknown": [0.0]}, "does not output the confidence"),
    ],
)
def test_a_bundle_that_cannot_be_tuned_says_why(
    make_bundle: MakeBundle,
    data: Path,
    tmp_path: Path,
    options: dict[str, Any],
    message: str,
) -> None:
    other = make_bundle("other.ovss", outputs=4, **options)
    dataset = open_dataset(str(data), layout="folder")
    with Segmenter.open(other) as segmenter, pytest.raises(UsageError, match=message):
        tune_unknown(segmenter, dataset, tmp_path / "unknown.json")
    assert not (tmp_path / "unknown.json").exists()


def test_images_that_teach_nothing_are_refused(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "unknown.json"
    for path in (data / "labels").iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[labels == 4] = 255
        assert cv2.imwrite(str(path), labels)
    assert tune(bundle, data, "--out", str(out)) == 4
    assert "no threshold would be better than none" in capsys.readouterr().err
    for path in sorted((data / "labels").iterdir())[1:]:
        path.unlink()
        (data / "images" / path.name).unlink()
    assert tune(bundle, data, "--out", str(out)) == 4
    assert "has one image; expected at least 2" in capsys.readouterr().err
    next((data / "labels").iterdir()).unlink()
    assert tune(bundle, data, "--out", str(out)) == 4
    assert not out.exists()


def calibrated_on(bundle: Path, facts: dict[str, object]) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["precision"]["calibration"] = {"count": 1, **facts}
    path.write_text(json.dumps(manifest))


def test_calibration_images_are_refused_by_their_pixels(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = picture_hash(read_picture(data / "images" / "1.png"))
    calibrated_on(bundle, {"hashes": [known], "names": ["elsewhere.png"]})
    assert tune(bundle, data, "--out", str(tmp_path / "unknown.json")) == 4
    error = capsys.readouterr().err
    assert "1 images are among those that the bundle was calibrated on: 1" in error
    assert not (tmp_path / "unknown.json").exists()


def test_calibration_images_of_an_older_bundle_are_refused_by_name(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrated_on(bundle, {"names": ["2.png", "9.png"]})
    assert tune(bundle, data) == 4
    assert "was calibrated on: 2" in capsys.readouterr().err
    calibrated_on(bundle, {"names": ["9.png"], "hashes": ["0" * 64]})
    assert tune(bundle, data) == 0
