"""The process that builds an engine: `python -m edge_ovss.engines.build_worker REQUEST.json`.

With `--with-parent PID` after it, the process ends when that parent ends (`lifeline`).

It is a separate process because a builder may use all memory and be killed, and because it must not
share that memory with torch, which it never imports. It prints JSON lines (`build_request`).
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_ovss._files import write_bytes
from edge_ovss.engines.build_request import DONE, FAILED, LOG, PHASE, BuildOutcome, BuildRequest
from edge_ovss.engines.inspection import summarize
from edge_ovss.engines.lifeline import FLAG, end_with_parent
from edge_ovss.engines.plan_layers import HEADING, PlanLayer, layers_of_inspector, layers_of_log
from edge_ovss.engines.widen_labels import widen_labels
from edge_ovss.errors import EdgeOvssError, OutputError

_MOST = 20
_HEAVY = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM")
_TYPES = {"FLOAT": "FP32", "HALF": "FP16"}
_MOST_SHAPES = 8
STARTING, READING, BUILDING, WRITING = "starting", "reading", "building", "writing"


class BuildFailed(Exception):
    """TensorRT refuses; `lines` has its own messages."""

    def __init__(self, step: str, lines: list[str]) -> None:
        super().__init__(step)
        self.step, self.lines = step, lines


class Reporter:
    """Prints events, and keeps the current step, errors and warnings."""

    def __init__(self) -> None:
        self.step = STARTING
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.layers = ""  # what the builder says of the layers after fusion
        # The library uses Python objects (parser, monitor, timings) without owning them: this
        # list keeps them alive until the build is over.
        self.kept: list[object] = []

    def tell(self, event: str, **facts: object) -> None:
        """Print one event."""
        print(json.dumps({"event": event, **facts}), flush=True)

    def log(self, severity: str, text: str) -> None:
        """Record an error or warning of the library, and print it."""
        kept = self.warnings if severity == "WARNING" else self.errors
        if len(kept) < _MOST and text not in kept:
            kept.append(text)
        self.tell(LOG, severity=severity, text=text)


def build(request: BuildRequest, reporter: Reporter) -> BuildOutcome:
    """Parse, build and write the plan.

    Raises:
        BuildFailed: TensorRT refuses the graph or cannot build it.
        OSError: A file cannot be read or written; see `reporter.step`.
    """
    library = importlib.import_module(request.module)
    logger = make_logger(library, reporter)
    builder = library.Builder(logger)
    # The value of the flag depends on the version, so it is computed.
    flags = 1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    start = time.monotonic()
    parse(library, network, logger, request, reporter)
    parsed = time.monotonic()
    config = configure(library, builder, request, reporter)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildFailed(BUILDING, reporter.errors)
    built = time.monotonic()
    reporter.step = WRITING
    Path(request.plan).write_bytes(plan)
    _keep_timings(config, request, reporter)
    seconds = {"parse": parsed - start, "build": built - parsed}
    found, source = read_layers(library, logger, bytes(plan), request, reporter)
    return BuildOutcome(
        seconds={name: round(value, 3) for name, value in seconds.items()},
        layers=count_layers(network),
        labels=_labels_type(network),
        warnings=tuple(reporter.warnings),
        inspection=summarize(found, asked_precisions(network), source=source) if found else None,
        precisions={one.name: one.precision for one in found},
    )


def read_layers(
    library: Any,  # noqa: ANN401
    logger: Any,  # noqa: ANN401
    plan: bytes,
    request: BuildRequest,
    reporter: Reporter,
) -> tuple[list[PlanLayer], str]:
    """Return the layers of a plan, and who described them; [] if nobody can.

    The inspector needs the engine in the GPU's memory. Where the builder has logged its layers, as
    that of TensorRT for RTX does without a GPU, the log says the same.
    """
    if reporter.layers:
        return layers_of_log(reporter.layers), "builder log"
    try:
        runtime = library.Runtime(logger)
        if "version" in request.compatible:
            runtime.engine_host_code_allowed = True  # it was built a moment ago
        handle = runtime.deserialize_cuda_engine(plan)
        inspector = None if handle is None else handle.create_engine_inspector()
        if inspector is None:
            return [], ""
        kind = library.LayerInformationFormat.JSON
        return layers_of_inspector(inspector.get_engine_information(kind)), "inspector"
    except (AttributeError, RuntimeError, MemoryError) as err:  # the engine itself is complete
        reporter.log("WARNING", f"the layers of the engine could not be read: {err}")
        return [], ""


def make_logger(library: Any, reporter: Reporter) -> Any:  # noqa: ANN401 (classes of a module)
    """Return a logger of the library that passes warnings and errors to `reporter`."""
    quiet = {int(library.ILogger.INFO), int(library.ILogger.VERBOSE)}

    def log(self: object, severity: Any, msg: str) -> None:  # noqa: ANN401
        del self
        if int(severity) not in quiet:
            reporter.log(severity.name, msg)
        elif msg.startswith(HEADING):
            reporter.layers = msg

    return type("Log", (library.ILogger,), {"log": log})()


def parse(
    library: Any,  # noqa: ANN401
    network: Any,  # noqa: ANN401
    logger: Any,  # noqa: ANN401
    request: BuildRequest,
    reporter: Reporter,
) -> None:
    """Read the ONNX file into `network`.

    Raises:
        BuildFailed: The parser refuses it; its errors name the node.
    """
    reporter.step = READING
    reporter.tell(PHASE, name="Reading the graph")
    model = Path(request.graph).read_bytes()
    if request.widen_labels:
        model, _ = widen_labels(model)
    parser = library.OnnxParser(network, logger)
    reporter.kept += [parser, model]
    # The path locates the external data.
    if not parser.parse(model, request.graph):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise BuildFailed(READING, [_describe(error) for error in errors] or reporter.errors)


def _describe(error: Any) -> str:  # noqa: ANN401 (a ParserError)
    node = f"{error.node_operator()} '{error.node_name()}': " if error.node_name() else ""
    return f"{node}{' '.join(error.desc().split())}"


def configure(
    library: Any,  # noqa: ANN401
    builder: Any,  # noqa: ANN401
    request: BuildRequest,
    reporter: Reporter,
) -> Any:  # noqa: ANN401
    """Return the builder's configuration."""
    reporter.step = BUILDING
    config = builder.create_builder_config()
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED  # for the inspector
    if not request.tf32:  # allowed by default, and it changes what FP32 computes
        config.clear_flag(library.BuilderFlag.TF32)
    if "hardware" in request.compatible:
        level = library.HardwareCompatibilityLevel.AMPERE_PLUS
        config.hardware_compatibility_level = level
    if "version" in request.compatible:
        config.set_flag(library.BuilderFlag.VERSION_COMPATIBLE)
    if request.optimization_level is not None:
        config.builder_optimization_level = request.optimization_level
    if request.workspace_mib is not None:
        pool = library.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(pool, request.workspace_mib << 20)
    if request.capabilities:
        _set_capabilities(library, config, request.capabilities)
    if request.timing_cache is not None:
        reporter.kept.append(_load_timings(config, request.timing_cache, reporter))
        if request.pinned and hasattr(library.BuilderFlag, "ERROR_ON_TIMING_CACHE_MISS"):
            config.set_flag(library.BuilderFlag.ERROR_ON_TIMING_CACHE_MISS)
    if hasattr(library, "IProgressMonitor"):
        monitor = make_monitor(library, reporter)
        reporter.kept.append(monitor)
        config.progress_monitor = monitor
    profile = builder.create_optimization_profile()
    profile.set_shape(request.input, *((1, *size, 3) for size in request.frames))
    for name, shape in request.fixed.items():
        profile.set_shape(name, shape, shape, shape)
    if config.add_optimization_profile(profile) < 0:
        message = f"the frame sizes {request.frames} are refused"
        raise BuildFailed(BUILDING, [message, *reporter.errors])
    return config


