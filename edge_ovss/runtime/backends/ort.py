"""ONNX Runtime on the CPU, and what it shares with its other providers."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from edge_ovss._machine import available_cores
from edge_ovss._optional import require
from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, EdgeOvssError, MissingDependencyError
from edge_ovss.runtime.backends.base import Backend, Machine
from edge_ovss.runtime.backends.frame_memory import require_memory
from edge_ovss.runtime.backends.optimized_graph import find_optimized, key_here, warn_unused

_ERRORS_ONLY = 3
# Would make all pieces of a tensor at once; the graph cuts it so that one is there at a time.
_UNWANTED = "GatherSliceToSplitFusion"
# The arena's first block: reserved, and touched as far as frames need it. A base model just fits; a
# larger block is used less tightly (docs/performance.md), and what does not fit adds blocks.
_FIRST_BLOCK = 120 << 20
_SPLIT_FROM = 2 << 20
_NO_MEMORY = ("bad_alloc", "allocate memory", "out of memory", "bad allocation", "cuda failure 2")


class CpuBackend(Backend):
    """ONNX Runtime on the CPU."""

    name: ClassVar[str] = "onnxruntime"
    chooses_graph: ClassVar[bool] = True
    only_loads: ClassVar[bool] = True
    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)
    settings: ClassVar[Mapping[str, str]] = {}
    extra: ClassVar[str] = "onnxruntime"
    # Bytes that the largest frame took: the sessions of a process share an arena, which keeps them.
    held: ClassVar[int] = 0
    advice: ClassVar[str] = 'pip install "edge-ovss[onnxruntime]"'

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, threads=threads)
        self._session: Any = None
        self._runtime: Any = None

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Ask the ONNX Runtime that was found for its providers."""
        del install
        return None if machine.providers else machine.onnxruntime or cls.advice

    def _open_impl(self) -> None:
        runtime = require("onnxruntime", extra=self.extra)
        self._check_providers(runtime.get_available_providers())
        self._find_libraries(runtime)
        self._runtime = runtime
        self._session = self._load_first()

    def _load_first(self) -> Any:  # noqa: ANN401 (a class of onnxruntime)
        """Load the graph for frames of any size, optimized before if that was kept."""
        kept = find_optimized(key_here(self.bundle, self._runtime))
        if kept is not None:
            try:
                with kept.checked() as path:
                    return self._load(self.settings, optimized=path)
            except ArtifactError as err:
                warn_unused(err.message)
        return self._load(self.settings)

    def _load(
        self,
        settings: Mapping[str, str],
        sizes: Mapping[str, int] | None = None,
        optimized: Path | None = None,
    ) -> Any:  # noqa: ANN401
        """Load the graph.

        Args:
            settings: Options of the first provider.
            sizes: Sides of the frame that are fixed, by name; None for any.
            optimized: The ONNX file of the graph as ONNX Runtime optimized it before.

        Raises:
            MissingDependencyError: The provider's libraries do not load.
            ArtifactError: The graph cannot be loaded, or is not what the manifest says.
        """
        path, threads = optimized or self.bundle.graph_path, self.threads or available_cores()
        try:
            session = open_session(
                self._runtime,
                path,
                threads=threads,
                providers=self.providers,
                settings=settings,
                sizes=sizes,
                is_optimized=optimized is not None,
            )
        except Exception as err:  # ONNX Runtime raises a class of its own for every status
            raise load_error(err, path, self._runtime) from err
        # A provider whose libraries do not load is left out by ONNX Runtime without an error.
        self._check_providers(session.get_providers())
        inputs = {each.name: dtype_name(each.type) for each in session.get_inputs()}
        self.contract.require_ends(inputs, [each.name for each in session.get_outputs()])
        return session

    def _infer_impl(self, inputs: Arrays) -> Arrays:
        height, width = self.contract.frame_size(inputs)
        taken = self._require_memory(height, width)
        names = list(self.contract.output_names)
        try:
            arrays = self._session.run(names, inputs)
        except Exception as err:
            raise run_error(err, (height, width)) from err
        CpuBackend.held = max(CpuBackend.held, taken)
        return dict(zip(names, arrays, strict=True))

    def _require_memory(self, height: int, width: int) -> int:
        """Refuse a frame that does not fit in memory beside what the arena holds already.

        Returns:
            The bytes that it takes.

        Raises:
            ArtifactError: It does not fit.
        """
        manifest = self.bundle.manifest
        return require_memory(manifest, height=height, width=width, held=CpuBackend.held)

    def _close_impl(self) -> None:
        self._session = None

    def _find_libraries(self, runtime: ModuleType) -> None:
        """Load what the provider needs and the system's loader does not find; here nothing."""

    def _check_providers(self, present: list[str]) -> None:
        if self.providers[0] not in present:
            given = ", ".join(present) or "none"
            message = f"Backend '{self.name}' needs {self.providers[0]}; there is: {given}."
            raise MissingDependencyError(message, hint=self.advice)


