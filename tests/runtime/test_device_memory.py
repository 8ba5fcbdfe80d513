"""Device memory by pycuda, by cuda-python under both of its names, and by ctypes: one contract."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.cuda import memory as device_memory
from edge_ovss.runtime.cuda import packages as cuda_packages
from edge_ovss.runtime.cuda.memory import DeviceMemory, open_memory

MakeBundle = Callable[..., Path]
HERE = Path(__file__).parents[1]
MODULES = {
    "pycuda": "pycuda.driver",
    "cuda-python": "cuda.bindings.runtime",
    "cuda-python of old": "cuda.cudart",
}
WAYS = [*MODULES, "ctypes"]
BLOCKED = ("pycuda", "pycuda.driver", "cuda", "cuda.bindings", "cuda.bindings.runtime")


@dataclass
class Pretend:
    """A pretended GPU, and what puts a pretended package in front of it."""

    cuda: Any
    packages: Any
    install: Callable[[str], Any]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretend]:
    """A machine with a GPU on which no CUDA package is installed."""
    monkeypatch.syspath_prepend(str(HERE))
    cuda = importlib.import_module("fake_cuda").FakeCuda()
    packages = importlib.import_module("fake_cuda_packages")
    monkeypatch.setattr(cuda_driver, "_load", lambda: cuda)
    for name in (*BLOCKED, "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cuda_packages, "find_spec", _spec_of)

    def install(way: str) -> Any:  # noqa: ANN401
        content = (packages.FakePycuda if way == "pycuda" else packages.FakeCudart)(cuda)
        for name, module in packages.as_modules(MODULES[way], content).items():
            monkeypatch.setitem(sys.modules, name, module)
        return content

    cuda_driver.cuda_driver.cache_clear()
    yield Pretend(cuda, packages, install)
    cuda_driver.cuda_driver.cache_clear()


def _spec_of(name: str) -> object:
    """Stand in for find_spec, which knows nothing of a module that is only in sys.modules."""
    return getattr(sys.modules.get(name), "__spec__", None)


def opened(pretend: Pretend, way: str) -> DeviceMemory:
    if way in MODULES:
        pretend.install(way)
    memory = open_memory(way.removesuffix(" of old"))
    assert memory.name == way.removesuffix(" of old")
    return memory


@pytest.mark.parametrize("way", WAYS)
def test_bytes_go_there_and_come_back_and_all_is_freed(pretend: Pretend, way: str) -> None:
    memory = opened(pretend, way)
    with memory.current():
        stream = memory.create_stream()
        pointer, other = memory.allocate(5000), memory.allocate(70)
        there, back = memory.allocate_pinned(5000), memory.allocate_pinned(5000)
        assert (str(there.dtype), there.size) == ("uint8", 5000)
        assert set(pretend.cuda.blocks) == {pointer, other}
        assert set(pretend.cuda.pinned) == {there.ctypes.data, back.ctypes.data}
        there[:] = np.arange(5000) % 251
        back[:] = 255
        memory.upload(pointer, there, stream)
        memory.download(back, pointer, stream)
        memory.synchronize(stream)
        assert np.array_equal(back, np.arange(5000) % 251)
        memory.free(pointer)
        assert set(pretend.cuda.blocks) == {other}
        memory.free(other)
        memory.free_pinned(there)
        memory.free_pinned(back)
        memory.free_stream(stream)
    assert not pretend.cuda.blocks
    assert not pretend.cuda.pinned
    assert pretend.cuda.depth == 0


@pytest.mark.parametrize("way", WAYS)
def test_memory_that_does_not_suffice_is_said_alike(pretend: Pretend, way: str) -> None:
    memory = opened(pretend, way)
    with memory.current():
        for take in (memory.allocate, memory.allocate_pinned):
            with pytest.raises(ArtifactError, match="The GPU has no memory left") as caught:
                take(2 << 30)
            assert "smaller frames" in str(caught.value)
    assert not pretend.cuda.blocks
    assert pretend.cuda.depth == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_fails_is_an_error_that_names_it(pretend: Pretend, way: str) -> None:
    memory = opened(pretend, way)
    with pytest.raises(ArtifactError, match=r"(mem_alloc|cudaMalloc|cuMemAlloc_v2) failed"):
        memory.allocate(100)  # outside of the context
    with memory.current():
        pinned = memory.allocate_pinned(10)
        memory.free_pinned(pinned)
        with pytest.raises(ArtifactError, match=r"(free|cudaFreeHost|cuMemFreeHost) failed"):
            memory.free_pinned(pinned)


def test_cuda_python_gives_the_name_of_an_error(pretend: Pretend) -> None:
    memory = opened(pretend, "cuda-python")
    with memory.current(), pytest.raises(ArtifactError) as caught:
        memory.free(99)
    assert "cudaFree failed with error 1 (cudaErrorInvalidValue)" in str(caught.value)


def test_the_context_is_left_after_an_error(pretend: Pretend) -> None:
    memory = opened(pretend, "pycuda")
    with pytest.raises(ZeroDivisionError), memory.current():
        raise ZeroDivisionError
    assert pretend.cuda.depth == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_backend_answers_by_every_way(
    trt: Any,  # noqa: ANN401 (the module fake_trt)
    pretend: Pretend,
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    pytest.importorskip("onnxruntime")
    from edge_ovss.engines.build import BuildOptions, build_engine
    from edge_ovss.runtime import Bundle, Segmenter
    from edge_ovss.runtime.trt.frame_sizes import FrameRange

    monkeypatch.setattr(trt, "CUDA", pretend.cuda)
    if way in MODULES:
        pretend.install(way)
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", way.removesuffix(" of old"))
    path = make_bundle()
    build_engine(Bundle.open(path), "tensorrt", BuildOptions(FrameRange.pinned((20, 30))))
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        for seed in range(2):
            frame = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
    assert not pretend.cuda.blocks
    assert not pretend.cuda.pinned
    assert pretend.cuda.depth == 0


def test_pycuda_comes_before_cuda_python_before_ctypes(pretend: Pretend) -> None:
    assert open_memory().name == "ctypes"
    pretend.install("cuda-python")
    assert open_memory().name == "cuda-python"
    pretend.install("pycuda")
    assert list(device_memory.memory_names()) == ["pycuda", "cuda-python", "ctypes"]
    assert open_memory().name == "pycuda"


def test_packages_behind_the_first_that_works_are_left_alone(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend.install("pycuda")
    asked: list[str] = []
    monkeypatch.setattr(device_memory, "load_cuda_python", lambda: asked.append("cuda-python"))
    assert open_memory().name == "pycuda"
    assert not asked


def test_bindings_of_a_later_cuda_than_the_driver_are_passed_over(pretend: Pretend) -> None:
    pretend.install("cuda-python").driver_is_too_old = True
    assert open_memory().name == "ctypes"
    with pytest.raises(MissingDependencyError) as caught:
        open_memory("cuda-python")
    text = str(caught.value)
    assert "cudaErrorInsufficientDriver" in text
    assert 'pip install "cuda-bindings==12.*"' in text  # the pretended driver is of CUDA 12.6


def test_a_pycuda_that_finds_no_device_is_passed_over(pretend: Pretend) -> None:
    pretend.install("pycuda").fails = True
    assert open_memory().name == "ctypes"
    with pytest.raises(MissingDependencyError, match="cuInit failed") as caught:
        open_memory("pycuda")
    assert "EDGE_OVSS_DEVICE_MEMORY=ctypes" in str(caught.value)


def test_a_package_that_breaks_while_it_is_imported_is_passed_over(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        message = "numpy.dtype size changed"
        raise ValueError(message)

    monkeypatch.setattr(device_memory, "load_pycuda", broken)
    way = device_memory.memory_ways()["pycuda"]
    assert (way.installed, way.problem) == (True, "ValueError: numpy.dtype size changed")
    assert open_memory().name == "ctypes"


BRINGS = {"pycuda": "pycuda", "cuda-python": "cuda-bindings"}


@pytest.mark.parametrize("way", BRINGS)
def test_what_is_missing_is_installed_by_the_extra_that_is_named(
    pretend: Pretend, way: str
) -> None:
    with pytest.raises(MissingDependencyError) as caught:
        open_memory(way)
    (extra,) = re.findall(r'pip install "edge-ovss\[(.+)\]"', str(caught.value))
    assert BRINGS[way] in requirements()[extra]
    problem = device_memory.memory_ways()[way].problem
    assert problem == f'pip install "edge-ovss[{extra}]"'


def requirements() -> dict[str, set[str]]:
    """Return the names of the packages by extra."""
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    tomllib = importlib.import_module(name)
    document = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    extras = document["project"]["optional-dependencies"]
    return {extra: {re.split(r"[<>=;! ]", item)[0] for item in items}
            for extra, items in extras.items()}  # fmt: skip


def names_of_cuda_python() -> set[str]:
    """Return what our sources ask of the runtime bindings: strings and attributes "cuda…"."""
    found = set()
    for module in (device_memory, cuda_packages):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            value = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            if isinstance(value, str) and re.fullmatch(r"cuda[A-Z]\w+", value):
                found.add(value)
    return found


def test_every_name_is_in_the_real_cuda_python() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    names = names_of_cuda_python()
    assert names == {"cudaGetDeviceCount", "cudaMalloc", "cudaFree", "cudaHostAlloc",
                     "cudaFreeHost"}  # fmt: skip
    assert [name for name in names if not hasattr(runtime, name)] == []


def test_the_pretended_cuda_python_answers_like_the_real_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    monkeypatch.syspath_prepend(str(HERE))
    pretended = importlib.import_module("fake_cuda_packages")
    for status in pretended.Status:
        assert int(getattr(runtime.cudaError_t, status.name)) == status
    status, count = runtime.cudaGetDeviceCount()
    if int(status) != 0:
        # Where there is no driver every call fails, in the form that the pretended one has.
        assert count is None
        assert cuda_packages.name_of(status).startswith("cudaError")
        assert len(runtime.cudaMalloc(100)) == 2
        assert len(runtime.cudaFree(0)) == 1
