"""OpenVINO on the CPU: in FP32, or in BF16 where the processor has it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ovss._machine import available_cores
from edge_ovss._optional import require
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime.backends.base import Arrays, Backend

_DEVICE = "CPU"


class OpenVinoBackend(Backend):
    """OpenVINO with the precision that the graph has: FP32 stays FP32, INT8 stays INT8."""

    name: ClassVar[str] = "openvino"
    precision: ClassVar[str] = "f32"

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, threads=threads)
        self._compiled: Any = None
        self._request: Any = None

    def _open_impl(self) -> None:
        self._refuse_dynamic()
        library = require("openvino", extra="openvino")
        core = library.Core()
        self._check_processor(core)
        path = self.bundle.graph_path
        # By default OpenVINO computes FP32 graphs in BF16 where it can: the answer would be
        # another on every processor, so the precision is always said.
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
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

    def _infer_impl(self, frame: NDArray[np.uint8]) -> Arrays:
        try:
            self._request.infer({self.bundle.manifest.picture.input: frame})
        except Exception as err:
            size = f"{frame.shape[1]} x {frame.shape[2]}"
            message = f"OpenVINO failed on a frame of {size}: {_line(err)}"
            raise ArtifactError(message, hint="Run edge-ovss selftest on the bundle.") from err
        # The request's tensors are written again by the next frame.
        return {
            name: np.array(self._request.get_tensor(name).data)
            for name in self.bundle.manifest.output.outputs
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
        inputs = {port.get_any_name() for port in self._compiled.inputs}
        if inputs != {self.bundle.manifest.picture.input}:
            _refuse("inputs", inputs, {self.bundle.manifest.picture.input})
        outputs = {name for port in self._compiled.outputs for name in port.get_names()}
        if not set(self.bundle.manifest.output.outputs) <= outputs:
            _refuse("outputs", outputs, set(self.bundle.manifest.output.outputs))


class OpenVinoBf16Backend(OpenVinoBackend):
    """OpenVINO with BF16 for what the graph has in FP32; another answer, close by."""

    name: ClassVar[str] = "openvino-bf16"
    precision: ClassVar[str] = "bf16"

    def _check_processor(self, core: Any) -> None:  # noqa: ANN401 (a class of openvino)
        able = core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in able:
            message = (
                f"This processor has no BF16 (AVX-512 BF16 or AMX); it has: {', '.join(able)}."
            )
            raise MissingDependencyError(message, hint="Use --backend openvino or onnxruntime.")


def _refuse(what: str, given: set[str], expected: set[str]) -> NoReturn:
    message = f"The graph has the {what} {sorted(given)}; the manifest says {sorted(expected)}."
    raise ArtifactError(message, hint="The graph does not match its manifest; export it again.")


def _version(library: ModuleType) -> str:
    return str(library.__version__).split("-")[0]


def _line(err: Exception) -> str:
    """Return the line of OpenVINO's message that says something; the first ones name files."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (said or lines or [type(err).__name__])[-1][:300]
