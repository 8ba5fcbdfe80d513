"""Load a checked plan onto the GPU; the threads of a process share it."""

from __future__ import annotations

import hashlib
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from edge_ovss._leftovers import new_part, remove_parts
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.trt.commands import rebuild_command
from edge_ovss.runtime.trt.engine_key import VERSION
from edge_ovss.runtime.trt.engine_store import Engine, check_plan
from edge_ovss.runtime.trt.engine_warnings import say_suboptimal
from edge_ovss.runtime.trt.variants import library_version

RUNTIME_CACHE = "runtime.cache"


class LoadedEngine:
    """A deserialized engine, whose weights are on the GPU once for all contexts.

    Attributes:
        library: The TensorRT module.
        handle: The ICudaEngine.
        folder: Folder of the plan.
    """

    def __init__(self, library: ModuleType, runtime: Any, handle: Any, folder: Path) -> None:  # noqa: ANN401
        self.library: Any = library
        self.handle: Any = handle
        self.folder = folder
        self._runtime = runtime  # must outlive the engine
        self._cache: Any = None
        self._stored: bytes = b""
        self._lock = threading.Lock()

    def create_context(self) -> Any:  # noqa: ANN401 (an IExecutionContext)
        """Return a new execution context; each thread needs its own.

        Raises:
            ArtifactError: It cannot be created, most likely for lack of memory.
        """
        with self._lock:
            config = self._runtime_config()
            arguments = () if config is None else (config,)
            context = self.handle.create_execution_context(*arguments)
        if context is None:
            message = f"An execution context for engine '{self.folder.name}' cannot be created."
            hint = "Most often the GPU is out of memory: close other programs."
            raise ArtifactError(message, hint=hint)
        return context

    def _runtime_config(self) -> Any:  # noqa: ANN401 (an IRuntimeConfig, or None)
        """Return a configuration with the kernel cache, if the library has one."""
        if not hasattr(self.handle, "create_runtime_config"):
            return None
        config = self.handle.create_runtime_config()
        if not hasattr(config, "create_runtime_cache"):
            return None
        if self._cache is None:
            self._cache = config.create_runtime_cache()
            self._stored = read_runtime_cache(self.folder)
            if self._stored:  # the library rejects caches of another GPU or version
                self._cache.deserialize(self._stored)
        config.set_runtime_cache(self._cache)
        return config

    def save_runtime_cache(self) -> None:
        """Save the kernels that were compiled for this GPU, unless the disk is read-only.

        Without them, TensorRT for RTX compiles the kernels again at every start.
        """
        if self._cache is None:
            return
        with self._lock, suppress(OSError):
            data = bytes(self._cache.serialize())
            if data and data != self._stored:
                write_runtime_cache(self.folder, data)
                self._stored = data


def read_runtime_cache(folder: Path) -> bytes:
    """Return the saved kernels, or b"" if there are none or they were changed."""
    try:
        digest = (folder / f"{RUNTIME_CACHE}.sha256").read_text(encoding="ascii").strip()
        data = (folder / RUNTIME_CACHE).read_bytes()
    except (OSError, ValueError):
        return b""
    return data if hashlib.sha256(data).hexdigest() == digest else b""


def write_runtime_cache(folder: Path, data: bytes) -> None:
    """Save kernels with their hash.

    Raises:
        OSError: They cannot be written.
    """
    for name, content in (
        (RUNTIME_CACHE, data),
        (f"{RUNTIME_CACHE}.sha256", hashlib.sha256(data).hexdigest().encode()),
    ):
        remove_parts(folder, of=name)
        part = new_part(folder / name, mode=0o600)
        try:
            part.path.write_bytes(content)
            part.path.replace(folder / name)
        finally:
            part.path.unlink(missing_ok=True)
            part.release()


_loaded: weakref.WeakValueDictionary[tuple[str, str], LoadedEngine] = weakref.WeakValueDictionary()
_loading = threading.Lock()


def load_engine(bundle: Bundle, engine: Engine, library: Any) -> LoadedEngine:  # noqa: ANN401
    """Check a plan and deserialize it, or return the engine that this process has loaded before.

    Raises:
        ArtifactError: It was changed, or the library refuses it.
    """
    name = (str(engine.folder), engine.record.sha256)
    with _loading:
        found = _loaded.get(name)
        if found is None:
            found = _deserialize(bundle, engine, library)
            _loaded[name] = found
        return found


def _deserialize(bundle: Bundle, engine: Engine, library: Any) -> LoadedEngine:  # noqa: ANN401
    plan = check_plan(bundle, engine)
    logger, lines = process_logger(library)
    runtime = library.Runtime(logger)
    check_validity(bundle, engine, library, runtime, plan)
    if VERSION in engine.record.key.flags.compatible:
        runtime.engine_host_code_allowed = True  # such a plan brings the runtime of its version
    handle = runtime.deserialize_cuda_engine(plan)
    if handle is None:
        _refuse(bundle, engine, library, lines[:1])
    return LoadedEngine(library, runtime, handle, engine.folder)


def check_validity(
    bundle: Bundle,
    engine: Engine,
    library: Any,  # noqa: ANN401
    runtime: Any,  # noqa: ANN401
    plan: bytes,
) -> None:
    """Ask the library whether a plan fits this machine, if it can tell without loading the plan.

    A suboptimal plan is used with a warning.

    Raises:
        ArtifactError: The plan does not fit.
    """
    if not hasattr(runtime, "get_engine_validity"):
        return
    validity, reasons = runtime.get_engine_validity(plan)
    why = _explain(library, int(reasons))
    if validity == library.EngineValidity.INVALID:
        _refuse(bundle, engine, library, [why])
    if validity == library.EngineValidity.SUBOPTIMAL:
        say_suboptimal(bundle, engine, why)


def _explain(library: Any, reasons: int) -> str:  # noqa: ANN401
    kinds = getattr(library, "EngineInvalidityDiagnostics", None)
    members = getattr(kinds, "__members__", {})
    named = [name for name, kind in members.items() if int(kind) and reasons & int(kind)]
    return ", ".join(named).lower().replace("_", " ") or f"diagnostics {reasons}"


def _refuse(bundle: Bundle, engine: Engine, library: Any, lines: list[str]) -> NoReturn:  # noqa: ANN401
    why = f": {lines[0]}" if lines else ""
    version = library_version(library)
    message = f"TensorRT {version} refuses engine '{engine.folder.name}'{why}."
    command = rebuild_command(bundle, engine.record.key)
    raise ArtifactError(message, hint=f"Build it again here: {command}")


def process_logger(library: Any) -> tuple[Any, list[str]]:  # noqa: ANN401
    """Return the process's logger for a library, which prints nothing, and its list of errors.

    A library keeps using the first logger that it is given, so this one is never freed.
    """
    name = str(library.__name__)
    if name not in _loggers:
        _loggers[name] = _make_logger(library)
    logger, lines = _loggers[name]
    lines.clear()
    return logger, lines


_loggers: dict[str, tuple[Any, list[str]]] = {}


def _make_logger(library: Any) -> tuple[Any, list[str]]:  # noqa: ANN401
    errors = {int(library.ILogger.ERROR), int(library.ILogger.INTERNAL_ERROR)}
    lines: list[str] = []

    def log(self: object, severity: Any, msg: str) -> None:  # noqa: ANN401
        del self
        if int(severity) in errors:
            lines.append(msg)

    return type("Log", (library.ILogger,), {"log": log})(), lines
