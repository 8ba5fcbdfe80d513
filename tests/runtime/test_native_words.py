"""Open bundles in the C++ library: the answers of Python, before and after a change of words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.errors import EdgeOvssError, UsageError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.runtime.backends.native import NativeBackend, NativeLibrary, Options
from edge_ovss.runtime.rewording import change_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.words.editing import read_words

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
            with pytest.raises(UsageError, match="keeps the words"):
                theirs.set_words("road")
            assert theirs.names == bundle.vocabulary.outputs


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
