"""Every exact rewrite of SED leaves the answer, and numbers that cannot be are refused early."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.errors import UsageError  # noqa: E402
from edge_ovss.export import ExportOptions, Rejection, bundle_export, export_bundle  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.graph_files import run_graph, trace  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.export.parity_check import relative_error  # noqa: E402
from edge_ovss.export.sed.first_score import FirstScore  # noqa: E402
from edge_ovss.export.sed.frozen import FrozenSed  # noqa: E402
from edge_ovss.export.sed.rewrites import (  # noqa: E402
    Rewrites,
    in_pieces,
    in_this_order,
    piece_size,
)
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

OUTPUTS = ("labels", "alive", "counts", "scores")
WORDS = ["road", "sky", "building", "car", "tree", "person", "fence", "pole", "window", "bus"]
# Small enough that every step of sed-tiny at 96x128 is cut.
PIECES = 4096
LEFT_OUT: dict[str, dict[str, Any]] = {
    "late_cost": {"late_cost": False},
    "late_guidance": {"late_guidance": False},
    "split_skip": {"split_skip": False},
    "joint_heads": {"joint_heads": False},
    "pieces": {"piece_bytes": None},
    "all": {
        "joint_heads": False,
        "late_cost": False,
        "late_guidance": False,
        "split_skip": False,
        "piece_bytes": None,
    },
}
REJECTIONS = [
    Rejection("slots", topk=2, slots=(9, 8, 7)),
    Rejection("slots", topk=2, slots=(4, 3, 2)),
    Rejection("dynamic", topk=2),
    Rejection("none"),
]


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    options = ExportOptions(weights="random", size=(96, 128))
    words = Vocabulary.from_names(WORDS)
    return load_for_export(words, options)


@pytest.fixture(scope="module")
def frame() -> Any:  # noqa: ANN401
    return torch.from_numpy(np.array(render_street(seed=2, height=120, width=160).image))[None]


def _freeze(loaded: LoadedModel, rejection: Rejection, rewrites: Rewrites) -> FrozenSed:
    return FrozenSed(loaded, rejection.fit(len(WORDS)), OUTPUTS, rewrites=rewrites).eval()


@pytest.mark.parametrize("rejection", REJECTIONS, ids=lambda r: f"{r.mode}-{r.slots}")
@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_rewrite_leaves_the_answer(
    loaded: LoadedModel,
    frame: Any,  # noqa: ANN401
    name: str,
    rejection: Rejection,
) -> None:
    full = Rewrites(piece_bytes=PIECES)
    with torch.inference_mode():
        given = _freeze(loaded, rejection, full)(frame)
        expected = _freeze(loaded, rejection, replace(full, **LEFT_OUT[name]))(frame)
    labels, alive, counts, scores = zip(given, expected, strict=True)
    assert relative_error(scores[0].numpy(), scores[1].numpy()) < 1e-5
    assert torch.equal(*alive)
    assert torch.equal(*counts)
    assert float((labels[0] == labels[1]).double().mean()) >= 0.999


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (5, 4), (24, 24)], ids=str)
def test_first_score_is_exact_up_to_the_border(size: tuple[int, int]) -> None:
    torch.manual_seed(3)
    conv, head = torch.nn.Conv2d(6, 16, 7, padding=3), torch.nn.Conv2d(16, 1, 3, padding=1)
    cost = torch.randn(4, 6, *size)
    for layer in (conv, head):
        torch.nn.init.normal_(layer.bias)
    with torch.inference_mode():
        given, expected = FirstScore(conv, head, size=size)(cost), head(conv(cost))
    assert relative_error(given.numpy(), expected.numpy()) < 1e-5


def test_pieces_are_cut_and_joined() -> None:
    x, y = torch.arange(40.0).view(10, 4), torch.ones(10, 4)
    seen: list[int] = []

    def add(a: Any, b: Any) -> Any:  # noqa: ANN401
        seen.append(a.shape[0])
        return a + b

    assert torch.equal(in_pieces(add, x, y, dim=0, widest=120, limit=120), x + y)
    assert seen == [3, 3, 3, 1]
    assert torch.equal(in_pieces(add, x, y, dim=0, widest=120, limit=None), x + y)
    assert seen[4:] == [10]


@pytest.mark.parametrize(
    ("length", "widest", "size"), [(10, 89, 10), (10, 90, 4), (1000, 10**6, 63), (2, 10**6, 1)]
)
def test_how_long_a_piece_is(length: int, widest: int, size: int) -> None:
    assert piece_size(length, widest=widest, limit=120) == size


def test_order_changes_nothing() -> None:
    tensors = (torch.randn(2, 3), torch.randn(4), torch.randn(1, 2, 5))
    assert all(map(torch.equal, in_this_order(*tensors), tensors))


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, loaded: LoadedModel) -> Callable[..., Path]:
    """Write the graph of some rewrites; one in pieces takes half a minute."""
    import onnx_ir

    @lru_cache
    def write(frame: Any, **changes: Any) -> Path:  # noqa: ANN401
        graph = _freeze(loaded, REJECTIONS[0], Rewrites(**changes))
        model = trace(graph, frame, outputs=OUTPUTS, metadata={"edge_ovss.version": "test"})
        path = tmp_path_factory.mktemp("graph") / "model.onnx"
        onnx_ir.save(model, path, external_data="model.onnx.data")
        return path

    return write


@pytest.mark.slow
def test_graph_in_pieces_answers_and_holds_each_weight_once(
    loaded: LoadedModel,
    frame: Any,  # noqa: ANN401
    write: Callable[..., Path],
) -> None:
    whole, cut = write(frame, piece_bytes=None), write(frame, piece_bytes=PIECES)
    model = onnx.load(str(cut), load_external_data=False)
    weights = {item.name for item in model.graph.initializer}
    turned = [n for n in model.graph.node if n.op_type == "Transpose" and n.input[0] in weights]
    assert not turned
    sizes = [path.with_name("model.onnx.data").stat().st_size for path in (whole, cut)]
    assert abs(sizes[1] - sizes[0]) < 0.01 * sizes[0]
    a, b = (run_graph(path, [frame[0].numpy()])[0] for path in (whole, cut))
    assert relative_error(b["scores"], a["scores"]) < 1e-5
    assert (a["labels"] == b["labels"]).mean() >= 0.999


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from edge_ovss.runtime import Segmenter

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

frame = np.zeros((240, 320, 3), np.uint8)
with Segmenter.open(sys.argv[1], backend="onnxruntime", threads=1) as segmenter:
    segmenter.segment(frame)
    first = peak()
    for _ in range(3):
        segmenter.segment(frame)
    print(first, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_later_frames_take_no_more_memory_than_the_first(tmp_path: Path) -> None:
    """ONNX Runtime's memory pattern would add a second copy of all activations at frame two."""
    words = [f"thing {number}" for number in range(64)]
    options = ExportOptions(weights="random", rejection=Rejection("none"))
    bundle = export_bundle(Vocabulary.from_names(words), tmp_path / "b.ovss", options)
    command = [sys.executable, "-c", MEMORY, str(bundle.path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    first, last = map(int, answer.stdout.split())
    assert last <= 1.05 * first


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"template_rank": 0}, "1 to 80"),
        ({"template_rank": 81}, "1 to 80"),
        (
            {"template_rank": 4, "model": "san-tiny", "rejection": None},
            "'san-tiny' cannot compress",
        ),
        ({"rejection": {"slots": (4, 8, 4), "topk": 2}}, "must not grow"),
        ({"rejection": {"slots": (8, 8, 7), "topk": 8}}, "at least 8"),
        ({"rejection": {"topk": 11}}, "10 categories"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_numbers_are_refused_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    def load(*_: Any, **__: Any) -> None:  # noqa: ANN401
        pytest.fail("a model was loaded")

    monkeypatch.setattr(bundle_export, "load_for_export", load)

    def export() -> None:
        given = dict(changes)
        if given.get("rejection"):
            given["rejection"] = Rejection(**given["rejection"])
        options = ExportOptions(**{"weights": "random", **given})
        export_bundle(Vocabulary.from_names(WORDS), tmp_path / "x.ovss", options)

    with pytest.raises(UsageError, match=text):
        export()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_norms_read_rows_of_three_axes_at_most(frame: Any, write: Callable[..., Path]) -> None:  # noqa: ANN401
    """OpenVINO has no norm over the last of four axes: it takes it apart, and copies for it."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(write(frame, piece_bytes=PIECES))))
    axes = {v.name: len(v.type.tensor_type.shape.dim) for v in model.graph.value_info}
    norms = [n.input[0] for n in model.graph.node if n.op_type == "LayerNormalization"]
    assert len(norms) > 20
    assert max(axes[name] for name in norms) == 3
