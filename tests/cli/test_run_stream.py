"""`run` on frames that follow each other: --stabilize, --keyframe, --flow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.cli import main

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

STREET = "synthetic://street?frames=7&fps=20&seed=1&size=48x64"


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> str:
    return str(make_bundle())


Run = Callable[..., Any]


@pytest.fixture
def run(bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run with --json; return the document, or (status, stderr) if it fails."""

    def call(source: str, *options: str) -> Any:  # noqa: ANN401
        out = ("--out", str(tmp_path / "out"), "--save", "labels,facts", "--threads", "1")
        status = main(["run", bundle, source, "--json", *out, *options])
        output = capsys.readouterr()
        return (status, output.err) if status else json.loads(output.out)

    return call


def test_frames_say_key_age_and_held(run: Run, tmp_path: Path) -> None:
    document = run(STREET, "--keyframe", "2", "--stabilize", "--flow", "none")
    frames = document["frames"]
    assert [frame["key"] for frame in frames] == [True, False] * 3 + [True]
    assert [frame["age_ms"] for frame in frames] == [0.0, 50.0] * 3 + [0.0]
    assert frames[0]["held"] == 0.0
    assert all(0 <= frame["held"] <= 1 for frame in frames)
    written = json.loads((tmp_path / "out" / "street-0001-000001.json").read_text())
    assert written["key"] is False
    first, second = (
        cv2.imread(str(tmp_path / "out" / f"street-0001-00000{n}.labels.png"), 0) for n in (0, 1)
    )
    assert np.array_equal(first, second)


def test_key_frames_other_frames_and_all_are_reported_apart(run: Run) -> None:
    stream = run(STREET, "--keyframe", "3", "--flow", "none")["stream"]
    assert (stream["frames"], stream["key_frames"]) == (7, 3)
    assert set(stream["latency_ms"]) == {"key", "other", "all"}
    assert stream["latency_ms"]["all"]["p99"] >= stream["latency_ms"]["other"]["p50"]
    assert stream["throughput_fps"] > 0


def test_without_these_options_nothing_changes(run: Run) -> None:
    document = run(STREET)
    assert "stream" not in document
    assert not {"key", "held", "age_ms"} & set(document["frames"][0])


def test_the_network_in_its_own_thread_gets_a_recording_at_its_own_pace(run: Run) -> None:
    document = run(STREET, "--keyframe", "async")
    frames = document["frames"]
    assert frames[0]["key"]
    assert len(frames) == 7
    # The tiny network is in time for the next frame, 50 ms later.
    assert sum(frame["key"] for frame in frames) >= 3
    assert all(frame["timings_ms"]["infer"] == 0.0 for frame in frames)


def test_images_with_nothing_in_common_are_warned_about(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(5):
        noise = random.integers(0, 256, (64, 80, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), noise)
    arguments = [str(tmp_path / "images"), "--stabilize", "--save", "none", "--threads", "1"]
    assert main(["run", bundle, *arguments]) == 0
    assert "4 of 4 frames have nothing in common" in capsys.readouterr().err


def test_images_of_varying_sizes_are_each_a_beginning(run: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, width in enumerate((40, 40, 52, 52)):
        image = np.full((32, width, 3), 90, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
    document = run(str(tmp_path / "images"), "--keyframe", "4", "--flow", "none")
    assert [frame["key"] for frame in document["frames"]] == [True, False, True, False]
    assert [frame["width"] for frame in document["frames"]] == [40, 40, 52, 52]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--keyframe", "0"), "--keyframe is '0'; expected a whole number of at least 1"),
        (("--keyframe", "1.5"), "--keyframe is '1.5'"),
        (("--keyframe", "sync"), "or async"),
        (("--stabilize", "0"), "more than 0"),
        (("--stabilize", "nan"), "more than 0"),
        (("--flow", "none"), "nothing follows labels"),
        (("--keyframe", "2", "--save-scores"), "no scores"),
    ],
)
def test_wrong_options_are_refused(
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    bundle = str(make_bundle("scores.ovss", extras=("scores",)))
    assert main(["run", bundle, STREET, "--out", str(tmp_path / "out"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_that_contradict_each_other_are_refused_before_the_bundle_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--keyframe", "2", "--save", "labels,confidence")
    assert main(["run", str(tmp_path / "none.ovss"), STREET, *options]) == 2
    assert "no confidence" in capsys.readouterr().err
