"""What is said of an engine that runs: that nobody has compared it, or that it is not the best."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.trt import engine_warnings as notices
from edge_ovss.runtime.trt.engine_key import Flags
from edge_ovss.runtime.trt.engine_record import Proof
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.runtime.trt.variants import FLAVORS

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Pretended = Any  # the module fake_trt
Log = pytest.LogCaptureFixture
PINNED = FrameRange.pinned((20, 30))


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    monkeypatch.setattr(notices, "_said", set())


@pytest.fixture
def rtx(trt: Pretended, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """The pretended library as TensorRT for RTX, on a pretended Ada."""
    mine = replace(FLAVORS["tensorrt-rtx"], modules=("fake_trt",))
    monkeypatch.setitem(FLAVORS, "tensorrt-rtx", mine)
    trt.CUDA.capability = "8.9"
    return trt


def build(path: Path, backend: str = "tensorrt", **options: Any) -> Any:  # noqa: ANN401
    chosen = BuildOptions(frames=PINNED, **options)
    return build_engine(Bundle.open(path), backend, chosen).engine


def segment(path: Path, backend: str = "tensorrt") -> None:
    frame = np.arange(1800, dtype=np.uint8).reshape(20, 30, 3)
    with Segmenter.open(path, backend=backend) as segmenter:
        labels = segmenter.segment(frame).labels
    assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)


def warnings_of(caplog: Log) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def build_elsewhere(rtx: Pretended, path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """Build for Ada on a machine without a GPU, then come to one that has it."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(cuda_driver, "_load", lambda: None)
        cuda_driver.cuda_driver.cache_clear()
        engine = build(path, "tensorrt-rtx", capabilities=("8.6", "8.9"), flags=Flags(tf32=True))
    cuda_driver.cuda_driver.cache_clear()
    assert engine.record.proof.state == "not run"
    return engine


def test_an_engine_that_nobody_compared_says_so_once(
    rtx: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    path = make_bundle("with space.ovss")
    build_elsewhere(rtx, path, monkeypatch)
    for _ in range(2):
        segment(path, "tensorrt-rtx")
    (said,) = warnings_of(caplog)
    assert "has never been checked" in said
    assert "there is no NVIDIA GPU with a driver on this machine" in said
    assert f"edge-ovss selftest '{path}' --backend tensorrt-rtx" in said
    assert "--compute-capability 8.6,8.9 --size 20x30 --tf32" in said


def test_what_the_warning_asks_for_ends_it(
    rtx: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    path = make_bundle()
    engine = build_elsewhere(rtx, path, monkeypatch)
    assert main(["selftest", str(path), "--backend", "tensorrt-rtx"]) == 0
    assert len(warnings_of(caplog)) == 1
    words = ["build", str(path), "--backend", "tensorrt-rtx", "--size", "20x30", "--tf32"]
    assert main([*words, "--compute-capability", "8.6,8.9"]) == 0
    assert '"state": "passed"' in (engine.folder / "build.json").read_text()
    caplog.clear()
    notices._said.clear()
    segment(path, "tensorrt-rtx")
    assert warnings_of(caplog) == []


def test_classic_tensorrt_says_it_too_and_proving_says_nothing(
    trt: Pretended, make_bundle: MakeBundle, caplog: Log
) -> None:
    path = make_bundle()
    engine = build(path)
    segment(path)
    assert warnings_of(caplog) == []
    reason = "the reference frame is of another size"
    replace(engine.record, proof=Proof("not run", reason=reason)).write(engine.folder)
    segment(path)
    (said,) = warnings_of(caplog)
    assert reason in said
    caplog.clear()
    notices._said.clear()
    assert build(path).record.proof.state == "passed"  # the engine is there: it is compared
    assert warnings_of(caplog) == []


def test_a_program_without_logging_gets_the_sentence_on_stderr(
    trt: Pretended,
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make_bundle()
    engine = build(path)
    replace(engine.record, proof=Proof("not run", reason="built elsewhere")).write(engine.folder)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    segment(path)
    printed = capsys.readouterr()
    assert printed.err.startswith(f"The output of engine '{engine.folder.name}' has never")
    assert printed.out == ""


def test_an_engine_that_the_library_calls_invalid_is_never_loaded(
    rtx: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    engine = build(path, "tensorrt-rtx", flags=Flags(optimization_level=2))
    monkeypatch.setenv("FAKE_TRT", "invalid")
    monkeypatch.delattr(rtx.Runtime, "deserialize_cuda_engine")  # whoever loads, crashes
    with pytest.raises(ArtifactError) as caught:
        segment(path, "tensorrt-rtx")
    text = str(caught.value)
    assert f"TensorRT 10.3.0 refuses engine '{engine.folder.name}'" in text
    assert "version mismatch, old cuda driver" in text
    assert "unsupported cc" not in text
    assert "--size 20x30 --optimization-level 2 --overwrite" in text


def test_an_engine_that_the_library_calls_suboptimal_runs_and_that_is_said(
    rtx: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    path = make_bundle()
    build(path, "tensorrt-rtx")
    monkeypatch.setenv("FAKE_TRT", "suboptimal")
    for _ in range(2):
        segment(path, "tensorrt-rtx")
    (said,) = warnings_of(caplog)
    assert "one built on this machine would be better (old cuda driver)" in said
    assert f"edge-ovss build {path} --backend tensorrt-rtx" in said
    assert said.endswith("--overwrite")


def test_a_library_that_cannot_tell_is_not_asked(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    path = make_bundle()
    build(path)
    monkeypatch.setenv("FAKE_TRT", "invalid")
    monkeypatch.delattr(trt.Runtime, "get_engine_validity")
    segment(path)
    assert warnings_of(caplog) == []
