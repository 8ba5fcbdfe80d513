"""The ready bundle runs as it is installed, and is what the committed command makes."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge_ovss import Segmenter
from edge_ovss._files import sha256_of_file
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import build_parser, main
from edge_ovss.demo import STREETS, copy_demo_bundle, demo_bundle
from edge_ovss.errors import OutputError
from edge_ovss.synthetic import STREET_CLASSES, render_street

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "export" / "configs" / "demo.toml"
MOST_BYTES = 12_000_000

needs_onnxruntime = pytest.mark.skipif(
    find_spec("onnxruntime") is None or find_spec("cv2") is None,
    reason="ONNX Runtime or OpenCV is not installed",
)


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_of_file(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def agreement(first: Path, second: Path) -> float:
    """Share of pixels that two bundles label alike on drawn streets."""
    frames = [render_street(seed, 360, 480).image for seed in range(1000000, 1000003)]
    answers = []
    for bundle in (first, second):
        with Segmenter.open(bundle, backend="onnxruntime") as segmenter:
            answers.append([segmenter.segment(frame).labels for frame in frames])
    return float(np.mean(np.stack(answers[0]) == np.stack(answers[1])))


def test_the_bundle_is_whole_and_small() -> None:
    bundle = Bundle.open(demo_bundle())
    listed = {"manifest.json", *bundle.manifest.files}
    assert listed == {name for name in state(demo_bundle()) if not name.startswith("engines/")}
    assert sum(entry.bytes for entry in bundle.manifest.files.values()) < MOST_BYTES
    assert bundle.manifest.precision == "fp16"  # which every backend runs
    assert "road" in bundle.vocabulary.outputs


@needs_onnxruntime
def test_it_reproduces_its_reference_output_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", str(demo_bundle()), "--backend", "onnxruntime"]) == 0


@needs_onnxruntime
def test_demo_finds_the_streets_that_were_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(demo_bundle())
    out = tmp_path / "out"
    seed = 1000000
    source = f"synthetic://street?count=2&seed={seed}"
    assert main(["demo", source, "--out", str(out), "--json"]) == 0
    frames = json.loads(capsys.readouterr().out)["frames"]
    assert [frame["name"] for frame in frames] == [f"street-{seed}", f"street-{seed + 1}"]
    for number, frame in enumerate(frames):
        truth = render_street(seed + number, 360, 480).labels
        share = float((truth == STREET_CLASSES.index("road")).mean())
        assert frame["shares"]["road"] == pytest.approx(share, abs=0.05)
        assert (out / f"{frame['name']}.overlay.png").is_file()
    assert state(demo_bundle()) == before  # as in site-packages that nobody may write to


@needs_onnxruntime
def test_demo_takes_images_and_the_options_of_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    picture = tmp_path / "mine.png"
    cv2.imwrite(str(picture), np.ascontiguousarray(render_street(5, 96, 128).image[..., ::-1]))
    out = tmp_path / "out"
    assert main(["demo", str(picture), "--out", str(out), "--no-overlay"]) == 0
    assert (out / "mine.labels.png").is_file()
    assert not (out / "mine.overlay.png").exists()
    capsys.readouterr()
    assert main(["demo", str(tmp_path / "none.png"), "--out", str(out)]) == 4
    assert "none.png" in capsys.readouterr().err


def test_without_a_source_demo_draws_streets() -> None:
    args = build_parser("demo").parse_args(["demo"])
    assert not args.source
    assert STREETS.startswith("synthetic://street")


def test_a_copy_is_the_same_bundle_and_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "mine" / "street.ovss"
    assert main(["demo", "--copy", str(copy)]) == 0
    assert f"edge-ovss run {copy}" in capsys.readouterr().err
    original, made = Bundle.open(demo_bundle()), Bundle.open(copy)
    assert made.manifest.document == original.manifest.document
    assert main(["demo", "--copy", str(copy)]) == OutputError.status
    assert "already there" in capsys.readouterr().err
    assert main(["demo", "x.png", "--copy", str(tmp_path / "b.ovss")]) == 2
    assert not (tmp_path / "b.ovss").exists()


def test_a_copy_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / ".c.ovss.part"))

    monkeypatch.setattr("edge_ovss.demo.shutil.copyfile", full)
    with pytest.raises(OutputError, match="disk is full"):
        copy_demo_bundle(tmp_path / "c.ovss")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs_onnxruntime
def test_the_committed_command_makes_an_equal_bundle(
    tmp_path: Path,
) -> None:
    if find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed")
    made = tmp_path / "street.ovss"
    assert main(["export", "--config", str(CONFIG), "--out", str(made)]) == 0
    new, old = Bundle.open(made).manifest.document, Bundle.open(demo_bundle()).manifest.document
    for part in (
        "model",
        "vocabulary",
        "templates",
        "text_tower",
        "picture",
        "output",
        "rejection",
    ):
        assert new[part] == old[part], f"make demo-bundle is due: {part} differs"
    assert agreement(demo_bundle(), made) > 0.9995
