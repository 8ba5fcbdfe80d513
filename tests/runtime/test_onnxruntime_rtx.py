"""ONNX Runtime's plug-in for TensorRT for RTX: pretended on a GPU, and the real wheel without."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.backends import REGISTRY
from edge_ovss.runtime.backends.base import Machine
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.plug_in import backend as plug_in_backend
from edge_ovss.runtime.plug_in import library as plug_in_library
from edge_ovss.runtime.plug_in.backend import RtxPlugInBackend
from edge_ovss.runtime.plug_in.library import MODULE, TF32, takes
from edge_ovss.runtime.trt.engine_store import plan_hashes

onnxruntime = pytest.importorskip("onnxruntime")
pretended = pytest.importorskip("pretended_plug_in")

MakeBundle = Callable[..., Path]
NAME = "onnxruntime-rtx"
OPTIONS = {
    "has_user_compute_stream",
    "user_compute_stream",
    "enable_cuda_graph",
    "nv_runtime_cache_path",
}


class Pretended:
    """The pretended library, and how this process is told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.start()
        monkeypatch.setattr(plug_in_backend, "is_installed", lambda _: True)
        monkeypatch.setattr(cuda_driver, "_load", lambda: self.runtime.driver)
        monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
        monkeypatch.delenv(TF32, raising=False)
        cuda_driver.cuda_driver.cache_clear()

    def start(self) -> None:
        """Begin a new process, as far as the library knows."""
        self.runtime = pretended.PretendedRuntime()
        modules: dict[str, ModuleType] = {
            "onnxruntime": self.runtime,
            MODULE: pretended.PretendedPackage(),
        }
        for place in (plug_in_backend, plug_in_library):
            self._monkeypatch.setattr(place, "require", lambda name, extra: modules[name])
        cuda_driver.cuda_driver.cache_clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    yield Pretended(monkeypatch)
    cuda_driver.cuda_driver.cache_clear()


