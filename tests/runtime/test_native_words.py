"""Open bundles in the C++ library: the answers of Python, before and after a change of words."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.errors import ArtifactError, EdgeOvssError, UsageError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.export.loading import load_for_export
from edge_ovss.runtime.backends.native import (
    Frame,
    NativeBackend,
    NativeLibrary,
    NativeResult,
    Options,
)
from edge_ovss.runtime.rewording import change_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.words.editing import read_words
from edge_ovss.words.encoding import words_of_pack
from edge_ovss.words.tower import TextTower

FRAME = render_street(seed=3, height=120, width=160).image


def _instead(chosen: Vocabulary, _: Vocabulary) -> Vocabulary:
    return chosen


@pytest.fixture(scope="module")
def original(native_library: NativeLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(
        size=(96, 128),
        rejection=Rejection("slots", slots=(10, 9, 8)),
        open_places=16,
        with_text_tower=True,
        small_slots=(8, 8, 8),
        outputs=("labels", "scores"),
    )
    folder = tmp_path_factory.mktemp("native-words")
    return export_bundle("road, car, person", folder / "a.ovss", options).path


def test_the_library_answers_as_python_does(
    original: Path, native_library: NativeLibrary, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(original, tmp_path / "a.ovss"))
    for words in (None, "sky", ", ".join(f"thing {number}" for number in range(14)) + ", road"):
        if words is not None:
            chosen = read_words(words)
            change_words(path, partial(_instead, chosen))
        bundle = Bundle.open(path)
        backend = NativeBackend(bundle, threads=1, library=native_library.path).open()
        with Segmenter.open(bundle, threads=1) as ours, Segmenter(bundle, backend) as theirs:
            assert run_selftest(theirs)
            for unknown in ("off", 0.4):
                mine, wanted = (
                    theirs.segment(FRAME, unknown=unknown),
                    ours.segment(FRAME, unknown=unknown),
                )
                assert np.array_equal(mine.labels, wanted.labels)
                assert mine.alive.tolist() == wanted.alive.tolist()
                assert mine.counts.tolist() == wanted.counts.tolist()
                assert mine.scores is not None
                assert wanted.scores is not None
                assert np.array_equal(mine.scores, wanted.scores)
            assert theirs.names == bundle.vocabulary.outputs


def same_answers(ours: Segmenter, theirs: Segmenter, **options: Any) -> None:  # noqa: ANN401
    wanted, found = ours.segment(FRAME, **options), theirs.segment(FRAME, **options)
    assert found.names == wanted.names
    for name in ("labels", "alive", "counts", "scores"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


def test_words_change_between_frames_as_they_do_in_python(
    original: Path, native_library: NativeLibrary
) -> None:
    bundle = Bundle.open(original)
    backend = NativeBackend(bundle, threads=1, library=native_library.path).open()
    with Segmenter.open(bundle, threads=1) as ours, Segmenter(bundle, backend) as theirs:
        for words in ("sky", "road, sky; heaven, tree", ", ".join(f"thing {n}" for n in range(16))):
            ours.set_words(words)
            theirs.set_words(words)
            same_answers(ours, theirs)
            same_answers(ours, theirs, unknown=0.3)
        with pytest.raises(UsageError, match="16 places"):
            theirs.set_words(", ".join(f"thing {n}" for n in range(17)))
        same_answers(ours, theirs)


def test_a_backend_opens_with_the_words_that_it_is_given(
    original: Path, native_library: NativeLibrary
) -> None:
    with Segmenter.open(original, threads=1) as ours:
        ours.set_words("sky, tree, fence")
        backend = NativeBackend(ours.bundle, threads=1, library=native_library.path).open()
        with Segmenter(ours.bundle, backend) as theirs:
            same_answers(ours, theirs)


@pytest.fixture(scope="module")
def pack(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("packs") / "a.npz"
    words = read_words("road, sky; heaven, tree, lift truck")
    TextTower(original / "text_tower", threads=1).encode_vocabulary(words).save(found)
    return found


def labels_of(library: NativeLibrary, session: int) -> NDArray[np.uint8]:
    height, width = FRAME.shape[:2]
    frame = Frame(data=FRAME.ctypes.data, data_size=FRAME.nbytes, height=height, width=width)
    labels = np.empty((height, width), np.uint8)
    library.segment(
        session, frame, NativeResult(labels=labels.ctypes.data, labels_capacity=labels.nbytes)
    )
    return labels


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_library_reads_packs(
    original: Path, native_library: NativeLibrary, pack: Path, tmp_path: Path, dtype: type
) -> None:
    content = dict(np.load(pack))
    given = tmp_path / "b.npz"
    np.savez(given, **{**content, "embeddings": content["embeddings"].astype(dtype)})
    session = native_library.open(original, Options(threads=1))
    try:
        native_library.set_words(session, given)
        labels = labels_of(native_library, session)
        with pytest.raises(UsageError, match="reference answer is of those before"):
            native_library.selftest(session)
    finally:
        native_library.close(session)
    with Segmenter.open(original, threads=1) as segmenter:
        words = words_of_pack(segmenter.bundle, given)
        assert words.prompts == ("road", "sky; heaven", "tree", "lift truck")
        segmenter.set_words(words, embeddings=given)
        assert np.array_equal(segmenter.segment(FRAME).labels, labels)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["san-tiny", "deop-tiny"])
def test_packs_of_families_with_one_vector_for_a_word(
    model: str, native_library: NativeLibrary, tmp_path: Path
) -> None:
    options = ExportOptions(model=model, weights="random", size=(96, 128), open_places=16)
    words = read_words("road, sky; heaven, tree, lift truck")
    loaded = load_for_export(read_words("car, person"), options)
    loaded.model.encode_text(words).save(tmp_path / "a.npz")
    bundle = export_bundle("car, person", tmp_path / "a.ovss", options)
    session = native_library.open(bundle.path, Options(threads=1))
    native_library.set_words(session, tmp_path / "a.npz")
    labels = labels_of(native_library, session)
    native_library.close(session)
    with Segmenter.open(bundle, threads=1) as segmenter:
        segmenter.set_words(words, embeddings=tmp_path / "a.npz")
        assert np.array_equal(segmenter.segment(FRAME).labels, labels)


def test_words_change_while_another_thread_segments(
    original: Path, native_library: NativeLibrary, pack: Path, tmp_path: Path
) -> None:
    other = tmp_path / "b.npz"
    many = read_words(", ".join(f"thing {n}" for n in range(9)))  # which need the first graph
    TextTower(original / "text_tower", threads=1).encode_vocabulary(many).save(other)
    session = native_library.open(original, Options(threads=1))
    expected = []
    for given in (pack, other):
        native_library.set_words(session, given)
        expected.append(labels_of(native_library, session).tobytes())
    seen: list[bytes] = []
    stop = threading.Event()

    def frames() -> None:
        while not stop.is_set():
            seen.append(labels_of(native_library, session).tobytes())

    thread = threading.Thread(target=frames)
    thread.start()
    for turn in range(20):
        native_library.set_words(session, (pack, other)[turn % 2])
    stop.set()
    thread.join()
    native_library.close(session)
    assert set(seen) <= set(expected)
    assert len(set(expected)) == 2


def test_a_graph_that_does_not_load_leaves_the_words_as_they_were(
    original: Path, native_library: NativeLibrary, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(original, tmp_path / "a.ovss"))
    given = tmp_path / "b.npz"
    many = read_words(", ".join(f"thing {n}" for n in range(9)))
    TextTower(original / "text_tower", threads=1).encode_vocabulary(many).save(given)
    session = native_library.open(path, Options(threads=1))
    before = labels_of(native_library, session)
    graph = (path / "model.onnx").rename(tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        native_library.set_words(session, given)
    assert np.array_equal(labels_of(native_library, session), before)
    assert native_library.selftest(session).agreement == 1.0  # its words are still those
    graph.rename(path / "model.onnx")
    native_library.set_words(session, given)
    native_library.close(session)


def test_packs_that_do_not_fit_are_refused(
    original: Path, native_library: NativeLibrary, pack: Path, tmp_path: Path
) -> None:
    content = dict(np.load(pack))
    header = json.loads(content["header"].tobytes())
    given = tmp_path / "b.npz"
    session = native_library.open(original, Options(threads=1))
    for changed, said in (
        ({"text_tower_sha256": "0" * 64}, "other text tower"),
        ({"templates_sha256": "0" * 64}, "other templates"),
        ({"vocabulary_sha256": "0" * 64}, "other words than its vocabulary"),
        ({"prompts": ["road"]}, "other words than its vocabulary"),
        ({"vocabulary": None}, "does not hold its vocabulary"),
        ({"vocabulary": 3}, "not a vocabulary"),
    ):
        document = json.dumps({**header, **changed}).encode()
        np.savez(given, **{**content, "header": np.frombuffer(document, np.uint8)})
        with pytest.raises(EdgeOvssError, match=said):
            native_library.set_words(session, given)
    given.write_bytes(pack.read_bytes()[:-400])
    with pytest.raises(EdgeOvssError, match="no embedding pack, or it is damaged"):
        native_library.set_words(session, given)
    native_library.set_words(session, pack)  # and nothing is lost
    native_library.close(session)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["open"].update(places=0),
        lambda document: document["open"].update(places=2),
        lambda document: document["open"].update(least=17),
        lambda document: document["open"].update(prompts=81),
        lambda document: document["open"].update(file="nowhere.f32"),
        lambda document: document["open"].update(made_by="me"),
        lambda document: document.pop("open"),
        lambda document: document["output"].update(labels_dtype="uint16"),
        lambda document: document["files"]["words.f32"].update(bytes=4),
    ],
)
def test_both_refuse_what_does_not_fit(
    original: Path,
    native_library: NativeLibrary,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    path = Path(shutil.copytree(original, tmp_path / "a.ovss"))
    document = json.loads((path / "manifest.json").read_text())
    change(document)
    (path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(EdgeOvssError):
        Bundle.open(path)
    with pytest.raises(EdgeOvssError):
        native_library.open(path, Options())


def test_both_refuse_embeddings_that_are_no_numbers(
    original: Path, native_library: NativeLibrary, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(original, tmp_path / "a.ovss"))
    file = path / "words.f32"
    numbers = np.fromfile(file, "<f4")
    numbers[7] = np.inf
    numbers.tofile(file)
    for open_it in (
        lambda: Bundle.open(path, verify=False),
        lambda: native_library.open(path, Options(skip_hashes=1)),
    ):
        with pytest.raises(EdgeOvssError, match="not finite"):
            open_it()