def _set_capabilities(library: Any, config: Any, capabilities: tuple[str, ...]) -> None:  # noqa: ANN401
    names = [f"SM{capability.replace('.', '')}" for capability in capabilities]
    unknown = [name for name in names if not hasattr(library.ComputeCapability, name)]
    if unknown:
        raise BuildFailed(BUILDING, [f"this version cannot build for {', '.join(unknown)}"])
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        config.set_compute_capability(getattr(library.ComputeCapability, name), index)


def _load_timings(config: Any, path: str, reporter: Reporter) -> object:  # noqa: ANN401
    try:
        data = Path(path).read_bytes() if Path(path).is_file() else b""
    except OSError as err:  # the cache only saves time
        reporter.log("WARNING", f"the timing cache is not used: {err}")
        data = b""
    cache = config.create_timing_cache(data)
    config.set_timing_cache(cache, False)  # False: ignore timings of another GPU or version
    return cache


def _keep_timings(config: Any, request: BuildRequest, reporter: Reporter) -> None:  # noqa: ANN401
    if request.timing_cache is None or request.pinned:
        return
    try:
        write_bytes(Path(request.timing_cache), bytes(config.get_timing_cache().serialize()))
    except OutputError as err:  # the engine is complete and worth more than the timings
        reporter.log("WARNING", f"the timing cache is not kept: {err.message}")


