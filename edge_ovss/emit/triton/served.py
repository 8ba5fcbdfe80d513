"""What Triton serves of a bundle: the backend, its files, and the ports of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_ovss.bundle.contract import Tensor
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.onnx_reader.file import TensorInfo
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, UsageError
from edge_ovss.runtime.trt.commands import build_command
from edge_ovss.runtime.trt.engine_store import Engine, check_plan, read_engines
from edge_ovss.runtime.trt.frame_sizes import FrameRange

TENSORRT = "tensorrt"
BACKENDS = ("onnxruntime", "openvino", TENSORRT)
VERSION = "1"
FREE = -1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Port:
    """An input or output of the served model.

    Attributes:
        name: In the graph.
        dtype: As numpy spells it.
        dims: Sizes; `FREE` where it depends on the frame.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Served:
    """A model as Triton serves it.

    Attributes:
        name: Of the model on the server.
        backend: One of `BACKENDS`.
        inputs: The frame is the first.
        outputs: In the order of the manifest.
        model: Name of the file that the backend loads.
        files: Bytes, or the path to copy, by name in the folder of the version.
        frames: The frame sizes that the model takes; None for any.
        note: What the server needs, on one line.
    """

    name: str
    backend: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    model: str
    files: Mapping[str, Path | bytes]
    frames: FrameRange | None
    note: str


def model_name(bundle: Bundle, given: str | None) -> str:
    """Return the name of the model on the server: as given, or from the bundle's folder.

    Raises:
        UsageError: The given name is none that Triton and its addresses can have.
    """
    if given is None:
        found = re.sub(r"[^A-Za-z0-9_.-]+", "_", bundle.path.stem).strip("._-")[:64]
        return found or "edge_ovss"
    if not _NAME.fullmatch(given):
        message = f"--name is '{given}'; expected letters, digits, '_', '.' and '-', at most 128."
        raise UsageError(message, hint="It becomes a folder and a part of the server's addresses.")
    return given


def served_graph(bundle: Bundle, backend: str, name: str) -> Served:
    """Return the bundle's ONNX graph as ONNX Runtime's or OpenVINO's backend serves it."""
    info = bundle.manifest.graph
    folder = PurePosixPath(info.file).parent
    files: dict[str, Path | bytes] = {"model.onnx": bundle.graph_path}
    # The ONNX file names these relative to its own folder.
    for each in info.external_data:
        files[str(PurePosixPath(each).relative_to(folder))] = bundle.file(each)
    inputs, outputs = _ports(bundle, None)
    title = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}[backend]
    note = f"needs a server with the {title} backend"
    return Served(name, backend, inputs, outputs, "model.onnx", files, None, note)


def served_engine(bundle: Bundle, engine: Engine, name: str) -> Served:
    """Return an engine of the bundle as TensorRT's backend serves it.

    Raises:
        ArtifactError: Its plan was changed, or others may write it.
    """
    key = engine.record.key
    here = key.surroundings
    inputs, outputs = _ports(bundle, engine)
    note = (
        f"needs TensorRT {here.library} in the server, {here.platform}, "
        f"{here.device or 'a GPU'} (compute capability {', '.join(here.capabilities)})"
    )
    files: dict[str, Path | bytes] = {"model.plan": check_plan(bundle, engine)}
    return Served(name, TENSORRT, inputs, outputs, "model.plan", files, key.frames, note)


def choose_engine(bundle: Bundle, wanted: str | None) -> Engine:
    """Return the engine to serve: the one that is named, or the only one.

    Args:
        bundle: The bundle.
        wanted: Name of the engine's folder; None where there is only one.

    Raises:
        ArtifactError: There is none for this graph, or none of that name.
        UsageError: There are several and none is named.
    """
    found, complaints = read_engines(bundle, TENSORRT)
    graph = graph_hash(bundle)
    engines = {each.folder.name: each for each in found if each.record.key.graph == graph}
    if wanted is not None and wanted not in engines:
        known = f"; it has {', '.join(engines)}" if engines else ""
        message = f"The bundle '{bundle.path.name}' has no engine '{wanted}' for this graph{known}."
        raise ArtifactError(message, hint="Give the name of a folder in BUNDLE/engines.")
    if wanted is not None:
        return engines[wanted]
    if not engines:
        stale = [f"{each.folder.name} is of another graph" for each in found]
        reasons = "".join(f"\n  {line}" for line in [*complaints, *stale])
        message = f"The bundle '{bundle.path.name}' has no engine for tensorrt.{reasons}"
        command = build_command(bundle, TENSORRT)
        raise ArtifactError(message, hint=f"Build one on the machine of the server: {command}")
    if len(engines) > 1:
        lines = "".join(f"\n  {name}: {_about(each)}" for name, each in engines.items())
        message = f"The bundle has {len(engines)} engines for tensorrt:{lines}"
        raise UsageError(message, hint="Choose one with --engine NAME.")
    return next(iter(engines.values()))


def _about(engine: Engine) -> str:
    here = engine.record.key.surroundings
    gpu = here.device or ", ".join(here.capabilities)
    return f"frames {engine.frames}, TensorRT {here.library}, {gpu}"


def _ports(bundle: Bundle, engine: Engine | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return inputs and outputs, with the sizes and the dtype of labels that the model has."""
    contract, graph = bundle.manifest.contract, bundle.graph
    sizes = {} if engine is None else _pinned(engine.frames)
    dtypes = {} if engine is None else {"labels": engine.record.labels}
    inputs = _declared(contract.inputs, graph.inputs, sizes, dtypes)
    return inputs, _declared(contract.outputs, graph.outputs, sizes, dtypes)


def _declared(
    tensors: tuple[Tensor, ...],
    declared: tuple[TensorInfo, ...],
    sizes: Mapping[str, int],
    dtypes: Mapping[str, str],
) -> tuple[Port, ...]:
    ranks = {each.name: len(each.shape) for each in declared}
    ports = []
    for each in tensors:
        shape = each.shape_of(ranks[each.name])
        dims = tuple(sizes.get(size, FREE) if isinstance(size, str) else size for size in shape)
        ports.append(Port(each.name, dtypes.get(each.name, each.dtype), dims))
    return tuple(ports)


def _pinned(frames: FrameRange) -> dict[str, int]:
    """Return the sides of a frame that an engine takes in one size only."""
    sides = zip("HW", frames.smallest, frames.largest, strict=True)
    return {axis: low for axis, low, high in sides if low == high}
