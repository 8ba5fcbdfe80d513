"""The published video mode in torch: each clip as a whole, beside each image by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import edge_ovss.evaluation.video.queries as module
from edge_ovss.cli import main
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.video.queries import evaluate_queries
from edge_ovss.evaluation.video.result import VideoEvaluation
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.synthetic import STREET_CLASSES
from edge_ovss.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]


class Averaging:
    """Scores are colors; a clip's are averaged over its frames."""

    def __call__(self, frames: Any, embeddings: Any, *, size: tuple[int, int]) -> Any:  # noqa: ANN401
        del embeddings
        scores = torch.cat([frames, -frames] * 3, 1)[:, :16]
        return torch.nn.functional.interpolate(scores, size, mode="bilinear")

    def segment_clip(self, frames: Any, embeddings: Any, *, size: tuple[int, int]) -> Any:  # noqa: ANN401
        scores = self(frames, embeddings, size=size)
        return scores.mean(0, keepdim=True).expand_as(scores)


@dataclass
class Loaded:
    model: Any
    embeddings: None = None


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    words = Vocabulary.from_names(STREET_CLASSES)
    return replace(Bundle.open(make_bundle(outputs=16)), vocabulary=words)


def score(
    bundle: Bundle,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    model: object = Averaging(),
) -> VideoEvaluation:
    monkeypatch.setattr(module, "load_torch", lambda *_, **__: Loaded(model))
    data = open_dataset(f"synthetic://street?frames={frames}&size=24x32")
    with Segmenter.open(bundle, threads=1) as segmenter:
        return evaluate_queries(segmenter, data, out)


def test_a_video_of_one_frame_is_the_image(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = score(bundle, tmp_path, monkeypatch, 1)
    scores = found.video_json()["scores_frame_by_frame"]
    assert scores == found.evaluation.to_json()["scores"]
    assert found.change.points == 0
    assert found.video_json()["title"] == "queries of the whole clip, torch"
    assert found.evaluation.to_json()["backend"] == "torch"


def test_a_clip_is_seen_as_a_whole(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = score(bundle, tmp_path, monkeypatch, 4)
    # All frames get the same labels, so VC would be perfect; image by image they differ.
    assert found.after != found.before
    assert (tmp_path / "eval.json").is_file()
    assert (tmp_path / "strip.png").is_file()


def test_a_model_without_a_video_mode_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no published video mode"):
        score(bundle, tmp_path, monkeypatch, 1, model=object())


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        ("synthetic://street?frames=2&size=24x32", ("--stabilize",), "as a whole"),
        ("synthetic://street?count=2&size=24x32", (), "no video"),
    ],
)
def test_wrong_use_is_refused(
    make_bundle: MakeBundle,
    capsys: pytest.CaptureFixture[str],
    data: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    assert main(["eval", str(make_bundle()), data, "--video-queries", *options]) == 2
    assert words in capsys.readouterr().err
