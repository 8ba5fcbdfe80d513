"""Scoring a bundle on miniature data sets with numbers worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.datasets.layouts import LAYOUTS, Layout
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError, OutputError, UsageError
from edge_ovss.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from edge_ovss.evaluation.preprocessing import upsample_best
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.vocabulary import Vocabulary

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]

# Two pictures of 1 x 4: what a bundle answers, and what is true (None: no label).
PREDICTED = ([0, 1, 2, 0], [0, 0, 1, 3])
TRUE: tuple[list[int | None], ...] = ([0, 1, 1, None], [0, 2, 1, 0])
# By hand: IoU of 0 is 2/4, of 1 is 2/3, of 2 is 0/2; 3 is only predicted.
BY_HAND = {
    "miou_d2_main": 100 * (1 / 2 + 2 / 3 + 0) / 3,
    "miou_d2_06_mmseg": 100 * (1 / 2 + 2 / 3 + 0 + 0) / 4,
    "pixel_accuracy": 100 * 4 / 7,
    "mean_accuracy": 100 * (2 / 3 + 2 / 3 + 0) / 3,
    "fw_iou": 100 * (3 * (1 / 2) + 3 * (2 / 3) + 0) / 7,
}


def frame_for(labels: list[int]) -> NDArray[np.uint8]:
    """A picture that the bundles of conftest.py label so: the sum of a pixel, modulo K."""
    frame = np.zeros((1, len(labels), 3), np.uint8)
    frame[0, :, 1] = labels
    return frame


def number_of(category: int | None, layout: Layout, classes: int) -> int:
    if category is None:
        return layout.ignore[-1] if layout.zero != "ignore" else 0
    if layout.zero == "category":
        return category
    return 0 if layout.zero == "background" and category == classes - 1 else category + 1


def write_mini(root: Path, layout: Layout, *, classes: int, place: int = 0) -> None:
    spot = layout.places[place]
    dtype = np.uint16 if layout.bits == 16 else np.uint8
    ending = spot.picture_ending or ".png"
    for name, predicted, true in zip(("a_1", "b_2"), PREDICTED, TRUE, strict=True):
        picture = root / spot.pictures / f"{name}{ending}"
        labels = root / spot.labels / f"{name}{spot.label_ending}"
        numbers = np.array([[number_of(c, layout, classes) for c in true]], dtype)
        for path, array in ((picture, frame_for(predicted)), (labels, numbers)):
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), array)
    if spot.names:
        (root / spot.names).parent.mkdir(parents=True, exist_ok=True)
        (root / spot.names).write_text("a_1\nb_2\n")


def speaking(bundle: Path, vocabulary: Vocabulary) -> Bundle:
    return replace(Bundle.open(bundle), vocabulary=vocabulary)


def score(bundle: Bundle, root: Path, layout: str, out: Path) -> Evaluation:
    dataset = open_dataset(str(root), layout=layout).require_count(2)
    with Segmenter.open(bundle) as segmenter:
        return evaluate(segmenter, dataset, out)


NAMED = [
    pytest.param(layout, place, id=f"{name}-{place}")
    for name, layout in LAYOUTS.items()
    for place in range(len(layout.places))
    if layout.vocabulary
]


@pytest.mark.parametrize(("layout", "place"), NAMED)
def test_every_layout_gives_the_numbers_of_the_hand(
    make_bundle: MakeBundle, tmp_path: Path, layout: Layout, place: int
) -> None:
    vocabulary = Vocabulary.load(str(layout.vocabulary))
    bundle = speaking(make_bundle(outputs=len(vocabulary.outputs)), vocabulary)
    write_mini(tmp_path / "data", layout, classes=len(vocabulary.outputs), place=place)
    evaluation = score(bundle, tmp_path / "data", layout.name, tmp_path / "out")
    numbers = evaluation.numbers()
    for name, value in BY_HAND.items():
        assert numbers[name] == pytest.approx(value, abs=1e-9), name
    assert evaluation.confusion.dtype == np.int64
    assert evaluation.confusion.sum() == 7


def test_the_data_sets_own_folder_is_a_root_too(make_bundle: MakeBundle, tmp_path: Path) -> None:
    write_mini(tmp_path, LAYOUTS["ade150"], classes=150)
    bundle = speaking(make_bundle(outputs=150), Vocabulary.load("ade150"))
    evaluation = score(bundle, tmp_path / "ADEChallengeData2016", "ade150", tmp_path / "out")
    assert evaluation.numbers()["miou"] == pytest.approx(BY_HAND["miou_d2_main"])


@pytest.mark.parametrize("layout", ["pas20b", "pas20b-mmseg"])
@pytest.mark.parametrize("outputs", [21, 59])
def test_pas20b_counts_every_other_prompt_as_background(
    make_bundle: MakeBundle, tmp_path: Path, layout: str, outputs: int
) -> None:
    words = Vocabulary.load("voc20b")
    names = words.outputs if outputs == 21 else words.prompts
    bundle = speaking(make_bundle(outputs=outputs), Vocabulary.from_names(names))
    plan = LAYOUTS[layout]
    # Truth: background, background, category 19, category 0.
    numbers = [number_of(category, plan, 21) for category in (20, 20, 19, 0)]
    predicted = [20, 58 if outputs == 59 else 20, 19, 30 if outputs == 59 else 20]
    spot = plan.places[0]
    for folder, array in ((spot.pictures, frame_for(predicted)), (spot.labels, [numbers])):
        (tmp_path / folder).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / folder / "a.png"), np.asarray(array, np.uint8))
    if spot.names:
        (tmp_path / spot.names).parent.mkdir(parents=True)
        (tmp_path / spot.names).write_text("a\n")
    dataset = open_dataset(str(tmp_path), layout=layout).require_count(1)
    with Segmenter.open(bundle) as segmenter:
        evaluation = evaluate(segmenter, dataset, tmp_path / "out")
    assert evaluation.scores.names == words.outputs
    assert evaluation.scores.iou[20] == pytest.approx(2 / 3)
    assert evaluation.scores.iou[19] == 1
    assert evaluation.numbers()["miou"] == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)


@pytest.fixture
def things(make_bundle: MakeBundle, tmp_path: Path) -> tuple[Path, Path]:
    """A bundle of 4 things and a folder pair for it."""
    write_mini(tmp_path / "data", LAYOUTS["folder"], classes=4)
    return make_bundle(outputs=4), tmp_path / "data"


def test_unnamed_categories_are_the_outputs(things: tuple[Path, Path], tmp_path: Path) -> None:
    evaluation = score(Bundle.open(things[0]), things[1], "folder", tmp_path / "out")
    assert evaluation.numbers()["miou"] == pytest.approx(BY_HAND["miou_d2_main"])


def test_labels_outside_the_vocabulary_name_the_sample(
    make_bundle: MakeBundle, things: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle = Bundle.open(make_bundle("few.ovss", outputs=2, alive=(0, 1)))
    with pytest.raises(InputError, match=r"Sample 'b_2'.*\[2\]; expected 0 to 1"):
        score(bundle, things[1], "folder", tmp_path / "out")


def test_a_picture_that_cannot_be_read_is_named(
    things: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (things[1] / "images" / "b_2.png").write_bytes(b"damaged")
    assert main(command(things)) == 4
    assert "Sample 'b_2'" in capsys.readouterr().err


def test_pictures_without_a_labeled_pixel_are_no_score(
    things: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (things[1] / "labels").iterdir():
        assert cv2.imwrite(str(path), np.full((1, 4), 255, np.uint8))
    assert main(command(things)) == 4
    assert "No pixel has a label" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_where_it_stopped(
    things: tuple[Path, Path], tmp_path: Path
) -> None:
    dataset, out = open_dataset(str(things[1]), layout="folder"), tmp_path / "out"
    whole = score(Bundle.open(things[0]), things[1], "folder", tmp_path / "whole")
    with Segmenter.open(things[0]) as segmenter:
        evaluate(segmenter, replace(dataset, samples=dataset.samples[:1]), out)
        with (out / "pictures.jsonl").open("a") as stream:
            stream.write('{"name": "b_2", "confu')  # the process died here
        seen: list[str] = []

        def watch(samples: Any, _: str) -> Any:  # noqa: ANN401
            for sample in samples:
                seen.append(sample.name)
                yield sample

        evaluation = evaluate(segmenter, dataset, out, progress=watch)
    assert seen == ["b_2"]
    assert np.array_equal(evaluation.confusion, whole.confusion)


def test_a_journal_of_another_run_is_refused(
    make_bundle: MakeBundle, things: tuple[Path, Path], tmp_path: Path
) -> None:
    score(Bundle.open(things[0]), things[1], "folder", tmp_path / "out")
    other = Bundle.open(make_bundle("other.ovss", outputs=4, counts=(9, 9, 9)))
    with pytest.raises(InputError, match="another run: it differs in graph") as caught:
        score(other, things[1], "folder", tmp_path / "out")
    assert "--fresh" in str(caught.value)
    with Segmenter.open(other) as segmenter:
        dataset = open_dataset(str(things[1]), layout="folder")
        options = EvaluationOptions(fresh=True)
        assert len(evaluate(segmenter, dataset, tmp_path / "out", options).entries) == 2


def test_the_files_hold_what_was_measured(things: tuple[Path, Path], tmp_path: Path) -> None:
    evaluation = score(Bundle.open(things[0]), things[1], "folder", tmp_path)
    document = json.loads((tmp_path / "eval.json").read_text())
    assert document["scores"]["miou"] == pytest.approx(BY_HAND["miou_d2_main"])
    assert document["rejection"]["counts_max"] == [3, 3, 2]
    with np.load(tmp_path / "confusion.npz") as saved:
        assert np.array_equal(saved["confusion"], evaluation.confusion)
        assert saved["names"].tolist() == list(evaluation.scores.names)


def test_the_published_preprocessing_needs_scores(
    things: tuple[Path, Path], tmp_path: Path
) -> None:
    dataset = open_dataset(str(things[1]), layout="folder")
    options = EvaluationOptions(preprocessing="published")
    with Segmenter.open(things[0]) as segmenter, pytest.raises(UsageError, match="scores"):
        evaluate(segmenter, dataset, tmp_path / "out", options)


def test_the_published_preprocessing_scores_at_the_original_size(
    make_bundle: MakeBundle, things: tuple[Path, Path], tmp_path: Path
) -> None:
    dataset = open_dataset(str(things[1]), layout="folder")
    bundle = make_bundle("rich.ovss", outputs=4, extras=["scores"])
    with Segmenter.open(bundle) as segmenter:
        options = EvaluationOptions(preprocessing="published")
        evaluation = evaluate(segmenter, dataset, tmp_path / "out", options)
    # The scores of that bundle grow with the category, so the last one wins everywhere.
    assert evaluation.scores.predicted_pixels.tolist() == [0, 0, 0, 7]


def test_upsampled_labels_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(0).random((5, 6, 7), np.float32)
    scores[2] = 0
    best, highest = upsample_best(scores, height=23, width=31)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None], size=(23, 31), mode="bilinear", align_corners=False
    )
    assert (best == resized[0].argmax(0).numpy()).mean() == 1
    assert np.allclose(highest, resized[0].amax(0).numpy(), atol=1e-6)


def test_a_rejected_category_costs_nothing_and_wins_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = np.full((4, 2, 2), -0.5, np.float32)
    scores[0] = -1.0
    scores[2] = 0.0  # rejected: above all others, which an answer without a sigmoid may be below
    resized: list[float] = []
    resize = cv2.resize

    def counted(plane: NDArray[np.float32], *given: Any, **options: Any) -> Any:  # noqa: ANN401
        resized.append(float(plane[0, 0]))
        return resize(plane, *given, **options)

    monkeypatch.setattr(cv2, "resize", counted)
    assert (upsample_best(scores, height=3, width=3)[0] == 1).all()
    assert resized == [-1.0, -0.5, -0.5]
    # Where every score is 0 there is an answer too: the first.
    assert (upsample_best(np.zeros_like(scores), height=3, width=3)[0] == 0).all()


def test_a_bundle_that_is_out_of_room_says_so(
    make_bundle: MakeBundle, things: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle = make_bundle("small.ovss", outputs=4, slots=[2, 2, 2], counts=(3, 3, 2))
    evaluation = score(Bundle.open(bundle), things[1], "folder", tmp_path / "out")
    assert evaluation.numbers()["overflow_share"] == 1.0


def command(things: tuple[Path, Path], *options: str) -> list[str]:
    return ["eval", str(things[0]), str(things[1]), "--layout", "folder", *options]


def test_the_verb_prints_one_json_document(
    things: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(things), "--json", "--gate", "miou>=30"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["scores"]["miou_d2_06_mmseg"] == pytest.approx(BY_HAND["miou_d2_06_mmseg"])
    assert document["gates"][0]["passed"] is True
    assert (Path(document["out"]) / "eval.json").is_file()


@pytest.mark.parametrize("answer", ["published", "fast"])
def test_an_answer_that_is_not_the_published_one_is_said(
    things: tuple[Path, Path], capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    path = things[0] / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["output"]["answer"] = answer
    path.write_text(json.dumps(manifest))
    assert main(command(things)) == 0
    printed = capsys.readouterr().out
    assert ("fast: NOT the published one" in printed) == (answer == "fast")
    assert main([*command(things), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == answer
    del manifest["output"]["answer"]  # older bundles do not say
    path.write_text(json.dumps(manifest))
    assert Bundle.open(things[0]).manifest.output.answer == "published"


def test_the_protocol_is_named_and_decides_the_number(
    things: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--protocol", "d2-0.6+mmseg", "--out", str(tmp_path / "out"), "--json"]
    assert main(command(things, *options)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"] == "d2-0.6+mmseg"
    assert document["scores"]["miou"] == pytest.approx(BY_HAND["miou_d2_06_mmseg"])


def test_a_failed_gate_is_status_6_and_the_result_is_printed(
    things: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(things, "--out", str(tmp_path / "out"), "--gate", "miou>=40")) == 6
    captured = capsys.readouterr()
    assert "mIoU" in captured.out
    assert "misses the limit by 1.11" in captured.err


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--gate", "mIoU>=1"], 2, "unknown number"),
        (["--gate", "miou"], 2, "malformed"),
        (["--protocol", "voc"], 2, "Protocol 'voc'"),
        (["--limit", "0"], 2, "at least 1"),
        (["--ignore", "none"], 2, "expected numbers"),
        (["--expect", "5"], 4, "has 2 images here; expected 5"),
        (["--layout", "ade150"], 4, "ADEChallengeData2016"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(
    things: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    words: str,
) -> None:
    assert main(command(things, *options)) == status
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_place_that_cannot_be_written_is_bad_input(
    things: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(command(things, "--out", str(tmp_path / "file" / "out"))) == OutputError.status
    assert "Cannot write" in capsys.readouterr().err


def test_the_street_is_a_data_set(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = speaking(make_bundle(outputs=11), Vocabulary.load("camvid"))
    dataset = open_dataset("synthetic://street?count=2&seed=3&size=48x64")
    with Segmenter.open(bundle) as segmenter:
        evaluation = evaluate(segmenter, dataset, tmp_path / "out")
    assert len(evaluation.entries) == 2
    assert evaluation.scores.truth_pixels.sum() <= 2 * 48 * 64
    assert evaluation.scores.truth_pixels[0] > 0
