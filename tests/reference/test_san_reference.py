"""SAN against the answer of the published implementation (tests/data/README.md)."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from published import DATA, Golden, golden_answer, published_module

torch = pytest.importorskip("torch")
onnx_ir = pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
# Not importorskip: open_clip may be importable only through edge_ovss.models (see _open_clip.py).
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from reworded import answer_with_other_words  # noqa: E402

from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.export.families import family_export  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.graph_files import run_graph, trace  # noqa: E402
from edge_ovss.export.manifest import describe, graph_metadata  # noqa: E402
from edge_ovss.export.parity_check import relative_error  # noqa: E402
from edge_ovss.models.checkpoints.loading import load_into  # noqa: E402
from edge_ovss.models.san import IGNORED, San, build_san  # noqa: E402
from edge_ovss.models.spec import WeightsOrigin  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

SIZE = (640, 800)
MAX_ERROR = 1e-3
MIN_LABELS = 0.999


@pytest.fixture(scope="module")
def golden() -> Golden:
    return golden_answer("san_base_8")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return published_module("reference")


@pytest.fixture(scope="module")
def loaded(golden: Golden, reference: ModuleType) -> Iterator[LoadedModel]:
    """The model, filled as a published checkpoint would fill it, with the golden vocabulary."""
    shapes = json.loads((DATA / "san_base.keys.json").read_text())
    tensors = {
        name: torch.from_numpy(np.array(reference.weight(name, tuple(shape))))
        for name, shape in shapes.items()
    }
    model: San = build_san("san-base")
    load_into(model, tensors, name="san-base", family="san", prefix="", ignored=IGNORED)
    del tensors
    model.origin = WeightsOrigin("random")
    model.licenses = {"weights": "none"}
    vocabulary = Vocabulary.from_names([str(word) for word in golden["classes"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_OVSS_CACHE", "")
        embeddings = model.encode_text(vocabulary)
    yield LoadedModel(family_export("san"), model, vocabulary, embeddings, SIZE)


@pytest.fixture(scope="module")
def frame(reference: ModuleType) -> NDArray[np.uint8]:
    picture: NDArray[np.uint8] = reference.image(*SIZE, 0)
    return picture


def _agreement(labels: NDArray[Any], golden: Golden) -> float:
    """Only pixels whose top score is more than float underflow count."""
    return float((labels == golden["labels"])[golden["counted"]].mean())


def test_model_equals_the_published(
    loaded: LoadedModel, golden: Golden, frame: NDArray[np.uint8]
) -> None:
    model, spec = loaded.model, loaded.model.spec.picture
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    mean, std = torch.tensor(spec.mean).view(1, 3, 1, 1), torch.tensor(spec.std).view(1, 3, 1, 1)
    with torch.inference_mode():
        maps = model.maps((image - mean) / std, loaded.embeddings)
        masks = model.masks(maps.mask_logits, height=SIZE[0], width=SIZE[1])
        classes = maps.query_logits[0].softmax(-1)[:, :-1]
        scores = torch.einsum("qt,qhw->thw", classes, masks[0].sigmoid()).numpy()
    assert relative_error(maps.classifier.numpy(), golden["classifier"]) < MAX_ERROR
    assert relative_error(maps.query_logits[0].numpy(), golden["query_logits"]) < MAX_ERROR
    expected = golden["masks_stride16"].astype(np.float32)
    assert relative_error(masks[0, ::2, ::16, ::16].numpy(), expected) < MAX_ERROR
    expected = golden["scores_stride8"].astype(np.float32)
    assert relative_error(scores[:, ::8, ::8], expected) < MAX_ERROR
    assert _agreement(scores.argmax(0), golden) >= MIN_LABELS


@pytest.mark.slow
def test_an_open_bundle_gives_the_published_answer(
    loaded: LoadedModel,
    golden: Golden,
    frame: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = answer_with_other_words(loaded, frame, tmp_path, monkeypatch, Rejection("none"))
    assert answer.alive.tolist() == list(range(len(loaded.vocabulary)))
    assert _agreement(answer.labels, golden) >= MIN_LABELS
    assert answer.scores is not None
    expected = golden["scores_stride8"].astype(np.float32)
    assert relative_error(answer.scores[:, ::8, ::8], expected) < MAX_ERROR


@pytest.mark.slow
def test_exported_graph_equals_the_published(
    loaded: LoadedModel, golden: Golden, frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    rejection = Rejection("none").fit(len(loaded.vocabulary))
    graph = loaded.freeze(rejection, ("labels", "alive", "counts", "scores"))
    facts = describe(loaded, rejection=rejection, outputs=graph.outputs)
    model = trace(
        graph,
        torch.from_numpy(frame)[None],
        outputs=graph.outputs,
        metadata=graph_metadata(facts, loaded.vocabulary),
    )
    onnx_ir.save(model, tmp_path / "san.onnx", external_data="san.data")
    del model
    answer = run_graph(tmp_path / "san.onnx", [frame])[0]
    expected = golden["scores_stride8"].astype(np.float32)
    assert relative_error(answer["scores"][0][:, ::8, ::8], expected) < MAX_ERROR
    assert _agreement(answer["labels"][0], golden) >= MIN_LABELS
    with torch.inference_mode():
        same = graph(torch.from_numpy(frame)[None])[3].numpy()
    assert relative_error(answer["scores"], same) < 1e-4
