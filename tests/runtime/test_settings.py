"""New thresholds in a bundle: one file changes, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.errors import InputError, OutputError, UsageError
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.runtime.settings import set_unknown

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_only_the_manifest_changes(make_bundle: MakeBundle) -> None:
    path = make_bundle(unknown=[0.5])
    before, graph = content(path), graph_hash(Bundle.open(path))
    info = set_unknown(path, {"*": 0.2, "thing1": 0.7})
    after = content(path)
    assert {name for name in before if before[name] != after[name]} == {"manifest.json"}
    assert before.keys() == after.keys()
    assert info.thresholds == (0.2, 0.7, 0.2)
    bundle = Bundle.open(path)
    assert graph_hash(bundle) == graph
    assert bundle.manifest.unknown == info
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with Segmenter.open(path) as segmenter:
        assert run_selftest(segmenter)
        new = segmenter.segment(frame).labels
        assert np.array_equal(new, segmenter.segment(frame, unknown=[0.2, 0.7, 0.2]).labels)


@pytest.mark.parametrize(
    ("given", "error"),
    [("1.5", UsageError), ("auto", UsageError), ("none.json", InputError), ([0.1], UsageError)],
)
def test_what_is_wrong_changes_nothing(
    make_bundle: MakeBundle,
    given: Any,  # noqa: ANN401
    error: type[Exception],
) -> None:
    path = make_bundle(unknown=[0.5])
    before = content(path)
    with pytest.raises(error):
        set_unknown(path, given)
    assert content(path) == before


def test_a_full_disk_changes_nothing(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle(unknown=[0.5])
    before = content(path)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        set_unknown(path, 0.2)
    monkeypatch.undo()
    assert content(path) == before


@pytest.mark.parametrize("given", ["0.2", "off"])
def test_a_bundle_without_thresholds_cannot_get_any(make_bundle: MakeBundle, given: str) -> None:
    with pytest.raises(UsageError, match="before labels could be unknown"):
        set_unknown(make_bundle(), given)


def test_set_and_run_say_what_is_unknown(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    path, out = make_bundle(unknown=[0.0]), tmp_path / "out"
    streets = "synthetic://street?count=1&size=48x64"
    assert main(["set", str(path), "--unknown", "1"]) == 0
    assert "unknown where the score is below 1 (number)" in capsys.readouterr().out
    assert main(["run", str(path), streets, "--out", str(out)]) == 0
    assert "unknown 100 %" in capsys.readouterr().out
    facts = json.loads((out / "street-0000.json").read_text())
    assert (facts["unknown"], facts["shares"]) == (1.0, {})
    assert main(["run", str(path), streets, "--out", str(out), "--unknown", "off", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frames"][0]["unknown"] == 0.0
    assert sum(document["frames"][0]["shares"].values()) == pytest.approx(1, abs=1e-4)
    assert main(["run", str(path), streets, "--out", str(out), "--unknown", "nan"]) == 2
    assert "nan" in capsys.readouterr().err
    assert main(["selftest", str(path), "--unknown", "0.4"]) == 0
    capsys.readouterr()
    assert main(["set", str(path), "--unknown", "off", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unknown"]["thresholds"] == [0.0]
    assert main(["inspect", str(path)]) == 0
    assert "labels are never unknown" in capsys.readouterr().out
