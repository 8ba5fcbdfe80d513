"""What an export says of "unknown", and what its graph then answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from edge_ovss.bundle.decisive import rank_outputs, with_unknown  # noqa: E402
from edge_ovss.bundle.reader import Bundle  # noqa: E402
from edge_ovss.bundle.unknown import UnknownInfo  # noqa: E402
from edge_ovss.errors import InputError, ParityError, UsageError  # noqa: E402
from edge_ovss.export import ExportOptions, export_bundle, graph_files  # noqa: E402
from edge_ovss.export.graph_files import run_graph, trace  # noqa: E402
from edge_ovss.export.parts.answer_bands import AnswerBands  # noqa: E402
from edge_ovss.export.parts.unknown import mark_unknown  # noqa: E402
from edge_ovss.export.unknown import fit_unknown  # noqa: E402
from edge_ovss.graph.fp16 import convert_to_half  # noqa: E402
from edge_ovss.graph.model import load_graph, save_graph  # noqa: E402
from edge_ovss.graph.tensor_probe import TensorProbe  # noqa: E402
from edge_ovss.graph.walk import measured_value  # noqa: E402
from edge_ovss.runtime.segmenter import Segmenter  # noqa: E402
from edge_ovss.runtime.selftest import run_selftest  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

THREE = Vocabulary.from_names(["road", "car", "person"])


def chosen(vocabulary: Vocabulary = THREE, **options: Any) -> tuple[UnknownInfo, list[str]]:  # noqa: ANN401
    notes: list[str] = []
    return fit_unknown(vocabulary, ExportOptions(**options), notes.append), notes


def test_words_of_your_own_without_background_get_what_was_measured() -> None:
    info, notes = chosen()
    assert (info.source, info.thresholds) == ("auto", (info.auto,))
    (note,) = notes
    assert f"below {info.auto:g}" in note
    assert "--unknown off" in note


@pytest.mark.parametrize("name", ["ade150", "camvid", "voc20b"])
def test_published_words_stay_as_published(name: str) -> None:
    info, notes = chosen(Vocabulary.load(name))
    assert (info.is_off, info.source, notes) == (True, "off", [])
    assert info.auto is not None
    named = Vocabulary.from_names(list(Vocabulary.load("camvid").prompts), name="mine")
    assert chosen(named)[0].is_off


def test_words_with_a_background_have_room_for_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text(
        'background = "other"\n[[category]]\ntext = "road"\n[[category]]\ntext = "other"\n',
        encoding="utf-8",
    )
    vocabulary = Vocabulary.load(path)
    assert vocabulary.background is not None
    info, notes = chosen(vocabulary)
    # What the background wins is unknown, whatever its score is, and nothing else.
    assert (info.thresholds, info.source) == ((0.0, 1.0), "background")
    assert info.summary == "unknown where the background is the best"
    assert "'other'" in notes[0]
    assert "--unknown off" in notes[0]
    assert chosen(vocabulary, unknown="off")[0].is_off
    assert chosen(vocabulary, unknown="0.3")[0].thresholds == (0.3, 1.0)


@pytest.mark.parametrize(
    "options",
    [{"weights": "random"}, {"model": "sed-base", "weights": "random"}, {"model": "san-tiny"}],
    ids=str,
)
def test_weights_that_were_not_measured_have_no_default(options: dict[str, Any]) -> None:
    info, notes = chosen(**options)
    assert (info.is_off, info.auto, notes) == (True, None, [])
    with pytest.raises(UsageError, match="no threshold was measured"):
        chosen(unknown="auto", **options)


def test_what_is_asked_for_wins(tmp_path: Path) -> None:
    assert chosen(unknown="off") == (chosen(unknown=0)[0].__class__(auto=chosen()[0].auto), [])
    assert chosen(Vocabulary.load("camvid"), unknown=0.3)[0].thresholds == (0.3,)
    assert chosen(unknown={"*": 0.1, "car": 0.2})[0].thresholds == (0.1, 0.2, 0.1)
    with pytest.raises(UsageError, match="from 0 to 1"):
        chosen(unknown="7")
    with pytest.raises(InputError, match="cannot be read"):
        chosen(unknown=str(tmp_path / "none.json"))


def test_the_graph_compares_the_best_score(tiny_bundle: Path) -> None:
    frame = render_street(seed=3, height=70, width=90).image
    with Segmenter.open(tiny_bundle) as segmenter:
        off = segmenter.segment(frame)
        again = segmenter.segment(frame, unknown="off")
        assert off.scores is not None
        map_, size = segmenter.bundle.vocabulary.output_map, (70, 90)
        best = rank_outputs(off.scores, map_, size, off.labels).best
        middle = float(np.median(best))
        steps = np.full(len(segmenter.names), middle, np.float32)
        steps[::2] *= np.float32(1.001)
        found = segmenter.segment(frame, unknown=steps)
        clear = np.abs(best - steps[off.labels]) > 1e-5
    assert off.unknown == 0
    assert np.array_equal(off.labels, again.labels)
    assert 0.2 < found.unknown < 0.8
    assert clear.mean() > 0.9
    assert np.array_equal(found.labels[clear], with_unknown(off.labels, best, steps)[clear])


def test_half_precision_keeps_the_input(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    frame = bundle.reference().frame
    model = load_graph(bundle.graph_path)
    assert measured_value(model) is not None
    convert_to_half(model)
    path = tmp_path / "half.onnx"
    save_graph(model, path, data="half.onnx.data")
    assert [str(each.dtype) for each in model.graph.inputs] == ["UINT8", "FLOAT"]
    value = measured_value(load_graph(path))
    assert value is not None
    ((_, measure),) = TensorProbe(load_graph(path), [str(value.name)], look=None).run(frame)
    measure = measure.reshape(frame.shape[:2])
    steps = np.full(len(bundle.vocabulary.outputs), np.median(measure), np.float32)
    off, found = (run_graph(path, [frame], each)[0]["labels"][0] for each in (None, steps))
    assert np.array_equal(found, with_unknown(off, measure, steps))
    assert 0.3 < np.mean(found == 255) < 0.7


def test_the_selftest_knows_any_thresholds(tiny_bundle: Path) -> None:
    measure = Bundle.open(tiny_bundle).reference().measure
    assert measure is not None
    for share in (0.0, 0.3, 0.9):
        unknown = float(np.quantile(measure, share))
        with Segmenter.open(tiny_bundle, unknown=unknown) as segmenter:
            report = run_selftest(segmenter)
        assert report
        assert report.agreement == 1.0


def test_a_graph_that_does_not_compare_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = graph_files.run_graph
    monkeypatch.setattr(graph_files, "run_graph", lambda path, frames, *_, **__: real(path, frames))
    options = ExportOptions(weights="random", size=(64, 96))
    with pytest.raises(ParityError, match="With thresholds of 'unknown'"):
        export_bundle(THREE, tmp_path / "x.ovss", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("outputs", [1, 254, 255, 256])
def test_labels_are_marked_after_the_bands(tmp_path: Path, outputs: int) -> None:
    """As SAN does it: the best of every band, then one comparison for the frame."""
    label = 255 if outputs <= 255 else 65535
    dtype = torch.uint8 if outputs <= 255 else torch.uint16
    planes = torch.rand(outputs, 5, 6, generator=torch.Generator().manual_seed(outputs))

    class Graph(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bands = AnswerBands(size=(20, 24), scores=False)
            self.register_buffer("planes", planes)

        def forward(self, frame: Any, thresholds: Any = None) -> Any:  # noqa: ANN401
            found = self.bands.answer(self.planes, height=frame.shape[1], width=frame.shape[2])
            best = found.index.to(torch.float32)
            marked = mark_unknown(best, found.best, thresholds, label)
            return marked.unsqueeze(0).to(dtype), found.best

    graph, frame = Graph().eval(), np.zeros((33, 47, 3), np.uint8)
    steps = np.linspace(0.2, 0.9, outputs, dtype=np.float32)
    model = trace(
        graph,
        torch.from_numpy(frame)[None],
        torch.zeros(outputs),
        outputs=("labels", "best"),
        metadata={"edge_ovss.version": "test"},
    )
    path = tmp_path / "bands.onnx"
    save_graph(model, path, data="bands.onnx.data")
    off, found = (run_graph(path, [frame], each)[0] for each in (None, steps))
    assert off["labels"].max() < outputs
    expected = with_unknown(off["labels"][0], off["best"], steps)
    assert np.array_equal(found["labels"][0], expected)
    with torch.inference_mode():
        own = graph(torch.from_numpy(frame)[None], torch.from_numpy(steps))[0].numpy()
    assert np.mean(own[0] == found["labels"][0]) > 0.999
