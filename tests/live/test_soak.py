"""20,000 frames: memory stays flat, what is segmented is the newest, and the counts add up."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from documents import ROOT

pytest.importorskip("cv2")


def _soak(*, frames: int, speed: float) -> dict[str, Any]:
    """What the benchmark finds in a process of its own: this one has memory of other tests."""
    command = [sys.executable, "-m", "benchmarks.live.soak", "--frames", f"{frames}"]
    told = subprocess.run(
        [*command, "--speed", f"{speed}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_long_run_stays_small_and_current() -> None:
    found = _soak(frames=20_000, speed=8)
    assert found["read"] == 20_000
    assert found["read"] == found["segmented"] + found["dropped"] + found["skipped"]
    assert found["segmented"] > 1000
    assert found["in_order"]
    assert found["growth_mb"] < 10
    # One frame may arrive between taking the newest and looking; a busy machine may stop a thread.
    late = sum(count for frames, count in found["behind"].items() if int(frames) > 1)
    assert late <= 0.01 * found["segmented"]
