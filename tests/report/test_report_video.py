from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_ovss.cli import main

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")


@pytest.fixture
def measured(make_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle with evaluations of a video, frame by frame and stabilized."""
    bundle, random = make_bundle(), np.random.default_rng(0)
    for number in range(8):
        frame = random.integers(0, 2, (32, 40, 3)).astype(np.uint8)
        for folder, image in (("images", frame), ("labels", frame.sum(2).astype(np.uint8) % 3)):
            path = tmp_path / "data" / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    data = [str(bundle), str(tmp_path / "data"), "--layout", "folder", "--fps", "9"]
    for name, options in (("plain", ()), ("stream", ("--stabilize", "--flow", "none"))):
        out = str(bundle / "reports" / name)
        assert main(["eval", *data, "--threads", "1", "--out", out, *options]) == 0
    return bundle


def test_a_report_shows_both_ways_and_a_strip(measured: Path) -> None:
    assert main(["report", str(measured)]) == 0
    page = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    for words in (
        "<h3>Video</h3>",
        "VC8 right %",
        "held 150 ms, flow none",
        "frame by frame",
        "by blocks of 8 frames",
        "IoU lost",
        "labels of the stream",
    ):
        assert words in page
    assert page.count("<figure><img alt='folder, ") == 2
    assert "data:image/png;base64," in page
    card = (measured / "reports" / "report.md").read_text(encoding="utf-8")
    assert card.count("| held 150 ms, flow none |") == 1
    assert card.count("| frame by frame |") == 2


def test_a_strip_outside_of_its_folder_is_not_shown(measured: Path, tmp_path: Path) -> None:
    import json

    secret = tmp_path / "secret.png"
    cv2.imwrite(str(secret), np.zeros((4, 4, 3), np.uint8))
    path = measured / "reports" / "stream" / "eval.json"
    document = json.loads(path.read_text())
    document["video"]["strip"] = str(secret)
    path.write_text(json.dumps(document))
    assert main(["report", str(measured)]) == 0
    page = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure><img alt='folder, ") == 1
