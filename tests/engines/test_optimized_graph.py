"""The graph that ONNX Runtime optimized is kept, used where it fits, and never anywhere else."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.engines import optimize
from edge_ovss.engines.optimize import optimize_graphs
from edge_ovss.errors import OutputError, ParityError, UsageError
from edge_ovss.runtime.backends import optimized_graph, ort
from edge_ovss.runtime.backends.optimized_graph import GRAPH, RECORD, WEIGHTS, processor_name
from edge_ovss.runtime.segmenter import Segmenter

MakeBundle = Callable[..., Path]

FRAME = np.arange(60 * 90 * 3, dtype=np.uint32).reshape(60, 90, 3).astype(np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test."""
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "optimized"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders from which sessions are loaded."""
    names: list[str] = []
    original = ort.open_session

    def open_session(runtime: Any, path: Path, **options: Any) -> Any:  # noqa: ANN401
        session = original(runtime, path, **options)
        assert options["is_optimized"] == (path.parent.parent.name == "optimized")
        names.append(path.parent.name)
        return session

    monkeypatch.setattr(ort, "open_session", open_session)
    return names


def labels(path: Path) -> Any:  # noqa: ANN401
    with Segmenter.open(path, backend="onnxruntime", threads=1) as segmenter:
        return segmenter.segment(FRAME).labels


def test_a_kept_graph_of_a_model_gives_the_same_labels(
    tiny_bundle: Path, tmp_path: Path, loaded: list[str]
) -> None:
    path = shutil.copytree(tiny_bundle, tmp_path / "a.ovss")
    before = labels(path)
    (kept,) = optimize_graphs(Bundle.open(path))
    assert not kept.reused
    assert set(kept.graph.files) == {GRAPH, WEIGHTS}
    assert {each.name for each in kept.graph.folder.iterdir()} == {GRAPH, WEIGHTS, RECORD}
    assert kept.graph.size > 1 << 20
    after = labels(path)
    assert loaded == ["a.ovss", kept.graph.folder.name]
    np.testing.assert_array_equal(before, after)
    text = (kept.graph.folder / GRAPH).read_bytes()
    assert b"com.microsoft" in text  # it is what the optimizers leave


def test_it_is_made_once(make_bundle: MakeBundle, loaded: list[str]) -> None:
    path = make_bundle()
    (first,) = optimize_graphs(Bundle.open(path))
    (again,) = optimize_graphs(Bundle.open(path))
    assert again.reused
    assert again.graph == first.graph
    (made,) = optimize_graphs(Bundle.open(path), overwrite=True)
    assert not made.reused
    (first.graph.folder / GRAPH).write_bytes(b"damaged")
    (made,) = optimize_graphs(Bundle.open(path))
    assert not made.reused
    labels(path)
    assert loaded == [made.graph.folder.name]


@pytest.mark.parametrize("damage", ["graph", "record", "key", "owner", "gone", "not JSON"])
def test_what_cannot_be_used_is_said_and_left_aside(
    make_bundle: MakeBundle, loaded: list[str], caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = make_bundle()
    before = labels(path)
    (kept,) = optimize_graphs(Bundle.open(path))
    folder = kept.graph.folder
    document = json.loads((folder / RECORD).read_text())
    if damage == "graph":
        content = bytearray((folder / GRAPH).read_bytes())
        content[-1] ^= 1
        (folder / GRAPH).write_bytes(bytes(content))
    elif damage == "record":
        del document["files"][GRAPH]
        (folder / RECORD).write_text(json.dumps(document))
    elif damage == "key":
        document["key"]["library"] = "0.1"
        (folder / RECORD).write_text(json.dumps(document))
    elif damage == "owner":
        (folder / GRAPH).chmod(0o666)
    elif damage == "gone":
        (folder / GRAPH).unlink()
    else:
        (folder / RECORD).write_text("[]")
    loaded.clear()
    with caplog.at_level(logging.WARNING):
        after = labels(path)
    assert loaded == ["tiny.ovss"]
    assert "The graph is optimized anew." in caplog.text
    np.testing.assert_array_equal(before, after)


def test_without_a_cache_there_is_nothing_to_keep(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, loaded: list[str]
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    path = make_bundle()
    with pytest.raises(UsageError, match="EDGE_OVSS_CACHE is empty"):
        optimize_graphs(Bundle.open(path))
    labels(path)
    assert loaded == ["tiny.ovss"]


def test_a_bundle_cannot_bring_its_own(
    make_bundle: MakeBundle, cache: Path, loaded: list[str]
) -> None:
    path = make_bundle()
    optimize_graphs(Bundle.open(path))
    (path / "engines").mkdir()
    (kept,) = cache.iterdir()
    kept.rename(path / "engines" / kept.name)
    labels(path)
    assert loaded == ["tiny.ovss"]


def test_changed_weights_are_refused_before_any_frame(
    tiny_bundle: Path, tmp_path: Path, loaded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = shutil.copytree(tiny_bundle, tmp_path / "a.ovss")
    before = labels(path)
    (kept,) = optimize_graphs(Bundle.open(path))
    place = kept.graph.folder / WEIGHTS
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 64
    place.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        after = labels(path)
    assert loaded[-1] == "a.ovss"
    assert f"{WEIGHTS} has been changed" in caplog.text
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("what", ["library", "processor", "graph"])
def test_a_graph_for_something_else_is_not_looked_at(
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    loaded: list[str],
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    import onnxruntime

    path = make_bundle()
    optimize_graphs(Bundle.open(path))
    if what == "library":
        monkeypatch.setattr(onnxruntime, "__version__", "99.0")
    elif what == "processor":
        monkeypatch.setattr(optimized_graph, "processor_name", lambda: "another")
    else:
        path = make_bundle("other.ovss", outputs=5)
    with caplog.at_level(logging.WARNING):
        labels(path)
    assert loaded == [path.name]
    assert not caplog.text


def test_a_graph_that_gives_something_else_is_not_kept(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    path = make_bundle()
    answers = iter([{"labels": np.zeros(3)}, {"labels": np.ones(3)}])
    monkeypatch.setattr(optimize, "_answer", lambda *_: next(answers))
    with pytest.raises(ParityError, match="gives other labels than"):
        optimize_graphs(Bundle.open(path))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(make_bundle: MakeBundle, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("in the way")
    with pytest.raises(OutputError):
        optimize_graphs(Bundle.open(make_bundle()))


def test_the_processor_is_known_by_what_it_can_do(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"

    def name(text: str) -> str:
        cpuinfo.write_text(text)
        return processor_name(cpuinfo)

    one = name("processor\t: 0\nmodel name\t: A\nflags\t\t: fpu sse avx2\ncpu MHz\t\t: 3000\n")
    assert one == name("processor\t: 0\nmodel name\t: B\nflags\t\t: avx2 fpu sse\ncpu MHz\t\t: 2\n")
    assert one != name("processor\t: 0\nflags\t\t: fpu sse avx2 avx512f\n")
    arm = name("processor\t: 0\nFeatures\t: fp asimd\n")
    assert arm != name("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert processor_name(tmp_path / "gone") == processor_name(tmp_path / "gone")


def test_the_verb_keeps_it_and_inspect_lists_it(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    path = make_bundle()
    assert main(["build", str(path), "--backend", "onnxruntime", "--json"]) == 0
    (written,) = json.loads(capsys.readouterr().out)["graphs"]
    assert not written["reused"]
    assert Path(written["folder"]).parent == cache
    assert main(["build", str(path), "--backend", "onnxruntime"]) == 0
    assert "already there" in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["engines"] == []
    (listed,) = document["optimized_graphs"]
    assert listed["files"] == written["files"]
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "optimized graph" in out
    assert listed["folder"] in out


@pytest.mark.parametrize(
    "options", [["--size", "48x64"], ["--tf32"], ["--allow-float", "1"], ["--timing-cache"]]
)
def test_options_of_engines_are_refused(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str], options: list[str], cache: Path
) -> None:
    path = make_bundle()
    assert main(["build", str(path), "--backend", "onnxruntime", *options]) == 2
    assert f"{options[0]} is for engines" in capsys.readouterr().err
    assert not cache.exists()
