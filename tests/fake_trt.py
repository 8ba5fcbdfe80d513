"""A TensorRT made of ONNX Runtime, with the signatures of the real bindings.

A plan is JSON that names the graph; running it runs ONNX Runtime on what lies in the fake GPU's
memory. It is imported by name, in the tests' process and in the child that builds. The environment
variable FAKE_TRT makes it misbehave: parse, build, memory, kill, crash, hang (it writes its process
id into the file FAKE_TRT_PID, and waits), wrong, rounded (two labels and the counts are others),
coarse (fifteen labels), invalid and suboptimal (what it says of a plan before it is loaded).
"""

from __future__ import annotations

import ctypes
import enum
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_ovss.bundle.onnx_reader.file import read_graph_file

__version__ = "10.3.0"

ComputeCapability = enum.IntEnum("ComputeCapability", {"SM86": 86, "SM89": 89})
CUDA: Any = None  # a FakeCuda, in the tests' process
CONTEXTS: list[ExecutionContext] = []


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    TF32 = 3
    ERROR_ON_TIMING_CACHE_MISS = 15
    VERSION_COMPATIBLE = 16


class HardwareCompatibilityLevel(enum.IntEnum):
    NONE = 0
    AMPERE_PLUS = 1


class ProfilingVerbosity(enum.IntEnum):
    LAYER_NAMES_ONLY = 0
    DETAILED = 1


class LayerInformationFormat(enum.IntEnum):
    ONELINE = 0
    JSON = 1