def make_monitor(library: Any, reporter: Reporter) -> Any:  # noqa: ANN401
    """Return a progress monitor that reports the phases of the first two levels."""
    outer: set[str] = set()

    def phase_start(self: object, phase: str, parent: str | None, steps: int) -> None:
        del self
        if parent is None:
            outer.add(phase)
        if parent is None or parent in outer:
            reporter.tell(PHASE, name=phase, steps=steps)

    def step_complete(self: object, phase: str, step: int) -> bool:
        del self, phase, step
        return True

    def phase_finish(self: object, phase: str) -> None:
        del self, phase

    methods = {
        "phase_start": phase_start,
        "step_complete": step_complete,
        "phase_finish": phase_finish,
    }
    return type("Monitor", (library.IProgressMonitor,), methods)()


def count_layers(network: Any) -> dict[str, int]:  # noqa: ANN401
    """Return the number of layers by the type of their first output, most frequent first."""
    layers = (network.get_layer(index) for index in range(network.num_layers))
    kinds = (layer.get_output(0).dtype.name for layer in layers if layer.num_outputs)
    return dict(Counter(kinds).most_common())


def asked_precisions(network: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the precision that the graph asks for, by the name of each heavy node.

    The type of a product's input is that of the graph, or INT8 where it was dequantized just
    before.
    """
    makers: dict[str, Any] = {}
    asked: dict[str, str] = {}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        makers.update({layer.get_output(i).name: layer for i in range(layer.num_outputs)})
        if layer.type.name in _HEAVY:
            value = layer.get_input(0)
            kind = "INT8" if _is_dequantized(value, makers) else value.dtype.name
            asked[layer.name] = _TYPES.get(kind, kind)
    return asked


def _is_dequantized(value: Any, makers: dict[str, Any]) -> bool:  # noqa: ANN401
    """Return whether a tensor comes from a DequantizeLinear, perhaps in another shape."""
    maker = makers.get(value.name)
    for _ in range(_MOST_SHAPES):
        if maker is None or maker.type.name != "SHUFFLE":
            break
        maker = makers.get(maker.get_input(0).name)
    return maker is not None and maker.type.name == "DEQUANTIZE"


def _labels_type(network: Any) -> str:  # noqa: ANN401
    outputs = (network.get_output(index) for index in range(network.num_outputs))
    types = {output.name: output.dtype.name.lower() for output in outputs}
    return str(types.get("labels", "none"))


def main(argv: list[str]) -> int:
    """Build what the file `argv[1]` requests; return 0 if the plan is written."""
    if argv[2:3] == [FLAG]:
        end_with_parent(int(argv[3]))
    reporter = Reporter()
    try:
        request = BuildRequest.from_json(Path(argv[1]).read_text(encoding="utf-8"))
        reporter.tell(DONE, **asdict(build(request, reporter)))
    except BuildFailed as err:
        reporter.tell(FAILED, step=err.step, lines=err.lines)
    except EdgeOvssError as err:
        reporter.tell(FAILED, step=READING, lines=[err.message])
    except (ImportError, OSError, MemoryError) as err:
        reporter.tell(FAILED, step=reporter.step, lines=[f"{type(err).__name__}: {err}"])
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
