"""FP16 goes back to float32 from the beginning of a graph until enough labels stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edge_ovss.calibration import budget as halves  # noqa: E402
from edge_ovss.calibration.accuracy import Accuracy, Baseline  # noqa: E402
from edge_ovss.calibration.budget import LEAST_AGREEMENT, halve_within  # noqa: E402
from edge_ovss.graph.fp32_islands import summarize_islands  # noqa: E402
from edge_ovss.graph.walk import HALF  # noqa: E402
from edge_ovss.models.catalogue import exact_modules  # noqa: E402

PRODUCTS = 12


def chain() -> object:
    """A float32 graph of products one behind the other, as an onnx_ir model."""
    nodes, weights = [], []
    for number in range(PRODUCTS):
        weight = np.eye(4, dtype=np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{number}"))
        inputs = [f"x{number}", f"w{number}"]
        nodes.append(
            helper.make_node("MatMul", inputs, [f"x{number + 1}"], f"layers.{number}/MatMul")
        )
    first, last = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4])
        for name in ("x0", f"x{PRODUCTS}")
    )
    between = [
        helper.make_tensor_value_info(f"x{number}", TensorProto.FLOAT, [4, 4])
        for number in range(1, PRODUCTS)
    ]
    graph = helper.make_graph(nodes, "chain", [first], [last], weights, value_info=between)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))


@dataclass
class Judge:
    """Says that labels stay where so many first products are float32; or that mIoU does."""

    needed: int
    miou: float | None = None
    asked: list[int] = field(default_factory=list)
    images: int = 0

    def __call__(self, model: object, given: Baseline) -> Accuracy:
        kinds = [weight.dtype for weight in model.graph.initializers.values()]  # type: ignore[attr-defined]
        self.asked.append(sum(kind != HALF for kind in kinds))
        self.images = len(given.frames)
        enough = self.asked[-1] >= self.needed
        share = 1.0 if enough or self.miou is not None else LEAST_AGREEMENT - 0.01
        return Accuracy(share, share, self.images, miou=100.0 if enough else self.miou)


def baseline(count: int = 9) -> Baseline:
    frame = np.zeros((2, 2, 3), np.uint8)
    labels = [np.zeros((2, 2), np.uint8)] * count
    return Baseline([frame] * count, None, None, labels, [None] * count)


def left_in_float(needed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Judge, int, Sequence[str]]:
    judge, notes = Judge(needed), list[str]()
    monkeypatch.setattr(halves, "_measure", judge)
    half, report = halve_within(chain(), {}, baseline(), note=notes.append)
    kept = summarize_islands(report.islands).get("accuracy", [])
    assert len(notes) == len(judge.asked)
    assert judge.images == 4
    found = [weight.dtype for weight in half.graph.initializers.values()]
    return judge, sum(kind != HALF for kind in found), kept


def test_what_keeps_its_labels_is_measured_once_and_wholly_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, floats, kept = left_in_float(0, monkeypatch)
    assert len(judge.asked) == 1
    assert floats == judge.asked[0]
    assert kept == []


@pytest.mark.parametrize("needed", [3, 6, 11])
def test_the_shortest_beginning_that_keeps_labels_stays_in_float(
    needed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, floats, kept = left_in_float(needed, monkeypatch)
    assert floats == needed
    assert len(judge.asked) <= 6
    assert kept[0] == "layers.0/MatMul"


def test_a_graph_without_products_in_half_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_measure", Judge(PRODUCTS + 1))
    large = {f"x{number}": 6.0e4 for number in range(PRODUCTS + 1)}
    _, report = halve_within(chain(), large, baseline(), note=lambda _: None)
    assert report.half_nodes == ()


def test_modules_of_the_family_stay_whatever_the_labels_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_measure", Judge(0))
    exact = ("layers.1", "layer")
    half, report = halve_within(chain(), {}, baseline(), note=lambda _: None, exact=exact)
    assert summarize_islands(report.islands)["family"] == ["layers.1/MatMul"]
    kinds = {name: weight.dtype for name, weight in half.graph.initializers.items()}
    answer = f"w{PRODUCTS - 1}"
    assert [name for name, kind in kinds.items() if kind != HALF] == ["w1", answer]


def test_a_search_leaves_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_measure", Judge(5))
    _, report = halve_within(chain(), {}, baseline(), note=lambda _: None, exact=("layers.9",))
    found = summarize_islands(report.islands)
    assert found["family"] == ["layers.9/MatMul"]
    # Three, with that one and the last, which makes the answer, are the five that are needed.
    assert found["accuracy"] == [f"layers.{number}/MatMul" for number in range(3)]


@pytest.mark.parametrize(("budget", "floats"), [(None, 1), (3.0, 1), (2.9, 6), (0.0, 6)])
def test_a_budget_of_points_is_searched_for_on_all_images(
    monkeypatch: pytest.MonkeyPatch, budget: float | None, floats: int
) -> None:
    """97 of 100 points without the first six products in float32; labels stay either way."""
    judge = Judge(6, miou=97.0)
    monkeypatch.setattr(halves, "_measure", judge)
    monkeypatch.setattr(Baseline, "accuracy", Accuracy(1.0, 1.0, 9, miou=100.0))
    half, _ = halve_within(chain(), {}, baseline(), note=lambda _: None, budget=budget)
    kinds = [weight.dtype for weight in half.graph.initializers.values()]
    assert sum(kind != HALF for kind in kinds) == floats
    assert judge.images == (4 if budget is None else 9)


def test_a_family_of_another_version_keeps_nothing() -> None:
    assert exact_modules("mask2former") == ()


def test_a_few_images_decide() -> None:
    few = baseline(9).first(4)
    assert len(few.frames) == len(few.expected) == len(few.decided) == 4
    assert isinstance(few.accuracy, Accuracy)
    assert few.accuracy.pictures == 4
