"""SED against the answers of the published implementation (tests/data/README.md)."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from published import DATA, golden_answer, published_module

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
from edge_ovss.export.parity_check import relative_error, run_torch  # noqa: E402
from edge_ovss.models.checkpoints.loading import load_into  # noqa: E402
from edge_ovss.models.sed import PREFIX, Sed, build_sed, published_rejection  # noqa: E402
from edge_ovss.models.spec import WeightsOrigin  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

SIZE = (768, 768)
MAX_ERROR = 1e-3
MIN_LABELS = 0.999


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return published_module("reference")


@pytest.fixture(scope="module")
def empty_model() -> Sed:
    return build_sed("sed-base")


@pytest.fixture(scope="module")
def fill(empty_model: Sed, reference: ModuleType) -> Callable[[bool], Sed]:
    """Fill the model as a published checkpoint would be, and remember how it is filled."""
    shapes = json.loads((DATA / "sed_base.keys.json").read_text())
    state: dict[str, bool] = {}

    def filled(smooth: bool) -> Sed:
        if state.get("smooth") != smooth:
            tensors = {
                name: torch.from_numpy(np.array(reference.weight(name, tuple(shape), smooth)))
                for name, shape in shapes.items()
            }
            load_into(empty_model, tensors, name="sed-base", family="sed", prefix=PREFIX)
            empty_model.origin = WeightsOrigin("random")
            empty_model.licenses = {"weights": "none"}
            state["smooth"] = smooth
        return empty_model

    return filled


@pytest.fixture(scope="module")
def loaded(fill: Callable[[bool], Sed]) -> Iterator[Callable[[bool], LoadedModel]]:
    """The model with the golden vocabulary; the text tower is the same for both weights."""
    words = [str(word) for word in golden_answer("sed_base_24")["classes"]]
    vocabulary = Vocabulary.from_names(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_OVSS_CACHE", "")
        embeddings = fill(False).encode_text(vocabulary)
    family = family_export("sed")
    yield lambda smooth: LoadedModel(family, fill(smooth), vocabulary, embeddings, SIZE)


@pytest.fixture(scope="module")
def frame(reference: ModuleType) -> NDArray[np.uint8]:
    picture: NDArray[np.uint8] = reference.image(480, 640, 0)
    return picture


@pytest.fixture(scope="module")
def image(frame: NDArray[np.uint8], empty_model: Sed) -> Any:  # noqa: ANN401
    """The frame as published: normalized, then resized in float."""
    spec = empty_model.spec.picture
    x = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    x = (x - torch.tensor(spec.mean).view(1, 3, 1, 1)) / torch.tensor(spec.std).view(1, 3, 1, 1)
    return torch.nn.functional.interpolate(x, SIZE, mode="bilinear", align_corners=False)


def _labels(scores: Any) -> NDArray[np.int64]:  # noqa: ANN401
    up = torch.nn.functional.interpolate(scores[None], (480, 640), mode="bilinear")
    labels: NDArray[np.int64] = up[0].argmax(0).numpy()
    return labels


@pytest.mark.slow
def test_text_embeddings_equal_the_published(loaded: Callable[[bool], LoadedModel]) -> None:
    array = loaded(False).embeddings.array
    golden = golden_answer("sed_base_24")["text_embeddings"]
    assert relative_error(array[:, ::10], golden.astype(np.float32)) < MAX_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("smooth", [False, True], ids=["plain", "smooth"])
def test_maps_equal_the_published(
    loaded: Callable[[bool], LoadedModel],
    image: Any,  # noqa: ANN401
    smooth: bool,
) -> None:
    golden = golden_answer("sed_base_24_smooth" if smooth else "sed_base_24")
    model, embeddings = loaded(smooth).model, loaded(smooth).embeddings
    with torch.inference_mode():
        maps = model.maps(image, embeddings)
        _, dense = model.encode_picture(image)
    steps = (1, 2, 4)
    for index, (step, auxiliary) in enumerate(zip(steps, maps.auxiliary, strict=True)):
        expected = golden[f"aux{index}"].astype(np.float32)
        given = auxiliary[0].numpy()[:, ::step, ::step]
        assert relative_error(given, expected.reshape(given.shape)) < MAX_ERROR
    logits = maps.logits[0].numpy()[:, ::4, ::4]
    assert relative_error(logits, golden["logits"].astype(np.float32)) < MAX_ERROR
    if not smooth:
        assert relative_error(dense.numpy(), golden["dense"].astype(np.float32)) < MAX_ERROR
    assert (_labels(maps.logits[0].sigmoid()) == golden["labels"]).mean() >= MIN_LABELS


REJECTION_CASES = [(False, 1), (False, 2), (True, 1), (True, 2), (True, 4), (True, 8)]


@pytest.mark.slow
@pytest.mark.parametrize(("smooth", "topk"), REJECTION_CASES)
def test_rejection_in_torch_equals_the_published(
    loaded: Callable[[bool], LoadedModel],
    image: Any,  # noqa: ANN401
    smooth: bool,
    topk: int,
) -> None:
    golden = golden_answer("sed_base_24_smooth" if smooth else "sed_base_24")
    model, embeddings = loaded(smooth).model, loaded(smooth).embeddings
    with torch.inference_mode():
        scores, survivors = published_rejection(model, image, embeddings, topk=topk)
    assert np.array_equal(survivors[-1].numpy(), golden[f"cer{topk}_kept"])
    expected = golden[f"cer{topk}_scores"].astype(np.float32)
    assert relative_error(scores.numpy()[:, ::4, ::4], expected) < MAX_ERROR
    assert (_labels(scores) == golden[f"cer{topk}_labels"]).mean() >= MIN_LABELS


# "slots with room": the counts of the cases are at most 24, 19, 19.
GRAPH_CASES = [
    (False, Rejection("none")),
    (False, Rejection("slots", topk=1, slots=(24, 24, 22))),
    (True, Rejection("dynamic", topk=1)),
    (True, Rejection("slots", topk=1, slots=(24, 16, 12))),
    (True, Rejection("slots", topk=2, slots=(24, 20, 20))),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("smooth", "rejection"),
    GRAPH_CASES,
    ids=lambda v: f"{v.mode}{v.topk}" if isinstance(v, Rejection) else str(v),
)
def test_exported_graph_equals_the_published(
    loaded: Callable[[bool], LoadedModel],
    frame: NDArray[np.uint8],
    tmp_path: Path,
    smooth: bool,
    rejection: Rejection,
) -> None:
    golden = golden_answer("sed_base_24_smooth" if smooth else "sed_base_24")
    what = loaded(smooth)
    graph = what.freeze(rejection.fit(24), ("labels", "alive", "counts", "scores"))
    metadata = graph_metadata(
        describe(what, rejection=rejection, outputs=graph.outputs), what.vocabulary
    )
    picture = torch.from_numpy(frame)[None]
    model = trace(graph, picture, outputs=graph.outputs, metadata=metadata)
    onnx_ir.save(model, tmp_path / "sed.onnx", external_data="sed.data")
    del model
    answer = run_graph(tmp_path / "sed.onnx", [frame])[0]
    case = "" if rejection.mode == "none" else f"cer{rejection.topk}_"
    assert (answer["labels"][0] == golden[f"{case}labels"]).mean() >= MIN_LABELS
    if case:
        alive = answer["alive"][answer["alive"] >= 0]
        assert np.array_equal(alive, golden[f"{case}kept"])
        expected = golden[f"{case}scores"].astype(np.float32)
        assert relative_error(answer["scores"][0][:, ::4, ::4], expected) < MAX_ERROR
    same = run_torch(graph, frame)
    assert relative_error(answer["scores"], same["scores"]) < 1e-4


@pytest.mark.slow
def test_an_open_bundle_gives_the_published_answer(
    loaded: Callable[[bool], LoadedModel],
    frame: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    golden = golden_answer("sed_base_24_smooth")
    rejection = Rejection("slots", topk=2, slots=(24, 20, 20))
    answer = answer_with_other_words(loaded(True), frame, tmp_path, monkeypatch, rejection)
    assert answer.alive.tolist() == golden["cer2_kept"].tolist()
    assert (answer.labels == golden["cer2_labels"]).mean() >= MIN_LABELS
    assert answer.scores is not None
    expected = golden["cer2_scores"].astype(np.float32)
    assert relative_error(answer.scores[:, ::4, ::4], expected) < MAX_ERROR


def test_large_model_has_the_published_names_and_shapes() -> None:
    """Built on the meta device where possible: only names and shapes are compared."""
    published = json.loads((DATA / "sed_large.keys.json").read_text())
    model = build_sed("sed-large")
    ours = {PREFIX + name: list(value.shape) for name, value in model.state_dict().items()}
    assert ours == published
