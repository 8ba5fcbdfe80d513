"""The backends by name, each loaded when it is asked for.

A backend is one `Entry` in `REGISTRY`; its module is imported by `create_backend` only, so that
naming it costs nothing where its library is not installed. The order is the order of `auto`.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from edge_ovss._optional import is_installed
from edge_ovss.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.runtime.backends.base import Backend, Machine

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """Where a backend is, and what it needs.

    Attributes:
        factory: "module:Class" of a `Backend`.
        requires: Modules that must be installed.
        extra: The extra of this package that installs them.
        automatic: Whether `auto` may choose it.
        precision: In which it computes a float32 graph, if in less than FP32; tells how far its
            labels may be off (`bundle.tolerances`).
    """

    factory: str
    requires: tuple[str, ...]
    extra: str
    automatic: bool = True
    precision: str | None = None

    @property
    def usable(self) -> bool:
        """Whether the modules it needs are installed (found, not imported)."""
        return all(is_installed(module) for module in self.requires)

    def load(self) -> type[Backend]:
        """Import the module of the backend and return its class."""
        module, _, attribute = self.factory.partition(":")
        return cast("type[Backend]", getattr(importlib.import_module(module), attribute))

    def why_not_usable(self, machine: Machine) -> str | None:
        """Return what is in the way of using it here, and what to do; None if nothing is."""
        install = None if self.usable else f'pip install "edge-ovss[{self.extra}]"'
        return self.load().why_not_usable(machine, install)


REGISTRY: dict[str, Entry] = {
    "onnxruntime": Entry(
        factory="edge_ovss.runtime.backends.ort:CpuBackend",
        requires=("onnxruntime",),
        extra="onnxruntime",
    ),
    # Whether CUDA works shows only when a session is opened, so it is used when it is asked for.
    "onnxruntime-cuda": Entry(
        factory="edge_ovss.runtime.backends.ort_cuda:CudaBackend",
        requires=("onnxruntime",),
        extra="onnxruntime-gpu",
        automatic=False,
    ),
    # The same engines as tensorrt-rtx, compiled by ONNX Runtime when the first frame comes.
    "onnxruntime-rtx": Entry(
        factory="edge_ovss.runtime.plug_in.backend:RtxPlugInBackend",
        requires=("onnxruntime", "onnxruntime_ep_nv_tensorrt_rtx"),
        extra="onnxruntime-rtx",
        automatic=False,
    ),
    # An engine must have been built for this very machine first, so they are asked for as well.
    "tensorrt": Entry(
        factory="edge_ovss.runtime.trt.backend:TensorRtBackend",
        requires=("tensorrt",),
        extra="tensorrt",
        automatic=False,
    ),
    "tensorrt-rtx": Entry(
        factory="edge_ovss.runtime.trt.backend:TensorRtRtxBackend",
        requires=("tensorrt_rtx_bindings",),
        extra="tensorrt-rtx",
        automatic=False,
    ),
    "openvino": Entry(
        factory="edge_ovss.runtime.backends.openvino_cpu:OpenVinoBackend",
        requires=("openvino",),
        extra="openvino",
        automatic=False,
    ),
    # Another answer than FP32, if a close one: nobody gets it without asking.
    "openvino-bf16": Entry(
        factory="edge_ovss.runtime.backends.openvino_cpu:OpenVinoBf16Backend",
        requires=("openvino",),
        extra="openvino",
        automatic=False,
        precision="bf16",
    ),
    "native": Entry(
        factory="edge_ovss.runtime.backends.native:NativeBackend",
        requires=(),
        extra="onnxruntime",
        automatic=False,
    ),
}


def backend_names() -> tuple[str, ...]:
    """Return what `backend=` takes: "auto" and the registered names."""
    return (AUTO, *REGISTRY)


def create_backend(name: str, bundle: Bundle, *, threads: int | None = None) -> Backend:
    """Return the backend `name` for `bundle`, not yet opened.

    Raises:
        UsageError: There is no such backend, or `threads` is not positive.
        MissingDependencyError: What it needs is not installed.
    """
    if threads is not None and threads < 1:
        message = f"threads is {threads}; expected at least 1."
        raise UsageError(message)
    return REGISTRY[resolve_backend(name)].load()(bundle, threads=threads)


def compute_precision(backend: str, graph: str) -> str:
    """Return the precision in which a backend computes a graph of this precision."""
    entry = REGISTRY.get(backend)
    own = None if entry is None else entry.precision
    return own if own is not None and graph == "fp32" else graph


def resolve_backend(name: str) -> str:
    """Return the registered name that `name` stands for; "auto" is the first that is usable.

    Raises:
        UsageError: There is no such backend.
        MissingDependencyError: "auto" finds none that is usable.
    """
    if name in REGISTRY:
        return name
    if name != AUTO:
        close = difflib.get_close_matches(name, backend_names(), n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(close)}?" if close else None
        known = ", ".join(backend_names())
        message = f"There is no backend '{name}'; expected one of: {known}."
        raise UsageError(message, hint=hint)
    for candidate, entry in REGISTRY.items():
        if entry.automatic and entry.usable:
            return candidate
    message = "No backend is installed that can run a bundle."
    raise MissingDependencyError(message, hint='pip install "edge-ovss[onnxruntime]"')
