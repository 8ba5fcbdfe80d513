"""DeOP against the answer of the published implementation (tests/data/README.md)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
# Not importorskip: open_clip may be importable only through edge_ovss.models (see _open_clip.py).
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)
onnx_ir = pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

from reworded import answer_with_other_words  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.calibration.budget import halve  # noqa: E402
from edge_ovss.export.families import family_export  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.graph_files import run_graph, trace  # noqa: E402
from edge_ovss.export.manifest import describe, graph_metadata  # noqa: E402
from edge_ovss.graph.model import load_graph  # noqa: E402
from edge_ovss.models.catalogue import exact_modules  # noqa: E402
from edge_ovss.models.checkpoints.loading import load_into  # noqa: E402
from edge_ovss.models.deop import IGNORED, Deop, build_deop  # noqa: E402
from edge_ovss.models.deop.clip_tower import severance  # noqa: E402
from edge_ovss.models.deop.positions import fit_positions, sine_positions  # noqa: E402
from edge_ovss.models.spec import WeightsOrigin  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
SIZE = (480, 640)
MAX_ERROR = 1e-3
MIN_LABELS = 0.999
MIN_HALF_LABELS = 0.995

Golden = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(DATA / "deop_8.npz", allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for name, labels in (("counted", "labels"), ("counted_asked", "labels_asked")):
        width = arrays[labels].shape[1]
        arrays[name] = np.unpackbits(arrays[name], axis=1)[:, :width].astype(bool)
    return arrays


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_deop", DATA / "reference_deop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(reference: ModuleType) -> Deop:
    """The published model, filled as a published checkpoint would fill it."""
    shapes = json.loads((DATA / "deop.keys.json").read_text(encoding="utf-8"))
    assert len(shapes) == 1020
    tensors = {
        name: torch.from_numpy(np.array(reference.weight(name, tuple(shape))))
        for name, shape in shapes.items()
    }
    deop = build_deop("deop")
    load_into(deop, tensors, name="deop", family="deop", prefix="", ignored=IGNORED)
    deop.origin = WeightsOrigin("random")
    deop.licenses = {"weights": "none"}
    return deop


def computed_of_constants(model: Any) -> list[str]:  # noqa: ANN401 (onnx_ir is optional)
    """Nodes that no input reaches; the exporter folds small ones, and large ones take memory."""
    reached = set(model.graph.inputs)
    left = []
    for node in model.graph:
        if reached.isdisjoint(node.inputs):
            left.append(str(node.name))
        reached.update(node.outputs)
    return left


def is_counted(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the published answers count a label; scores are [T, H, W]."""
    second, best = np.partition(scores, -2, axis=0)[-2:]
    counted: NDArray[np.bool_] = (best > 1e-6) & (best - second > 1e-3 * best)
    return counted


def relative_error(given: NDArray[Any], expected: NDArray[Any]) -> float:
    difference = given.astype(np.float64) - expected.astype(np.float64)
    return float(np.linalg.norm(difference) / np.linalg.norm(expected.astype(np.float64)))


