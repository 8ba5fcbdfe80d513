"""What is emitted for an open bundle: words that change, or that stand in the graph."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ros_cpp_core import build, running

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.cli import main
from edge_ovss.emit.deepstream.package_folder import emit_deepstream
from edge_ovss.emit.ros2.core import Core, image_fields
from edge_ovss.errors import EdgeOvssError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.synthetic import render_street
from edge_ovss.words.editing import read_words
from edge_ovss.words.encoding import WordSource, with_encoded
from edge_ovss.words.tower import TextTower


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(
        size=(96, 128),
        rejection=Rejection("slots", slots=(10, 9, 8)),
        open_places=16,
        with_text_tower=True,
    )
    out = tmp_path_factory.mktemp("open") / "a.ovss"
    return export_bundle("road, car, person", out, options).path


@pytest.fixture(scope="module")
def pack(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("packs") / "words.npz"
    words = read_words("sky, building, road, car")
    TextTower(bundle / "text_tower", threads=1).encode_vocabulary(words).save(found)
    return found


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    return render_street(seed=3, height=120, width=160).image


@pytest.mark.slow
def test_deepstream_gets_a_graph_with_the_words_of_the_bundle(
    bundle: Path, frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    """nvinfer feeds the frame only: words and places are constants of its graph."""
    import onnxruntime

    named, others = Bundle.open(bundle), read_words("sky, building, road, car")
    renamed = with_encoded(named, others, WordSource(None, None, 1))
    labels = []
    for each in (named, renamed):
        out = tmp_path / each.vocabulary.outputs[0]
        emit_deepstream(each, out, size=(120, 160))
        session = onnxruntime.InferenceSession(out / "model.onnx")
        assert [port.name for port in session.get_inputs()] == ["frame"]
        planes = frame.transpose(2, 0, 1)[None].astype(np.float32)
        labels.append(session.run(None, {"frame": planes})[0][0])
        with Segmenter.open(each, backend="onnxruntime", threads=1) as segmenter:
            assert np.array_equal(labels[-1], segmenter.segment(frame).labels)
        lines = next(out.glob("labels-*.txt")).read_text("utf-8").splitlines()
        assert lines == list(each.vocabulary.outputs)
        assert each.vocabulary.sha256 in (out / "config_infer.txt").read_text("utf-8")
    assert not np.array_equal(*labels)


@pytest.mark.slow
def test_words_change_with_the_tower_that_the_package_holds_or_a_pack(
    bundle: Path, pack: Path, frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    out = tmp_path / "package"
    assert main(["emit", "ros2", str(bundle), "--out", str(out), "--quiet"]) == 0
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
        with pytest.raises(EdgeOvssError, match="much"):
            core.change({"words": "sky, tree", "overlay": True, "unknown": "much"})
        assert (list(core.names), core.overlay) == (["sky", "building", "road", "car"], False)
        encoded = core.segment(image, 2.0).labels
        core.set_words("")
        assert list(core.names) == ["road", "car", "person"]
        assert np.array_equal(core.segment(image, 3.0).labels, before)
        core.set_words(str(pack))  # needs no tower
        assert list(core.names) == ["sky", "building", "road", "car"]
        assert np.array_equal(core.segment(image, 4.0).labels, encoded)


@pytest.mark.slow
def test_the_node_in_cpp_takes_the_words_of_a_pack(
    bundle: Path, pack: Path, frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    out = tmp_path / "package"
    assert main(["emit", "ros2", str(bundle), "--out", str(out), "--quiet"]) == 0
    program = build(out, tmp_path / "build")
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        own = segmenter.segment(frame).labels
        segmenter.set_words(None, embeddings=pack)
        others = segmenter.segment(frame).labels
    with running(program, out / "bundle", frame.shape[:2]) as core:

        def answers(words: str, labels: NDArray[Any]) -> bool:
            found = core.segment(frame.tobytes(), "rgb8", 3 * frame.shape[1])
            assert isinstance(found, list), found
            assert core.status(0.0)[2]["names"] == words
            return np.array_equal(found[0]["data"].reshape(labels.shape), labels)

        before, after = "road, car, person", "sky, building, road, car"
        assert answers(before, own)
        assert core.order(f"change words={tmp_path}/none.npz unknown=off").startswith("error ")
        assert core.order(f"change words={pack} unknown=much").startswith("error ")
        assert answers(before, own)
        assert core.order(f"change words={pack}") == "ok"
        assert answers(after, others)
        assert core.order("change words= unknown=much").startswith("error ")
        assert answers(after, others)
        assert core.order("change words=") == "ok"
        assert answers(before, own)
