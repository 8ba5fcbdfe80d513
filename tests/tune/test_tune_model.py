"""`edge-ovss tune` on the embedded model: real exports, measured, recommended, and made again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main


@pytest.mark.slow
def test_a_smaller_size_is_recommended_and_its_command_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    data = ["--data", "synthetic://street?count=3&size=180x240", "--allow-missing"]
    tried = ["--sizes", "224,192x256", "--reject", "slots", "--slots", "default"]
    tried += ["--template-ranks", "none", "--backends", "onnxruntime", "--threads", "1"]
    asked = ["tune", "sed-tiny", "--vocab", "camvid", *data, *tried, "--out", "out"]
    assert main([*asked, "--budget", "miou_drop<=100,speedup_p50>=1.5", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    titles = {row["title"] for row in found["candidates"]}
    assert titles == {"default export", "size 224x288", "size 192x256"}
    best = found["recommended"]
    assert best["settings"] == {"size": "192x256"}
    assert best["numbers"]["speedup_p50"] > 2  # a third of the pixels
    make, run = best["commands"]
    assert shlex.split(run)[:2] == ["edge-ovss", "run"]
    assert main(shlex.split(make)[1:]) == 0
    kept = tmp_path / "out" / "bundles" / f"{best['candidate']}.ovss"
    assert kept.is_dir()
    assert len(list(kept.parent.glob("*.ovss"))) == 2
    assert graph_hash(Bundle.open(kept)) == graph_hash(Bundle.open("tuned.ovss"))
    # The page of a bundle takes the table that chose it.
    assert main(["report", "tuned.ovss", "--include", "out", "--out", "page.html"]) == 0
    assert "Tuning: points of mIoU lost, by time" in (tmp_path / "page.html").read_text()


def test_a_model_without_weights_says_how_to_give_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert main(["tune", "deop-tiny", "--vocab", "road, sky", "--budget", "p50_ms<=1"]) == 5
    said = capsys.readouterr().err
    assert "'deop-tiny' needs weights" in said
    assert "Hint: Give --checkpoint FILE, or --weights random" in said
