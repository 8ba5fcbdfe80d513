"""The client that `emit triton` writes, run as a user does, against a stand-in of the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from triton_stand_in import served

from edge_ovss.cli import main

MakeBundle = Callable[..., Path]


def emit(bundle: Path, out: Path, *words: str) -> int:
    return main(["emit", "triton", str(bundle), "--out", str(out), "--quiet", *words])


def call(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the client that was written, as a user does: alone, without this package."""
    pytest.importorskip("tritonclient")
    pytest.importorskip("geventhttpclient")
    pytest.importorskip("cv2")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, str(out / "client.py"), *words],
        cwd=out.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("options", [{"unknown": [0.5, 0.0, 0.4]}, {"outputs": 300}])
def test_the_client_writes_the_labels_that_the_graph_gives(
    make_bundle: MakeBundle, tmp_path: Path, options: Mapping[str, Any]
) -> None:
    cv2 = pytest.importorskip("cv2")
    from edge_ovss.runtime.segmenter import Segmenter

    bundle, out = make_bundle(**options), tmp_path / "out"
    assert emit(bundle, out) == 0
    frame = np.random.default_rng(3).integers(0, 256, (17, 23, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), frame[..., ::-1])
    with served(out) as url:
        done = call(out, "a.png", "--url", url, "--out", "b.png")
    assert (done.returncode, "wrote b.png" in done.stderr) == (0, True), done.stderr
    labels = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        expected = segmenter.segment(frame).labels
    assert labels.dtype == expected.dtype
    assert np.array_equal(labels, expected)
    assert ("unknown" in done.stdout) == ("unknown" in options)


def test_the_client_says_what_is_wrong(make_bundle: MakeBundle, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    out, other = tmp_path / "out", tmp_path / "other"
    assert emit(make_bundle(counts=(9, 9, 9)), out) == 0
    assert emit(make_bundle("other.ovss", outputs=4), other, "--name", "tiny") == 0
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 6, 3), np.uint8))
    with served(other) as url:
        done = call(out, "a.png", "--url", url)
        assert done.returncode == 1
        assert "Emit both again" in done.stderr
        assert not (tmp_path / "a.labels.png").exists()
    with served(out) as url:
        done = call(out, "a.png", "--url", url)
        assert done.returncode == 0, done.stderr
        assert "there are [4, 4, 4] slots" in done.stderr
        assert (tmp_path / "a.labels.png").is_file()
    done = call(out, "a.png", "--url", url)
    assert (done.returncode, "gave no answer" in done.stderr) == (1, True), done.stderr
    assert "is no image" in call(out, "none.png").stderr
    assert "Traceback" not in done.stderr
