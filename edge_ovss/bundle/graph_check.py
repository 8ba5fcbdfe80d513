"""Is the ONNX file of a bundle one that edge-ovss writes, and the one that its manifest describes?

Asked whenever a bundle is opened, before any library reads the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.onnx_reader.file import GraphFile
from edge_ovss.bundle.onnx_reader.nodes import GraphNodes
from edge_ovss.bundle.onnx_reader.operators import forbidden_operators
from edge_ovss.bundle.onnx_reader.sizes import check_sizes
from edge_ovss.errors import ArtifactError

_HALF, _BRAIN = 10, 16  # element types of onnx.proto3
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_SHOWN = 5


def check_graph(manifest: Manifest, graph: GraphFile, nodes: GraphNodes) -> None:
    """Compare a graph with the manifest.

    Args:
        manifest: Of the bundle; `graph` and `rejection` are those of this graph.
        graph: What the ONNX file says about itself.
        nodes: What it is made of.

    Raises:
        ArtifactError: It is another graph, or one that no export writes.
    """
    name = manifest.graph.file
    _compare(name, "the opset", graph.opset, manifest.graph.opset)
    _check_ends(manifest, graph)
    _check_operators(manifest, nodes)
    _check_precision(manifest, nodes)
    check_sizes(nodes, name, _sizes(manifest))


def _sizes(manifest: Manifest) -> dict[str, int]:
    """Return the bytes of the files with tensors, by their names as the ONNX file writes them."""
    folder = manifest.graph.file.rpartition("/")[0]
    start = len(folder) + 1 if folder else 0
    return {name[start:]: manifest.files[name].bytes for name in manifest.graph.external_data}


def _check_ends(manifest: Manifest, graph: GraphFile) -> None:
    """Compare names, types and declared shapes of inputs and outputs."""
    name, contract = manifest.graph.file, manifest.contract
    inputs = {each.name: each.dtype for each in graph.inputs}
    _compare(name, "the inputs", inputs, {each.name: each.dtype for each in contract.inputs})
    outputs = sorted(each.name for each in graph.outputs)
    _compare(name, "the outputs", outputs, sorted(contract.output_names))
    expected = {each.name: each for each in (*contract.inputs, *contract.outputs)}
    for each in (*graph.inputs, *graph.outputs):
        wanted = expected[each.name]
        _compare(name, f"the output '{each.name}' of dtype", each.dtype, wanted.dtype)
        if not wanted.fits(each.shape):
            given = f"'{name}' has '{each.name}' of the shape {_text(each.shape)}"
            _refuse(given, _text(wanted.shape_of(len(each.shape))))


def _text(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _check_operators(manifest: Manifest, nodes: GraphNodes) -> None:
    name = manifest.graph.file
    foreign = nodes.foreign + [part for node in nodes.nodes for part in node.parts]
    dynamic = manifest.rejection.mode == "dynamic"
    found = forbidden_operators({node.operator for node in nodes.nodes}, dynamic=dynamic)
    if found:
        mode = manifest.rejection.mode
        given = f"'{name}' has the operators {', '.join(found[:_SHOWN])}"
        _refuse(given, f"rejection '{mode}', which has none of them")
    if foreign:
        _refuse(f"'{name}' has a {foreign[0]}", "a plain graph")


def _check_precision(manifest: Manifest, nodes: GraphNodes) -> None:
    """Compare the precision with what can be seen: it decides how strictly answers are judged."""
    given = _seen_precision(nodes)
    if given != manifest.precision:
        name = manifest.graph.file
        _compare(name, "the precision", given, manifest.precision)


def _seen_precision(nodes: GraphNodes) -> str:
    if any(node.operator in _QUANTIZING for node in nodes.nodes):
        return "int8"
    numbers = (node.numbers for node in nodes.nodes if node.operator == "Cast")
    casts = {to for given in numbers for to in given.get("to", ())}
    dtypes = {constant.dtype for constant in nodes.constants.values()}
    if "float16" in dtypes or _HALF in casts:
        return "fp16"
    return "bf16" if "bfloat16" in dtypes or _BRAIN in casts else "fp32"


def _compare(name: str, what: str, given: object, expected: object) -> None:
    if given != expected:
        _refuse(f"'{name}' has {what} {_short(given)}", str(_short(expected)))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _refuse(given: str, expected: str) -> NoReturn:
    message = f"{given}; the manifest says {expected}."
    raise ArtifactError(message, hint="It is no graph of edge-ovss export; export it again.")