def open_session(
    runtime: ModuleType,
    path: Path,
    *,
    threads: int,
    providers: tuple[str, ...] = CpuBackend.providers,
    settings: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    profile: Path | None = None,
    is_optimized: bool = False,
) -> Any:  # noqa: ANN401 (a class of onnxruntime)
    """Load a graph as the backends do.

    Args:
        runtime: The module onnxruntime.
        path: The ONNX file.
        threads: Of one operator.
        providers: In order; a provider that does not load is left out without an error.
        settings: Options of the first provider.
        sizes: Free sides of the inputs that are fixed, by name.
        profile: Write how long every operator takes to a file that begins like this.
        is_optimized: ONNX Runtime has written this graph, after its optimizers.

    Raises:
        Exception: Whatever ONNX Runtime raises.
    """
    options = session_options(runtime, threads)
    if is_optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in (sizes or {}).items():
        options.add_free_dimension_override_by_name(name, value)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    if providers == CpuBackend.providers:
        _share_arena(runtime)
        options.add_session_config_entry("session.use_env_allocators", "1")
    session = runtime.InferenceSession(
        str(path),
        sess_options=options,
        providers=[(providers[0], dict(settings or {})), *providers[1:]],
        # Else a provider that refuses its options is opened again without any.
        enable_fallback=0,
    )
    # Loading leaves holes; they go back before frames need memory of their own.
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    return session


def session_options(runtime: ModuleType, threads: int) -> Any:  # noqa: ANN401 (a class of onnxruntime)
    """Return the options of a session: these threads for one operator, and little memory."""
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # A pattern is a second block for the same tensors, made at the second frame beside the first.
    options.enable_mem_pattern = False
    # A tensor that takes over another's place keeps that place from the first one's birth on.
    options.enable_mem_reuse = False
    options.add_session_config_entry("optimization.disable_specified_optimizers", _UNWANTED)
    return options


@cache
def _share_arena(runtime: ModuleType) -> None:
    """Give all CPU sessions of this process one arena that fits tensors tightly.

    ONNX Runtime's own hands out blocks up to twice as large as asked for, and doubles with every
    growth. What the arena has taken is used again by the next session of the process.
    """
    kind = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = runtime.OrtMemoryInfo("Cpu", kind, 0, runtime.OrtMemType.DEFAULT)
    sizes = {"initial_chunk_size_bytes": _FIRST_BLOCK, "max_dead_bytes_per_chunk": _SPLIT_FROM}
    with contextlib.suppress(Exception):  # the program around us has registered one: use that
        runtime.create_and_register_allocator(place, runtime.OrtArenaCfg(sizes))


def dtype_name(kind: str) -> str:
    """Return what numpy calls a type that ONNX Runtime calls "tensor(float)"."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return "float32" if name == "float" else name


def load_error(err: Exception, path: Path, runtime: ModuleType) -> EdgeOvssError:
    """Return the error for a graph that ONNX Runtime cannot load."""
    if _is_memory(err):
        return ArtifactError(
            f"There is not enough memory to load '{path.name}'.",
            hint="Close other programs, or export a smaller model.",
        )
    message = f"ONNX Runtime {runtime.__version__} cannot load '{path.name}': {_first_line(err)}"
    hint = "Upgrade onnxruntime, or export the bundle again with this version of edge-ovss."
    return ArtifactError(message, hint=hint)


def run_error(err: Exception, size: tuple[int, int]) -> EdgeOvssError:
    """Return the error for a frame of (height, width) on which ONNX Runtime failed."""
    height, width = size
    if _is_memory(err):
        return ArtifactError(
            f"There is not enough memory for a frame of {height} x {width}.",
            hint="Give smaller frames, or export with fewer slots.",
        )
    message = f"ONNX Runtime failed on a frame of {height} x {width}: {_first_line(err)}"
    return ArtifactError(message, hint="Run edge-ovss selftest on the bundle.")


def _is_memory(err: Exception) -> bool:
    text = str(err).lower()
    return isinstance(err, MemoryError) or any(sign in text for sign in _NO_MEMORY)


def _first_line(err: Exception) -> str:
    lines = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:300]
