"""Run an engine: an execution context with its buffers, frames in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import env_flag
from edge_ovss.bundle.contract import PLACES, TEXT
from edge_ovss.errors import ArtifactError, EdgeOvssError
from edge_ovss.runtime.cuda.memory import DeviceMemory
from edge_ovss.runtime.cuda.tensor import DeviceTensor
from edge_ovss.runtime.trt.loading import LoadedEngine

# numpy types by the name of the library's DataType.
DTYPES = {
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FLOAT": np.float32,
    "HALF": np.float16,
    "BOOL": np.bool_,
}

# Inputs that are copied when they change, and not with every frame.
_KEPT = frozenset({TEXT, PLACES})


class TrtSession:
    """Runs one engine in one thread.

    Buffers are kept between frames and reallocated when the frame size changes. The sequence copy,
    run, copy is captured in a CUDA graph if possible. Words stay on the device until they change.

    Args:
        engine: The engine to run.
        memory: Allocator of the buffers; all calls must be made in its context.

    Attributes:
        graph_refused: Why frames do not run as a CUDA graph; None if they do.
        device_ms: GPU time of the last frame, including copies; None before the first.
    """

    def __init__(self, engine: LoadedEngine, memory: DeviceMemory) -> None:
        self.memory = memory
        self.graph_refused: str | None = None
        self.device_ms: float | None = None
        self._engine = engine
        self._context = engine.create_context()
        self._stream = memory.create_stream()
        self._events = (memory.driver.create_event(), memory.driver.create_event())
        self._inputs: dict[str, DeviceTensor] = {}
        self._outputs: dict[str, DeviceTensor] = {}
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._graph: int | None = None
        self._profiler: object = None  # the library uses it without owning it
        self._held: dict[str, NDArray[Any]] = {}

    @property
    def captured(self) -> bool:
        """Whether frames run as a CUDA graph."""
        return self._graph is not None

    def io(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the types of the inputs and of the outputs, by name."""
        handle, inputs = self._engine.handle, self._engine.library.TensorIOMode.INPUT
        names = [handle.get_tensor_name(index) for index in range(handle.num_io_tensors)]
        kinds = {name: str(handle.get_tensor_dtype(name).name) for name in names}
        given = {name for name in names if handle.get_tensor_mode(name) == inputs}
        return (
            {name: kind for name, kind in kinds.items() if name in given},
            {name: kind for name, kind in kinds.items() if name not in given},
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one frame.

        Args:
            inputs: C-contiguous arrays by name, of the engine's types.

        Returns:
            The outputs by name; the arrays belong to the caller.

        Raises:
            ArtifactError: The engine does not accept a shape, or fails.
        """
        if {name: array.shape for name, array in inputs.items()} != self._shapes:
            self._prepare(inputs)
        self._fill(inputs)
        driver, (start, end) = self.memory.driver, self._events
        driver.record(start, self._stream)
        if self._graph is None:
            self._enqueue()
        else:
            driver.launch(self._graph, self._stream)
        driver.record(end, self._stream)
        self.memory.synchronize(self._stream)
        self.device_ms = driver.elapsed_ms(start, end)
        return {name: tensor.array.copy() for name, tensor in self._outputs.items()}

    def layer_times(self) -> dict[str, float]:
        """Run the last frame once more, and return milliseconds by layer.

        The session is of no other use afterwards: the profiler slows it down.
        """
        times: dict[str, float] = {}

        def report_layer_time(self: object, layer_name: str, ms: float) -> None:
            del self
            times[layer_name] = times.get(layer_name, 0.0) + ms

        methods = {"report_layer_time": report_layer_time}
        self._profiler = type("Profiler", (self._engine.library.IProfiler,), methods)()
        self._context.profiler = self._profiler
        self._enqueue()
        self.memory.synchronize(self._stream)
        return times

    def close(self) -> None:
        """Free everything except the engine."""
        self._free_buffers()
        for event in self._events:
            self.memory.driver.free_event(event)
        self.memory.free_stream(self._stream)
        self._context = None

    def _fill(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Copy the inputs to where the run reads them; those that are kept only if they changed."""
        for name, array in inputs.items():
            if name in _KEPT and self._held.get(name) is array:
                continue
            np.copyto(self._inputs[name].array, array)
            if name in _KEPT:
                self._inputs[name].upload(self._stream)
                self._held[name] = array

    def _prepare(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Set the inputs' shapes, allocate, run once, and try to capture."""
        self._free_buffers()
        for name, array in inputs.items():
            if not self._context.set_input_shape(name, tuple(array.shape)):
                message = f"The engine does not accept an input '{name}' of shape {array.shape}."
                raise ArtifactError(message, hint="Build an engine for this frame size.")
        missing = self._context.infer_shapes()
        if missing:
            message = f"The engine also needs the shapes of {', '.join(missing)}."
            raise ArtifactError(message, hint="It was not built by edge-ovss; build it again.")
        given, outputs = self.io()
        for tensors, kinds in ((self._inputs, given), (self._outputs, outputs)):
            for name, kind in kinds.items():
                tensors[name] = self._allocate(name, kind)
                self._place(name, tensors[name])
        self._shapes = {name: array.shape for name, array in inputs.items()}
        self._fill(inputs)
        # The first run after a change of shape does extra work that cannot be captured.
        self._enqueue()
        self.memory.synchronize(self._stream)
        self._capture()

    def _allocate(self, name: str, kind: str) -> DeviceTensor:
        shape = tuple(self._context.get_tensor_shape(name))
        if min(shape, default=1) < 0 or kind not in DTYPES:
            message = f"Output '{name}' of the engine is {kind} of shape {shape}."
            raise ArtifactError(message, hint="Export with --reject slots and build again.")
        return DeviceTensor.allocate(self.memory, shape, np.dtype(DTYPES[kind]))

    def _place(self, name: str, tensor: DeviceTensor) -> None:
        if not self._context.set_tensor_address(name, tensor.pointer):
            message = f"The engine refuses the buffer of '{name}'."
            raise ArtifactError(message, hint="Build the engine again.")

    def _enqueue(self) -> None:
        for name, tensor in self._inputs.items():
            if name not in _KEPT:
                tensor.upload(self._stream)
        if not self._context.execute_async_v3(self._stream):
            message = "The engine failed on a frame."
            raise ArtifactError(message, hint="Run edge-ovss selftest with this --backend.")
        for tensor in self._outputs.values():
            tensor.download(self._stream)

    def _capture(self) -> None:
        """Capture copy, run and copy; if that fails, every frame queues them again."""
        self.graph_refused = self._why_not_captured()
        if self.graph_refused is not None:
            return
        driver = self.memory.driver
        try:
            driver.begin_capture(self._stream)
            try:
                self._enqueue()
            finally:  # otherwise the stream stays in capture mode and is unusable
                self._graph = driver.end_capture(self._stream)
        except EdgeOvssError as err:
            self.graph_refused = err.message
            self._free_graph()

    def _why_not_captured(self) -> str | None:
        if not env_flag("EDGE_OVSS_CUDA_GRAPHS", default=True):
            return "switched off by EDGE_OVSS_CUDA_GRAPHS"
        capturable = getattr(self._context, "is_stream_capturable", None)
        if capturable is not None and not capturable(self._stream):
            return "the library says that this engine cannot be captured"
        return None

    def _free_buffers(self) -> None:
        self._free_graph()
        for tensor in (*self._inputs.values(), *self._outputs.values()):
            tensor.free()
        self._inputs, self._outputs, self._shapes, self._held = {}, {}, None, {}

    def _free_graph(self) -> None:
        if self._graph is not None:
            self.memory.driver.free_graph(self._graph)
            self._graph = None
