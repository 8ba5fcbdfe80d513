"""The race on a GPU, run on a CPU: every row is there, measured or with the reason why not."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.cuda.driver import cuda_driver

TOP = Path(__file__).parents[2]
WORDS = "road, sidewalk, building, sky, tree, car, person, grass, fence, bus, wall, bed"
ON_GPU = ("cuda-fp32", "cuda-fp16", "rtx-fp16")
ON_CPU = ("torch-half", "cpu-fp32", "cpu-fp16")
SURVIVORS = 9
OPTIONS = (
    *("--model", "sed-tiny", "--device", "cpu", "--only", ",".join((*ON_GPU, *ON_CPU))),
    *("--size", "96", "128", "--frame", "90", "120", "--repeats", "2", "--warmups", "1"),
    *("--survivors", str(SURVIVORS), "--slots", "10,10,10", "--threads", "1"),
    *("--calibration", "synthetic://street?count=1&seed=2000000&size=90x120"),
)

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module of benchmarks.gpu."""
    monkeypatch.syspath_prepend(str(TOP))
    return lambda name: importlib.import_module(f"benchmarks.gpu.{name}")


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The program's table, its report and its rows by name."""
    # Found, not imported: only the program needs them.
    for module in ("torch", "onnx", "onnxscript", "onnxruntime", "open_clip"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    out = tmp_path_factory.mktemp("gpu")
    (out / "few.txt").write_text(WORDS.replace(", ", "\n"))
    command = [sys.executable, "-m", "benchmarks.gpu.against_torch"]
    command += ["--vocab", str(out / "few.txt")]
    command += [*OPTIONS, "--out", str(out / "race")]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "race" / "results.json").read_text())
    rows = {row["name"]: row for row in report["contestants"]}
    return SimpleNamespace(table=done.stdout, report=report, rows=rows)


@pytest.mark.slow
def test_every_contestant_has_a_row_and_the_reference_always_runs(raced: SimpleNamespace) -> None:
    assert list(raced.rows) == [*ON_GPU, *ON_CPU, "torch-fp32"]
    for row in raced.rows.values():
        assert f"| {row['title']} |" in raced.table


@pytest.mark.slow
@pytest.mark.skipif(cuda_driver() is not None, reason="this machine has a GPU")
def test_what_needs_a_gpu_says_why_it_did_not_run(raced: SimpleNamespace) -> None:
    for name in ("cuda-fp32", "cuda-fp16"):
        assert "needs CUDAExecutionProvider; there is:" in raced.rows[name]["not_run"]
    assert "needs an NVIDIA GPU with its driver" in raced.rows["rtx-fp16"]["not_run"]
    assert raced.table.count("| not run: ") == len(ON_GPU)
    assert raced.report["machine"]["gpu"] is None
    assert raced.table.count("no GPU; ONNX Runtime ") == 1


@pytest.mark.slow
def test_times_and_ratios_are_those_of_the_counted_repetitions(raced: SimpleNamespace) -> None:
    half = raced.rows["torch-half"]["p50_ms"]
    for name in (*ON_CPU, "torch-fp32"):
        row = raced.rows[name]
        assert row["frames"] == 2
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["times_as_fast_as"] == {"torch-half": pytest.approx(half / row["p50_ms"])}
        assert row["host_peak_mib"] > 0
        assert row["device_mib"] is None or cuda_driver() is not None


@pytest.mark.slow
def test_our_labels_and_survivors_are_those_of_torch(raced: SimpleNamespace) -> None:
    assert raced.rows["torch-fp32"]["labels_equal"] == 1
    assert raced.rows["cpu-fp32"]["labels_equal"] > 0.999
    # Random weights: many categories are equal but for a rounding.
    assert raced.rows["cpu-fp16"]["labels_equal"] > 0.9
    assert 0.5 < raced.rows["torch-half"]["labels_equal"] <= 1
    for name in ("cpu-fp32", "cpu-fp16", "torch-fp32"):
        assert raced.rows[name]["survivors"] == SURVIVORS
        assert raced.rows[name]["survivors_equal"] == 1


@pytest.mark.slow
def test_the_report_says_what_was_raced(raced: SimpleNamespace) -> None:
    assert raced.report["torch_half"] == "BF16 on the CPU"
    assert raced.report["command"]["repeats"] == 2
    assert raced.report["versions"]["onnxruntime"] in raced.table
    assert raced.report["versions"]["torch"] in raced.table
    assert {"capability", "driver", "processor", "threads"} <= set(raced.report["machine"])
    assert raced.report["tensorrt_rtx"] == []


def test_bundles_of_other_options_are_not_raced(load: Load, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    fixture = load("fixture")
    wish = fixture.Wish("sed-tiny", "few.txt", "random", 9, "10,10,10", None, (9, 12), "pictures")
    fixture._refuse_another(tmp_path / "wish.json", wish)
    fixture._refuse_another(tmp_path / "wish.json", wish)
    other = fixture.Wish("sed-base", "few.txt", "random", 9, "10,10,10", None, (9, 12), "pictures")
    with pytest.raises(SystemExit, match="give another --out"):
        fixture._refuse_another(tmp_path / "wish.json", other)


def test_a_gpu_that_tensorrt_rtx_refuses_is_quoted(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = load("runtime")
    said = "building\nerror: It does not run on this GPU (pretended, sm_90).\nHint: elsewhere"
    monkeypatch.setattr(runtime, "require_driver", lambda _: None)
    monkeypatch.setattr(runtime, "load_library", lambda _: None)
    monkeypatch.setattr(runtime, "_build", lambda *_: said)
    with pytest.raises(ArtifactError, match=r"^It does not run on this GPU \(pretended, sm_90\)"):
        runtime.ready("rtx-fp16", tmp_path, 1)
    words = (tmp_path / runtime.RTX_WORDS).read_text()
    assert words == f"{said}\nAn engine for 8.0: {said}"


def test_a_build_that_fails_gives_its_words_without_its_folder(load: Load, tmp_path: Path) -> None:
    np.save(tmp_path / "frame.npy", np.zeros((9, 12, 3), np.uint8))
    words = load("runtime")._build("tensorrt-rtx", tmp_path, "fp16")
    assert words.startswith("error: ")
    assert "fp16.ovss" in words
    assert str(tmp_path) not in words


class _Runtime:
    """A library that logs and refuses."""

    def __init__(self, logger: Any) -> None:  # noqa: ANN401
        self._logger = logger

    def get_engine_validity(self, plan: bytes) -> tuple[SimpleNamespace, int]:
        return SimpleNamespace(name="INVALID"), 4

    def deserialize_cuda_engine(self, plan: bytes) -> None:
        for name, text in (("INFO", "size"), ("ERROR", "no kernels for sm_90")):
            self._logger.log(SimpleNamespace(name=name), text)


def test_the_library_is_quoted_on_a_plan_that_it_refuses(load: Load) -> None:
    library = SimpleNamespace(Runtime=_Runtime, ILogger=object)
    said = load("runtime").load(library, b"plan")
    assert said == "INVALID, reasons 0x4, refused; ERROR no kernels for sm_90"