class LayerType(enum.IntEnum):
    IDENTITY = 0


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class TensorIOMode(enum.IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(enum.IntEnum):
    FLOAT = 0
    INT32 = 3
    UINT8 = 5
    UINT16 = 99


class EngineValidity(enum.IntEnum):
    VALID = 0
    SUBOPTIMAL = 1
    INVALID = 2


class EngineInvalidityDiagnostics(enum.IntFlag):
    VERSION_MISMATCH = 1
    UNSUPPORTED_CC = 2
    OLD_CUDA_DRIVER = 4


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = Severity.INTERNAL_ERROR, Severity.ERROR, Severity.WARNING
    INFO, VERBOSE = Severity.INFO, Severity.VERBOSE

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    pass


class IProfiler:
    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


class _Tensor:
    def __init__(self, name: str, dtype: str) -> None:
        self.name = name
        self.dtype = _DTYPES[dtype]


_DTYPES = {
    "float32": DataType.FLOAT,
    "int32": DataType.INT32,
    "uint8": DataType.UINT8,
    "uint16": DataType.UINT16,
}
_NUMPY = {DataType.FLOAT: np.float32, DataType.INT32: np.int32, DataType.UINT8: np.uint8}


class _Layer:
    num_outputs = 1
    type = LayerType.IDENTITY

    def __init__(self, tensor: _Tensor) -> None:
        self.tensor = tensor

    def get_output(self, index: int) -> _Tensor:
        assert index == 0
        return self.tensor


class Network:
    def __init__(self) -> None:
        self.graph = ""
        self.outputs: list[_Tensor] = []
        self.others: dict[str, list[int | str]] = {}

    @property
    def num_layers(self) -> int:
        return len(self.outputs)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_layer(self, index: int) -> _Layer:
        return _Layer(self.outputs[index])

    def get_output(self, index: int) -> _Tensor:
        return self.outputs[index]


class _Error:
    def node_operator(self) -> str:
        return "NonZero"

    def node_name(self) -> str:
        return "decoder/NonZero_7"

    def desc(self) -> str:
        return "no importer\n for this operator"


class OnnxParser:
    def __init__(self, network: Network, logger: ILogger) -> None:
        del logger
        self.network = network
        self.num_errors = 0

    def parse(self, model: bytes, path: str | None = None) -> bool:
        assert path is not None
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model.onnx"
            copy.write_bytes(model)
            graph = read_graph_file(copy)
        self.network.graph = path
        self.network.outputs = [_Tensor(item.name, item.dtype) for item in graph.outputs]
        self.network.others = {item.name: list(item.shape) for item in graph.inputs[1:]}
        wide = any(tensor.dtype == DataType.UINT16 for tensor in self.network.outputs)
        self.num_errors = int(wide or _fault("parse"))
        return not self.num_errors

    def get_error(self, index: int) -> _Error:
        assert index < self.num_errors
        return _Error()


class _Profile:
    def set_shape(
        self, name: str, low: tuple[int, ...], best: tuple[int, ...], high: tuple[int, ...]
    ) -> None:
        assert name == "frame"
        self.shapes = [list(shape) for shape in (low, best, high)]


class _Timings:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data + b"!"


class _Config:
    builder_optimization_level = 3
    profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
    progress_monitor: Any = None
    hardware_compatibility_level = HardwareCompatibilityLevel.NONE

    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.limits: dict[str, int] = {}
        self.profiles: list[_Profile] = []
        self.timings: _Timings | None = None

    num_compute_capabilities = 0

    def set_compute_capability(self, capability: ComputeCapability, index: int) -> bool:
        return capability in ComputeCapability and 0 <= index < self.num_compute_capabilities

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        self.limits[pool.name] = size

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, data: bytes) -> _Timings:
        return _Timings(data)

    def set_timing_cache(self, cache: _Timings, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.timings = cache
        return True

    def get_timing_cache(self) -> _Timings | None:
        return self.timings


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def create_network(self, flags: int) -> Network:
        assert flags == 1 << 1
        return Network()

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: Network, config: _Config) -> bytes | None:
        if config.progress_monitor is not None:
            config.progress_monitor.phase_start("Building engine", None, 1)
            config.progress_monitor.phase_start("Timing kernels", "Building engine", 1)
        self.logger.log(ILogger.WARNING, "a warning from the builder")
        if _fault("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if _fault("hang"):
            Path(os.environ["FAKE_TRT_PID"]).write_text(str(os.getpid()), encoding="ascii")
            time.sleep(60)
        if _fault("crash"):
            ctypes.string_at(0)
        if _fault("memory"):
            self.logger.log(ILogger.ERROR, "OutOfMemory (requested 1 GiB)")
        if _fault("build") or _fault("memory"):
            self.logger.log(ILogger.ERROR, "could not find any implementation for node x")
            return None
        plan = {
            "version": __version__,
            "graph": network.graph,
            "outputs": {tensor.name: tensor.dtype.name for tensor in network.outputs},
            "others": network.others,
            "range": config.profiles[0].shapes,
            "level": config.builder_optimization_level,
            "tf32": BuilderFlag.TF32 in config.flags,
            "limits": config.limits,
            "torch": "torch" in sys.modules,
            "pinned": BuilderFlag.ERROR_ON_TIMING_CACHE_MISS in config.flags,
            "hardware": config.hardware_compatibility_level.name,
            "version_compatible": BuilderFlag.VERSION_COMPATIBLE in config.flags,
            "verbosity": config.profiling_verbosity.name,
        }
        return json.dumps(plan).encode()


class RuntimeCache:
    def __init__(self) -> None:
        self.data = b"kernels"

    def serialize(self) -> bytes:
        return self.data

    def deserialize(self, blob: bytes) -> bool:
        self.data = bytes(blob) + b"+"
        return True


class RuntimeConfig:
    cache: RuntimeCache | None = None

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache()

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return True


class ExecutionContext:
    def __init__(self, engine: Engine, config: RuntimeConfig | None) -> None:
        self.engine, self.config = engine, config
        self.shape: tuple[int, ...] | None = None
        self.addresses: dict[str, int] = {}
        self.runs = 0
        self.capturable = True
        self.profiler: IProfiler | None = None
        CONTEXTS.append(self)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if name in self.engine.plan["others"]:
            return bool(list(shape) == self.engine.plan["others"][name])
        low, _, high = self.engine.plan["range"]
        self.shape = shape
        inside = all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
        return name == "frame" and inside

    def infer_shapes(self) -> list[str]:
        return [] if self.shape else ["frame"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self.shape is not None
        if name == "frame":
            return self.shape
        if name in self.engine.plan["others"]:
            return tuple(self.engine.plan["others"][name])
        others = {key: np.zeros(shape, np.float32) for key, shape in self._others()}
        return tuple(self.answer({"frame": np.zeros(self.shape, np.uint8), **others})[name].shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return memory in CUDA.blocks

    def is_stream_capturable(self, stream: int) -> bool:
        return self.capturable and stream in CUDA.streams

    def execute_async_v3(self, stream_handle: int) -> bool:
        if set(self.addresses) != set(self.engine.names):
            return False
        CUDA.queue(stream_handle, self.run)
        return True

    def run(self) -> None:
        self.runs += 1
        if self.profiler is not None:
            for number, layer in enumerate(json.loads(os.environ.get("FAKE_TRT_LAYERS", "[]"))):
                self.profiler.report_layer_time(layer["Name"], number + 1.0)
        assert self.shape is not None
        inputs = {"frame": _view(self.addresses["frame"], self.shape, np.dtype(np.uint8))}
        for name, shape in self._others():
            inputs[name] = _view(self.addresses[name], tuple(shape), np.dtype(np.float32))
        for name, array in self.answer(inputs).items():
            _view(self.addresses[name], array.shape, array.dtype)[...] = array

    def _others(self) -> list[tuple[str, list[int]]]:
        return list(self.engine.plan["others"].items())

    def answer(self, inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        import onnxruntime

        names = list(self.engine.plan["outputs"])
        session = onnxruntime.InferenceSession(self.engine.plan["graph"])
        found = dict(zip(names, session.run(names, inputs), strict=True))
        if _fault("wrong"):
            found["labels"] = found["labels"] * 0
        for fault, count in (("rounded", 2), ("coarse", 15)):
            if _fault(fault):
                labels, outputs = found["labels"].reshape(-1), found["labels"].max() + 1
                labels[:count] = (labels[:count] + 1) % outputs
                found["counts"] = found["counts"] - 1
        types = {name: _NUMPY[DataType[kind]] for name, kind in self.engine.plan["outputs"].items()}
        return {name: array.astype(types[name]) for name, array in found.items()}


class Inspector:
    """Says what FAKE_TRT_LAYERS says; names only where the plan was not built for more."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        assert format == LayerInformationFormat.JSON
        layers = json.loads(os.environ.get("FAKE_TRT_LAYERS", "[]"))
        if self.plan["verbosity"] != "DETAILED":
            layers = [layer["Name"] for layer in layers]
        return json.dumps({"Layers": layers, "Bindings": self.plan["outputs"]})


class Engine:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.inputs = ["frame", *plan["others"]]
        self.names = [*self.inputs, *plan["outputs"]]

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return str(self.names[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        kinds = {**dict.fromkeys(self.inputs, "FLOAT"), "frame": "UINT8", **self.plan["outputs"]}
        return DataType[kinds[name]]

    def create_engine_inspector(self) -> Inspector:
        return Inspector(self.plan)

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig()

    def create_execution_context(self, config: RuntimeConfig | None = None) -> ExecutionContext:
        return ExecutionContext(self, config)


class Runtime:
    engine_host_code_allowed = False

    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def get_engine_validity(self, buffer: bytes) -> tuple[EngineValidity, int]:
        if _fault("invalid") or json.loads(bytes(buffer))["version"] != __version__:
            return EngineValidity.INVALID, 1 | 4
        return (EngineValidity.SUBOPTIMAL, 4) if _fault("suboptimal") else (EngineValidity.VALID, 0)

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        if _fault("load"):
            self.logger.log(ILogger.ERROR, "magic tag does not match")
            return None
        if json.loads(bytes(serialized_engine))["version_compatible"]:
            assert self.engine_host_code_allowed
        return Engine(json.loads(bytes(serialized_engine)))


def _fault(name: str) -> bool:
    return os.environ.get("FAKE_TRT") == name


def _view(
    pointer: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray[Any, np.dtype[Any]]:
    size = int(np.prod(shape)) * dtype.itemsize
    block = (ctypes.c_uint8 * size).from_address(pointer)
    view: np.ndarray[Any, np.dtype[Any]] = np.ctypeslib.as_array(block).view(dtype).reshape(shape)
    return view
