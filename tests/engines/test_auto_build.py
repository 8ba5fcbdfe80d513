"""Engines that are built when a frame needs them: asked for, said, kept; or refused."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.errors import ArtifactError, ParityError, UsageError
from edge_ovss.evaluation.latency import measure_latency
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.trt import auto_build
from edge_ovss.runtime.trt import backend as backend_module
from edge_ovss.runtime.trt.engine_store import plan_hashes
from edge_ovss.runtime.trt.frame_sizes import FrameRange

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
STREET = "synthetic://street?count=2&size=48x64"


@pytest.fixture(autouse=True)
def _here(trt: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    """The program that builds sees the pretended GPU too."""
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    monkeypatch.setattr(auto_build, "_PROGRAM", (sys.executable, "-m", "fake_builder"))


def benchmark_module() -> Any:  # noqa: ANN401 (the package has a function of that name)
    return importlib.import_module("edge_ovss.evaluation.benchmark")


def frame_of(height: int, width: int) -> Any:  # noqa: ANN401
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_frame_without_an_engine_gets_one(
    make_bundle: MakeBundle, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_bundle()
    with (
        caplog.at_level(logging.WARNING),
        Segmenter.open(path, backend="tensorrt", auto_build=True) as ours,
        Segmenter.open(path, backend="onnxruntime") as theirs,
    ):
        assert not (path / "engines").exists()  # which size is not known yet
        for size in ((20, 30), (24, 36), (20, 30)):
            frame = frame_of(*size)
            assert np.array_equal(ours.segment(frame).labels, theirs.segment(frame).labels)
    records = [json.loads(each.read_text()) for each in path.glob("engines/*/build.json")]
    assert sorted(each["key"]["frames"]["opt"] for each in records) == [[20, 30], [24, 36]]
    assert {each["proof"]["state"] for each in records} == {"passed"}
    said = [each.message for each in caplog.records if "auto_build" in each.name]
    assert len(said) == 4
    assert "which takes minutes: edge-ovss build" in said[0]
    assert "--size 20x30" in said[0]
    assert "built in" in said[1]
    assert "the last time" in said[2]


def test_the_time_of_a_build_is_no_part_of_the_frame(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, pause = auto_build.auto_build, 0.5

    def slowly(*arguments: Any) -> None:  # noqa: ANN401
        time.sleep(pause)
        build(*arguments)

    monkeypatch.setattr(backend_module, "auto_build", slowly)
    path = make_bundle()
    with Segmenter.open(path, backend="tensorrt", auto_build=True) as segmenter:
        start = time.perf_counter()
        timings = segmenter.segment(frame_of(20, 30)).timings
        spent = 1e3 * (time.perf_counter() - start)
    assert list(path.glob("engines/*/model.plan"))
    assert timings["pre"] + timings["infer"] + timings["post"] <= timings["total"] * 1.01 + 0.1
    assert timings["total"] < spent - 1e3 * pause


def test_an_evaluation_that_built_its_engine_goes_on_after_an_interruption(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    cv2 = pytest.importorskip("cv2")
    for folder, kind in (("images", 3), ("labels", 1)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for name in "ab":
            array = frame_of(20, 30)[:, :, :kind].squeeze() % 3
            cv2.imwrite(str(tmp_path / "data" / folder / f"{name}.png"), array)
    options = ["--layout", "folder", "--backend", "tensorrt", "--auto-build", "--json"]
    arguments = ["eval", str(make_bundle()), str(tmp_path / "data"), *options]
    arguments += ["--out", str(tmp_path / "out")]
    reused = []
    for _ in range(2):
        capsys.readouterr()
        assert main(arguments) == 0
        document = json.loads(capsys.readouterr().out)
        reused.append((document["pictures_of_earlier_run"], document["earlier_run"]))
    assert reused == [(0, None), (2, None)]


def test_it_is_off_unless_asked_for(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    with pytest.raises(ArtifactError, match="has no engine for tensorrt"):
        Segmenter.open(path, backend="tensorrt")
    assert not (path / "engines").exists()


def test_a_backend_without_engines_refuses(make_bundle: MakeBundle, capsys: Capture) -> None:
    with pytest.raises(UsageError, match="there is no engine to build"):
        Segmenter.open(make_bundle(), backend="onnxruntime", auto_build=True)
    arguments = ["run", str(make_bundle("b.ovss")), STREET, "--auto-build", "--limit", "1"]
    assert main(arguments) == 2
    assert "there is no engine to build" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [("build", ArtifactError, "could not find any"), ("wrong", ParityError, "output is wrong")],
)
def test_a_build_that_fails_says_why_and_what_to_run(
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    kind: type[Exception],
    said: str,
) -> None:
    monkeypatch.setenv("FAKE_TRT", fault)
    with (
        Segmenter.open(make_bundle(), backend="tensorrt", auto_build=True) as segmenter,
        pytest.raises(kind) as error,
    ):
        segmenter.segment(frame_of(20, 30))
    assert said in str(error.value)
    assert "edge-ovss build" in str(getattr(error.value, "hint", ""))


def test_bench_builds_before_the_clock_starts_and_names_the_plan(
    make_bundle: MakeBundle, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    built: list[int] = []

    def measure(*arguments: Any) -> Any:  # noqa: ANN401
        built.append(len(list(path.glob("engines/*/model.plan"))))
        return measure_latency(*arguments)

    monkeypatch.setattr(benchmark_module(), "measure_latency", measure)
    options = ["--backend", "tensorrt", "--auto-build", "--count", "2", "--warmup", "0"]
    arguments = ["bench", str(path), *options, "--cold-starts", "0", "--source", STREET]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert built == [1]
    assert document["engines"] == plan_hashes(Bundle.open(path), "tensorrt")
    (digest,) = document["engines"].values()
    assert len(digest) == 64


def test_a_report_leaves_out_what_another_plan_measured(
    make_bundle: MakeBundle, capsys: Capture
) -> None:
    path = make_bundle()
    build_engine(Bundle.open(path), "tensorrt", BuildOptions(FrameRange.pinned((48, 64))))
    options = ["--backend", "tensorrt", "--count", "2", "--cold-starts", "0", "--source", STREET]
    assert main(["bench", str(path), *options]) == 0
    assert main(["report", str(path)]) == 0
    assert len(json.loads((path / "reports" / "report.json").read_text())["benches"]) == 1
    (record,) = path.glob("engines/*/build.json")
    document = json.loads(record.read_text())
    document["plan"]["sha256"] = "0" * 64
    record.write_text(json.dumps(document))
    capsys.readouterr()
    assert main(["report", str(path)]) == 4  # nothing is left
    assert "was measured on a different graph or engine" in capsys.readouterr().err
