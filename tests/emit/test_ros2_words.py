"""The node of an open bundle: its words change while it runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.cli import main
from edge_ovss.emit.ros2.core import Core, image_fields
from edge_ovss.errors import EdgeOvssError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.synthetic import render_street


@pytest.mark.slow
def test_words_change_with_the_tower_that_the_package_holds(tmp_path: Path) -> None:
    options = ExportOptions(
        size=(96, 128),
        rejection=Rejection("slots", slots=(10, 9, 8)),
        open_places=16,
        with_text_tower=True,
    )
    bundle = export_bundle("road, car, person", tmp_path / "a.ovss", options).path
    out = tmp_path / "package"
    assert main(["emit", "ros2", str(bundle), "--out", str(out), "--quiet"]) == 0
    frame = render_street(seed=3, height=120, width=160).image
    image = SimpleNamespace(**image_fields(frame))
    graph = graph_hash(Bundle.open(bundle))
    with Core(out / "bundle", graph, backend="onnxruntime", threads=1) as core:
        core.set_unknown("off")
        before = core.segment(image, 0.0).labels
        core.set_words("sky, building, road, car")
        assert list(core.names) == ["sky", "building", "road", "car"]
        assert core.segment(image, 1.0).labels.max() == 3
        with pytest.raises(EdgeOvssError):
            core.set_words(", ".join(f"word {i}" for i in range(17)))
        assert len(core.names) == 4
        core.set_words("")
        assert list(core.names) == ["road", "car", "person"]
        assert np.array_equal(core.segment(image, 2.0).labels, before)
