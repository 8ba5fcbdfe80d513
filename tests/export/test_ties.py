"""Exports of words that a model cannot tell apart: written, warned about, and still held."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.cli import main  # noqa: E402
from edge_ovss.errors import ParityError  # noqa: E402
from edge_ovss.export import ExportOptions, export_bundle, graph_files  # noqa: E402
from edge_ovss.export.parity_check import (  # noqa: E402
    FrameCheck,
    compare_frame,
    relative_error,
    require_parity,
)
from edge_ovss.export.reference import Answered, choose_reference, says_little  # noqa: E402
from edge_ovss.export.ties import tie_findings, ties_of  # noqa: E402
from edge_ovss.metrics.label_comparison import Pair  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.runtime import Bundle, Segmenter  # noqa: E402
from edge_ovss.runtime.selftest import run_selftest  # noqa: E402
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402

Tied = tuple[Path, dict[str, Any], str]
Answers = list[dict[str, Any]]
WORDS = "dog, cat"


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """Two words for what is not there, from the command line: the bundle, the JSON, stderr."""
    path = tmp_path_factory.mktemp("tied") / "tied.ovss"
    out, err = io.StringIO(), io.StringIO()
    command = ["export", "--vocab", WORDS, "--size", "96x128", "--out", str(path), "--json"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main([*command, "--unknown", "off", "--quiet"]) == 0
    return path, json.loads(out.getvalue()), err.getvalue()


def test_words_that_score_alike_are_exported_and_named(
    tied: Tied,
) -> None:
    path, document, printed = tied
    warning, license_ = document["warnings"]
    assert "not for commercial use" in license_
    assert "cannot tell apart" in warning
    assert "'dog' and 'cat'" in warning
    assert warning in printed
    parity = document["manifest"]["parity"]
    assert parity["ties"][0]["outputs"] == ["dog", "cat"]
    for frame in parity["frames"]:
        assert frame["label_agreement"] >= 0.999
        assert frame["published_agreement"] >= 0.999
        assert 0.01 < frame["counted"] < 0.99
    lead = np.load(path / "reference" / "lead.npy")
    labels = np.load(path / "reference" / "labels.npy")
    assert (lead.dtype, lead.shape) == (np.uint16, labels.shape)
    assert "reference/lead.npy" in document["manifest"]["files"]


def test_only_the_outputs_that_were_asked_for_are_kept(
    tied: Tied,
) -> None:
    path = tied[0]
    model = onnx.load(str(path / "model.onnx"), load_external_data=False)
    assert [value.name for value in model.graph.output] == ["labels", "alive", "counts"]
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    assert all(set(node.output) & read for node in model.graph.node)
    assert {item.name for item in model.graph.initializer} <= read
    assert Bundle.open(path).manifest.output.outputs == ("labels", "alive", "counts")
    names = {file.name for file in path.iterdir() if file.is_file()}
    assert names == {"manifest.json", "model.onnx", "model.onnx.data", "vocabulary.json"}


def test_what_was_exported_passes_selftest_and_parity(
    tied: Tied, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tied[0])
    with Segmenter.open(path) as segmenter:
        report = run_selftest(segmenter)
    assert report
    assert report.agreement >= 0.999
    assert report.undecided is not None
    assert 0.01 < report.undecided < 0.99
    streets = "synthetic://street?count=2&seed=1000000&size=120x160"
    command = ["parity", path, "--pictures", streets, "--out", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["passed"] is True
    assert result["numbers"]["undecided"] > 0.01
    assert result["ties"][0]["outputs"] == ["dog", "cat"]
    assert result["frames"][0]["undecided"] > 0
    assert main([*command, "--gate", "undecided<=0.001"]) == 6
    assert "most often 'dog' or 'cat'" in capsys.readouterr().out


def options(**changes: Any) -> ExportOptions:  # noqa: ANN401
    return ExportOptions(**{"weights": "random", "size": (64, 96), **changes})


def changed(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    """Let every run of an exported graph give another answer."""
    real = graph_files.run_graph

    def run(*args: Any, **more: Any) -> Answers:  # noqa: ANN401
        answers = real(*args, **more)
        for answer in answers:
            change(answer)
        return answers

    monkeypatch.setattr(graph_files, "run_graph", run)


def scale_scores(answer: dict[str, Any]) -> None:
    if "scores" in answer:
        answer["scores"] = answer["scores"] * np.float32(1.002)


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """An embedding pack in which two words mean the same, to the bit."""
    vocabulary = Vocabulary.from_names(["left", "right"])
    found = load_model("sed-tiny", weights="random").encode_text(vocabulary)
    array = np.stack([found.array[0], found.array[0]])
    TextEmbeddings(**{**vars(found), "array": array}).save(tmp_path / "twins.npz")
    return tmp_path / "twins.npz"


@pytest.mark.slow
def test_words_that_mean_the_same_are_compared_by_scores_on_more_frames(
    twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Vocabulary.from_names(["left", "right"])
    notes: list[str] = []
    chosen = options(embeddings=str(twins))
    bundle = export_bundle(words, tmp_path / "a.ovss", chosen, note=notes.append)
    assert any("comparing on more frames" in note for note in notes)
    parity: Any = bundle.manifest.parity
    assert len(parity["frames"]) > 2
    assert [frame["traced"] for frame in parity["frames"]].count(True) == 1
    assert all(frame["score_error"] < 1e-4 for frame in parity["frames"])
    assert parity["ties"] == [{"outputs": ["left", "right"], "share": 1.0}]
    with Segmenter.open(bundle) as segmenter:
        report = run_selftest(segmenter)
    assert report
    assert report.undecided == 1.0
    assert report.survivors_count
    changed(monkeypatch, scale_scores)
    with pytest.raises(ParityError, match=r"scores is 0\.002, expected at most 0\.001"):
        export_bundle(words, tmp_path / "b.ovss", chosen)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ovss", "twins.npz"]


def answer_of(scores: Any, labels: list[int], counts: int = 2) -> dict[str, Any]:  # noqa: ANN401
    return {
        "labels": np.array([[labels]], np.uint8),
        "alive": np.array([0, 1], np.int32),
        "counts": np.array([counts] * 3, np.int32),
        "scores": np.array(scores, np.float32).reshape(1, 2, 1, -1),
    }


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (answer_of([[0.5, 0.9], [0.5, 0.1]], [1, 0]), ()),
        (answer_of([[0.5, 0.9], [0.5, 0.1]], [0, 1]), ("those of torch",)),
        (answer_of([[0.5, 0.9], [0.5, 0.1]], [0, 0], counts=1), ("different categories",)),
        (answer_of([[0.5, 0.9], [0.49, 0.1]], [0, 0]), ("error of the scores",)),
        (answer_of([[0.5, np.nan], [0.5, 0.1]], [0, 0]), ("error of the scores",)),
        (answer_of([[0.1, 0.9], [0.9, 0.1]], [0, 1]), ("those of torch", "error of the scores")),
    ],
)
def test_only_what_is_tied_may_differ(answer: dict[str, Any], failures: tuple[str, ...]) -> None:
    words = Vocabulary.from_names(["dog", "cat"])
    expected = answer_of([[0.5, 0.9], [0.5, 0.1]], [0, 0])
    parity, _ = compare_frame(answer, expected, words, traced=True, published=None)
    assert len(parity.failures()) == len(failures)
    assert all(said in found for said, found in zip(failures, parity.failures(), strict=True))
    assert parity.counted == 0.5
    assert parity.ties == (Pair(("dog", "cat"), 0.5),)


def test_the_published_answer_is_compared_where_it_is_decided() -> None:
    words = Vocabulary.from_names(["dog", "cat"])
    expected = answer_of([[0.5, 0.9], [0.5, 0.1]], [0, 0])
    for published, agreement in (([[0.1, 0.9], [0.1, 0.1]], 1.0), ([[0.1, 0.1], [0.1, 0.9]], 0.0)):
        scores = np.array(published, np.float32).reshape(2, 1, 2)
        parity, _ = compare_frame(expected, expected, words, traced=True, published=scores)
        assert parity.published_agreement == agreement
        assert parity.passed is (agreement == 1.0)
    assert parity.flips == (Pair(("cat", "dog"), 0.5),)


def frame_of(**changes: Any) -> FrameCheck:  # noqa: ANN401
    good: dict[str, Any] = {
        "size": (2, 3),
        "traced": True,
        "counted": 1.0,
        "label_agreement": 1.0,
        "score_error": 0.0,
        "survivors_equal": True,
        "published_agreement": 1.0,
        "exact": True,
    }
    return FrameCheck(**{**good, **changes})


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({"label_agreement": 0.999}, True),
        ({"label_agreement": 0.99899}, False),
        ({"label_agreement": float("nan")}, False),
        ({"score_error": 1e-3}, True),
        ({"score_error": 1.01e-3}, False),
        ({"score_error": float("nan")}, False),
        ({"score_error": None}, True),
        ({"survivors_equal": False}, False),
        ({"published_agreement": 0.999}, True),
        ({"published_agreement": 0.99899}, False),
        ({"published_agreement": None}, True),
        ({"published_agreement": 0.5, "exact": False}, True),
        ({"survivors_equal": False, "exact": False}, False),
    ],
)
def test_a_frame_passes_if_everything_that_was_compared_is_close(
    changes: dict[str, Any], passes: bool
) -> None:
    frame = frame_of(**changes)
    assert frame.passed is passes
    if passes:
        require_parity([frame])
    else:
        with pytest.raises(ParityError, match="differs from torch on frame 2 of 2"):
            require_parity([frame_of(), frame])


def test_a_refusal_names_what_is_tied_too() -> None:
    ties, flips = (Pair(("cup", "mug"), 0.3),), (Pair(("fox", "hen"), 0.02),)
    with pytest.raises(ParityError) as caught:
        require_parity([frame_of(label_agreement=0.9, ties=ties, flips=flips)])
    assert "'hen' is given for 'fox' (2 % of the pixels)" in caught.value.message
    assert "'cup' or 'mug'" in caught.value.message


def test_nothing_compared_is_refused() -> None:
    with pytest.raises(ParityError, match="no frame"):
        require_parity([])


def test_an_error_is_relative_to_scores_that_are_something() -> None:
    tiny = np.full(100, 1e-7)
    assert relative_error(2 * tiny, tiny) == pytest.approx(1)
    assert relative_error(2 * tiny, tiny, floor=1e-3) == pytest.approx(1e-4)
    assert relative_error(np.full(4, 0.51), np.full(4, 0.5), floor=1e-3) == pytest.approx(0.02)
    assert relative_error(np.full(4, np.nan), np.ones(4), floor=1e-3) == float("inf")
    assert not relative_error(np.ones(4), np.full(4, np.nan)) <= 1


def answered(decided: float) -> Answered:
    lead = np.zeros((1, 1000), np.float32)
    lead[:, : round(1000 * decided)] = 1
    return Answered(np.zeros((1, 1000, 3), np.uint8), {}, lead, measure=np.ones_like(lead))


def test_the_reference_is_the_first_frame_unless_it_says_next_to_nothing() -> None:
    empty, little, more = answered(0.009), answered(0.01), answered(0.5)
    assert choose_reference([little, more]) is little
    assert choose_reference([empty, little, more]) is more
    assert choose_reference([empty]) is empty
    assert says_little([empty, answered(0)])
    assert not says_little([empty, little])


def test_lint_names_what_a_model_cannot_tell_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", "lint", WORDS, "--model", "sed-tiny", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [(f["level"], f["index"], f["text"]) for f in findings] == [("warning", 1, "cat")]
    assert "'dog' and 'cat'" in findings[0]["message"]
    assert main(["vocab", "lint", "camvid", "--model", "sed-tiny", "--strict", "--json"]) == 0


def test_lint_without_a_model_needs_none_and_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", "lint", WORDS, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["findings"] == []
    assert "--model NAME" in captured.err
    assert main(["vocab", "lint", WORDS, "--checkpoint", "a.pth"]) == 2
    assert "--model" in capsys.readouterr().err


def test_a_pair_is_worth_a_warning_from_one_pixel_in_a_hundred_on() -> None:
    def frame(side: int, *ties: tuple[str, float]) -> FrameCheck:
        pairs = tuple(Pair(("road", name), share) for name, share in ties)
        return frame_of(size=(side, 100), ties=pairs)

    frames = [frame(100, ("lane", 0.02), ("path", 0.0198)), frame(100)]
    assert ties_of(frames) == (Pair(("road", "lane"), 0.01),)
    assert ties_of([*frames, frame(1)]) == ()
    assert ties_of([]) == ()


def test_a_tie_is_a_finding_about_the_later_word() -> None:
    words = Vocabulary.from_names(["sky", "sea", "lake"])
    (finding,) = tie_findings(words, [Pair(("sky", "lake"), 0.25)])
    assert (finding.level, finding.index, finding.text) == ("warning", 2, "lake")
    assert "'sky' and 'lake' (25 %)" in finding.message
