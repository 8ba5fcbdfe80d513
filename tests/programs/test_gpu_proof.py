"""The kit of proofs for a GPU: its time is shared out, and its tables say what was left out."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOP = Path(__file__).parents[2]

Load = Callable[[str], ModuleType]

_CONTESTANTS = """
import time
import numpy as np

def quick(folder, threads):
    return lambda: (np.zeros((2, 2), np.uint8), [1])

def stuck(folder, threads):
    time.sleep(60)
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module of benchmarks."""
    monkeypatch.syspath_prepend(str(TOP))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_one_that_is_stuck_leaves_time_to_the_others(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu_kit_contestants.py").write_text(_CONTESTANTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    kinds: Any = importlib.import_module("gpu_kit_contestants")
    shared = load("shared.race")
    rows = [
        shared.Contestant(name, getattr(kinds, kind))
        for name, kind in [("first", "quick"), ("second", "stuck"), ("third", "quick")]
    ]
    start = time.monotonic()
    shared.race(rows, tmp_path, repeats=10**6, threads=1, until=start + 12)
    assert time.monotonic() - start < 30
    assert "it was not ready after" in rows[1].failure
    assert rows[0].failure is None
    assert rows[2].failure is None
    assert min(len(rows[0].seconds), len(rows[2].seconds)) > 5
    assert rows[1].seconds == []


def test_none_starts_after_the_end(load: Load, tmp_path: Path) -> None:
    shared = load("shared.race")
    late = shared.Contestant("late", partial(print))
    shared.race([late], tmp_path, repeats=1, threads=1, until=time.monotonic() - 1)
    assert late.failure == shared.TIME_WAS_UP


def _row(title: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    times = {"p50_ms": 11.3, "p99_ms": 13.5, "labels_equal": 1.0, "survivors": None}
    rest: dict[str, Any] = {"survivors_equal": None, "device_mib": None, "times_as_fast_as": {}}
    return {"title": title, **times, **rest, **more}


def test_what_was_left_out_for_the_time_is_one_line(load: Load) -> None:
    late = {"not_run": load("shared.race").TIME_WAS_UP}
    facts = {"gpu": None, "driver": None, "processor": "one", "threads": 1}
    versions = dict.fromkeys(
        ("onnxruntime", "torch", "torch_cuda", "cudnn", "tensorrt_rtx_bindings"), "1"
    )
    rows = [_row("A"), _row("B", **late), _row("C", not_run="no such GPU"), _row("D", **late)]
    race = {"machine": facts, "versions": versions, "command": {"repeats": 3}}
    race |= {"contestants": rows, "tensorrt_rtx": []}
    checks = [
        {"bundle": "fp32", "backend": "onnxruntime", "selftest": {"passed": True}},
        {"bundle": "fp16", "backend": "tensorrt", "selftest": late},
    ]
    found = {"models": {"sed-tiny": {"race": race, "checks": checks}, "deop": late}}
    text = load("gpu.proof").table(found)
    assert "| A |" in text
    assert "| C | not run: no such GPU " in text
    assert "Not run, for the time was up: B; D." in text
    assert "Not run, for the time was up: FP16, `tensorrt`." in text
    assert text.count("time was up") == 3  # the third is DeOP, that was not begun


def test_bundles_that_are_there_cost_no_time(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    fixture = load("gpu.fixture")
    wish = fixture.Wish("sed-tiny", "few.txt", "random", 9, "10,10,10", None, (9, 12), "pictures")
    (tmp_path / "fp32.ovss").mkdir()
    monkeypatch.setattr(fixture, "load_model", lambda *_, **__: pytest.fail("it was loaded"))
    fixture.prepare(tmp_path, wish, half=False)
    (tmp_path / "fp16.ovss").mkdir()
    fixture.prepare(tmp_path, wish, half=True)


@pytest.mark.parametrize("status", [0, 3])
def test_prepare_writes_bundles_and_races_nothing(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    proof = load("gpu.proof")
    started: list[list[str]] = []

    def start(self: Any, name: str, words: list[str]) -> subprocess.Popen[bytes]:  # noqa: ANN401
        started.append(words)
        for log in (name, f"{name}.err"):
            self.log(log).write_text("error: no room\n")
        return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({status})"])

    monkeypatch.setattr(proof.Proof, "start", start)
    monkeypatch.setattr(proof, "_facts", lambda _: None)
    words = ["proof", str(tmp_path), "--work", str(tmp_path / "w"), "--prepare"]
    monkeypatch.setattr(sys, "argv", [*words, "--models", "sed-tiny,deop"])
    with pytest.raises(SystemExit) as ended:
        proof.main()
    assert ended.value.code == int(status != 0)
    assert ["--prepare-only" in words for words in started] == [True, True]
    found = json.loads((tmp_path / "proof.json").read_text())["models"]
    late = [] if status == 0 else ["sed-tiny", "deop"]
    assert found == {name: {"not_run": "no bundles: no room"} for name in late}


@pytest.mark.slow
def test_the_kit_is_rehearsed_on_a_cpu(tmp_path: Path) -> None:
    for module in ("torch", "onnx", "onnxscript", "onnxruntime", "open_clip"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    command = [str(TOP / "benchmarks" / "gpu_proof.sh"), str(tmp_path), "--rehearse"]
    done = subprocess.run(
        [*command, "--models", "sed-tiny"],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "proof.json").read_text())
    entry = found["models"]["sed-tiny"]
    rows = {row["name"]: row for row in entry["race"]["contestants"]}
    assert set(rows) == {"torch-fp32", "cuda-fp32", "plugin-fp16", "cpu-fp32", "cpu-fp16"}
    assert rows["cpu-fp32"]["labels_equal"] > 0.999
    assert all(check["selftest"]["passed"] for check in entry["checks"])
    assert found["seconds"] < 60 * found["minutes"]
    assert (tmp_path / "proof.md").read_text() in done.stdout
