"""The layers of an engine after fusion, as TensorRT describes them.

Two forms are read: the JSON of `IEngineInspector`, whose keys differ between TensorRT 10 and 11,
and the lines that the builder of TensorRT for RTX logs, which need no GPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_ovss._strict_parsing import DocumentError, parse_json

HEADING = "Layers:"
"""With this, the message of the builder begins that has one line for each layer."""

_PRECISIONS = (
    ("INT8", r"int8"),
    ("FP8", r"fp8|float8"),
    ("BF16", r"bf(?:loat)?16"),
    ("FP16", r"half|fp16|float16"),
    ("FP32", r"float|fp32"),
)
_LINE = re.compile(r"\s*Name: (?P<name>.*?), LayerType: (?P<kind>\w*), Inputs: (?P<rest>.*)")
_TYPE = re.compile(r"Datatype: ([\w ]+?)[,\s}]")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_HEAVY = re.compile(
    r"conv|correlation|gemm|matmul|matrix_?multiply|fully_?connected|mha|attention|runtime_fusion",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class PlanLayer:
    """One layer of an engine.

    Attributes:
        name: Its name in the engine.
        kind: Its type, such as "gemm" or "Convolution".
        inputs: Precisions of its inputs: "FP32", "FP16", "BF16", "FP8", "INT8" or "other".
        outputs: Precisions of its outputs.
        nodes: Names of the ONNX nodes that it computes; () if unknown.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def heavy(self) -> bool:
        """Whether it multiplies matrices or convolves, which is where the time goes."""
        return _HEAVY.search(self.kind) is not None

    @property
    def precision(self) -> str:
        """The precision that it computes in: the lowest of its inputs, or its output's."""
        known = [name for name, _ in _PRECISIONS]
        found = set(self.inputs) & set(known) or set(self.outputs) & set(known)
        return min(found, key=known.index) if found else "other"

    @property
    def reformat(self) -> bool:
        """Whether it only copies a tensor into another layout or type."""
        return "reformat" in f"{self.kind} {self.name}".lower()

    @property
    def bare_quantization(self) -> bool:
        """Whether it only quantizes or dequantizes, because that was not fused."""
        nodes = self.nodes or (self.name,)
        return not self.heavy and all("quantize" in node.lower() for node in nodes)


def layers_of_log(text: str) -> list[PlanLayer]:
    """Read the message of the builder that begins with `HEADING`."""
    return [layer for line in text.splitlines() if (layer := _of_line(line)) is not None]


def _of_line(line: str) -> PlanLayer | None:
    found = _LINE.match(line)
    if found is None:
        return None
    before, _, after = found["rest"].partition("], Outputs: [")
    inputs = before.partition("], Constants: [")[0]
    outputs, _, nodes = after.partition("Metadata:")
    return PlanLayer(
        found["name"],
        found["kind"],
        tuple(map(_precision, _TYPE.findall(inputs))),
        tuple(map(_precision, _TYPE.findall(outputs))),
        tuple(_NODE.findall(nodes)),
    )


def layers_of_inspector(text: str) -> list[PlanLayer]:
    """Read the JSON of an inspector; [] if it is none, or knows only names."""
    try:
        document = parse_json(text)
    except DocumentError:
        return []
    layers = document.get("Layers") if isinstance(document, dict) else None
    if not isinstance(layers, list):
        return []
    return [_of_json(layer) for layer in layers if isinstance(layer, Mapping)]


def _of_json(layer: Mapping[str, object]) -> PlanLayer:
    return PlanLayer(
        str(layer.get("Name", "")),
        str(layer.get("LayerType", "")),
        _types(layer.get("Inputs")),
        _types(layer.get("Outputs")),
        tuple(_NODE.findall(str(layer.get("Metadata", "")).replace("\x1e", ""))),
    )


def _types(tensors: object) -> tuple[str, ...]:
    """Return the precisions of tensors; TensorRT 10 has the type within the format."""
    if not isinstance(tensors, Sequence) or isinstance(tensors, str):
        return ()
    keys = ("Datatype", "DataType", "Format/Datatype", "Format")
    found = []
    for tensor in tensors:
        if isinstance(tensor, Mapping):
            text = next((str(tensor[key]) for key in keys if key in tensor), "")
            found.append(_precision(text))
    return tuple(found)


def _precision(text: str) -> str:
    for name, pattern in _PRECISIONS:
        if re.search(pattern, text, re.IGNORECASE) and not re.search(r"u?int(?!8)", text.lower()):
            return "other" if re.search(r"uint8", text, re.IGNORECASE) else name
    return "other"
