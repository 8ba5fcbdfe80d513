"""What the parent asks of the child process that builds, and what the child tells while it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from edge_ovss._strict_parsing import parse_json

# What the child prints: one JSON object a line, "event" first.
PHASE, LOG, DONE, FAILED = "phase", "log", "done", "failed"


@dataclass(frozen=True)
class BuildRequest:
    """All that the child needs; it reads no bundle.

    Attributes:
        module: The TensorRT module to import.
        graph: Path of the ONNX file; its external data stand beside it.
        plan: Path of the file to write.
        input: Name of the graph's input, uint8 [1, H, W, 3].
        frames: Smallest, best and largest (height, width).
        capabilities: Such as "8.6"; empty for the GPU at hand.
        widen_labels: Whether uint16 becomes int32.
        optimization_level: None for the builder's own.
        workspace_mib: None for the builder's own.
        tf32: Whether FP32 may be computed in TF32.
        timing_cache: Path of a file to read and write, or None.
    """

    module: str
    graph: str
    plan: str
    input: str
    frames: tuple[tuple[int, int], ...]
    capabilities: tuple[str, ...]
    widen_labels: bool
    optimization_level: int | None
    workspace_mib: int | None
    tf32: bool
    timing_cache: str | None

    def to_json(self) -> str:
        """Return the request as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BuildRequest:
        """Read what `to_json` wrote."""
        values = parse_json(text)
        frames = tuple((int(height), int(width)) for height, width in values.pop("frames"))
        capabilities = tuple(values.pop("capabilities"))
        return cls(frames=frames, capabilities=capabilities, **values)


@dataclass(frozen=True)
class Outcome:
    """What the child made.

    Attributes:
        seconds: "parse" and "build".
        layers: Number of layers by the type of their first output.
        labels: dtype of the labels in the engine.
        warnings: What the builder warned of.
    """

    seconds: Mapping[str, float]
    layers: Mapping[str, int]
    labels: str
    warnings: tuple[str, ...] = ()
