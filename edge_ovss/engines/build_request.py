"""The messages between the parent and the child process that builds: request and events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from edge_ovss._strict_parsing import parse_json

# The events that the child prints, one JSON object per line.
PHASE, LOG, DONE, FAILED = "phase", "log", "done", "failed"


@dataclass(frozen=True)
class BuildRequest:
    """Everything the child needs; it does not read the bundle.

    Attributes:
        module: TensorRT module to import.
        graph: Path of the ONNX file; its external data are beside it.
        plan: Path of the file to write.
        input: Name of the graph's input, uint8 [1, H, W, 3].
        frames: Smallest, best and largest (height, width).
        fixed: Shapes of the other inputs with a free side, by name: the words of an open graph.
        capabilities: Compute capabilities such as "8.6"; empty for the local GPU.
        widen_labels: Whether to convert uint16 labels to int32.
        optimization_level: Optimization level; None for the builder's default.
        workspace_mib: Workspace limit; None for the builder's default.
        tf32: Whether FP32 may be computed in TF32.
        timing_cache: Path of a file to read and write, or None.
        compatible: "hardware", "version", both or neither.
        pinned: Whether that file must have all timings, and is not written.
    """

    module: str
    graph: str
    plan: str
    input: str
    frames: tuple[tuple[int, int], ...]
    fixed: Mapping[str, tuple[int, ...]]
    capabilities: tuple[str, ...]
    widen_labels: bool
    optimization_level: int | None
    workspace_mib: int | None
    tf32: bool
    timing_cache: str | None
    pinned: bool = False
    compatible: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the request as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BuildRequest:
        """Read what `to_json` wrote."""
        values = parse_json(text)
        frames = tuple((int(height), int(width)) for height, width in values.pop("frames"))
        fixed = {name: tuple(map(int, shape)) for name, shape in values.pop("fixed").items()}
        capabilities = tuple(values.pop("capabilities"))
        values["compatible"] = tuple(values.get("compatible", ()))
        return cls(frames=frames, fixed=fixed, capabilities=capabilities, **values)


@dataclass(frozen=True)
class BuildOutcome:
    """The result of a build.

    Attributes:
        seconds: Duration of "parse" and "build".
        layers: Number of layers by the type of their first output.
        labels: dtype of the labels in the engine.
        warnings: Warnings of the builder.
        inspection: The layers after fusion (`inspection.summarize`); None if they are unknown.
        precisions: Precision by layer after fusion.
    """

    seconds: Mapping[str, float]
    layers: Mapping[str, int]
    labels: str
    warnings: tuple[str, ...] = ()
    inspection: Mapping[str, object] | None = None
    precisions: Mapping[str, str] = field(default_factory=dict)
