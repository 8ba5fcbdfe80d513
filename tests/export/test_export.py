"""Exporting a bundle: what is in it, what it answers, and what is refused."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.errors import (  # noqa: E402
    BundleError,
    CheckpointError,
    EdgeOvssError,
    OutputError,
    ParityError,
    UsageError,
    VocabularyError,
)
from edge_ovss.export import ExportOptions, Rejection, export_bundle  # noqa: E402
from edge_ovss.frames.images import write_picture  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.runtime import Bundle, Segmenter  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402

WORDS = ["road", "sky", "building", "car", "tree", "person", "fence", "pole", "window, windowpane"]
FORBIDDEN = {"Loop", "If", "NonZero", "ScatterND", "ScatterElements", "Compress", "Unique"}


def _options(**changes: Any) -> ExportOptions:  # noqa: ANN401
    return ExportOptions(**{"weights": "random", "size": (96, 128), **changes})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Export sed-tiny with small pictures, once for every set of options."""
    folder = tmp_path_factory.mktemp("exported")
    done: dict[str, Bundle] = {}

    def export(**changes: Any) -> Bundle:  # noqa: ANN401
        key = repr(sorted(changes.items()))
        if key not in done:
            vocabulary = Vocabulary.from_names(changes.pop("words", WORDS))
            out = folder / f"{len(done)}.ovss"
            done[key] = export_bundle(vocabulary, out, _options(**changes))
        return done[key]

    return export


