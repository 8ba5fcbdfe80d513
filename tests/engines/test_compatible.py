"""Engines for other GPUs and later versions: on desktops with TensorRT, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.trt import gpu as machine
from edge_ovss.runtime.trt.engine_key import Flags, differences, is_later
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.runtime.trt.gpu import Gpu

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
SIZE = FrameRange.pinned((20, 30))
BOTH = ("hardware", "version")


@pytest.fixture
def desktop(trt: Any, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    trt.CUDA.capability, trt.CUDA.name = "8.6", "RTX 3090 (pretended)"
    return trt


def build(path: Path, compatible: tuple[str, ...]) -> Any:  # noqa: ANN401
    options = BuildOptions(SIZE, flags=Flags(compatible=compatible))
    return build_engine(Bundle.open(path), "tensorrt", options).engine


def test_the_builder_is_asked_and_the_engine_runs(desktop: Any, make_bundle: MakeBundle) -> None:  # noqa: ANN401
    path = make_bundle()
    engine = build(path, BOTH)
    plan = json.loads(engine.plan.read_bytes())
    assert (plan["hardware"], plan["version_compatible"]) == ("AMPERE_PLUS", True)
    assert engine.record.proof.state == "passed"
    assert engine.record.key.surroundings.device is None
    frame = np.zeros((20, 30, 3), np.uint8)
    desktop.CUDA.capability, desktop.CUDA.name = "8.9", "RTX 4090 (pretended)"
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        assert segmenter.segment(frame).labels.shape == (20, 30)


def test_an_ordinary_engine_stays_with_its_gpu(desktop: Any, make_bundle: MakeBundle) -> None:  # noqa: ANN401
    path = make_bundle()
    plan = json.loads(build(path, ()).plan.read_bytes())
    assert (plan["hardware"], plan["version_compatible"]) == ("NONE", False)
    desktop.CUDA.capability, desktop.CUDA.name = "8.9", "RTX 4090 (pretended)"
    with pytest.raises(ArtifactError, match="the engine is for RTX 3090"):
        Segmenter.open(path, backend="tensorrt")


def test_what_is_compatible_with_what(desktop: Any, make_bundle: MakeBundle) -> None:  # noqa: ANN401
    key = build(make_bundle(), BOTH).record.key
    places, graph = key.surroundings, key.graph
    later = replace(places, library="10.16.2", device="RTX 4090", system="driver 580")
    ada, jetson = Gpu("x", "8.9", "driver", False), Gpu("Orin", "8.7", "L4T", True)
    turing = Gpu("T4", "7.5", "driver", False)
    assert differences(key, graph=graph, here=later, gpu=ada) == []
    for here in (replace(later, library="11.0"), replace(later, library="10.2.0")):
        (found,) = differences(key, graph=graph, here=here, gpu=ada)
        assert found.what == "TensorRT version"
    assert differences(key, graph="0", here=later, gpu=ada)
    for gpu in (jetson, turing, None):
        kinds = [each.what for each in differences(key, graph=graph, here=later, gpu=gpu)]
        assert "compute capability" in kinds
    hardware = replace(key, flags=Flags(compatible=("hardware",)))
    assert [d.what for d in differences(hardware, graph=graph, here=later, gpu=ada)] == [
        "TensorRT version"
    ]
    assert not is_later("unknown", than="10.3")


def test_flags_that_are_not_used_leave_the_digest_of_older_engines(
    desktop: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
) -> None:
    assert "compatible" not in Flags().to_json()
    key = build(make_bundle(), BOTH).record.key
    assert key.to_json()["flags"]["compatible"] == list(BOTH)
    assert key.flags.options() == ["--compatible", "hardware,version"]


@pytest.mark.parametrize(
    ("backend", "words", "said"),
    [
        ("tensorrt", "hardware", "on a Jetson"),
        ("tensorrt", "version", "on a Jetson"),
        ("tensorrt", "software", "expected any of: hardware, version"),
    ],
)
def test_a_jetson_is_refused_with_the_reason(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    backend: str,
    words: str,
    said: str,
) -> None:
    monkeypatch.setattr(machine, "jetson", lambda: {"board": "Orin", "l4t": "36.4"})
    path = make_bundle()
    assert main(["build", str(path), "--backend", backend, "--compatible", words]) == 2
    assert said in capsys.readouterr().err
    assert not list(path.glob("engines/*/model.plan"))


def test_a_gpu_before_ampere_and_tensorrt_for_rtx_are_refused(
    desktop: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    capsys: Capture,
) -> None:
    desktop.CUDA.capability = "7.5"
    path = str(make_bundle())
    assert main(["build", path, "--backend", "tensorrt", "--compatible", "hardware"]) == 2
    assert "8.0 (Ampere)" in capsys.readouterr().err
    pytest.importorskip("tensorrt_rtx_bindings")
    arguments = ["build", path, "--backend", "tensorrt-rtx", "--compatible", "version"]
    assert main([*arguments, "--compute-capability", "8.6"]) == 2
    assert "--compute-capability" in capsys.readouterr().err
