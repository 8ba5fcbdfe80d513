"""The TensorRT backends: run engines of the bundle, chosen by frame size."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.backends.base import Backend, Machine
from edge_ovss.runtime.cuda.driver import require_driver
from edge_ovss.runtime.cuda.memory import DeviceMemory, memory_choice, open_memory
from edge_ovss.runtime.trt.auto_build import auto_build
from edge_ovss.runtime.trt.commands import rebuild_command
from edge_ovss.runtime.trt.engine_key import surroundings_here
from edge_ovss.runtime.trt.engine_store import Engine, choose_engine, fitting_engines
from edge_ovss.runtime.trt.engine_warnings import say_unproved
from edge_ovss.runtime.trt.gpu import local_gpu
from edge_ovss.runtime.trt.loading import LoadedEngine, load_engine
from edge_ovss.runtime.trt.session import DTYPES, TrtSession
from edge_ovss.runtime.trt.variants import FLAVORS, library_version, load_library

Size = tuple[int, int]


class TensorRtBackend(Backend):
    """Runs engines built here by `edge-ovss build`; one backend per thread.

    An engine is loaded with the first frame of its size. If no engine accepts a frame, the error
    names the command that builds one.

    Args:
        bundle: The bundle to run.
        threads: Not used, because the GPU does the work.
        engine: An engine to use instead of those of the bundle.
    """

    name: ClassVar[str] = "tensorrt"

    def __init__(
        self, bundle: Bundle, *, threads: int | None = None, engine: Engine | None = None
    ) -> None:
        super().__init__(bundle, threads=threads)
        self._given = engine
        self._engines: list[Engine] = []
        self._library: Any = None
        self._memory: DeviceMemory | None = None
        self._sessions: dict[str, tuple[LoadedEngine, TrtSession]] = {}

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Repeat what its TensorRT lacks, as doctor lists it under "Engines"."""
        del install
        return machine.engines[cls.name]

    def _words(self, bundle: Bundle) -> Arrays | None:
        """Return the words for all places: an engine takes no other number of them."""
        info = bundle.manifest.open
        return None if info is None else bundle.word_inputs(rows=info.places)

    def allow_builds(self) -> None:
        """Build an engine when a frame comes that none of the bundle's engines takes."""
        self.builds = True

    def _open_impl(self) -> None:
        flavor = FLAVORS[self.name]
        self._library = load_library(flavor)
        # Without a driver some versions of the library crash instead of refusing.
        require_driver(f"Backend '{self.name}'")
        self._engines = self._find_engines() if self._given is None else [self._given]
        self._memory = open_memory(memory_choice())

    def _find_engines(self) -> list[Engine]:
        """Return the engines that fit; [] where missing ones are built."""
        flavor, gpu = FLAVORS[self.name], local_gpu()
        version = library_version(self._library)
        here = surroundings_here(flavor, version=version, capabilities=(), gpu=gpu)
        try:
            return fitting_engines(self.bundle, here, gpu)
        except ArtifactError:
            if not self.builds:
                raise
            return []

    def prepare(self, size: Size) -> None:
        """Build the engine for frames of this size, where that was asked for and there is none."""
        if self.builds and not any(size in engine.frames for engine in self._engines):
            auto_build(self.bundle, self.name, size)
            self.builds = False  # if it still does not fit, the reason is to be seen
            self._engines = self._find_engines()
            self.builds = True

    def _infer_impl(self, inputs: Arrays) -> Arrays:
        memory = self._memory
        assert memory is not None  # _open_impl has set it
        with memory.current():
            session = self._session(self.contract.frame_size(inputs), memory)
            fresh = session.graph_refused is None and not session.captured
            answer = session.run(inputs)
            self.device_ms = session.device_ms
            if fresh:
                self._keep_kernels()
        return self._as_the_contract(answer)

    def layer_times(self) -> dict[str, float]:
        """Return milliseconds by layer of the engine that ran last; nothing may run after it."""
        memory = self._memory
        assert memory is not None  # it is open
        with memory.current():
            return [session for _, session in self._sessions.values()][-1].layer_times()

    def _close_impl(self) -> None:
        sessions, self._sessions = self._sessions, {}
        if self._memory is not None and sessions:
            with self._memory.current():
                for _, session in sessions.values():
                    session.close()
        self._memory = None

    def _session(self, size: Size, memory: DeviceMemory) -> TrtSession:
        engine = choose_engine(self.bundle, self._engines, size)
        name = engine.folder.name
        if name not in self._sessions:
            loaded = load_engine(self.bundle, engine, self._library)
            session = TrtSession(loaded, memory)
            self._sessions[name] = (loaded, session)
            self._check_ends(engine, session)
            if self._given is None:  # an explicit engine is just being checked
                say_unproved(self.bundle, engine)
        return self._sessions[name][1]

    def _keep_kernels(self) -> None:
        for loaded, _ in self._sessions.values():
            loaded.save_runtime_cache()

    def _check_ends(self, engine: Engine, session: TrtSession) -> None:
        """Compare the engine's inputs and outputs with the contract."""
        inputs, outputs = session.io()
        known = {name: _dtype(kind) for name, kind in inputs.items()}
        found = self.contract.departure(known, outputs)
        if found is not None:
            message = f"Engine '{engine.folder.name}' has {found}."
            command = rebuild_command(self.bundle, engine.record.key)
            raise ArtifactError(message, hint=f"Build it again: {command}")

    def _as_the_contract(self, answer: dict[str, NDArray[Any]]) -> Arrays:
        """Cast to the types of the graph contract: TensorRT lacks uint16, and may return halves."""
        wanted = {
            "labels": self.bundle.manifest.output.labels_dtype,
            "confidence": "float32",
            "scores": "float32",
        }
        return {
            name: array.astype(wanted.get(name, array.dtype), copy=False)
            for name, array in answer.items()
        }


def _dtype(kind: str) -> str:
    """Return what numpy calls a type of the library."""
    return np.dtype(DTYPES[kind]).name if kind in DTYPES else kind.lower()


class TensorRtRtxBackend(TensorRtBackend):
    """TensorRT for RTX, on desktop GPUs."""

    name: ClassVar[str] = "tensorrt-rtx"


BACKENDS: dict[str, type[TensorRtBackend]] = {
    kind.name: kind for kind in (TensorRtBackend, TensorRtRtxBackend)
}


def open_engine(bundle: Bundle, engine: Engine) -> TensorRtBackend:
    """Open one given engine of the bundle, to check it.

    Raises:
        MissingDependencyError: The library or the GPU is missing.
    """
    backend = BACKENDS[engine.record.key.surroundings.backend](bundle, engine=engine)
    backend.open()
    return backend
