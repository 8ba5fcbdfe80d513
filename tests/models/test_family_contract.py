"""One contract for every family: its tiny model, exported, answers as the graph contract says."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import ROOT

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
# Not importorskip: open_clip may be importable only through edge_ovss.models (see _open_clip.py).
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.cli import main  # noqa: E402
from edge_ovss.errors import VocabularyError  # noqa: E402
from edge_ovss.export import ExportOptions, export_bundle  # noqa: E402
from edge_ovss.export.families import EXPORTS, family_export  # noqa: E402
from edge_ovss.export.family import FamilyExport, LoadedModel  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.export.parity_check import relative_error  # noqa: E402
from edge_ovss.graph.model import load_graph  # noqa: E402
from edge_ovss.graph.walk import is_within  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.catalogue import (  # noqa: E402
    CATALOGUE,
    PUBLISHED,
    FamilyEntry,
    family_entry,
    list_models,
)
from edge_ovss.models.checkpoints.loading import recognize_family  # noqa: E402
from edge_ovss.models.families import FAMILIES, Family  # noqa: E402
from edge_ovss.runtime import Bundle, Segmenter  # noqa: E402
from edge_ovss.runtime.selftest import run_selftest  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402

WORDS = ["road", "sky", "building", "car, automobile", "tree", "person", "fence", "pole", "sign"]
SIZE = (96, 128)
FORBIDDEN = {
    "Loop",
    "If",
    "Scan",
    "NonZero",
    "ScatterND",
    "ScatterElements",
    "Compress",
    "Unique",
    "OneHot",
    "GridSample",
}
# Below this top score a label only records how floats underflow.
COUNTED = 1e-6

Export = Callable[[str], Bundle]


def _family(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


def _tiny(name: str) -> str:
    return f"{name}-tiny"


@pytest.fixture(params=[family.name for family in FAMILIES])
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export the tiny model of a family, once."""
    folder = tmp_path_factory.mktemp("families")
    done: dict[str, Bundle] = {}

    def export(name: str) -> Bundle:
        if name not in done:
            options = ExportOptions(
                model=_tiny(name),
                weights="random",
                size=SIZE,
                outputs=("labels", "scores", "confidence"),
            )
            vocabulary = Vocabulary.from_names(WORDS)
            done[name] = export_bundle(vocabulary, folder / f"{name}.ovss", options)
        return done[name]

    return export


def test_every_family_has_a_tiny_model_and_a_record(family: str) -> None:
    assert _tiny(family) in family_entry(family).models
    assert next(iter(family_entry(family).answers)) == PUBLISHED
    record = family_export(family)
    assert family_entry(family).compresses == (record.compress is not None)
    assert family_entry(family).compresses == (record.check_rank is not None)


def test_the_catalogue_lists_the_registered_families_and_what_they_build() -> None:
    assert [entry.name for entry in CATALOGUE] == [each.name for each in FAMILIES]
    assert [entry.name for entry in CATALOGUE] == [each.name for each in EXPORTS]
    for entry in CATALOGUE:
        build = importlib.import_module(f"edge_ovss.models.{entry.name}.build")
        assert set(build.VARIANTS) == set(entry.models)


@pytest.mark.parametrize("record", [FamilyEntry, Family, FamilyExport])
def test_the_guide_explains_every_field_of_a_record(record: type) -> None:
    guide = (ROOT / "docs/adding-a-family.md").read_text(encoding="utf-8")
    tables = "".join(line for line in guide.splitlines() if line.startswith("| `"))
    named = {"name", "title"}  # shown in the examples
    fields = {field.name for field in dataclasses.fields(record)} - named
    assert [name for name in sorted(fields) if f"`{name}`" not in tables] == []


@pytest.mark.parametrize(
    "entry", [entry for entry in CATALOGUE if entry.exact], ids=lambda entry: entry.name
)
def test_modules_that_stay_exact_are_those_of_the_graph(
    exported: Export, entry: FamilyEntry
) -> None:
    graph = load_graph(exported(entry.name).graph_path)
    missing = [each for each in entry.exact if not any(is_within(n, [each]) for n in graph.graph)]
    assert missing == []


def test_help_lists_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert all(model in shown for model in list_models())


def test_marks_recognize_only_their_own_family(family: str) -> None:
    model = load_model(_tiny(family), weights="random")
    names = [_family(family).prefix + name for name in model.state_dict()]
    assert recognize_family(names) == family