def frame_of(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def run(path: Path, *sizes: tuple[int, int]) -> RtxPlugInBackend:
    """Segment frames, hold the labels against what the graph computes; return the backend."""
    with Segmenter.open(path, backend=NAME) as segmenter:
        for height, width in sizes:
            frame = frame_of(height, width)
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
        backend = segmenter._backend
    assert isinstance(backend, RtxPlugInBackend)
    return backend


def engines_of(path: Path) -> list[Path]:
    return sorted((path / "engines").glob(f"{NAME}-*"))


def test_the_first_frame_compiles_and_the_next_start_does_not(
    gpu: Pretended, make_bundle: MakeBundle, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_bundle()
    with caplog.at_level(logging.WARNING):
        assert run(path, (20, 30), (20, 30)).graph_refused is None
    assert "Compiling the graph for frames of 20 x 30" in caplog.text
    (engine,) = engines_of(path)
    (session,) = gpu.runtime.sessions
    assert session.path == engine / "model.plan"
    assert session.get_inputs()[0].shape == [1, 20, 30, 3]
    assert session.settings["enable_cuda_graph"] == "1"
    assert (engine.stat().st_mode & 0o777, session.path.stat().st_mode & 0o777) == (0o700, 0o600)

    gpu.start()
    caplog.clear()
    run(path, (20, 30))
    assert (gpu.runtime.compiled, caplog.text) == ([], "")
    assert gpu.runtime.sessions[0].found == ["kernels.bin"]  # the first run's


def test_the_record_says_what_the_engine_is_for(
    gpu: Pretended, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_bundle()
    run(path, (20, 30))
    (engine,) = engines_of(path)
    key = json.loads((engine / "build.json").read_text())["key"]
    assert (key["backend"], key["library"]) == (NAME, "0.5.0, ONNX Runtime 1.31.1")
    assert (key["device"], key["capabilities"]) == ("RTX 4090 (pretended)", ["8.9"])
    assert key["frames"]["opt"] == [20, 30]
    bundle = Bundle.open(path)
    assert list(plan_hashes(bundle, NAME)) == [engine.name]
    assert plan_hashes(bundle, "onnxruntime") == {}
    capsys.readouterr()
    assert main(["inspect", str(path)]) == 0
    assert engine.name in capsys.readouterr().out
    assert main(["inspect", str(engine / "model.plan")]) == 0
    assert "edge-ovss selftest compares its output" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["plan", "record", "gpu", "version", "kernels", "mode"])
def test_what_does_not_fit_is_compiled_again(
    gpu: Pretended, make_bundle: MakeBundle, change: str
) -> None:
    path = make_bundle()
    run(path, (20, 30))
    (engine,) = engines_of(path)
    gpu.start()
    if change == "plan":
        (engine / "model.plan").write_bytes(b"native code of somebody else")
    elif change == "record":
        record = json.loads((engine / "build.json").read_text())
        record["key"]["device"] = "another"
        (engine / "build.json").write_text(json.dumps(record))
    elif change == "kernels":
        (engine / "kernels" / "kernels.bin").write_bytes(b"of somebody else")
    elif change == "mode":
        engine.chmod(0o777)
    elif change == "version":
        gpu.runtime.__version__ = "1.32.0"
    else:
        gpu.runtime.driver.capability = "12.0"
    run(path, (20, 30))
    assert len(gpu.runtime.compiled) == (change != "kernels")
    assert gpu.runtime.sessions[0].found == []
    assert len(engines_of(path)) == (2 if change in ("gpu", "version") else 1)
    gpu.start()
    run(path, (20, 30))
    assert gpu.runtime.compiled == []


def test_frames_of_another_size_are_right_and_keep_no_engine_each(
    gpu: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    backend = run(path, (20, 30), (16, 24), (20, 30), (12, 40))
    assert backend.graph_refused == "frames come in several sizes"
    assert len(gpu.runtime.sessions) == 2
    assert gpu.runtime.sessions[1].get_inputs()[0].shape == [1, "height", "width", 3]
    assert len(engines_of(path)) == 1


def test_without_a_cuda_graph_frames_still_run(gpu: Pretended, make_bundle: MakeBundle) -> None:
    gpu.runtime.captures = False
    backend = run(make_bundle(), (20, 30))
    assert "CUDA graph capture is unavailable" in str(backend.graph_refused)
    assert "enable_cuda_graph" not in gpu.runtime.sessions[-1].settings
    assert len(gpu.runtime.compiled) == 1


def test_the_switch_turns_the_cuda_graph_off(
    gpu: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CUDA_GRAPHS", "0")
    assert "EDGE_OVSS_CUDA_GRAPHS" in str(run(make_bundle(), (20, 30)).graph_refused)


def test_a_bundle_that_cannot_be_written_runs_without_keeping(
    gpu: Pretended,
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = make_bundle()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edge_ovss.runtime.plug_in.contexts.new_folder", refuse)
    with caplog.at_level(logging.WARNING):
        run(path, (20, 30))
    assert "The engine is not kept" in caplog.text
    assert gpu.runtime.sessions[0].path.name == "model.onnx"
    assert gpu.runtime.sessions[0].get_inputs()[0].shape == [1, 20, 30, 3]


def test_nothing_stays_on_the_device_and_fp32_is_fp32(
    gpu: Pretended, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    run(make_bundle(), (20, 30), (16, 24))
    driver = gpu.runtime.driver
    assert not (driver.blocks or driver.pinned or driver.streams or driver.events)
    assert driver.depth == 0
    assert os.environ[TF32] == "0"
    assert capsys.readouterr().out.count("talks") <= 1  # only the fixture's own


@pytest.mark.parametrize("mode", ["dynamic", "cpu"])
def test_graphs_that_it_cannot_compile_are_refused_first(
    gpu: Pretended, make_bundle: MakeBundle, mode: str
) -> None:
    path = make_bundle(mode="dynamic", alive=(2, 0)) if mode == "dynamic" else make_bundle()
    bundle = Bundle.open(path)
    if mode == "cpu":
        facts = bundle.manifest.precision_facts
        object.__setattr__(facts, "target", "cpu")
        object.__setattr__(bundle.manifest, "precision_facts", facts)
    with pytest.raises(ArtifactError, match=r"depend on the image|for CPUs"):
        Segmenter.open(bundle, backend=NAME)
    assert gpu.runtime.registered == []


@pytest.mark.parametrize(
    ("capability", "fits"), [("8.0", 0), ("8.6", 1), ("8.9", 1), ("9.0", 0), ("12.1", 1)]
)
def test_gpus_are_taken_as_the_header_says(capability: str, fits: bool) -> None:
    assert takes(capability) == bool(fits)


def test_a_gpu_that_it_does_not_take_is_named(gpu: Pretended, make_bundle: MakeBundle) -> None:
    gpu.runtime.driver.capability, gpu.runtime.driver.name = "9.0", "H100"
    with pytest.raises(ArtifactError, match=r"8\.6, 8\.9 and 12\.0 or later; H100 has 9\.0") as err:
        Segmenter.open(make_bundle(), backend=NAME)
    assert "onnxruntime-cuda" in str(err.value.hint)
    why = REGISTRY[NAME].load().why_not_usable(Machine(True, ("CPU",), None, {}), None)
    assert "H100 has 9.0: use" in str(why)


def test_a_list_without_a_device_a_library_that_does_not_load_and_an_old_runtime(
    gpu: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    gpu.runtime.lists = 0
    with pytest.raises(ArtifactError, match=r"0\.5\.0 lists no GPU"):
        Segmenter.open(path, backend=NAME)
    gpu.start()
    gpu.runtime.loads = False
    with pytest.raises(MissingDependencyError, match=r"does not load: .*libnvidia-ml"):
        Segmenter.open(path, backend=NAME)
    gpu.start()
    gpu.runtime.ModelCompiler = property()
    old = ModuleType("onnxruntime")
    old.__version__ = "1.23.2"  # type: ignore[attr-defined]
    with pytest.raises(MissingDependencyError, match=r"needs onnxruntime 1\.24 .* 1\.23\.2"):
        plug_in_library.load_plug_in(old)


def test_without_the_package_the_extra_is_named(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_in_backend, "is_installed", lambda _: False)
    with pytest.raises(MissingDependencyError, match="is not installed") as caught:
        Segmenter.open(make_bundle(), backend=NAME)
    assert 'pip install "edge-ovss[onnxruntime-rtx]"' in str(caught.value)


def test_an_engine_is_not_built_on_request(
    gpu: Pretended, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    image = make_bundle().parent / "image.npy"
    np.save(image, frame_of(20, 30))
    arguments = ["run", str(make_bundle("b.ovss")), str(image), "--backend", NAME, "--auto-build"]
    assert main(arguments) == 2
    assert "runs the bundle as it is" in capsys.readouterr().err


# What follows looks at the real wheel, without a GPU.


def header() -> str:
    package = pytest.importorskip(MODULE)
    place = Path(package.__file__).parent / "tensorrt_rtx_provider_options.h"
    return place.read_text(encoding="utf-8")


def test_the_options_are_those_of_the_real_plug_in() -> None:
    written = header()
    known = set(re.findall(r'constexpr const char\* k\w+ = "(\w+)"', written))
    assert known >= OPTIONS
    targets = re.search(r"kTargetSMValues\[\] = \{([^}]*)\}", written)
    assert targets is not None
    named = {f"{int(sm[:-1])}.{sm[-1]}" for sm in re.findall(r"sm(\d+)", targets[1])}
    assert {sm for sm in named if float(sm) < 12} == {"8.6", "8.9"}
    assert "compute_capability >= 120" in written


def test_the_real_package_has_the_names_that_are_called() -> None:
    package = pytest.importorskip(MODULE)
    assert package.get_ep_name() == "NvTensorRTRTXExecutionProvider"
    assert Path(package.get_library_path()).is_file()
    assert hasattr(onnxruntime.SessionOptions, "add_provider_for_devices")
    assert hasattr(onnxruntime.ModelCompiler, "compile_to_file")


def test_what_the_real_compiler_writes_stands_alone(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = Bundle.open(make_bundle())
    assert bundle.graph.external_data
    options = onnxruntime.SessionOptions()
    for name, side in (("height", 20), ("width", 30)):
        options.add_free_dimension_override_by_name(name, side)
    place = tmp_path / "model.plan"
    compiler = onnxruntime.ModelCompiler(
        options, str(bundle.graph_path), embed_compiled_data_into_model=True
    )
    compiler.compile_to_file(str(place))
    session = onnxruntime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 20, 30, 3]
    assert [each.name for each in session.get_outputs()] == list(
        bundle.manifest.contract.output_names
    )
    (labels, *_) = session.run(None, {"frame": frame_of(20, 30)[None]})
    assert np.array_equal(labels[0], frame_of(20, 30).sum(-1, dtype=np.int32) % 3)


_REGISTER = """
import onnxruntime, edge_ovss.runtime.plug_in.library as library
try:
    library.load_plug_in(onnxruntime)
except Exception as err:
    print(type(err).__name__, err)
"""


def _stand_in(folder: Path) -> None:
    """Compile libraries with the functions of the driver that the plug-in asks for; all refuse."""
    package = pytest.importorskip(MODULE)
    plug_in = Path(package.get_library_path()).read_bytes()
    names = {name.decode() for name in re.findall(rb"\x00(cu[A-Z]\w+|nvml\w+)(?=\x00)", plug_in)}
    for name, start in (("libcuda.so.1", "cu"), ("libnvidia-ml.so.1", "nvml")):
        lines = [f"int {n}(void) {{ return 100; }}" for n in sorted(names) if n.startswith(start)]
        source = folder / f"{start}.c"
        source.write_text("\n".join(lines))
        place = folder / name
        command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(place), str(source)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no compiler")


def test_the_real_library_registers_and_lists_no_gpu(tmp_path: Path) -> None:
    _stand_in(tmp_path)

    found = subprocess.run(
        [sys.executable, "-c", _REGISTER],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "ArtifactError NvTensorRTRTXExecutionProvider" in found
    assert "lists no GPU of this machine" in found


def test_the_real_library_without_a_driver_is_a_clean_error() -> None:
    pytest.importorskip(MODULE)
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("there is a driver")
    found = subprocess.run(
        [sys.executable, "-c", _REGISTER], capture_output=True, text=True, check=True
    ).stdout
    assert found.startswith("MissingDependencyError The plug-in NvTensorRTRTXExecutionProvider")
    assert "libcuda.so.1" in found
