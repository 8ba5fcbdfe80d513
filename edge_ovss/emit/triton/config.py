"""`config.pbtxt`: the configuration of a model, in the text format of protobuf.

The names are those of `ModelConfig` in Triton's model_config.proto. Nothing is left to the server's
own guesses (OpenVINO's backend makes none), and batching is off: a bundle takes one frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_ovss.bundle.contract import THRESHOLDS
from edge_ovss.emit.origin import Origin
from edge_ovss.emit.triton.served import TENSORRT, Port, Served

_TYPES = {
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "int32": "TYPE_INT32",
    "float32": "TYPE_FP32",
}
# The server decides for ONNX Runtime: an instance on each GPU, or one on the CPU.
_KINDS = {"openvino": "KIND_CPU", TENSORRT: "KIND_GPU", "onnxruntime": "KIND_AUTO"}
GRAPH_PARAMETER = "edge_ovss.graph_sha256"


@dataclass(frozen=True)
class WarmUp:
    """An input of the request that the server sends itself before it says that it is ready.

    Attributes:
        port: The input, with the sizes of this request.
        file: Name of its raw bytes in the folder `warmup`.
    """

    port: Port
    file: str


def config_text(served: Served, origin: Origin, warm_up: Sequence[WarmUp], labels_file: str) -> str:
    """Return the text of `config.pbtxt`."""
    blocks = [
        origin.comment("triton") + f"# {served.note}\n",
        f"name: {quoted(served.name)}\n"
        f"backend: {quoted(served.backend)}\n"
        f"default_model_filename: {quoted(served.model)}\n"
        "# One frame a request; the leading 1 of the sizes below is a part of the model.\n"
        "max_batch_size: 0\n",
        _list("input", (_input(port) for port in served.inputs)),
        _list("output", (_output(port, labels_file) for port in served.outputs)),
        _list("instance_group", [f"count: 1\nkind: {_KINDS[served.backend]}"]),
        _list("model_warmup", [_warm_up(warm_up)]),
        _parameter(GRAPH_PARAMETER, origin.graph_sha256),
    ]
    return "\n".join(blocks)


def quoted(text: str) -> str:
    """Return a string of protobuf's text format: bytes that are not plain ASCII in octal."""
    plain = (chr(byte) if _is_plain(byte) else f"\\{byte:03o}" for byte in text.encode("utf-8"))
    return f'"{"".join(plain)}"'


def _is_plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and byte not in b'"\\'


def _list(key: str, items: Iterable[str]) -> str:
    inner = ",\n".join(f"  {{\n{_indented(item, 4)}\n  }}" for item in items)
    return f"{key} [\n{inner}\n]\n"


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())


def _port(port: Port) -> str:
    dims = ", ".join(map(str, port.dims))
    return f"data_type: {_TYPES[port.dtype]}\ndims: [ {dims} ]"


def _input(port: Port) -> str:
    # The libraries want every input of a graph, so that Triton's `optional` would not help.
    note = "# Below its threshold a label is unknown; client.json has the bundle's.\n"
    return f"{note if port.name == THRESHOLDS else ''}name: {quoted(port.name)}\n{_port(port)}"


def _output(port: Port, labels_file: str) -> str:
    names = f"\nlabel_filename: {quoted(labels_file)}" if port.name == "labels" else ""
    return f"name: {quoted(port.name)}\n{_port(port)}{names}"


def _warm_up(inputs: Sequence[WarmUp]) -> str:
    parts = ['name: "reference frame"\nbatch_size: 1']
    for each in inputs:
        value = f"{_port(each.port)}\ninput_data_file: {quoted(each.file)}"
        entry = f"key: {quoted(each.port.name)}\nvalue {{\n{_indented(value, 2)}\n}}"
        parts.append(f"inputs {{\n{_indented(entry, 2)}\n}}")
    return "\n".join(parts)


def _parameter(key: str, value: str) -> str:
    return f"parameters {{\n  key: {quoted(key)}\n  value {{ string_value: {quoted(value)} }}\n}}\n"
