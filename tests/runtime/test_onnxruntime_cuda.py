"""ONNX Runtime on CUDA with a pretended library: what it is asked for, and what is said without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.backends import ort

onnxruntime = pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
KNOWN = {"device_id", "use_tf32", "cudnn_conv_algo_search"}  # of the real one, those that matter


class PretendedCuda:
    """The onnxruntime module as its CUDA build is; the session runs on the CPU."""

    __version__ = "1.31.1 (pretended)"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.known = KNOWN
        self.loads = True
        self.preloaded = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(onnxruntime, name)

    def preload_dlls(self) -> None:
        print("Failed to load libcudnn.so.9")
        self.preloaded += 1

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def InferenceSession(self, path: str, **arguments: Any) -> Any:  # noqa: ANN401
        self.asked.append(arguments)
        for provider, options in (item for item in arguments["providers"] if item != CPU):
            unknown = set(options) - self.known
            if provider == CUDA and unknown:
                message = f"Unknown provider option: {unknown.pop()}"
                raise RuntimeError(message)
        session = onnxruntime.InferenceSession(
            path, sess_options=arguments["sess_options"], providers=[CPU]
        )
        return PretendedSession(session, [CUDA, CPU] if self.loads else [CPU])


class PretendedSession:
    """A session that says which providers it has."""

    def __init__(self, session: Any, providers: list[str]) -> None:  # noqa: ANN401
        self.session, self.providers = session, providers

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return self.providers


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> PretendedCuda:
    pretended = PretendedCuda()
    monkeypatch.setattr(ort, "require", lambda module, extra: pretended)
    return pretended


def test_libraries_that_came_as_wheels_are_loaded_and_stdout_is_left_alone(
    library: PretendedCuda, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda"):
        assert library.preloaded == 1
    printed = capsys.readouterr()
    assert (printed.out, "libcudnn" in printed.err) == ("", True)
    with Segmenter.open(make_bundle("cpu.ovss"), backend="onnxruntime"):
        assert library.preloaded == 1


def test_tf32_is_off_and_nothing_takes_its_place(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    frame = np.arange(1800, dtype=np.uint8).reshape(20, 30, 3)
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda") as segmenter:
        labels = segmenter.segment(frame).labels
    assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
    (asked,) = library.asked
    assert asked["providers"] == [(CUDA, {"use_tf32": "0"}), CPU]
    assert asked["enable_fallback"] == 0


def test_a_library_that_does_not_know_the_option_is_refused(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    library.known = KNOWN - {"use_tf32"}
    with pytest.raises(ArtifactError, match="Unknown provider option: use_tf32") as caught:
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert "Upgrade onnxruntime" in str(caught.value)
    assert len(library.asked) == 1  # not opened again with TF32


def test_cuda_libraries_that_do_not_load_are_said_as_such(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    library.loads = False
    with pytest.raises(MissingDependencyError, match=CUDA) as caught:
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert "edge-ovss[onnxruntime-gpu]" in str(caught.value)
    assert "pip uninstall onnxruntime" in str(caught.value)


def test_the_cpu_backend_asks_for_no_options(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    Segmenter.open(make_bundle(), backend="onnxruntime").close()
    (asked,) = library.asked
    assert asked["providers"] == [(CPU, {})]


def test_an_onnxruntime_that_is_not_there_names_the_extra_with_cuda(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError) as caught:
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert 'pip install "edge-ovss[onnxruntime-gpu]"' in str(caught.value)