ALL_OUTPUTS = ("labels", "scores", "confidence")
DYNAMIC, SLOTS = Rejection("dynamic", topk=2), Rejection("slots", topk=2)
# An export takes ten seconds: one mode stands for the others, which the whole suite exports.
MODES = [
    pytest.param(SLOTS, id="slots"),
    pytest.param(DYNAMIC, id="dynamic", marks=pytest.mark.slow),
    pytest.param(Rejection("none"), id="none", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("rejection", MODES)
@pytest.mark.parametrize("size", [(1, 1), (31, 47), (360, 480)], ids=str)
def test_bundle_answers_as_torch_does(
    exported: Callable[..., Bundle], rejection: Rejection, size: tuple[int, int]
) -> None:
    bundle = exported(rejection=rejection, outputs=ALL_OUTPUTS)
    model = load_model("sed-tiny", weights="random")
    vocabulary = Vocabulary.from_names(WORDS)
    frame = render_street(seed=3, height=360, width=480).image[: size[0], : size[1]]
    x = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    spec = model.spec.picture
    x = (x - torch.tensor(spec.mean).view(1, 3, 1, 1)) / torch.tensor(spec.std).view(1, 3, 1, 1)
    x = torch.nn.functional.interpolate(x, (96, 128), mode="bilinear")
    with torch.inference_mode():
        scores = model(x, model.encode_text(vocabulary))[0].sigmoid()
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(frame)
    assert result.labels.shape == size
    assert result.scores is not None
    if rejection.mode == "none":
        assert np.allclose(result.scores, scores.numpy(), atol=1e-5)
        resized = torch.nn.functional.interpolate(scores[None], size, mode="bilinear")[0]
        assert (result.labels == resized.argmax(0).numpy()).mean() >= 0.999
        assert result.confidence is not None
        assert np.allclose(result.confidence, resized.max(0).values.numpy(), atol=1e-5)
        assert list(result.counts) == [len(WORDS)] * 3
    else:
        alive = set(result.alive.tolist())
        assert set(np.unique(result.labels).tolist()) <= alive
        assert all(bool(result.scores[t].any()) == (t in alive) for t in range(len(WORDS)))


@pytest.mark.slow
def test_dynamic_and_slots_with_room_agree(exported: Callable[..., Bundle]) -> None:
    frame = render_street(seed=5, height=120, width=160).image
    answers = []
    for rejection in (DYNAMIC, SLOTS):
        with Segmenter.open(exported(rejection=rejection, outputs=ALL_OUTPUTS)) as segmenter:
            answers.append(segmenter.segment(frame))
    dynamic, slots = answers
    assert dynamic.counts.tolist() == slots.counts.tolist()
    assert dynamic.alive.tolist() == slots.alive.tolist()
    assert dynamic.scores is not None
    assert slots.scores is not None
    assert np.allclose(dynamic.scores, slots.scores, atol=1e-6)
    assert (dynamic.labels == slots.labels).mean() >= 0.999


@pytest.mark.slow
def test_too_little_room_is_counted_and_still_answers(exported: Callable[..., Bundle]) -> None:
    roomy = exported(rejection=DYNAMIC, outputs=ALL_OUTPUTS)
    tight = exported(rejection=Rejection("slots", topk=2, slots=(4, 3, 2)))
    frame = render_street(seed=5, height=120, width=160).image
    with Segmenter.open(roomy) as a, Segmenter.open(tight) as b:
        free, full = a.segment(frame), b.segment(frame)
    assert free.counts[0] > 4
    assert full.counts[0] == free.counts[0]
    assert full.overflow
    assert not free.overflow
    assert len(full.alive) == 2
    assert set(np.unique(full.labels).tolist()) <= set(full.alive.tolist())


@pytest.mark.parametrize("rejection", [MODES[0], MODES[2]])
def test_static_graph_has_only_operators_that_tensorrt_takes(
    exported: Callable[..., Bundle], rejection: Rejection
) -> None:
    bundle = exported(rejection=rejection, outputs=ALL_OUTPUTS)
    model = onnx.load(str(bundle.graph_path), load_external_data=False)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & FORBIDDEN
    assert {domain.domain for domain in model.opset_import} <= {"", "ai.onnx"}
    assert not model.functions
    readers = [node.op_type for node in model.graph.node if "frame" in node.input]
    assert set(readers) <= {"Cast", "Shape"}


def test_graph_says_what_it_is_and_nothing_of_the_machine(exported: Callable[..., Bundle]) -> None:
    bundle = exported(rejection=SLOTS, outputs=ALL_OUTPUTS)
    model = onnx.load(str(bundle.graph_path), load_external_data=False)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["edge_ovss.names"]) == WORDS
    assert json.loads(facts["edge_ovss.vocabulary"])["sha256"] == bundle.vocabulary.sha256
    assert b"site-packages" not in bundle.graph_path.read_bytes()
    assert not any(node.metadata_props for node in model.graph.node)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert any(name.startswith("visual.trunk.stages.0") for name in names)


def test_text_tower_is_not_in_the_bundle_and_embeddings_are_there_once(
    exported: Callable[..., Bundle],
) -> None:
    bundle = exported(rejection=SLOTS, outputs=ALL_OUTPUTS)
    model = load_model("sed-tiny", weights="random")
    picture = sum(p.numel() for p in model.clip_model.visual.parameters())
    decoder = sum(p.numel() for p in model.transformer.parameters())
    text = len(WORDS) * 80 * model.clip_model.text_projection.shape[1]
    size = sum(entry.bytes for name, entry in bundle.manifest.files.items() if "model" in name)
    # The graph itself is about 150 kB, whatever the weights.
    assert size <= 1.1 * 4 * (picture + decoder + text)


@pytest.mark.slow
def test_many_outputs_need_sixteen_bits(exported: Callable[..., Bundle]) -> None:
    words = [f"thing {i}" for i in range(256)]
    bundle = exported(words=words, rejection=Rejection("slots", topk=2, slots=(16, 16, 16)))
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(render_street(seed=5, height=64, width=64).image)
    assert result.labels.dtype == np.uint16
    assert len(result.names) == 256


@pytest.mark.slow
def test_many_prompts_share_an_output(tmp_path: Path) -> None:
    bundle = export_bundle("voc20b", tmp_path / "b.ovss", _options(rejection=Rejection("none")))
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(render_street(seed=5, height=64, width=64).image)
    assert len(result.names) == 21
    assert int(result.labels.max()) <= 20
    assert result.alive.tolist() == list(range(59))


@pytest.mark.slow
def test_embedding_pack_replaces_the_text_tower(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_names(WORDS)
    model = load_model("sed-tiny", weights="random")
    pack = tmp_path / "words.npz"
    model.encode_text(vocabulary).save(pack)
    a = export_bundle(vocabulary, tmp_path / "a.ovss", _options())
    b = export_bundle(vocabulary, tmp_path / "b.ovss", _options(embeddings=pack))
    assert a.manifest.files["model.onnx.data"] == b.manifest.files["model.onnx.data"]


def test_pack_of_other_words_or_another_tower_is_refused(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_names(WORDS)
    pack = tmp_path / "words.npz"
    embeddings = load_model("sed-tiny", weights="random").encode_text(vocabulary)
    embeddings.save(pack)
    with pytest.raises(VocabularyError):
        export_bundle("camvid", tmp_path / "a.ovss", _options(embeddings=pack))
    half = embeddings.array[:, :, ::2]
    half = half / np.linalg.norm(half, axis=-1, keepdims=True)
    TextEmbeddings(
        half.astype(np.float32), vocabulary.prompts, vocabulary.sha256, "x", "other", "y"
    ).save(pack)
    with pytest.raises(VocabularyError, match="other"):
        export_bundle(vocabulary, tmp_path / "a.ovss", _options(embeddings=pack))
    assert list(tmp_path.glob("*a.ovss*")) == []


def _state(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    model = load_model("sed-tiny", weights="random")
    prefix = "sem_seg_head.predictor."
    return {prefix + name: value.clone() for name, value in model.state_dict().items()} | changes


@pytest.mark.parametrize("wrap", [True, False], ids=["under-model", "bare"])
def test_both_published_checkpoint_layouts_load(tmp_path: Path, wrap: bool) -> None:
    path = tmp_path / "sed.pth"
    torch.save({"model": _state(), "iteration": 1} if wrap else _state(), path)
    model = load_model("sed-tiny", checkpoint=path)
    expected = load_model("sed-tiny", weights="random").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert model.origin.source == "checkpoint"
    assert model.origin.file == "sed.pth"


def _damage_missing(state: dict[str, Any]) -> None:
    del state["sem_seg_head.predictor.transformer.head1.bias"]


def _damage_unexpected(state: dict[str, Any]) -> None:
    state["sem_seg_head.predictor.transformer.head9.bias"] = torch.zeros(1)


def _damage_shape(state: dict[str, Any]) -> None:
    state["sem_seg_head.predictor.transformer.head1.bias"] = torch.zeros(2)


def _damage_value(state: dict[str, Any]) -> None:
    state["sem_seg_head.predictor.transformer.head1.bias"][0] = float("nan")


DAMAGES = [
    (_damage_missing, "missing: transformer.head1.bias"),
    (_damage_unexpected, "unexpected: transformer.head9.bias"),
    (_damage_shape, r"a different shape: transformer.head1.bias \(2,\) instead of \(1,\)"),
    (_damage_value, r"not finite \(NaN or infinity\): transformer.head1.bias"),
]


@pytest.mark.parametrize(("damage", "text"), DAMAGES, ids=lambda v: getattr(v, "__name__", ""))
def test_checkpoint_that_does_not_fit_is_named(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None], text: str
) -> None:
    state = _state()
    damage(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=text):
        load_model("sed-tiny", checkpoint=tmp_path / "x.pth")


def test_unreadable_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(_state(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint at all"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"x\.pth"):
            load_model("sed-tiny", checkpoint=path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="list"):
        load_model("sed-tiny", checkpoint=path)
    with pytest.raises(CheckpointError, match="not a file"):
        load_model("sed-tiny", checkpoint=tmp_path / "missing.pth")


def test_checkpoint_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"model": Trap()}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError):
        load_model("sed-tiny", checkpoint=tmp_path / "x.pth")
    assert not (tmp_path / "executed").exists()


def test_no_network_is_said_clearly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="cannot be fetched") as caught:
        load_model("sed-base", checkpoint="https://localhost:9/sed_base.pth")
    assert "--weights random" in str(caught.value)
    assert not list(tmp_path.rglob("*.part"))


def test_clip_towers_come_through_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the download: what open_clip returns goes into the towers, whole."""
    from edge_ovss.models.sed import build, clip_weights

    numbers = dataclasses.replace(build.VARIANTS["sed-tiny"], clip_pretrained="some_tag")
    monkeypatch.setitem(build.VARIANTS, "sed-tiny", numbers)
    other = load_model("sed-tiny", weights="random", seed=5).clip_model
    stand_in = SimpleNamespace(create_model=lambda name, pretrained: other)
    monkeypatch.setattr(clip_weights, "import_open_clip", lambda: stand_in)
    model = load_model("sed-tiny", weights="clip", seed=0)
    assert torch.equal(model.clip_model.text_projection, other.text_projection)
    expected = load_model("sed-tiny", weights="random", seed=0).transformer.conv1.weight
    assert torch.equal(model.transformer.conv1.weight, expected)
    assert model.origin.file == "convnext_base_w_320/some_tag"


def test_clip_without_a_network_or_a_clip_is_said_clearly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edge_ovss.models.sed import build, clip_weights

    with pytest.raises(UsageError, match="published CLIP"):
        load_model("sed-tiny", weights="clip")
    numbers = dataclasses.replace(build.VARIANTS["sed-tiny"], clip_pretrained="some_tag")
    monkeypatch.setitem(build.VARIANTS, "sed-tiny", numbers)

    def unreachable(name: str, pretrained: str) -> None:
        message = "no route to host"
        raise ConnectionError(message)

    stand_in = SimpleNamespace(create_model=unreachable)
    monkeypatch.setattr(clip_weights, "import_open_clip", lambda: stand_in)
    with pytest.raises(CheckpointError, match="no route to host") as caught:
        load_model("sed-tiny", weights="clip")
    assert "--weights random" in str(caught.value)


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"rejection": {"slots": (4, 8, 4), "topk": 2}}, "must not grow"),
    ({"rejection": {"slots": (4, 4, 1), "topk": 2}}, r"at least 2 \(--topk\)"),
    ({"rejection": {"topk": 0}}, "at least 1"),
    ({"rejection": {"topk": 10}}, "9 categories"),
    ({"rejection": {"mode": "some"}}, "--reject is 'some'"),
    ({"rejection": {"mode": "none", "slots": (4, 4, 4)}}, "Slots"),
    ({"size": (100, 128)}, "multiples of 32"),
    ({"size": (0, 32)}, "multiples of 32"),
    ({"outputs": ("labels", "logits")}, "expected 'labels'"),
    ({"outputs": ("scores",)}, "expected 'labels'"),
    ({"model": "sed-bse"}, "sed-base"),
    ({"model": "sed-base", "weights": None}, "needs weights"),
    ({"checkpoint": "x.pth"}, "are both given"),
]


@pytest.mark.parametrize(("changes", "text"), BAD_OPTIONS, ids=lambda v: str(v)[:40])
def test_wrong_options_are_refused_and_leave_nothing(
    tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    def export() -> None:
        if "rejection" in changes:
            options = _options(rejection=Rejection(**changes["rejection"]))
        else:
            options = _options(**changes)
        export_bundle(Vocabulary.from_names(WORDS), tmp_path / "x.ovss", options)

    with pytest.raises(UsageError, match=text):
        export()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_graph_that_departs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_ovss.export import graph_files

    real = graph_files.run_graph

    def broken(*args: Any, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        return [{**a, "labels": (a["labels"] + 1) % 9} for a in real(*args, **more)]

    monkeypatch.setattr(graph_files, "run_graph", broken)
    with pytest.raises(ParityError, match="differs from torch") as caught:
        export_bundle(Vocabulary.from_names(WORDS), tmp_path / "x.ovss", _options())
    assert list(tmp_path.iterdir()) == []
    message = caught.value.message
    assert "{" not in message
    assert "frame 1 of 2 (a drawn street, 480x640)" in message
    assert "expected at least 99.9 %" in message
    named = [name for name in WORDS if f"'{name}'" in message]
    assert len(named) >= 2


@pytest.mark.parametrize(
    "failure",
    [pytest.param(KeyboardInterrupt(), marks=pytest.mark.slow), OSError(errno.ENOSPC, "full")],
    ids=repr,
)
def test_interrupted_or_full_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    from edge_ovss.export import graph_files

    def fail(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise failure

    monkeypatch.setattr(graph_files, "run_graph", fail)
    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        export_bundle(Vocabulary.from_names(WORDS), tmp_path / "x.ovss", _options())
    assert list(tmp_path.iterdir()) == []


def test_changed_byte_is_noticed(exported: Callable[..., Bundle], tmp_path: Path) -> None:
    import shutil

    source = exported(rejection=SLOTS, outputs=ALL_OUTPUTS).path
    copy = tmp_path / "copy.ovss"
    shutil.copytree(source, copy)
    data = bytearray((copy / "model.onnx.data").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "model.onnx.data").write_bytes(data)
    with pytest.raises(BundleError, match=r"model\.onnx\.data"):
        Bundle.open(copy)


def test_slots_are_measured_on_the_pictures_of_a_list(tmp_path: Path) -> None:
    from edge_ovss.export.slots import measure_counts

    for name, seed in (("a", 1), ("b", 2)):
        write_picture(tmp_path / f"{name}.png", render_street(seed, 48, 64).image)
    (tmp_path / "list.txt").write_text("b.png\n# a comment\n\na.png\n")
    seen: list[tuple[int, ...]] = []

    def probe(frame: Any) -> tuple[Any, ...]:  # noqa: ANN401
        seen.append(tuple(frame.shape))
        return None, None, torch.tensor([len(seen), 2, 1])

    graph: Any = probe
    counts = measure_counts(graph, str(tmp_path / "list.txt"))
    assert counts.tolist() == [[1, 2, 1], [2, 2, 1]]
    assert seen == [(1, 48, 64, 3)] * 2


def test_errors_have_a_status() -> None:
    statuses = {kind.status for kind in EdgeOvssError.__subclasses__()}
    assert statuses == {2, 3, 4, 5, 6}
