"""DeOP at many sizes through ONNX Runtime, frames odd and even, against the published order."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx_ir = pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.export.families import family_export  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.graph_files import run_graph, trace  # noqa: E402
from edge_ovss.export.manifest import describe, graph_metadata  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.deop import Deop, DeopNumbers  # noqa: E402
from edge_ovss.models.deop.build import TEMPERED, VARIANTS, assemble  # noqa: E402
from edge_ovss.models.random_weights import fill_randomly  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402

VOCABULARY = Vocabulary.from_names(["curb, kerb", "sky", "shop window", "robot arm"])
OUTPUTS = ("labels", "scores")
MAX_ERROR = 1e-3
MIN_LABELS = 0.999
# Below this a label only records how floats underflow; scores that nearly tie do not count.
COUNTED, APART = 1e-6, 1e-3


@pytest.fixture(scope="module")
def tiny() -> Deop:
    """deop-tiny, but with the published 24x24 positions: 288x512 has as many patches."""
    numbers = VARIANTS["deop-tiny"]
    changed = {"grid": 24, "vision": {**numbers.vision, "image_size": 224}}
    model = assemble("deop-tiny", DeopNumbers(**{**vars(numbers), **changed}))
    fill_randomly(model, seed=1, tempered=TEMPERED)
    other = load_model("deop-tiny", weights="random")
    model.origin, model.licenses = other.origin, other.licenses
    return model


@pytest.fixture(scope="module")
def embeddings(tiny: Deop) -> TextEmbeddings:
    return tiny.encode_text(VOCABULARY)


@pytest.mark.parametrize(
    ("size", "frames"),
    [
        pytest.param((64, 64), [(64, 64), (51, 33)], marks=pytest.mark.slow),
        pytest.param((96, 320), [(96, 320), (95, 301), (37, 200)], marks=pytest.mark.slow),
        # 196 patches, as many as CLIP's own positions
        pytest.param((224, 224), [(224, 224), (224, 201)], marks=pytest.mark.slow),
        ((288, 512), [(288, 512), (288, 499), (77, 131)]),
        pytest.param((512, 288), [(512, 288), (511, 288)], marks=pytest.mark.slow),
        pytest.param((480, 640), [(480, 640), (720, 961)], marks=pytest.mark.slow),
        pytest.param((640, 1024), [(640, 1024), (639, 1000)], marks=pytest.mark.slow),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_the_graph_answers_as_published(
    tiny: Deop,
    embeddings: TextEmbeddings,
    tmp_path: Path,
    size: tuple[int, int],
    frames: list[tuple[int, int]],
) -> None:
    loaded = LoadedModel(family_export("deop"), tiny, VOCABULARY, embeddings, size)
    rejection = Rejection("none").fit(len(VOCABULARY))
    graph = loaded.freeze(rejection, OUTPUTS)
    images = [render_street(seed=5, height=h, width=w).image for h, w in frames]
    metadata = graph_metadata(describe(loaded, rejection=rejection, outputs=OUTPUTS), VOCABULARY)
    first = torch.from_numpy(images[0])[None]
    traced = trace(graph, first, outputs=OUTPUTS, metadata=metadata)
    onnx_ir.save(traced, tmp_path / "deop.onnx")
    for image, found in zip(images, run_graph(tmp_path / "deop.onnx", images), strict=True):
        with torch.inference_mode():
            expected = loaded.family.published_scores(loaded, torch.from_numpy(image), None).numpy()
        error = np.linalg.norm(found["scores"][0] - expected) / np.linalg.norm(expected)
        assert error < MAX_ERROR, image.shape
        second, best = np.sort(expected, axis=0)[-2:]
        counted = (best > COUNTED) & (best - second > APART * best)
        assert counted.mean() > 0.9
        equal = found["labels"][0] == expected.argmax(0)
        assert equal[counted].mean() >= MIN_LABELS, image.shape
