"""ONNX Runtime with the plug-in for TensorRT for RTX: engines compiled at the first frame."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from edge_ovss._machine import available_cores
from edge_ovss._optional import env_flag, is_installed, require
from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, EdgeOvssError, MissingDependencyError
from edge_ovss.runtime.backends.base import Machine
from edge_ovss.runtime.backends.ort import dtype_name, load_error, session_options
from edge_ovss.runtime.backends.ort_cuda import SEVERAL, CudaBackend, Size
from edge_ovss.runtime.cuda.driver import require_driver
from edge_ovss.runtime.plug_in.contexts import (
    close_kernels,
    context_key,
    find_context,
    make_context,
    open_kernels,
)
from edge_ovss.runtime.plug_in.library import (
    BACKEND,
    EXTRA,
    MODULE,
    OTHERS,
    PlugIn,
    load_plug_in,
    refusal,
)
from edge_ovss.runtime.trt.compilable import check_compilable
from edge_ovss.runtime.trt.engine_store import Engine
from edge_ovss.runtime.trt.gpu import Gpu, local_gpu

_log = logging.getLogger(__name__)
_SWITCHED_OFF = "switched off by EDGE_OVSS_CUDA_GRAPHS"


class RtxPlugInBackend(CudaBackend):
    """TensorRT for RTX inside ONNX Runtime, on desktop GPUs.

    The graph is compiled when the first frame comes, for frames of that size, and kept in the
    bundle. A frame of another size loads the graph for any size, which is compiled anew at every
    start. Frames and labels stay in buffers on the GPU, as with `onnxruntime-cuda`.
    """

    name: ClassVar[str] = BACKEND
    chooses_graph: ClassVar[bool] = False  # its engines are those of the first graph
    extra: ClassVar[str] = EXTRA
    advice: ClassVar[str] = f'pip install "edge-ovss[{EXTRA}]"'

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, threads=threads)
        self._plug_in: PlugIn | None = None
        self._gpu: Gpu | None = None
        self._engine: Engine | None = None

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Ask for the packages, for a GPU, and whether the plug-in takes it."""
        if install is not None or not machine.providers:
            return install or machine.onnxruntime or cls.advice
        gpu = local_gpu() if machine.gpu else None
        if gpu is None:
            return "there is no NVIDIA GPU with a driver on this machine"
        why = refusal(gpu.name, gpu.capability)
        return None if why is None else f"{why}: use {OTHERS}"

    def _words(self, bundle: Bundle) -> Arrays | None:
        """Return the words for all places: an engine takes no other number of them."""
        info = bundle.manifest.open
        return None if info is None else bundle.word_inputs(rows=info.places)

    def _open_impl(self) -> None:
        check_compilable(self.bundle)
        if not is_installed(MODULE):
            message = f"Backend '{self.name}' needs the package '{MODULE}', which is not installed."
            raise MissingDependencyError(message, hint=self.advice)
        require_driver(f"Backend '{self.name}'")
        self._gpu = local_gpu()
        why = None if self._gpu is None else refusal(self._gpu.name, self._gpu.capability)
        if why is not None:
            message = f"{why}."
            raise ArtifactError(message, hint=f"Use {OTHERS}.")
        self._runtime = require("onnxruntime", extra=self.extra)
        self._plug_in = load_plug_in(self._runtime)
        self._names = self._frame_names()
        self._take_memory()

    def _frame_names(self) -> tuple[str | int, ...]:
        name = self.contract.inputs[0].name
        shape = next(each.shape for each in self.bundle.graph.inputs if each.name == name)
        return tuple(shape[1:3])

    def _close_impl(self) -> None:
        super()._close_impl()
        self._leave_engine()

    def _leave_engine(self) -> None:
        """Write down what the last session compiled; it is gone when this is called."""
        if self._engine is not None:
            close_kernels(self._engine)
            self._engine = None

    def _options(self) -> dict[str, str]:
        """Return the options of the plug-in: it works on the stream of the buffers."""
        stream = str(self._buffers.stream)
        return {"has_user_compute_stream": "1", "user_compute_stream": stream}

    def _prepare(self, inputs: Arrays) -> None:
        """Choose the session for frames of this size, and bind its inputs and outputs."""
        size = self.contract.frame_size(inputs)
        if self._session is None:
            self._start(inputs, size)
            return
        if self._pinned is not None:
            _log.warning("Frames come in several sizes: the graph is compiled for any size.")
            self.graph_refused, self._pinned = SEVERAL, None
            self._drop()
            self._session = self._open_session(self.bundle.graph_path, self._options(), {})
        self._bind(inputs)

    def _start(self, inputs: Arrays, size: Size) -> None:
        """Load the graph for frames of one size, with a CUDA graph if that works."""
        allowed = env_flag("EDGE_OVSS_CUDA_GRAPHS", default=True)
        self.graph_refused = None if allowed else _SWITCHED_OFF
        self._pinned = size
        if allowed:
            try:
                self._load_pinned(inputs, size, {"enable_cuda_graph": "1"})
                self._run(inputs)  # captures
            except EdgeOvssError as err:
                self.graph_refused = err.message
                self._drop()
            else:
                return
        self._load_pinned(inputs, size, {})

    def _drop(self) -> None:
        self._unbind()
        self._session = None
        self._leave_engine()

    def _load_pinned(self, inputs: Arrays, size: Size, more: Mapping[str, str]) -> None:
        """Open the engine for one size, from the bundle if it is there; else compile it."""
        plug_in, gpu = self._plug_in, self._gpu
        assert plug_in is not None
        assert gpu is not None  # `open` has set both
        settings, sizes = {**self._options(), **more}, self._pinned_sides(inputs)
        library = f"{plug_in.version}, ONNX Runtime {self._runtime.__version__}"
        key = context_key(self.bundle, library, gpu, size)
        engine = find_context(self.bundle, key)
        if engine is None:
            _log.warning("Compiling the graph for frames of %d x %d, which takes seconds.", *size)
            engine = make_context(self.bundle, key, lambda path: self._compile(path, sizes))
        if engine is None:
            self._session = self._open_session(self.bundle.graph_path, settings, sizes)
        else:
            kernels = open_kernels(engine)
            kept = {} if kernels is None else {"nv_runtime_cache_path": str(kernels)}
            self._session = self._open_session(engine.plan, {**settings, **kept}, {})
            self._engine = engine
        self._bind(inputs)

    def _pinned_sides(self, inputs: Arrays) -> dict[str, int]:
        """Return the free sides of all inputs by name, as these inputs fix them."""
        return {
            side: length
            for each in self.bundle.graph.inputs
            if each.name in inputs
            for side, length in zip(each.shape, inputs[each.name].shape, strict=True)
            if isinstance(side, str)
        }

    def _compile(self, place: Path, sizes: Mapping[str, int]) -> None:
        """Write the graph with its engine embedded."""
        source = self.bundle.graph_path
        options = self._session_options({}, sizes)
        try:
            compiler = self._runtime.ModelCompiler(
                options, str(source), embed_compiled_data_into_model=True
            )
            compiler.compile_to_file(str(place))
        except Exception as err:
            raise load_error(err, source, self._runtime) from err

    def _session_options(self, settings: Mapping[str, str], sizes: Mapping[str, int]) -> Any:  # noqa: ANN401
        assert self._plug_in is not None  # `open` has set it
        options = session_options(self._runtime, self.threads or available_cores())
        for name, value in sizes.items():
            options.add_free_dimension_override_by_name(name, value)
        self._plug_in.options(options, settings)
        return options

    def _open_session(
        self, path: Path, settings: Mapping[str, str], sizes: Mapping[str, int]
    ) -> Any:  # noqa: ANN401
        """Load a graph, and compare its ends with the manifest."""
        try:
            options = self._session_options(settings, sizes)
            session = self._runtime.InferenceSession(str(path), sess_options=options)
        except Exception as err:
            raise load_error(err, path, self._runtime) from err
        assert self._plug_in is not None
        if self._plug_in.name not in session.get_providers():
            message = f"{self._plug_in.name} takes no part of '{path.name}'."
            raise ArtifactError(message, hint=f"Use {OTHERS}.")
        inputs = {each.name: dtype_name(each.type) for each in session.get_inputs()}
        self.contract.require_ends(inputs, [each.name for each in session.get_outputs()])
        return session

    def _find_libraries(self, runtime: ModuleType) -> None:
        """Do nothing: the plug-in brings its own CUDA."""
