"""What doctor says about engines and backends, and what it tells to install."""

from __future__ import annotations

import importlib
import json
import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_ovss import _machine as environment
from edge_ovss.cli import main
from edge_ovss.doctor import engines as survey
from edge_ovss.doctor.backends import survey_backends
from edge_ovss.errors import UsageError
from edge_ovss.runtime.backends import REGISTRY, openvino_cpu
from edge_ovss.runtime.backends.openvino_cpu import (
    NO_BF16,
    openvino_capabilities,
    processor_has_bf16,
)
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.cuda import packages as cuda_packages
from edge_ovss.runtime.trt import gpu as gpu_module
from edge_ovss.runtime.trt.gpu import Gpu, choose_capabilities
from edge_ovss.runtime.trt.variants import FLAVORS

Capture = pytest.CaptureFixture[str]
Pretended = Any  # the module fake_trt
EXTRA = re.compile(r'pip install "edge-ovss\[(.+?)\]"')


@pytest.fixture(autouse=True)
def _all_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare doctor the import of torch, of which test_import_check.py is."""
    monkeypatch.setattr("edge_ovss.doctor.import_check.import_problems", lambda _: {})


def test_a_jetson_with_tensorrt_is_ready(trt: Pretended) -> None:
    facts = survey.survey()
    assert facts.gpu is not None
    assert facts.gpu.capability == "8.7"
    assert "ctypes" in facts.device_memory
    found = facts.flavors["tensorrt"]
    assert (found.module, found.version) == ("fake_trt", "10.3.0")
    assert found.builds
    assert found.runs
    assert not facts.flavors["tensorrt-rtx"].runs
    assert not set(facts.device_memory) & set(facts.memory_advice)


def test_tensorrt_of_another_python_is_found_and_the_way_named(tmp_path: Path) -> None:
    package = tmp_path / "python3.10" / "dist-packages" / "tensorrt"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    advice = survey.elsewhere(FLAVORS["tensorrt"], tmp_path)
    assert advice is not None
    assert "--system-site-packages" in advice
    assert str(package.parent) in advice
    assert survey.elsewhere(FLAVORS["tensorrt-rtx"], tmp_path) is None


def test_a_library_that_does_not_load_is_said_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_trt.py").write_text("raise ImportError('libnvdla_compiler.so is missing')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = replace(FLAVORS["tensorrt"], modules=("broken_trt",))
    monkeypatch.setitem(FLAVORS, "tensorrt", broken)
    found = survey.survey().flavors["tensorrt"]
    assert found.version is None
    assert "libnvdla_compiler.so is missing" in str(found.advice)


def test_doctor_prints_it_as_text_and_as_json(trt: Pretended, capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    assert "10.3.0, builds and runs" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["engines"]["gpu"]["name"] == "Orin (pretended)"
    assert document["backends"]["tensorrt"] is True


@pytest.mark.parametrize(("capability", "runs"), [("8.9", True), ("9.0", False), ("8.7", False)])
def test_tensorrt_for_rtx_takes_the_gpu_at_hand_or_says_no(capability: str, runs: bool) -> None:
    flavor, gpu = FLAVORS["tensorrt-rtx"], Gpu("some GPU", capability, "driver 580", False)
    if runs:
        assert choose_capabilities(flavor, None, gpu) == (capability,)
        return
    with pytest.raises(Exception, match="does not run on this GPU"):
        choose_capabilities(flavor, None, gpu)
    # Building for another GPU is what needs none.
    assert choose_capabilities(flavor, ("8.6",), gpu) == ("8.6",)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python on x86-64 with nothing but numpy, on a machine with a driver and an Ada."""
    gpu = Gpu("some GPU", "8.9", "driver 580", False)
    monkeypatch.setattr(survey, "local_gpu", lambda: gpu)
    monkeypatch.setattr(environment, "onnxruntime_providers", list)
    monkeypatch.setattr(openvino_cpu, "find_spec", lambda _: None)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(cuda_packages, "find_spec", lambda _: None)
    for name in ("pycuda", "pycuda.driver", "cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    for name, flavor in FLAVORS.items():
        monkeypatch.setitem(FLAVORS, name, replace(flavor, modules=("no_such_trt",)))


INSTALLS = {
    "onnxruntime": "onnxruntime",
    "onnxruntime-cuda": "onnxruntime-gpu",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "openvino": "openvino",
    "openvino-bf16": "openvino",
}


def test_doctor_tells_what_to_install_for_every_backend(bare: None, capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    advice = document["backend_advice"]
    named = {name: EXTRA.findall(text) for name, text in advice.items() if name in INSTALLS}
    assert named == {name: [extra] for name, extra in INSTALLS.items()}
    assert not any(document["backends"][name] for name in INSTALLS)
    memory = document["engines"]["memory_advice"]
    assert {name: EXTRA.findall(text) for name, text in memory.items()} == {
        "pycuda": ["pycuda"],
        "cuda-python": ["cuda-python"],
    }
    assert document["engines"]["device_memory"] == ["ctypes"]
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert set(EXTRA.findall(text)) >= {*INSTALLS.values(), "pycuda", "cuda-python"}


def test_every_extra_that_is_named_exists() -> None:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = set()
    for path in (root / "edge_ovss").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(EXTRA.findall(text)) | set(re.findall(r'extra(?:: \S+)? ?= ?"(.+?)"', text))
    named = {name for name in named if "{" not in name}
    assert named >= {"onnxruntime", "onnxruntime-gpu", "cuda-python", "pycuda", "tensorrt"}
    assert named <= set(extras["optional-dependencies"])


def test_every_backend_of_the_registry_is_looked_at(trt: Pretended) -> None:

    assert list(survey_backends(survey.survey(), [])) == list(REGISTRY)


def test_onnxruntime_on_cuda_needs_the_provider_and_a_gpu(
    trt: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert survey_backends(survey.survey(), both)["onnxruntime-cuda"].usable
    without = survey_backends(survey.survey(), both[1:])["onnxruntime-cuda"]
    assert "edge-ovss[onnxruntime-gpu]" in str(without.advice)
    monkeypatch.setattr(cuda_driver, "_load", lambda: None)
    cuda_driver.cuda_driver.cache_clear()
    lonely = survey_backends(survey.survey(), both)["onnxruntime-cuda"]
    assert (lonely.usable, lonely.advice) == (
        False,
        "there is no NVIDIA GPU with a driver on this machine",
    )


CPUINFO = "processor : 0\nmodel name : a CPU\nflags : fpu sse avx512f {}\nbugs :\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CPUINFO.format("avx512_bf16"), True),
        (CPUINFO.format("amx_bf16 amx_tile"), True),
        (CPUINFO.format("avx512_vnni"), False),
        ("processor : 0\nFeatures : fp asimd bf16\n", None),
        (None, None),
    ],
)
def test_bf16_is_read_from_the_processors_flags(
    tmp_path: Path, text: str | None, expected: bool | None
) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    assert processor_has_bf16(path) is expected


@pytest.mark.parametrize("able", [True, False])
def test_openvino_bf16_is_usable_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    words = ("FP32", "INT8", *(["BF16"] if able else []))
    monkeypatch.setattr(openvino_cpu, "openvino_capabilities", lambda: (words, None))
    found = survey_backends(survey.survey(), [])
    assert found["openvino"].usable
    assert found["openvino-bf16"].usable is able
    assert (found["openvino-bf16"].advice is None) is able
    if not able:
        assert NO_BF16 in str(found["openvino-bf16"].advice)


def test_a_processor_without_bf16_is_said_before_openvino_is_installed(
    bare: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_cpu, "processor_has_bf16", lambda: False)
    advice = survey_backends(survey.survey(), [])["openvino-bf16"].advice
    assert advice == f'{NO_BF16}; pip install "edge-ovss[openvino]"'


def test_doctor_and_the_backend_agree_about_bf16() -> None:
    openvino = pytest.importorskip("openvino")
    able, advice = openvino_capabilities()
    assert advice is None
    assert able is not None
    assert set(able) == set(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def test_an_openvino_that_does_not_load_is_said_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openvino.py").write_text("raise ImportError('libtbb.so.12 is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(openvino_cpu, "find_spec", lambda _: find_spec("json"))
    able, advice = openvino_capabilities()
    assert able is None
    assert "does not load: ImportError: libtbb.so.12 is missing" in str(advice)


def test_doctor_has_a_line_for_build(trt: Pretended, capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    assert re.search(r"^  build +ready$", capsys.readouterr().out, re.MULTILINE)


def test_doctor_tells_what_build_needs(bare: None, capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (build,) = (verb for verb in document["verbs"] if verb["verb"] == "build")
    assert build["ready"] is False
    assert EXTRA.findall(build["install"]) == ["tensorrt", "tensorrt-rtx"]
    assert main(["doctor"]) == 0
    line = re.search(r"^  build +needs (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert line is not None
    assert line[1].startswith("one of tensorrt and tensorrt-rtx: ")


@pytest.mark.parametrize(
    ("board", "version", "system"),
    [
        (None, "driver 580.1", "driver 580.1"),
        (None, None, "CUDA 13.0"),
        ({"l4t": "# R36 (release), REVISION: 4.3, GCID: 1"}, "driver 580.1", "L4T 36.4.3"),
    ],
)
def test_the_gpu_at_hand_is_described_with_the_software_its_engines_depend_on(
    monkeypatch: pytest.MonkeyPatch, board: object, version: str | None, system: str
) -> None:
    facts = SimpleNamespace(name="a GPU", capability="8.7", cuda="13.0")
    monkeypatch.setattr(gpu_module, "cuda_driver", lambda: SimpleNamespace(device=lambda: facts))
    monkeypatch.setattr(gpu_module, "jetson", lambda: board)
    monkeypatch.setattr(gpu_module, "_driver_version", lambda: version)
    assert gpu_module.local_gpu() == Gpu("a GPU", "8.7", system, jetson=board is not None)
    monkeypatch.setattr(gpu_module, "cuda_driver", lambda: None)
    assert gpu_module.local_gpu() is None


def test_tensorrt_for_rtx_builds_for_other_gpus_too_and_names_what_it_cannot() -> None:
    flavor, orin = FLAVORS["tensorrt-rtx"], Gpu("Orin", "8.7", "L4T 36.4.3", jetson=True)
    assert choose_capabilities(flavor, ("12.0", "8.6"), orin) == ("12.0", "8.6")
    assert choose_capabilities(flavor, None, None) == gpu_module.DESKTOP
    with pytest.raises(UsageError, match="cannot build for sm_87"):
        choose_capabilities(flavor, ("8.6", "8.7"), None)
