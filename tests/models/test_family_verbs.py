"""Every verb works on every family: its tiny model, exported once, with words of a user's own."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
# Not importorskip: open_clip may be importable only through edge_ovss.models (see _open_clip.py).
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.cli import main
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.models.families import FAMILIES
from edge_ovss.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

WORDS = ["road, asphalt", "curb, kerb", "sky", "building", "car", "robot arm"]
STREET = "synthetic://street?count=2&seed=3&size=61x97"
MOVING = "synthetic://street?frames=5&fps=10&seed=3&size=61x97"
ONE_THREAD = ("--threads", "1")

Call = Callable[..., Any]


@pytest.fixture(scope="module", params=[family.name for family in FAMILIES])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(
        model=f"{request.param}-tiny",
        weights="random",
        size=(64, 96),
        outputs=("labels", "scores", "confidence"),
    )
    out = tmp_path_factory.mktemp("verbs") / f"{request.param}.ovss"
    return export_bundle(Vocabulary.from_names(WORDS), out, options).path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a verb with --json; return its document."""

    def run(verb: str, *arguments: object) -> Any:  # noqa: ANN401
        assert main([*verb.split(), *map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_streams(bundle: Path, tmp_path: Path, call: Call) -> None:
    out = ("--out", tmp_path / "out", "--save", "labels", *ONE_THREAD)
    found = call("run", bundle, MOVING, *out, "--stabilize", "--keyframe", "2")
    assert [frame["key"] for frame in found["frames"]] == [True, False, True, False, True]
    assert all(0 <= frame["held"] <= 1 for frame in found["frames"])
    assert len(list((tmp_path / "out").glob("*.png"))) == 5


def test_thresholds(
    bundle: Path, tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "b.ovss"
    shutil.copytree(bundle, copied)
    tuned = tmp_path / "unknown.json"
    call("eval", copied, STREET, "--tune-unknown", "--out", tuned, *ONE_THREAD)
    assert json.loads(tuned.read_text())
    out = ("--out", tmp_path / "out", "--save", "labels", *ONE_THREAD)
    call("run", copied, STREET, *out, "--unknown", tuned)
    call("set", copied, "--unknown", "0.9")
    assert call("selftest", copied, *ONE_THREAD)["passed"]
    # Nothing is measured with random weights: "auto" is refused, and says what to do.
    status = main(
        ["run", str(copied), STREET, "--out", str(tmp_path / "auto"), "--unknown", "auto"]
    )
    said = capsys.readouterr().err
    assert (status == 0) != ("--tune-unknown" in said)


def test_measures(bundle: Path, tmp_path: Path, call: Call) -> None:
    scored = call("eval", bundle, STREET, "--missing-unknown", *ONE_THREAD)
    assert 0 <= scored["unknown"]["coverage"] <= 100
    assert scored["model"] == f"{bundle.stem}-tiny"
    timed = call("bench", bundle, "--source", STREET, "--count", "2", "--warmup", "1", *ONE_THREAD)
    assert timed["kind"] == "bench"
    compared = call("parity", bundle, "--pictures", STREET, "--out", tmp_path / "p", *ONE_THREAD)
    assert compared["kind"] == "parity"


def test_tune(bundle: Path, tmp_path: Path, call: Call) -> None:
    data = ("--data", STREET, "--allow-missing", "--backends", "onnxruntime", *ONE_THREAD)
    limits = ("--time-limit", "0.5", "--budget", "miou_drop<=100", "--out", tmp_path / "tuned")
    found = call("tune", bundle, *data, *limits)
    assert found["recommended"]["settings"] == {}
    assert found["candidates"][0]["numbers"]["p50_ms"] > 0
    assert (tmp_path / "tuned" / "tune.html").is_file()


def test_papers(bundle: Path, tmp_path: Path, call: Call) -> None:
    assert call("inspect", bundle)["verified"]
    call("bench", bundle, "--source", STREET, "--count", "1", "--warmup", "1", *ONE_THREAD)
    call("report", bundle, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "robot arm" in page
    for target in ("triton", "ros2"):
        call(f"emit {target}", bundle, "--out", tmp_path / target)
        assert any((tmp_path / target).rglob("*.onnx"))
