"""The cold start by its parts: every part is there, and the whole takes time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

TOP = Path(__file__).parents[2]
PARTS = (
    "start and imports",
    "read and check the bundle",
    "hashes",
    "load the graph",
    "first frame",
    "second frame",
    "process to first label",
    "the same with the optimized graph kept",
)


def test_every_part_of_a_cold_start_is_measured(make_bundle: Callable[..., Path]) -> None:
    command = [sys.executable, "-m", "benchmarks.cpu.cold_start", str(make_bundle())]
    command += ["--threads", "1", "--repeats", "1"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    seconds = {line[0].removeprefix("| "): float(line[1]) for line in lines}
    assert tuple(seconds) == PARTS
    assert seconds["process to first label"] > seconds["first frame"] > 0
    assert seconds["start and imports"] > 0.02
