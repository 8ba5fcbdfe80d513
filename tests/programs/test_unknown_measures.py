"""The comparison of measures of "unknown": numbers for known scores, and the whole program."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

# Three pixels: one word is sure, two compete, none is there.
SCORES = np.array([[0.8, 0.4, 0.002], [0.2, 0.4, 0.0]], np.float32)


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.unknown.measures")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("score", [0.8, 0.4, 0.002]),
        ("margin", [0.6, 0.0, 0.002]),
        ("score x share", [0.64, 0.2, 0.002]),
        ("share", [0.8, 0.5, 1.0]),
        ("ratio", [0.75, 0.0, 1.0]),
    ],
)
def test_measures_are_what_they_are_called(
    measures: Any,  # noqa: ANN401
    name: str,
    values: list[float],
) -> None:
    assert measures.MEASURES[name](SCORES).tolist() == pytest.approx(values, abs=1e-6)


def test_entropy_is_highest_where_two_compete(measures: Any) -> None:  # noqa: ANN401
    sure = measures.certainty(SCORES)
    # Odds of 4 and 1/4 give the shares 16/17 and 1/17.
    shares = np.array([16 / 17, 1 / 17])
    assert sure[0] == pytest.approx(1 + (shares * np.log2(shares)).sum(), abs=1e-5)
    assert sure[1] == pytest.approx(0, abs=1e-5)


def test_pixels_are_scored_by_hand(measures: Any) -> None:  # noqa: ANN401
    pixels = measures.Pixels(SCORES, SCORES.argmax(0), np.array([0, 1, 2]))
    found = measures.accuracies(pixels, measures.MEASURES["score"])
    assert found[0] == pytest.approx(1 / 3)
    assert found[3] == pytest.approx(2 / 3)
    assert found[401] == pytest.approx(2 / 3)
    assert found[-1] == pytest.approx(1 / 3)
    assert measures.auroc(pixels, measures.MEASURES["score"]) == 1
    assert measures.auroc(pixels, measures.MEASURES["share"]) == 0
    assert measures.known_miou(pixels, np.array([True, True, True])) == pytest.approx(25)
    assert measures.known_miou(pixels, np.array([True, False, True])) == pytest.approx(50)
    words = measures.Pixels(SCORES[:, :2], SCORES[:, :2].argmax(0), np.array([0, 1]))
    assert math.isnan(measures.auroc(words, measures.MEASURES["score"]))


def test_the_program_prints_a_line_for_every_measure(
    measures: Any,  # noqa: ANN401
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = make_bundle(outputs=3, extras=["scores"])
    data = tmp_path / "data"
    for folder in ("images", "labels"):
        (data / folder).mkdir(parents=True)
    frame = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    assert cv2.imwrite(str(data / "images" / "a.png"), frame)
    assert cv2.imwrite(str(data / "labels" / "a.png"), frame[:, :, 0] % 4)
    (data / "classes.txt").write_text("thing0\nthing1\nother name\nsky\n")
    command = ["measures", str(bundle), "--tune", str(data), "--score", str(data)]
    monkeypatch.setattr("sys.argv", [*command, "--same", "other name=thing2"])
    measures.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("tiny.ovss")
    assert [line.split(" | ")[0] for line in lines] == list(measures.MEASURES)


def test_a_bundle_without_scores_is_refused(
    measures: Any,  # noqa: ANN401
    make_bundle: Callable[..., Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for folder in ("images", "labels"):
        assert cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros((9, 12), np.uint8))
    (tmp_path / "classes.txt").write_text("thing0\nthing1\n")
    with pytest.raises(SystemExit, match=r"has no scores\. Export it with --outputs labels,scores"):
        measures.Pixels.read(make_bundle(outputs=2), str(tmp_path), {})
