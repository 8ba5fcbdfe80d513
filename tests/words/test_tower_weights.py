"""Text towers with rounded weights: fewer bytes, and the error measured and told."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

import onnx
import onnx_ir
import onnxruntime
import torch

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.words.inputs import graph_text
from edge_ovss.cli import main
from edge_ovss.errors import EdgeOvssError, ParityError, UsageError, VocabularyError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.export.text_tower import tower_export
from edge_ovss.export.text_tower.stored_weights import store_weights, whole_numbers
from edge_ovss.export.text_tower.tower_export import export_text_tower
from edge_ovss.graph.model import load_graph
from edge_ovss.models import load_model
from edge_ovss.models.text import encode_prompts
from edge_ovss.runtime.rewording import change_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.words.editing import read_words, remove_words
from edge_ovss.words.encoding import WordSource
from edge_ovss.words.tower import TextTower
from edge_ovss.words.tower_folder import GRAPH, WEIGHTS, read_facts

WORDS = "road; street, car, person, traffic light"
KINDS = ("fp16", "int8")
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401
    model = load_model("sed-tiny")
    with torch.no_grad():  # the weights that the package carries are in float16 already
        for weight in model.text_clip.parameters():
            weight.mul_(1.0003)
    return model


@pytest.fixture(scope="module")
def reference(model: Any) -> TextEmbeddings:  # noqa: ANN401
    found: TextEmbeddings = model.encode_text(Vocabulary.load(WORDS))
    return found


@pytest.fixture(scope="module")
def towers(
    model: Any,  # noqa: ANN401
    reference: TextEmbeddings,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("towers")
    made = {
        kind: export_text_tower(model, root / kind, weights=kind, reference=reference)
        for kind in KINDS
    }
    return {"fp32": export_text_tower(model, root / "fp32"), **made}


def rounded(model: Any, prompts: list[str], kind: str) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """Encode prompts with torch, in float32, by weights that are rounded as they are stored."""
    clip = copy.deepcopy(model.text_clip)
    with torch.no_grad():
        for name, weight in clip.named_parameters():
            if weight.ndim != 2 or name == "positional_embedding" or name.startswith("visual"):
                continue
            if kind == "fp16":
                weight.copy_(weight.half().float())
                continue
            axis = 1 if name == "text_projection" else 0
            numbers, scales = whole_numbers(weight.numpy(), axis)
            shape = [1, 1]
            shape[axis] = -1
            weight.copy_(torch.from_numpy(numbers * scales.reshape(shape)))
    return encode_prompts(clip, prompts).numpy()


@pytest.mark.parametrize(("kind", "share"), [("fp16", 0.51), ("int8", 0.28)])
def test_fewer_bytes(towers: dict[str, Path], kind: str, share: float) -> None:
    def size(name: str) -> int:
        return (towers[name] / WEIGHTS).stat().st_size + (towers[name] / GRAPH).stat().st_size

    assert size(kind) < share * size("fp32")
    stated = read_facts(towers[kind]).bytes
    files = [path for path in towers[kind].iterdir() if path.name != "manifest.json"]
    assert stated == sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_is_what_was_measured(
    towers: dict[str, Path],
    reference: TextEmbeddings,
    kind: str,
) -> None:
    tower = TextTower(towers[kind], threads=1)
    found = tower.encode_vocabulary(Vocabulary.load(WORDS))
    off = found.array - reference.array
    relative = np.sqrt((off**2).sum(-1) / (reference.array**2).sum(-1))
    error = tower.info.error
    assert error is not None
    assert error.largest == pytest.approx(relative.max(), rel=1e-3)
    assert error.mean == pytest.approx(relative.mean(), rel=1e-3)
    assert 1e-4 < error.mean < error.largest < (5e-3 if kind == "fp16" else 8e-2)
    assert (error.words, error.vocabulary) == (4, "custom")
    assert found.tower_weights == tower.info.precision == kind


@pytest.mark.parametrize("kind", KINDS)
def test_only_weights_are_rounded(
    towers: dict[str, Path],
    model: Any,  # noqa: ANN401
    kind: str,
) -> None:
    prompts = ["a photo of a road.", "forklift", "a " * 100]
    found = TextTower(towers[kind], threads=1).encode_prompts(prompts)
    wanted = rounded(model, prompts, kind)
    assert np.linalg.norm(found - wanted, axis=-1).max() <= 1e-5


def test_whole_numbers_are_within_half_a_scale() -> None:
    array = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    array[:, 3] = 0
    for axis in (0, 1):
        numbers, scales = whole_numbers(array, axis)
        scales = scales.reshape((-1, 1) if axis == 0 else (1, -1))
        assert (np.abs(numbers * scales - array) <= scales * 0.5001).all()
        assert np.abs(numbers).max() == 127


def test_float32_is_as_it_was(
    towers: dict[str, Path],
    model: Any,  # noqa: ANN401
) -> None:
    folder = towers["fp32"]
    document = json.loads((folder / "manifest.json").read_text())
    assert document["precision"] == "fp32"
    assert "error" not in document
    found = load_graph(folder / GRAPH)
    values = found.graph.initializers.values()
    weights = {int(each.dtype) for each in values}
    assert weights == {1, 7}  # float32, and int64 for sizes
    size = sum(each.const_value.nbytes for each in values if int(each.dtype) == 1)
    numbers = [
        each.numel()
        for name, each in model.text_clip.named_parameters()
        if not name.startswith(("visual", "logit_scale"))
    ]
    assert size >= 4 * sum(numbers)


def small_graph(table: np.ndarray[Any, Any], factor: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401
    """Tokens to rows of a table, times a matrix."""
    nodes = [
        onnx.helper.make_node("Gather", ["table", "tokens"], ["rows"]),
        onnx.helper.make_node("MatMul", ["rows", "factor"], ["embeddings"]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, [2, 3]),
        onnx.helper.make_tensor_value_info("embeddings", onnx.TensorProto.FLOAT, [2, 3, 6]),
    ]
    arrays = {"table": table, "factor": factor}
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    opset = onnx.helper.make_opsetid("", 20)
    return onnx_ir.from_proto(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_float16_does_not_hold_stay_in_float32(kind: str) -> None:
    rng = np.random.default_rng(0)
    table, factor = (rng.normal(size=s).astype(np.float32) for s in ((40, 8), (8, 6)))
    factor *= 1e6
    model = small_graph(table, factor)
    assert store_weights(model, kind) == (1 if kind == "fp16" else 2)
    session = onnxruntime.InferenceSession(onnx_ir.to_proto(model).SerializeToString())
    tokens = np.array([[0, 3, 39], [7, 7, 1]])
    (found,) = session.run(None, {"tokens": tokens})
    assert np.allclose(found, table[tokens] @ factor, rtol=0, atol=2e-2 * np.abs(factor).max())
    kinds = {int(each.dtype) for each in model.graph.initializers.values()}
    assert kinds == ({1, 10} if kind == "fp16" else {1, 3})


def test_an_error_that_is_no_rounding_is_refused(
    model: Any,  # noqa: ANN401
    towers: dict[str, Path],
    reference: TextEmbeddings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(shutil.copytree(towers["int8"], tmp_path / "t"))
    manifest = json.loads((folder / "manifest.json").read_text())
    monkeypatch.setitem(tower_export._MOST_ERROR, "int8", 1e-3)
    with pytest.raises(ParityError, match="With int8 weights"):
        tower_export.measure_error(folder, manifest, reference)
    with pytest.raises(UsageError, match="'int4'; expected fp32, fp16 or int8"):
        export_text_tower(model, tmp_path / "x", weights="int4")


@pytest.mark.parametrize(
    "change",
    [{"precision": "int4"}, {"error": 3}, {"error": {"vocabulary": "a", "words": 1, "mean": 0}}],
)
def test_a_manifest_with_another_error_is_refused(
    towers: dict[str, Path], tmp_path: Path, change: dict[str, object]
) -> None:
    document = json.loads((towers["int8"] / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(EdgeOvssError, match=next(iter(change))):
        read_facts(tmp_path)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(
        size=(96, 128),
        rejection=Rejection("slots", slots=(10, 9, 8)),
        open_places=16,
        with_text_tower=True,
        tower_weights="int8",
        unknown="off",
    )
    place = tmp_path_factory.mktemp("rounded") / "a.ovss"
    return export_bundle("road, car, person", place, options).path


@pytest.fixture
def bundle(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    return Path(shutil.copytree(original, tmp_path / "a.ovss"))


def rounded_of(path: Path) -> object:
    return Bundle.open(path).manifest.rounded_words


def test_the_bundle_tells_which_words_were_encoded_so(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = str(tmp_path / "exact.npz")
    given = ["vocab", "encode", "tree; bush, moss", "--model", "sed-tiny", "--out", exact]
    assert main(given) == 0
    assert rounded_of(bundle) is None  # torch encoded the words of the export
    capsys.readouterr()
    assert main(["words", str(bundle), "--add", "tree; bush", "--json"]) == 0
    printed = capsys.readouterr()
    assert "int8 weights encoded 'tree; bush'" in printed.err
    assert rounded_of(bundle) == {"tree; bush": "int8"}
    assert main(["words", str(bundle), "list"]) == 0
    listed = capsys.readouterr().out
    assert "tree; bush  (int8 weights)" in listed
    assert "int8 weights, " in listed.splitlines()[-1]
    assert "(3 words of 'custom')" in listed.splitlines()[-1]
    assert main(["words", str(bundle), "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["tower_weights"] for each in document["words"]] == [*["fp32"] * 3, "int8"]
    assert document["text_tower"]["weights"] == "int8"
    assert document["text_tower"]["error"]["largest"] > 0
    assert main(["inspect", str(bundle)]) == 0
    printed = capsys.readouterr()
    assert "text tower in text_tower, int8 weights, " in printed.out
    assert "1 with int8 weights, the others with fp32" in printed.out
    assert main(["words", str(bundle), "--remove", "tree; bush"]) == 0
    assert rounded_of(bundle) is None
    # Encoded by torch: weights in float32.
    assert main(["words", str(bundle), "--add", "tree; bush, moss", "--embeddings", exact]) == 0
    assert rounded_of(bundle) is None
    assert main(["words", str(bundle), "--add", "sky"]) == 0
    assert rounded_of(bundle) == {"sky": "int8"}


def test_a_pack_tells_it_too(
    bundle: Path, towers: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack, plain = tmp_path / "sky.npz", tmp_path / "plain.npz"
    given = ["vocab", "encode", "sky, tree", "--tower"]
    assert main([*given, str(bundle / "text_tower"), "--out", str(pack), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tower_weights"] == "int8"
    assert "its tower has int8 weights" in printed.err
    assert TextEmbeddings.load(pack).tower_weights == "int8"
    assert main([*given, str(towers["fp32"]), "--out", str(plain)]) == 0
    assert b"tower_weights" not in plain.read_bytes()
    assert TextEmbeddings.load(plain).tower_weights == "fp32"
    change_words(bundle, lambda _: read_words("sky, tree"), WordSource(pack))
    assert rounded_of(bundle) == {"sky": "int8", "tree": "int8"}
    change_words(bundle, lambda old: remove_words(old, ["tree"]))
    assert rounded_of(bundle) == {"sky": "int8"}
    content = dict(np.load(pack))
    header = json.loads(content["header"].tobytes())
    for wrong in ("int4", 3, None):
        changed = json.dumps({**header, "tower_weights": wrong}).encode()
        np.savez(pack, **{**content, "header": np.frombuffer(changed, np.uint8)})
        with pytest.raises(VocabularyError, match="expected fp32, fp16 or int8"):
            TextEmbeddings.load(pack)


@pytest.mark.slow
def test_an_export_from_such_a_pack_says_so(original: Path, tmp_path: Path) -> None:
    pack = tmp_path / "words.npz"
    TextTower(original / "text_tower", threads=1).encode_vocabulary(
        Vocabulary.load("road, car")
    ).save(pack)
    options = ExportOptions(size=(96, 128), embeddings=pack, unknown="off")
    notes: list[str] = []
    out = export_bundle("road, car", tmp_path / "b.ovss", options, note=notes.append).path
    assert "a text tower with int8 weights made the embedding pack" in notes
    assert rounded_of(out) == {"road": "int8", "car": "int8"}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_those_of_float32(bundle: Path, towers: dict[str, Path], kind: str) -> None:
    words = Vocabulary.load("sky, building; house, tree, sidewalk, truck, bicycle")
    frames = [render_street(seed=seed, height=120, width=160).image for seed in range(4)]
    opened, labels = Bundle.open(bundle), []
    for name in ("fp32", kind):
        found = TextTower(towers[name], threads=1).encode_vocabulary(words)
        with Segmenter.open(opened, threads=1) as segmenter:
            segmenter.use_words(opened.with_words(words, graph_text(found.array, 80)))
            labels.append(np.stack([segmenter.segment(frame).labels for frame in frames]))
    assert len(np.unique(labels[0])) > 2
    assert (labels[0] == labels[1]).mean() >= (0.999 if kind == "fp16" else 0.98)


def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--out", str(tmp_path / "x")]
    export = ["export", "--vocab", "road, car", "--tower-weights", "int8"]
    for words, said in (
        ([*export, *place], "without --with-text-tower"),
        ([*export, "--with-text-tower", *place], "without --open"),
        (["vocab", "tower", "--model", "sed-tiny", "--vocab", "road", *place], "--vocab is given"),
    ):
        assert main(words) == UsageError.status
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_verb_writes_and_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t"
    given = ["vocab", "tower", "--model", "sed-tiny", "--tower-weights", "int8", "--vocab"]
    assert main([*given, "road, sea lion", "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["weights"] == "int8"
    assert document["error"]["words"] == 2
    info = read_facts(out)
    assert info.error is not None
    assert document["error"]["largest"] == info.error.largest
    digest = hashlib.sha256((out / WEIGHTS).read_bytes()).hexdigest()
    stated = json.loads((out / "manifest.json").read_text())["files"]
    assert stated[WEIGHTS]["sha256"] == digest
