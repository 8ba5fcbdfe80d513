"""Graphs whose words are inputs: the labels of a frozen export with the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch: Any = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from edge_ovss.bundle.reader import Bundle  # noqa: E402
from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.bundle.words.inputs import graph_text  # noqa: E402
from edge_ovss.errors import BundleError, UsageError, VocabularyError  # noqa: E402
from edge_ovss.export import ExportOptions, export_bundle  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.metrics.label_comparison import compare_by_scores  # noqa: E402
from edge_ovss.runtime.segmenter import Segmenter  # noqa: E402
from edge_ovss.runtime.selftest import run_selftest  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

SIZE = (96, 128)
PLACES = 24
SLOTS = (16, 12, 10)
NAMES = Vocabulary.load("ade150").prompts
FRAMES = [render_street(seed=seed, height=120, width=160).image for seed in (3, 4)]
# What is exported and how; the weights of the small models but sed-tiny are random.
KINDS: dict[str, dict[str, Any]] = {
    "sed-tiny": {"rejection": Rejection("slots", slots=SLOTS)},
    "sed-tiny-none": {"rejection": Rejection("none")},
    "san-tiny": {"weights": "random"},
    "san-tiny-fast": {"weights": "random", "answer": "fast"},
    "deop-tiny": {"weights": "random"},
}

Exported = Callable[..., Bundle]


def words(count: int, first: int = 0) -> Vocabulary:
    return Vocabulary.from_names(NAMES[first : first + count])


def options(kind: str, **more: Any) -> ExportOptions:  # noqa: ANN401
    model = "-".join(kind.split("-")[:2])
    return ExportOptions(
        model=model, size=SIZE, outputs=("labels", "scores"), unknown="off", **KINDS[kind], **more
    )


@cache
def model_of(kind: str) -> Any:  # noqa: ANN401
    return load_for_export(words(1), options(kind)).model


def encode(kind: str, vocabulary: Vocabulary) -> NDArray[np.float32]:
    array: NDArray[np.float32] = model_of(kind).encode_text(vocabulary).array
    return array


def reworded(bundle: Bundle, kind: str, vocabulary: Vocabulary) -> Bundle:
    assert bundle.manifest.open is not None
    text = graph_text(encode(kind, vocabulary), bundle.manifest.open.prompts)
    return bundle.with_words(vocabulary, text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("open")


@pytest.fixture(scope="module")
def opened(folder: Path) -> Callable[[str], Bundle]:
    made: dict[str, Bundle] = {}

    def find(kind: str) -> Bundle:
        if kind not in made:
            given = options(kind, open_places=PLACES)
            made[kind] = export_bundle(words(9), folder / f"{kind}-open.ovss", given)
        return made[kind]

    return find


def same_answers(given: Bundle, frozen: Bundle) -> None:
    with (
        Segmenter.open(given, threads=1) as ours,
        Segmenter.open(frozen, threads=1) as theirs,
    ):
        for frame in FRAMES:
            mine, wanted = ours.segment(frame), theirs.segment(frame)
            assert mine.names == wanted.names
            assert mine.alive.tolist() == wanted.alive.tolist()
            assert mine.counts.tolist() == wanted.counts.tolist()
            assert mine.scores is not None
            assert wanted.scores is not None
            np.testing.assert_allclose(mine.scores, wanted.scores, atol=2e-5, rtol=0)
            compared, _ = compare_by_scores(
                mine.labels,
                wanted.labels,
                wanted.scores,
                frozen.vocabulary,
                thresholds=theirs.thresholds(),
            )
            assert compared.counted > 0.5
            assert compared.agreement >= 0.9999


@pytest.mark.parametrize("kind", ["sed-tiny", pytest.param("san-tiny", marks=pytest.mark.slow)])
def test_an_open_bundle_gives_the_labels_of_a_frozen_one(
    kind: str, opened: Callable[[str], Bundle], folder: Path
) -> None:
    bundle = opened(kind)
    with Segmenter.open(bundle.path, threads=1) as segmenter:
        assert run_selftest(segmenter)
    frozen = export_bundle(words(9), folder / f"{kind}-9.ovss", options(kind))
    same_answers(bundle, frozen)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("count", [1, 3, 17, PLACES])
def test_any_number_of_words_gives_the_labels_of_a_frozen_export(
    kind: str, count: int, opened: Callable[[str], Bundle], folder: Path
) -> None:
    vocabulary = words(count, first=30)
    frozen = export_bundle(vocabulary, folder / f"{kind}-f{count}.ovss", options(kind))
    same_answers(reworded(opened(kind), kind, vocabulary), frozen)


def test_ten_changes_in_a_row_leave_no_trace(opened: Callable[[str], Bundle]) -> None:
    bundle, kind = opened("sed-tiny"), "sed-tiny"
    with Segmenter.open(bundle, threads=1) as segmenter:
        before = segmenter.segment(FRAMES[0])
        for turn, count in enumerate((1, 24, 3, 17, 8, 2, 24, 11, 5, 20)):
            changed = reworded(bundle, kind, words(count, first=7 * turn))
            segmenter.use_words(changed)
            found = segmenter.segment(FRAMES[0])
            assert found.names == changed.vocabulary.outputs
            assert int(found.alive.max()) < count
            with Segmenter.open(changed, threads=1) as fresh:
                assert np.array_equal(found.labels, fresh.segment(FRAMES[0]).labels)
        segmenter.use_words(bundle)
        after = segmenter.segment(FRAMES[0])
    assert np.array_equal(before.labels, after.labels)
    assert before.scores is not None
    assert after.scores is not None
    assert np.array_equal(before.scores, after.scores)


@pytest.mark.parametrize("kind", ["sed-tiny", pytest.param("san-tiny", marks=pytest.mark.slow)])
def test_how_many_empty_places_a_graph_sees_changes_nothing(
    kind: str, opened: Callable[[str], Bundle]
) -> None:
    bundle = opened(kind)
    with Segmenter.open(bundle, threads=1) as segmenter:
        few = segmenter.segment(FRAMES[0])
        segmenter._backend.words = bundle.word_inputs(rows=PLACES)
        full = segmenter.segment(FRAMES[0])
        # What is in an empty place is not looked at.
        noisy = dict(bundle.word_inputs(rows=PLACES) or {})
        noisy["text"][9:] = noisy["text"][0]
        segmenter._backend.words = noisy
        odd = segmenter.segment(FRAMES[0])
    assert np.array_equal(few.labels, full.labels)
    assert few.alive.tolist() == full.alive.tolist() == odd.alive.tolist()
    assert np.array_equal(odd.labels, full.labels)
    assert few.scores is not None
    assert full.scores is not None
    np.testing.assert_allclose(few.scores, full.scores, atol=1e-6)


def test_words_may_share_an_output(opened: Callable[[str], Bundle], tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    rows = [("road", "ground"), ("sidewalk", "ground"), ("sky", "sky"), ("building", "rest")]
    text = "".join(f'[[category]]\ntext = "{a}"\noutput = "{b}"\n' for a, b in rows)
    path.write_text(text, encoding="utf-8")
    vocabulary = Vocabulary.load(path)
    bundle = reworded(opened("sed-tiny"), "sed-tiny", vocabulary)
    with Segmenter.open(bundle, threads=1) as segmenter:
        found = segmenter.segment(FRAMES[0])
    assert found.names == ("ground", "sky", "rest")
    assert int(found.labels.max()) < 3


def test_thresholds_of_unknown_go_with_the_words(opened: Callable[[str], Bundle]) -> None:
    bundle = reworded(opened("sed-tiny"), "sed-tiny", words(4))
    with Segmenter.open(bundle, threads=1, unknown=1.0) as segmenter:
        assert (segmenter.segment(FRAMES[0]).labels == 255).all()
        segmenter.use_words(reworded(bundle, "sed-tiny", words(20)))
        assert (segmenter.segment(FRAMES[0]).labels == 255).all()


def test_more_words_than_places_are_refused(
    opened: Callable[[str], Bundle], tmp_path: Path
) -> None:
    bundle = opened("sed-tiny")
    many = words(PLACES + 1)
    text = np.ones((PLACES + 1, 80, 128), np.float32)
    with pytest.raises(UsageError, match=f"25 words, and the bundle has {PLACES} places"):
        bundle.with_words(many, text)
    with pytest.raises(VocabularyError, match="the graph takes"):
        bundle.with_words(words(3), text[:2])
    for places in (8, 5000):
        with pytest.raises(UsageError, match=f"--open is {places}; expected 9"):
            export_bundle(words(9), tmp_path / "x.ovss", ExportOptions(open_places=places))


@pytest.mark.parametrize(
    "given",
    [{"template_rank": 8}, {"rejection": Rejection("dynamic")}],
    ids=["template-rank", "dynamic"],
)
def test_options_that_need_frozen_words_are_refused(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--open"):
        export_bundle(words(9), tmp_path / "x.ovss", ExportOptions(open_places=16, **given))


def test_a_text_tower_is_of_no_use_to_frozen_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without --open"):
        export_bundle(words(9), tmp_path / "x.ovss", ExportOptions(with_text_tower=True))


def test_a_frozen_bundle_keeps_its_words(opened: Callable[[str], Bundle]) -> None:
    bundle = opened("sed-tiny")
    frozen = replace(bundle, manifest=replace(bundle.manifest, open=None))
    with pytest.raises(UsageError, match="frozen") as caught:
        frozen.with_words(words(3), np.ones((3, 80, 128), np.float32))
    assert "export --open" in str(caught.value.hint)


def test_what_was_measured_with_other_words_is_of_another_bundle(
    opened: Callable[[str], Bundle],
) -> None:
    from edge_ovss.bundle.identity import answer_hash, graph_hash, is_of_graph
    from edge_ovss.tune.checks import identity
    from edge_ovss.tune.subject import Subject

    bundle = opened("sed-tiny")
    assert bundle.text is not None
    renamed = bundle.with_words(words(len(bundle.text), 9), bundle.text)
    encoded = bundle.with_words(bundle.vocabulary, -bundle.text)
    runs = [
        identity(Subject(vocab="camvid"), None, None, [each], {})
        for each in (bundle, renamed, encoded)
    ]
    assert runs[1] != runs[0] != runs[2]
    for other in (renamed, encoded):
        assert graph_hash(other) == graph_hash(bundle)  # engines do not depend on words
        assert not is_of_graph(other, answer_hash(bundle))
        assert not is_of_graph(other, graph_hash(bundle))
    assert is_of_graph(bundle, answer_hash(bundle))


@pytest.mark.parametrize(
    ("name", "content"),
    [("short", b"\0" * 8), ("nan", None)],
)
def test_damaged_embeddings_are_refused(
    opened: Callable[[str], Bundle], name: str, content: bytes | None, tmp_path: Path
) -> None:
    from edge_ovss.bundle.words.inputs import read_words

    info = opened("sed-tiny").manifest.open
    assert info is not None
    path = tmp_path / name
    path.write_bytes(content or np.full((9, 80, 128), np.nan, "<f4").tobytes())
    with pytest.raises(BundleError, match=r"words\.f32"):
        read_words(path, info, 9)


def _sections() -> Sequence[tuple[str, Any]]:
    return [("places", 0), ("places", 10**9), ("least", 25), ("prompts", 81), ("width", "x")]


@pytest.mark.parametrize(("key", "value"), _sections())
def test_a_manifest_that_does_not_fit_its_graph_is_refused(
    opened: Callable[[str], Bundle], key: str, value: object, tmp_path: Path
) -> None:
    import json
    import shutil

    copy = tmp_path / "copy.ovss"
    shutil.copytree(opened("sed-tiny").path, copy)
    document = json.loads((copy / "manifest.json").read_text())
    document["open"][key] = value
    (copy / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(Exception, match=key if key != "prompts" else r"words\.f32"):
        Bundle.open(copy)