@pytest.mark.slow
def test_model_equals_the_published(
    model: Deop, golden: Golden, reference: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    spec = model.spec.picture
    frame = torch.from_numpy(reference.image(*SIZE, seed=0))
    image = ((frame.float() - torch.tensor(spec.mean)) / torch.tensor(spec.std)).permute(2, 0, 1)
    embeddings = model.encode_text(Vocabulary.from_names([str(c) for c in golden["classes"]]))
    with torch.inference_mode():
        classes = model.class_embeddings(embeddings)
        maps = model.maps(image[None], embeddings)
        cover = severance(maps.mask_logits, height=30, width=40)[0]
        patches, height, width = model.patches(image[None], maps.mask_logits)
        scores = model(image[None], embeddings)
        asked = F.interpolate(scores, tuple(golden["asked_shape"].tolist()), mode="bilinear")
    grid = patches[0].unflatten(0, (height, width))
    for found, name in (
        (classes, "class_embeddings"),
        (cover, "severance"),
        (maps.query_logits[0], "query_logits"),
        (maps.mask_logits[0, ::2, ::16, ::16], "mask_logits_stride16"),
        (grid[::4, ::4], "patch_embeddings_part"),
        (scores[0, :, ::8, ::8], "scores_stride8"),
    ):
        assert relative_error(found.numpy(), golden[name]) < MAX_ERROR, name
    for answer, suffix in ((scores, ""), (asked, "_asked")):
        equal = answer[0].argmax(0).numpy() == golden[f"labels{suffix}"]
        assert equal[golden[f"counted{suffix}"]].mean() >= MIN_LABELS


def with_words(model: Deop, golden: Golden) -> LoadedModel:
    vocabulary = Vocabulary.from_names([str(word) for word in golden["classes"]])
    embeddings = model.encode_text(vocabulary)
    return LoadedModel(family_export("deop"), model, vocabulary, embeddings, SIZE)


@pytest.mark.slow
def test_exported_graph_equals_the_published(
    model: Deop,
    golden: Golden,
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    loaded = with_words(model, golden)
    rejection = Rejection("none").fit(len(loaded.vocabulary))
    graph = loaded.freeze(rejection, ("labels", "alive", "counts", "scores"))
    facts = describe(loaded, rejection=rejection, outputs=graph.outputs)
    frame = np.asarray(reference.image(*SIZE, 0))
    traced = trace(
        graph,
        torch.from_numpy(frame)[None],
        outputs=graph.outputs,
        metadata=graph_metadata(facts, loaded.vocabulary),
    )
    onnx_ir.save(traced, tmp_path / "deop.onnx", external_data="deop.data")
    del traced, graph
    found = run_graph(tmp_path / "deop.onnx", [frame])[0]
    assert relative_error(found["scores"][0][:, ::8, ::8], golden["scores_stride8"]) < MAX_ERROR
    equal = found["labels"][0] == golden["labels"]
    assert equal[golden["counted"]].mean() >= MIN_LABELS
    single = load_graph(tmp_path / "deop.onnx")
    assert computed_of_constants(single) == []
    # No image chooses what is half, so the labels stay on images that nobody calibrates on.
    half, report = halve(single, {}, exact=exact_modules("deop"))
    assert any(name.startswith("clip.resblocks") for name in report.half_nodes)
    onnx_ir.save(half, tmp_path / "half.onnx", external_data="half.data")
    others = [frame, np.asarray(reference.image(*SIZE, 3))]
    wanted = [found, run_graph(tmp_path / "deop.onnx", others[1:])[0]]
    for halved, float32 in zip(run_graph(tmp_path / "half.onnx", others), wanted, strict=True):
        assert np.isfinite(halved["scores"]).all()
        equal = halved["labels"] == float32["labels"]
        assert equal[0][is_counted(float32["scores"][0])].mean() >= MIN_HALF_LABELS


@pytest.mark.slow
def test_an_open_bundle_gives_the_published_answer(
    model: Deop,
    golden: Golden,
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    loaded = with_words(model, golden)
    frame = np.asarray(reference.image(*SIZE, 0))
    answer = answer_with_other_words(loaded, frame, tmp_path, monkeypatch, Rejection("none"))
    assert answer.scores is not None
    expected = golden["scores_stride8"].astype(np.float32)
    assert relative_error(answer.scores[:, ::8, ::8], expected) < MAX_ERROR
    assert (answer.labels == golden["labels"])[golden["counted"]].mean() >= MIN_LABELS


def test_positions_are_resized_unless_their_number_fits() -> None:
    learned = torch.arange(577.0)[:, None] * torch.ones(1, 3)
    assert fit_positions(learned, 18, 32) is learned
    resized = fit_positions(learned, 30, 40)
    assert resized.shape == (1201, 3)
    assert torch.equal(resized[0], learned[0])


def test_sine_positions_alternate_sine_and_cosine() -> None:
    places = sine_positions(2, 3, channels=8)
    assert places.shape == (6, 8)
    step = 2 * np.pi / (2 + 1e-6)
    assert places[0, 0].item() == pytest.approx(np.sin(step), abs=1e-6)
    assert places[0, 1].item() == pytest.approx(np.cos(step), abs=1e-6)
    assert torch.equal(places[0, :4], places[2, :4])  # the same row
    assert torch.equal(places[0, 4:], places[3, 4:])  # the same column


def test_a_small_model_answers_frames_of_any_size_without_nan() -> None:
    torch.manual_seed(0)
    deop = build_deop("deop-tiny")
    embeddings = F.normalize(torch.randn(5, 1, 64), dim=-1)
    with torch.inference_mode():
        for height, width in ((64, 64), (70, 131)):
            scores = deop(torch.zeros(1, 3, height, width), embeddings)
            assert scores.shape == (1, 5, height, width)
            assert torch.isfinite(scores).all()
