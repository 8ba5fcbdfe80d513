"""Find which backends can run here, and how to get the others, for `edge-ovss doctor`."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_ovss._import_faults import Problem, remedy
from edge_ovss.doctor.engines import EngineFacts
from edge_ovss.runtime.backends.native import why_not_loaded
from edge_ovss.runtime.backends.ort import CpuBackend, CudaBackend
from edge_ovss.runtime.trt.gpu import Gpu

NO_BF16 = "this processor has no BF16 (AVX-512 BF16 or AMX)"

_CPUINFO = Path("/proc/cpuinfo")
_ASK_OPENVINO = (
    "import openvino as o; print(*o.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"
)


@dataclass(frozen=True)
class BackendFacts:
    """Whether one backend can run here, and how to get it (None if it can)."""

    usable: bool
    advice: str | None


def survey_backends(
    engines: EngineFacts, providers: Sequence[str], problem: Problem | None = None
) -> dict[str, BackendFacts]:
    """Check every backend, in the order of the registry.

    Args:
        engines: The result of `engines.survey`.
        providers: Execution providers of ONNX Runtime; () if it is not installed.
        problem: Why ONNX Runtime cannot be imported although it is installed, or None.
    """
    flavours = engines.flavours.items()
    lack = CpuBackend.advice
    if problem is not None:
        lack = f"onnxruntime is installed but does not load: {problem.error}; {problem.advice}"
    return {
        CpuBackend.name: _facts(None if providers else lack),
        CudaBackend.name: _facts(_why_not_cuda(engines.gpu, providers)),
        **{name: BackendFacts(facts.runs, facts.advice) for name, facts in flavours},
        **_openvino(),
        "native": _facts(why_not_loaded()),
    }


def _facts(advice: str | None) -> BackendFacts:
    return BackendFacts(usable=advice is None, advice=advice)


def _why_not_cuda(gpu: Gpu | None, providers: Sequence[str]) -> str | None:
    if gpu is None:
        return "there is no NVIDIA GPU with a driver on this machine"
    return None if CudaBackend.providers[0] in providers else CudaBackend.advice


def _openvino() -> dict[str, BackendFacts]:
    able, advice = openvino_capabilities()
    if able is None:
        lacking = [NO_BF16] if processor_has_bf16() is False else []
        bf16 = _facts("; ".join([*lacking, str(advice)]))
    else:
        bf16 = _facts(None if "BF16" in able else f"{NO_BF16}; use openvino")
    return {"openvino": _facts(advice), "openvino-bf16": bf16}


def openvino_capabilities() -> tuple[tuple[str, ...] | None, str | None]:
    """Return the processor's capabilities from OpenVINO, or None and advice.

    OpenVINO runs in a child process: it is large, and doctor must survive a broken one.
    """
    if find_spec("openvino") is None:
        return None, _openvino_install()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_OPENVINO],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except subprocess.CalledProcessError as err:
        line = (err.stderr.strip().splitlines() or [f"status {err.returncode}"])[-1]
        return None, f"openvino is installed but does not load: {line}; {remedy('openvino', line)}"
    except (OSError, subprocess.SubprocessError) as err:
        return None, f"openvino is installed but does not respond: {type(err).__name__}"
    return tuple(done.stdout.split()), None


def _openvino_install() -> str:
    if platform.machine().lower() in ("x86_64", "amd64"):
        return 'pip install "edge-ovss[openvino]"'
    return "it is for x86-64 processors; use onnxruntime"


def processor_has_bf16(cpuinfo: Path = _CPUINFO) -> bool | None:
    """Return whether the processor reports BF16; None if it reports nothing."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    if not lines:
        return None
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(lines[0].split())
