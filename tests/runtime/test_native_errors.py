"""The C++ library and the Python runtime refuse the same things, with the same kinds of error."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_mutants import add_metadata, all_mutants

from edge_ovss._version import VERSION
from edge_ovss.bundle.onnx_reader.operators import ALLOWED, FREE_SIZE
from edge_ovss.cli import main
from edge_ovss.errors import (
    ArtifactError,
    BundleError,
    GateError,
    MissingDependencyError,
    PictureError,
    UsageError,
)
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.backends import native
from edge_ovss.runtime.backends.native import Frame, NativeLibrary, Options

pytest.importorskip("onnxruntime")

RUNTIME = Path(__file__).resolve().parents[2] / "runtime"
MakeBundle = Callable[..., Path]


@pytest.fixture(autouse=True)
def _all_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare doctor the import of torch, of which test_import_check.py is."""
    monkeypatch.setattr("edge_ovss.doctor.import_check.import_problems", lambda _: {})


@pytest.fixture
def library(native_library: NativeLibrary) -> NativeLibrary:
    return native_library


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def drop(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


def required(document: dict[str, Any], *, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key of a manifest, but for what is free in form."""
    paths = []
    for key, value in document.items():
        paths.append((*above, key))
        if isinstance(value, dict) and key not in {"licenses", "parity", "versions", "scores"}:
            paths += required(value, above=(*above, key))
    return paths


def test_both_refuse_the_same_manifests(library: NativeLibrary, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(extras=["scores"])
    whole = (bundle / "manifest.json").read_text()
    verdicts = []
    for path in required(json.loads(whole)):
        for change in (drop(*path), _wrong(*path)):
            edit(bundle, change)
            verdicts.append((path, _refusal(Bundle.open, bundle)))
            by_library = _refusal(lambda b: library.close(library.open(b, Options())), bundle)
            assert (verdicts[-1][1] is None) == (by_library is None), (path, verdicts[-1][1])
            (bundle / "manifest.json").write_text(whole)
    assert sum(verdict is not None for _, verdict in verdicts) > 100


def test_both_refuse_the_same_spoiled_bundles(
    library: NativeLibrary, make_bundle: MakeBundle
) -> None:
    assert _judged_differently(library, make_bundle, every=60) == []


@pytest.mark.slow
def test_both_refuse_the_same_thousands_of_spoiled_bundles(
    library: NativeLibrary, make_bundle: MakeBundle
) -> None:
    assert _judged_differently(library, make_bundle, every=1) == []


def _judged_differently(
    library: NativeLibrary, make_bundle: MakeBundle, *, every: int
) -> list[tuple[str, str | None, str | None]]:
    """Return the mutants that one of the two opens, with what each says."""
    whole = make_bundle(spare=[5, 5, 5], small=[3, 3, 3], unknown=[0.5])
    add_metadata(whole)
    library.close(library.open(whole, Options()))
    different = []
    for mutant in all_mutants(whole)[::every]:
        copy = whole.parent / "mutant" / "mutant.ovss"
        shutil.copytree(whole, copy)
        mutant.change(copy)
        start = time.monotonic()
        given = _refusal(lambda b: library.close(library.open(b, Options())), copy)
        assert time.monotonic() - start < 10, mutant.name
        expected = _refusal(Bundle.open, copy)
        # The library opens the graph too, and ONNX Runtime knows more of it.
        same = (given is None) == (expected is None) or "cannot load" in (given or "")
        if not same or (mutant.refused and given is None and expected is None):
            different.append((mutant.name, given, expected))
        shutil.rmtree(copy.parent)
    return different


def test_both_allow_the_same_operators() -> None:
    source = (RUNTIME / "src" / "operators.cpp").read_text()
    allowed, free = re.findall(r"kAllowed\{(.*?)\};.*?kFreeSize\{(.*?)\};", source, re.DOTALL)[0]
    assert re.findall(r'"(\w+)"', allowed) == sorted(ALLOWED)
    assert re.findall(r'"(\w+)"', free) == sorted(FREE_SIZE)


def _wrong(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = {"wrong": [None]}

    return change


def _refusal(action: Callable[[Path], Any], bundle: Path) -> str | None:
    try:
        action(bundle)
    except (ArtifactError, BundleError) as err:
        return err.message
    return None


@pytest.mark.parametrize("name", ["things", "things-fp16", "things-int8", "many"])
def test_bundles_of_the_c_tests_are_bundles(name: str) -> None:
    bundle = Bundle.open(RUNTIME / "tests" / "data" / name)
    assert bundle.vocabulary.outputs[0] == "thing0"


def test_engines_are_bound_to_the_same_graph_hash() -> None:
    """The other half is in runtime/tests/engine_cache_test.cpp."""
    from edge_ovss.bundle.identity import graph_hash

    expected = "b1a03827fab82657af85133f38552337893e841e91dd0a841ba8ac344bfb32e1"
    assert graph_hash(Bundle.open(RUNTIME / "tests" / "data" / "things")) == expected


def test_library_header_and_package_have_one_version(library: NativeLibrary) -> None:
    header = (RUNTIME / "include" / "edge_ovss" / "edge_ovss.h").read_text()
    numbers = re.findall(r"define EDGE_OVSS_VERSION_[A-Z]+ (\d+)", header)
    assert ".".join(numbers) == VERSION
    assert library.version == VERSION


def test_errors_keep_their_kind_and_hint(library: NativeLibrary, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    with pytest.raises(ArtifactError, match="There is no bundle") as caught:
        library.open(bundle.parent / "none.ovss", Options())
    assert caught.value.hint
    with pytest.raises(UsageError, match="no backend 'cuda'"):
        library.open(bundle, Options(backend=b"cuda"))
    with pytest.raises(MissingDependencyError, match="CUDAExecutionProvider"):
        library.open(bundle, Options(backend=b"onnxruntime-cuda"))
    with pytest.raises(PictureError, match="0 x 4"):
        library.to_rgb(Frame(data=1, height=0, width=4))
    session = library.open(bundle, Options())
    library.close(session)
    with pytest.raises(UsageError, match="closed"):
        library.close(session)


def test_selftest_of_another_answer_fails(library: NativeLibrary, make_bundle: MakeBundle) -> None:
    session = library.open(make_bundle(counts=(3, 3, 2)), Options())
    assert library.selftest(session).agreement == 1.0
    library.close(session)
    other = make_bundle("other.ovss")
    np.save(other / "reference/counts.npy", np.array([3, 3, 1], np.int32))
    session = library.open(other, Options(skip_hashes=1))
    with pytest.raises(GateError, match="does not reproduce the bundle's reference output"):
        library.selftest(session)
    library.close(session)
    # Below FP32 a rounding may decide what survives: the labels decide on the answer.
    other = make_bundle("quantized.ovss", precision="int8")
    np.save(other / "reference/counts.npy", np.array([3, 3, 1], np.int32))
    session = library.open(other, Options(skip_hashes=1))
    report = library.selftest(session)
    assert (report.agreement, report.same_alive, report.same_counts) == (1.0, 1, 0)
    library.close(session)


def test_a_missing_library_is_said_with_the_command_that_builds_it(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(native.ENVIRONMENT, str(tmp_path / "none.so"))
    with pytest.raises(MissingDependencyError, match=re.escape("none.so")) as caught:
        Segmenter.open(make_bundle(), backend="native")
    assert "runtime/README.md" in str(caught.value.hint)
    (tmp_path / "none.so").write_bytes(b"no library")
    with pytest.raises(MissingDependencyError, match="cannot be loaded"):
        NativeLibrary()


def test_auto_does_not_choose_native(make_bundle: MakeBundle) -> None:
    with Segmenter.open(make_bundle()) as segmenter:
        assert segmenter.backend != "native"


def test_doctor_calls_native_usable_where_its_library_loads(
    library: NativeLibrary, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(native.ENVIRONMENT, library.path)
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["backends"]["native"] is True
    assert document["native_advice"] is None


def test_doctor_calls_native_unusable_without_its_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(native.ENVIRONMENT, str(tmp_path / "none.so"))
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["backends"]["native"] is False
    assert "runtime/README.md" in document["native_advice"]
    assert main(["doctor"]) == 0
    assert re.search(r"native +not usable\n +There is no library", capsys.readouterr().out)
