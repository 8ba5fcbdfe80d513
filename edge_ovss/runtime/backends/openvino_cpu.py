"""OpenVINO on the CPU: in FP32, or in BF16 where the processor has it."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from edge_ovss._import_faults import remedy
from edge_ovss._machine import CPUINFO, available_cores, processor_features
from edge_ovss._optional import require
from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime.backends.base import Backend, Machine

_DEVICE = "CPU"
NO_BF16 = "this processor has no BF16 (AVX-512 BF16 or AMX)"

_ASK_OPENVINO = (
    "import openvino as o; print(*o.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"
)


class OpenVinoBackend(Backend):
    """OpenVINO with the precision that the graph has: FP32 stays FP32, INT8 stays INT8."""

    name: ClassVar[str] = "openvino"
    chooses_graph: ClassVar[bool] = True
    only_loads: ClassVar[bool] = True
    hint: ClassVar[str] = "f32"

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, threads=threads)
        self._compiled: Any = None
        self._request: Any = None

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Ask OpenVINO, in a child process."""
        del install
        return _ask(machine)[1]

    def _open_impl(self) -> None:
        self._refuse_dynamic()
        library = require("openvino", extra="openvino")
        core = library.Core()
        self._check_processor(core)
        path = self.bundle.graph_path
        # By default OpenVINO computes FP32 graphs in BF16 where it can: the answer would be
        # another on every processor, so the precision is always said.
        settings = {
            "INFERENCE_PRECISION_HINT": self.hint,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads or available_cores(),
        }
        try:
            self._compiled = core.compile_model(str(path), _DEVICE, settings)
        except Exception as err:  # OpenVINO raises RuntimeError, and classes of its own
            message = f"OpenVINO {_version(library)} cannot load '{path.name}': {_line(err)}"
            hint = "Upgrade openvino, or use --backend onnxruntime."
            raise ArtifactError(message, hint=hint) from err
        self._check_ends()
        self._request = self._compiled.create_infer_request()

    def _infer_impl(self, inputs: Arrays) -> Arrays:
        try:
            self._request.infer(dict(inputs))
        except Exception as err:
            height, width = self.contract.frame_size(inputs)
            size = f"{height} x {width}"
            message = f"OpenVINO failed on a frame of {size}: {_line(err)}"
            raise ArtifactError(message, hint="Run edge-ovss selftest on the bundle.") from err
        # The request's tensors are written again by the next frame.
        return {
            name: np.array(self._request.get_tensor(name).data)
            for name in self.contract.output_names
        }

    def _close_impl(self) -> None:
        self._request = None
        self._compiled = None

    def _refuse_dynamic(self) -> None:
        """Refuse a graph in which the number of categories varies; OpenVINO fails in its middle."""
        if self.bundle.manifest.rejection.mode == "dynamic":
            message = (
                f"Bundle '{self.bundle.path.name}' rejects in mode 'dynamic', with sizes that "
                f"depend on the picture; backend '{self.name}' needs fixed ones."
            )
            hint = "Export it again with --reject slots, or use --backend onnxruntime."
            raise ArtifactError(message, hint=hint)

    def _check_processor(self, core: Any) -> None:  # noqa: ANN401 (a class of openvino)
        """Refuse a processor that cannot do what this backend promises; FP32 all can."""
        del core

    def _check_ends(self) -> None:
        """Compare the names; OpenVINO gives an output the names of the tensors that it replaced."""
        inputs = {port.get_any_name(): "" for port in self._compiled.inputs}
        outputs = {name for port in self._compiled.outputs for name in port.get_names()}
        known = outputs & set(self.contract.output_names)
        self.contract.require_ends(inputs, known or outputs)


class OpenVinoBf16Backend(OpenVinoBackend):
    """OpenVINO with BF16 for what the graph has in FP32; another answer, close by."""

    name: ClassVar[str] = "openvino-bf16"
    hint: ClassVar[str] = "bf16"

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Ask OpenVINO and, where it cannot be asked, the processor."""
        del install
        able, advice = _ask(machine)
        if able is not None:
            return None if "BF16" in able else f"{NO_BF16}; use openvino"
        lacking = [NO_BF16] if processor_has_bf16() is False else []
        return "; ".join([*lacking, str(advice)])

    def _check_processor(self, core: Any) -> None:  # noqa: ANN401 (a class of openvino)
        able = core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in able:
            message = (
                f"This processor has no BF16 (AVX-512 BF16 or AMX); it has: {', '.join(able)}."
            )
            raise MissingDependencyError(message, hint="Use --backend openvino or onnxruntime.")


def _version(library: ModuleType) -> str:
    return str(library.__version__).split("-")[0]


def _line(err: Exception) -> str:
    """Return the line of OpenVINO's message that says something; the first ones name files."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (said or lines or [type(err).__name__])[-1][:300]


@lru_cache(maxsize=1)
def _ask(machine: Machine) -> tuple[tuple[str, ...] | None, str | None]:
    """Ask once for both backends."""
    del machine
    return openvino_capabilities()


def openvino_capabilities() -> tuple[tuple[str, ...] | None, str | None]:
    """Return the processor's capabilities from OpenVINO, or None and advice.

    OpenVINO runs in a child process: it is large, and the caller must survive a broken one.
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


def processor_has_bf16(cpuinfo: Path = CPUINFO) -> bool | None:
    """Return whether the processor reports BF16; None if it reports nothing."""
    flags = processor_features(cpuinfo, ("flags",))
    return None if flags is None else not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)
