"""Weights are hashed while the graph is loaded; a changed byte is refused before any label."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_ovss import _files
from edge_ovss.bundle.hashes import comparing
from edge_ovss.bundle.hashes.comparing import LateHashes
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, BundleError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.backends.base import Backend
from edge_ovss.runtime.backends.openvino_cpu import OpenVinoBackend
from edge_ovss.runtime.backends.ort import CpuBackend

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
FRAME = np.zeros((4, 5, 3), np.uint8)
WEIGHTS = "model.onnx.data"


def damage(path: Path, name: str) -> Path:
    data = bytearray((path / name).read_bytes())
    data[-1] ^= 1
    (path / name).write_bytes(data)
    return path


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Weights are not hashed before this event is set."""
    go, hash_now = threading.Event(), _files.sha256_of_file

    def sha256_of_file(path: Path) -> str:
        if path.name == WEIGHTS:
            assert go.wait(30)
        return hash_now(path)

    monkeypatch.setattr(comparing, "sha256_of_file", sha256_of_file)
    return go


@pytest.mark.parametrize("name", [WEIGHTS, "model.onnx", "reference/labels.npy"])
def test_a_changed_byte_is_refused_before_any_label(make_bundle: MakeBundle, name: str) -> None:
    path = damage(make_bundle(), name)
    with pytest.raises(BundleError, match=f"'{name}' of the bundle has been changed"):
        Segmenter.open(path, backend="onnxruntime")


def test_the_graph_is_loaded_while_weights_are_hashed(
    make_bundle: MakeBundle, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, before = CpuBackend._load_first, []

    def load_first(self: CpuBackend) -> object:
        before.append(held.is_set())
        held.set()  # were all hashed first, this would come too late
        return load(self)

    monkeypatch.setattr(CpuBackend, "_load_first", load_first)
    with Segmenter.open(make_bundle(), backend="onnxruntime") as segmenter:
        assert segmenter.segment(FRAME).labels.shape == (4, 5)
    assert before == [False]


def test_what_was_loaded_from_changed_weights_is_closed(
    make_bundle: MakeBundle, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Backend] = []
    load = CpuBackend._load_first

    def load_first(self: CpuBackend) -> object:
        held.set()
        loaded.append(self)
        return load(self)

    monkeypatch.setattr(CpuBackend, "_load_first", load_first)
    with pytest.raises(BundleError, match="has been changed"):
        Segmenter.open(damage(make_bundle(), WEIGHTS), backend="onnxruntime")
    with pytest.raises(RuntimeError, match="before open"):
        loaded[0].infer(FRAME[None])


def test_a_failure_that_changed_weights_may_explain_names_them(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: CpuBackend) -> object:
        message = "the graph cannot be loaded"
        raise ArtifactError(message)

    monkeypatch.setattr(CpuBackend, "_load_first", fail)
    path = make_bundle()
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        Segmenter.open(path, backend="onnxruntime")
    with pytest.raises(BundleError, match="has been changed") as caught:
        Segmenter.open(damage(path, WEIGHTS), backend="onnxruntime")
    assert "cannot be loaded" in str(caught.value.__cause__)


def test_a_backend_that_leaves_things_behind_waits_for_the_hashes(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CpuBackend, "only_loads", False)
    monkeypatch.setattr(CpuBackend, "_load_first", lambda _: pytest.fail("it was loaded"))
    with pytest.raises(BundleError, match="has been changed"):
        Segmenter.open(damage(make_bundle(), WEIGHTS), backend="onnxruntime")


def test_backends_wait_unless_they_say_otherwise() -> None:
    assert CpuBackend.only_loads
    assert OpenVinoBackend.only_loads
    assert not Backend.only_loads


def test_without_verification_weights_are_not_hashed(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "sha256_of_file", lambda path: pytest.fail(f"{path} was hashed"))
    with Segmenter.open(damage(make_bundle(), WEIGHTS), verify=False, backend="onnxruntime"):
        pass


def test_a_block_that_is_stopped_does_not_wait_to_explain(
    make_bundle: MakeBundle, held: threading.Event
) -> None:
    with pytest.raises(KeyboardInterrupt), LateHashes() as late:
        Bundle.open(damage(make_bundle(), WEIGHTS), late=late)
        held.set()
        raise KeyboardInterrupt
    assert not [each for each in threading.enumerate() if "edge-ovss-hashes" in each.name]


def test_a_file_that_cannot_be_read_is_named(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(comparing, "sha256_of_file", refuse)
    with pytest.raises(BundleError, match=r"cannot be read: Permission denied"):
        Segmenter.open(make_bundle(), backend="onnxruntime")
