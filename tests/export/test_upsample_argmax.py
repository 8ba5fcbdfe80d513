"""From scores to labels at the frame's size: a few categories at a time, in that order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from edge_ovss.export.graph_files import trace  # noqa: E402
from edge_ovss.export.parts.upsample_argmax import (  # noqa: E402
    CHUNK,
    PARTS,
    best_label,
    best_label_of_any,
)
from edge_ovss.runtime.backends.ort import open_session  # noqa: E402

OUTPUTS = ("labels", "confidence")


class Answer(nn.Module):
    """From a frame, of which only the size is read, to the answer for given scores."""

    scores: Tensor
    table: Tensor

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.register_buffer("scores", scores)
        self.register_buffer("table", _table(len(scores)))

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        size = {"height": frame.shape[1], "width": frame.shape[2]}
        answer: tuple[Tensor, Tensor] = best_label(self.scores, self.table, chunk=CHUNK, **size)
        return answer


def _table(count: int) -> Tensor:
    table: Tensor = torch.arange(count, 0, -1, dtype=torch.float32) + 100
    return table


def _scores(count: int) -> Tensor:
    scores: Tensor = torch.rand(count, 6, 8, generator=torch.Generator().manual_seed(count))
    return scores


def _expected(scores: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    resized = F.interpolate(scores[None], size=(height, width), mode="bilinear")[0]
    return _table(len(scores))[resized.argmax(0)], resized.amax(0)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The exported answer for two full chunks and a shorter one."""
    import onnx_ir

    path = tmp_path_factory.mktemp("answer") / "answer.onnx"
    frame = torch.zeros(1, 20, 30, 3, dtype=torch.uint8)
    metadata = {"edge_ovss.version": "0"}
    model = trace(Answer(_scores(2 * CHUNK + 2)), frame, outputs=OUTPUTS, metadata=metadata)
    onnx_ir.save(model, path)
    yield path


@pytest.mark.parametrize("count", [1, 2, CHUNK, CHUNK + 1, 3 * CHUNK - 1])
@pytest.mark.parametrize("chunk", [1, 3, CHUNK])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (24, 32)], ids=str)
def test_the_answer_is_that_of_all_categories_at_once(
    count: int, chunk: int, size: tuple[int, int]
) -> None:
    scores = _scores(count)
    height, width = size
    label, best = best_label(scores, _table(count), height=height, width=width, chunk=chunk)
    expected = _expected(scores, height, width)
    assert label.shape == best.shape == size
    assert torch.equal(label, expected[0])
    # Torch takes another kernel for more than eight planes, which rounds in another order.
    torch.testing.assert_close(best, expected[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2, CHUNK])
@pytest.mark.parametrize("places", [(0, 1), (1, 2), (0, CHUNK), (CHUNK, CHUNK + 1)], ids=str)
def test_of_equal_categories_the_first_is_taken(places: tuple[int, int], chunk: int) -> None:
    scores = torch.zeros(CHUNK + 2, 4, 4)
    for place in places:
        scores[place] = 0.5
    table = _table(len(scores))
    label, _ = best_label(scores, table, height=9, width=9, chunk=chunk)
    other, _ = best_label_of_any(scores, table, height=9, width=9)
    assert torch.equal(label, torch.full((9, 9), float(table[places[0]])))
    assert torch.equal(other, label)


@pytest.mark.parametrize("count", [1, PARTS - 1, PARTS, PARTS + 1, 3 * PARTS - 1])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (24, 32)], ids=str)
def test_any_number_of_categories_is_answered_in_parts(count: int, size: tuple[int, int]) -> None:
    scores = _scores(count)
    label, best = best_label_of_any(scores, _table(count), height=size[0], width=size[1])
    expected = _expected(scores, *size)
    assert torch.equal(label, expected[0])
    torch.testing.assert_close(best, expected[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (31, 47), (120, 160)], ids=str)
def test_the_graph_answers_as_torch_does(graph: Path, size: tuple[int, int]) -> None:
    session = open_session(onnxruntime, graph, threads=1)
    label, best = session.run(list(OUTPUTS), {"frame": np.zeros((1, *size, 3), np.uint8)})
    expected = _expected(_scores(2 * CHUNK + 2), *size)
    assert np.array_equal(label, expected[0].numpy())
    np.testing.assert_allclose(best, expected[1].numpy(), atol=1e-6)


def test_onnx_runtime_resizes_a_few_and_compares_them_before_the_next(
    graph: Path, tmp_path: Path
) -> None:
    session = open_session(onnxruntime, graph, threads=1, profile=tmp_path / "profile")
    session.run(None, {"frame": np.zeros((1, 64, 64, 3), np.uint8)})
    with Path(session.end_profiling()).open(encoding="utf-8") as stream:
        events = [event for event in json.load(stream) if event.get("cat") == "Node"]
    events.sort(key=lambda event: event["ts"])
    kinds = [event["args"].get("op_name") for event in events if "kernel" in event["name"]]
    order = "".join({"Resize": "R", "Slice": "s", "Where": "W"}.get(kind, "") for kind in kinds)
    # The first two planes are cut before the first comparison, the others when they are compared.
    resized = [part.count("W") for part in order.split("R")[1:]]
    assert resized == [CHUNK - 1, CHUNK, 2]
    assert "sss" not in order
