"""The small graph of an open bundle: the answers of the first, with fewer slots to compute."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.words.inputs import graph_text
from edge_ovss.cli import main
from edge_ovss.cli.words import _meanings, _Measured
from edge_ovss.engines.optimize import optimize_graphs
from edge_ovss.errors import EdgeOvssError, UsageError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.export.loading import load_for_export
from edge_ovss.export.other_graphs import fit_small
from edge_ovss.metrics.label_comparison import compare_by_scores
from edge_ovss.runtime.backends import create_backend
from edge_ovss.runtime.backends.ort import CpuBackend
from edge_ovss.runtime.rewording import Reworded, change_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.builtin import load_builtin
from edge_ovss.words.encoding import WordSource

FRAMES = [render_street(seed=s, height=120, width=160).image for s in (4, 11)]
SMALL, SLOTS, PLACES = (8, 8, 8), (14, 12, 12), 24
OPTIONS = ExportOptions(
    size=(96, 128),
    rejection=Rejection("slots", slots=SLOTS),
    open_places=PLACES,
    small_slots=SMALL,
    outputs=("labels", "scores"),
)
Capture = pytest.CaptureFixture[str]


def words(count: int, first: int = 0) -> Vocabulary:
    prompts = load_builtin("ade150").prompts[first : first + count]
    return Vocabulary.from_names(list(prompts))


def export(out: Path) -> Bundle:
    # More words than the small graph has slots: it is compared with torch on the first of them.
    return export_bundle(words(11), out, OPTIONS)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tmp_path_factory.mktemp("small") / "a.ovss")


@pytest.fixture(scope="module")
def embeddings() -> NDArray[np.float32]:
    """Embeddings of 24 words."""
    array: NDArray[np.float32] = (
        load_for_export(words(1), OPTIONS).model.encode_text(words(PLACES)).array
    )
    return array


def reworded(bundle: Bundle, embeddings: NDArray[np.float32], count: int) -> Bundle:
    return bundle.with_words(words(count), graph_text(embeddings[:count], embeddings.shape[1]))


def _instead(chosen: Vocabulary, _: Vocabulary) -> Vocabulary:
    return chosen


def running(segmenter: Segmenter) -> str:
    return str(segmenter._backend.bundle.graph_path.name)


@pytest.fixture(scope="module")
def pair(bundle: Bundle) -> Iterator[tuple[Segmenter, Segmenter]]:
    """Return the bundle as it is opened, and with its first graph whatever the words are."""
    backend = create_backend("onnxruntime", bundle, threads=1).open()
    with Segmenter.open(bundle, threads=1) as ours, Segmenter(bundle, backend) as first:
        yield ours, first


def test_it_shares_the_weights_and_says_its_slots(bundle: Bundle) -> None:
    small = bundle.small()
    assert small is not None
    assert bundle.manifest.rejection.slots == SLOTS
    assert small.manifest.rejection.slots == SMALL
    assert small.manifest.open is not None
    assert small.manifest.open.least == SMALL[0]
    assert small.graph.external_data == bundle.graph.external_data == ("model.onnx.data",)
    sizes = {name: entry.bytes for name, entry in bundle.manifest.files.items()}
    assert sizes["small.onnx"] < 0.1 * sizes["model.onnx.data"]


@pytest.mark.parametrize("count", [1, 5, 8])
def test_it_answers_as_the_first_graph_does(
    pair: tuple[Segmenter, Segmenter],
    bundle: Bundle,
    embeddings: NDArray[np.float32],
    count: int,
) -> None:
    ours, theirs = pair
    changed = reworded(bundle, embeddings, count)
    for each in pair:
        each.use_words(changed)
    assert (running(ours), running(theirs)) == ("small.onnx", "model.onnx")
    assert ours._backend.words is not None
    assert ours._backend.words["text"].shape[0] == SMALL[0]
    for frame in FRAMES:
        mine, wanted = ours.segment(frame), theirs.segment(frame)
        assert mine.slots == wanted.slots == SLOTS
        assert mine.alive.tolist() == wanted.alive.tolist()
        assert mine.counts.tolist() == wanted.counts.tolist()
        assert mine.scores is not None
        assert wanted.scores is not None
        assert mine.scores.shape == wanted.scores.shape
        np.testing.assert_allclose(mine.scores, wanted.scores, atol=2e-5, rtol=0)
        compared, _ = compare_by_scores(
            mine.labels, wanted.labels, wanted.scores, changed.vocabulary
        )
        assert compared.agreement == 1.0
        assert (mine.labels == wanted.labels).mean() >= 0.9999


def test_words_cross_the_line_up_and_down(bundle: Bundle, embeddings: NDArray[np.float32]) -> None:
    with Segmenter.open(bundle, threads=1) as segmenter:
        assert running(segmenter) == "model.onnx"
        assert segmenter._graphs.small is not None
        assert not segmenter._graphs.small._is_open  # nothing needed it yet
        backends = set()
        for count in (9, 8, 24, 3, 8, 9):
            changed = reworded(bundle, embeddings, count)
            segmenter.use_words(changed)
            backends.add(id(segmenter._backend))
            assert running(segmenter) == ("small.onnx" if count <= 8 else "model.onnx")
            found = segmenter.segment(FRAMES[0])
            with Segmenter.open(changed, threads=1) as fresh:
                wanted = fresh.segment(FRAMES[0])
            assert np.array_equal(found.labels, wanted.labels)
            assert np.array_equal(found.scores, wanted.scores)  # type: ignore[arg-type]
        assert len(backends) == 2  # both are kept


def test_a_graph_that_does_not_load_leaves_the_old_words_running(
    bundle: Bundle, embeddings: NDArray[np.float32], tmp_path: Path
) -> None:
    opened = Bundle.open(shutil.copytree(bundle.path, tmp_path / "a.ovss"))
    for start, other, file in ((11, 3, "small.onnx"), (3, 11, "model.onnx")):
        before = reworded(opened, embeddings, start)
        with Segmenter.open(before, threads=1) as segmenter:
            wanted = segmenter.segment(FRAMES[0])
            hidden = (opened.path / file).rename(tmp_path / file)
            with pytest.raises(EdgeOvssError):
                segmenter.use_words(reworded(opened, embeddings, other))
            assert segmenter.bundle is before
            assert segmenter.names == before.vocabulary.outputs
            assert np.array_equal(segmenter.segment(FRAMES[0]).labels, wanted.labels)
            hidden.rename(opened.path / file)
            segmenter.use_words(reworded(opened, embeddings, other))  # and nothing is lost
            assert len(segmenter.names) == other


def test_the_reference_answer_is_made_by_the_graph_that_runs(
    bundle: Bundle,
    embeddings: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path(shutil.copytree(bundle.path, tmp_path / "a.ovss"))
    ran: list[str] = []
    loaded: list[str] = []
    real, loading = Segmenter.segment, CpuBackend._open_impl

    def note(self: Segmenter, *given: Any, **options: Any) -> Any:  # noqa: ANN401
        ran.append(running(self))
        return real(self, *given, **options)

    def load(self: CpuBackend) -> None:
        loaded.append(self.bundle.graph_path.name)
        loading(self)

    monkeypatch.setattr(Segmenter, "segment", note)
    monkeypatch.setattr(CpuBackend, "_open_impl", load)
    pack = tmp_path / "a.npz"
    for count in (4, 10):
        chosen = words(count)
        load_for_export(words(1), OPTIONS).model.encode_text(chosen).save(pack)
        changed = change_words(path, partial(_instead, chosen), WordSource(pack, None, 1)).bundle
        assert changed.reference().alive.shape == (SLOTS[-1],)
        with Segmenter.open(changed, threads=1) as segmenter:
            assert run_selftest(segmenter)
    # Nothing is loaded but the graph that the new words need.
    assert ran == loaded == ["small.onnx", "small.onnx", "model.onnx", "model.onnx"]


@pytest.mark.parametrize(
    ("count", "added", "removed", "said"),
    [(9, 1, 0, "take longer"), (8, 0, 1, "take less time"), (8, 1, 0, None), (10, 1, 0, None)],
)
def test_a_change_of_words_says_that_another_graph_runs(
    bundle: Bundle,
    embeddings: NDArray[np.float32],
    count: int,
    added: int,
    removed: int,
    said: str | None,
) -> None:
    new = reworded(bundle, embeddings, count)
    found = Reworded(new, ("a",) * added, ("b",) * removed, ())
    texts = [text for text in _meanings(found, _Measured()) if "small graph" in text]
    assert len(texts) == (said is not None)
    assert said is None or said in texts[0]


@pytest.mark.parametrize(
    ("slots", "count", "topk", "expected"),
    [
        ((76, 72, 72), 3, 8, 20),
        ((76, 72, 72), 20, 8, 20),
        ((76, 72, 72), 30, 8, 34),
        ((76, 72, 72), 150, 8, 20),
        ((64, 48, 32), 20, 8, 20),
        ((64, 48, 32), 22, 8, 20),
        ((76, 72, 72), 3, 25, 25),
        ((24, 24, 24), 3, 8, None),
        ((20, 20, 20), 20, 8, None),
    ],
)
def test_the_default_is_for_few_words_or_those_of_the_export(
    slots: tuple[int, int, int], count: int, topk: int, expected: int | None
) -> None:
    options = ExportOptions(open_places=256)
    found = fit_small(options, Rejection("slots", topk=topk, slots=slots), words=count)
    assert found == (
        None if expected is None else Rejection("slots", topk=topk, slots=(expected,) * 3)
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"open_places": None}, "frozen"),
        ({"small_slots": (24, 24, 24)}, "less room than the 14,12,12"),
        ({"small_slots": SLOTS}, "less room than the 14,12,12"),
        ({"small_slots": (13, 13, 8)}, "less room than the 14,12,12"),
        ({"small_slots": (7, 7, 7)}, "at least 8"),
        ({"small_slots": (8, 9, 9)}, "must not grow"),
        ({"small_slots": "some"}, "three numbers or 'none'"),
        ({"rejection": Rejection("none")}, "no slots"),
        ({"model": "san-tiny", "rejection": None}, "no slots"),
    ],
)
def test_small_slots_that_make_no_sense_leave_nothing(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    from dataclasses import replace

    out = tmp_path / "a.ovss"
    with pytest.raises(UsageError, match=said):
        export_bundle(words(9), out, replace(OPTIONS, **given))
    assert not out.exists()


@pytest.mark.parametrize("given", [{"small_slots": "none"}, {"open_places": None}])
def test_there_is_none_where_none_is_wanted(given: dict[str, Any]) -> None:
    options = ExportOptions(**{"open_places": 256, **given})
    assert fit_small(options, Rejection("slots", slots=(76, 72, 72)), words=20) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--small-slots", "20"], "three numbers or 'none'"),
        (["--small-slots", "20,20,20"], "frozen"),
        (["--open", "64", "--small-slots", "9,9,9", "--precision", "fp16"], "float32"),
    ],
)
def test_small_slots_on_the_command_line(
    given: list[str], said: str, tmp_path: Path, capsys: Capture
) -> None:
    calibration = ["--calibration", "synthetic://street?count=2"] if "fp16" in given else []
    out = ["--out", str(tmp_path / "a.ovss")]
    assert main(["export", "--vocab", "road, car", *given, *calibration, *out]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_calibrated_bundle_has_none(bundle: Bundle, tmp_path: Path) -> None:
    from edge_ovss.calibration import CalibrateOptions, calibrate_bundle

    options = CalibrateOptions("fp16", "synthetic://street?count=2&size=96x128")
    done = calibrate_bundle(bundle, tmp_path / "half.ovss", options)
    assert done.bundle.manifest.graph.small is None
    assert "small.onnx" not in done.bundle.manifest.files
    assert any("small graph" in warning for warning in done.warnings)


def test_both_graphs_are_kept_as_onnxruntime_optimizes_them(
    bundle: Bundle,
    embeddings: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def labels(count: int, name: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        words = reworded(bundle, embeddings, count)
        with Segmenter.open(words, backend="onnxruntime", threads=1) as segmenter:
            assert running(segmenter) == name
            return segmenter.segment(FRAMES[0]).labels

    cases = ((5, "small.onnx"), (PLACES, "model.onnx"))
    before = [labels(*case) for case in cases]
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    found = optimize_graphs(bundle)
    assert len({each.graph.folder for each in found}) == 2
    assert all(each.reused for each in optimize_graphs(bundle))
    for case, expected in zip(cases, before, strict=True):
        np.testing.assert_array_equal(labels(*case), expected)