def test_random_weights_depend_only_on_the_seed(family: str) -> None:
    first, again, other = (
        load_model(_tiny(family), weights="random", seed=seed).state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.parametrize(
    "size", [(1, 1), (33, 1), (31, 47), (96, 128), (75, 400), (360, 480)], ids=str
)
def test_bundle_answers_as_published(exported: Export, family: str, size: tuple[int, int]) -> None:
    bundle = exported(family)
    model = load_model(_tiny(family), weights="random")
    vocabulary = Vocabulary.from_names(WORDS)
    frame = np.ascontiguousarray(
        render_street(seed=3, height=360, width=480).image[: size[0], : size[1]]
    )
    frame = np.pad(frame, ((0, 0), (0, size[1] - frame.shape[1]), (0, 0)), mode="reflect")
    rejection = bundle.manifest.rejection
    embeddings = model.encode_text(vocabulary)
    loaded = LoadedModel(family_export(family), model, vocabulary, embeddings, SIZE)
    topk = None if rejection.mode == "none" else rejection.topk
    with torch.inference_mode():
        published = loaded.family.published_scores(loaded, torch.from_numpy(frame), topk)
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(frame)
    assert result.labels.shape == size
    assert result.labels.dtype == np.uint8
    best, labels = published.max(0)
    counted = best.numpy() > COUNTED
    assert counted.mean() > 0.9
    assert (result.labels == labels.numpy())[counted].mean() >= 0.999
    assert result.confidence is not None
    assert np.allclose(result.confidence, best.clamp(max=1).numpy(), atol=1e-3)
    if family_export(family).scores_at_frame:
        assert result.scores is not None
        assert relative_error(result.scores, published.numpy()) < 1e-3


def test_counts_and_alive_name_categories(exported: Export, family: str) -> None:
    with Segmenter.open(exported(family)) as segmenter:
        result = segmenter.segment(render_street(seed=5, height=60, width=80).image)
    assert result.counts.shape == (3,)
    assert result.counts.dtype == np.int32
    assert set(result.alive.tolist()) <= set(range(len(WORDS)))
    if not family_entry(family).rejects:
        assert result.counts.tolist() == [len(WORDS)] * 3
        assert result.alive.tolist() == list(range(len(WORDS)))
    assert result.scores is not None
    assert result.scores.shape[0] == len(WORDS)
    at_frame = result.scores.shape[1:] == result.labels.shape
    assert at_frame == family_export(family).scores_at_frame


def test_bundle_passes_its_own_selftest(exported: Export, family: str) -> None:
    with Segmenter.open(exported(family)) as segmenter:
        assert run_selftest(segmenter).passed


def test_graph_has_only_operators_that_tensorrt_takes(exported: Export, family: str) -> None:
    model = onnx.load(str(exported(family).graph_path), load_external_data=False)
    assert FORBIDDEN.isdisjoint(node.op_type for node in model.graph.node)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    readers = [node.op_type for node in model.graph.node if "frame" in node.input]
    assert set(readers) <= {"Cast", "Shape"}
    assert 17 <= model.opset_import[0].version <= 20


def test_text_tower_is_not_in_the_graph(exported: Export, family: str) -> None:
    model = onnx.load(str(exported(family).graph_path), load_external_data=False)
    rows = {dimension for weight in model.graph.initializer for dimension in weight.dims}
    assert 49408 not in rows  # tokens of the text tower


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "range"])
def test_tensorrt_for_rtx_parses_and_builds(exported: Export, family: str, pinned: bool) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    parsed = parser.parse_from_file(str(exported(family).graph_path))
    assert parsed, [str(parser.get_error(i)) for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    capabilities = ("SM86", "SM89", "SM120")
    config.num_compute_capabilities = len(capabilities)
    for place, name in enumerate(capabilities):
        config.set_compute_capability(getattr(trt.ComputeCapability, name), place)
    profile = builder.create_optimization_profile()
    most = (1, 480, 640, 3)
    profile.set_shape("frame", most if pinned else (1, 32, 32, 3), most, most)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    assert plan.nbytes > 1_000_000


def test_embedding_pack_replaces_the_text_tower(family: str, tmp_path: Path) -> None:
    model = load_model(_tiny(family), weights="random")
    model.encode_text(Vocabulary.from_names(WORDS)).save(tmp_path / "pack.npz")
    options: dict[str, Any] = {"model": _tiny(family), "weights": "random"}
    other = next(each.name for each in FAMILIES if each.name != family)
    with pytest.raises(VocabularyError, match="expects"):
        export_bundle(
            Vocabulary.from_names(WORDS),
            tmp_path / "x.ovss",
            ExportOptions(**{**options, "model": _tiny(other)}, embeddings=tmp_path / "pack.npz"),
        )
    assert TextEmbeddings.load(tmp_path / "pack.npz").text_tower == _tiny(family)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack.npz"]


def test_a_pack_of_other_weights_is_said_to_be_one(family: str, tmp_path: Path) -> None:
    vocabulary, pack = Vocabulary.from_names(WORDS), tmp_path / "pack.npz"
    model = load_model(_tiny(family), weights="random", seed=1)
    embeddings = model.encode_text(vocabulary)
    assert embeddings.text_tower_sha256 == model.text_tower_sha256
    embeddings.save(pack)
    for seed, said in ((1, False), (2, True)):
        options = ExportOptions(model=_tiny(family), weights="random", seed=seed, embeddings=pack)
        notes: list[str] = []
        load_for_export(vocabulary, options, note=notes.append)
        assert any("made with other weights" in note for note in notes) == said
