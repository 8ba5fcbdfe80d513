"""How much memory a graph takes before it has seen a frame, from what the ONNX file declares.

A runtime computes what depends on constants alone when it loads a graph, so a few bytes such as
`ConstantOfShape` of 2^40 elements could take all memory. What depends on the frame is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from edge_ovss.bundle.onnx_reader.nodes import MOST_VALUES, Constant, GraphNodes, Node
from edge_ovss.errors import ArtifactError

MOST_ELEMENTS = 1 << 26
"""What the nodes of a graph may make of constants, in all."""

MOST_WEIGHTS = 4 << 30
"""Bytes of the tensors of a graph."""

_MOST_REACH = 4096  # pads, strides and kernels of a convolution or a pool, in pixels

Values = tuple[float, ...]

# Which inputs decide how large the answer of a node is.
_TAKES_SIZE: Mapping[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Tile": (1,),
    "Upsample": (1,),
}

_REACHING = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "AveragePool", "MaxPool")
_KEEPS_VALUES = ("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten")
_KEEPS_SIZE = (*_KEEPS_VALUES, "DequantizeLinear", "QuantizeLinear", "Slice", "Transpose")
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Max": max,
    "Min": min,
}


def check_sizes(graph: GraphNodes, name: str, files: Mapping[str, int]) -> None:
    """Refuse a graph that declares more than is in its files, or would make it when it is loaded.

    Args:
        graph: Its nodes and constants.
        name: Of the ONNX file, for messages.
        files: Bytes by location of the files that hold its tensors.

    Raises:
        ArtifactError: It does.
    """
    _check_constants(graph, name, files)
    known = {key: constant.elements for key, constant in graph.constants.items()}
    values = {key: tensor.values for key, tensor in graph.constants.items() if tensor.values}
    made = 0
    for node in graph.nodes:
        _check_reach(node, name)
        made += _made(node, known, values, name)
        if made > MOST_ELEMENTS:
            _refuse(
                f"'{name}' makes {made} elements of constants before it sees a frame, the last "
                f"with {node.operator}; expected at most {MOST_ELEMENTS}."
            )


def _check_constants(graph: GraphNodes, name: str, files: Mapping[str, int]) -> None:
    nodes = [node.constant for node in graph.nodes if node.constant is not None]
    total = 0
    for constant in [*graph.constants.values(), *nodes]:
        if constant.item_bytes is None:
            _refuse(f"Tensor '{constant.name}' of '{name}' is of {constant.dtype}.")
        size = constant.elements * constant.item_bytes
        _check_stored(constant, size, name, files)
        total += size
    room = min(MOST_WEIGHTS, 2 * (sum(files.values()) + (1 << 20) * 16))
    if total > room:
        _refuse(f"The tensors of '{name}' have {total} bytes; their files hold at most {room}.")


def _check_stored(constant: Constant, size: int, name: str, files: Mapping[str, int]) -> None:
    place = constant.place
    if place is not None:
        end = place.offset + size
        if place.length not in (None, size) or end > files.get(place.location, 0):
            _refuse(
                f"Tensor '{constant.name}' of '{name}' has {size} bytes at {place.offset} of "
                f"'{place.location}', which has {files.get(place.location, 0)} bytes; the length "
                f"is said to be {place.length}."
            )
        return
    fits = constant.stored == size if constant.raw else constant.stored >= constant.elements
    if not fits:
        _refuse(
            f"Tensor '{constant.name}' of '{name}' has the shape {list(constant.shape)} of "
            f"{constant.dtype}; the file holds {constant.stored} bytes of it."
        )


def _check_reach(node: Node, name: str) -> None:
    if node.operator not in _REACHING:
        return
    for key in ("pads", "strides", "dilations", "kernel_shape", "output_padding", "output_shape"):
        far = [value for value in node.numbers.get(key, ()) if abs(value) > _MOST_REACH]
        if far:
            _refuse(f"'{name}' has a {node.operator} with {key} of {far[0]}.")


def _made(node: Node, known: dict[str, int], values: dict[str, Values], name: str) -> int:
    """Note what a node gives, and return how many elements it makes of constants alone.

    Args:
        node: The node.
        known: Elements by tensor that depends on constants alone; its outputs are added.
        values: Their values where they are few and can be told; the same.
        name: Of the ONNX file, for messages.
    """
    inputs = [each for each in node.inputs if each]
    size = _declared_size(node, known, values, name)
    if not all(each in known for each in inputs):
        return 0
    if node.constant is not None:
        given, size = node.constant.values, node.constant.elements
    else:
        given = _fold(node.operator, [values.get(each) for each in inputs])
    sizes = [known[each] for each in inputs]
    if size is None:
        size = _grown(node.operator, sizes)
    known.update(dict.fromkeys(node.outputs, size))
    if given is not None and len(given) <= MOST_VALUES and node.outputs:
        values[node.outputs[0]] = given
    return max(0, size - max(sizes, default=0))


def _grown(operator: str, sizes: Sequence[int]) -> int:
    """Return the most elements that an operator makes of inputs of these sizes."""
    if operator == "Concat":
        return sum(sizes)
    if operator in _KEEPS_SIZE:
        return sizes[0] if sizes else 0
    return max(1, math.prod(sizes))


def _declared_size(
    node: Node, known: Mapping[str, int], values: Mapping[str, Values], name: str
) -> int | None:
    """Return the size that constants ask a node for, or None where no constant decides it."""
    places = _TAKES_SIZE.get(node.operator, ())
    asked = [node.inputs[place] for place in places if place < len(node.inputs)]
    asked = [each for each in asked if known.get(each, 1) > 0 and each]
    if not asked or not all(each in known for each in asked):
        return None
    if not all(each in values for each in asked):
        _refuse(f"'{name}' has {node.operator} with a size that is computed of constants.")
    size = _asked_size(node.operator, [values[each] for each in asked])
    data = known.get(node.inputs[0], 1) if places[0] > 0 else 1
    if not size * data <= MOST_ELEMENTS:
        _refuse(
            f"'{name}' asks {node.operator} for more elements than may be: {size:g} times {data}, "
            f"expected at most {MOST_ELEMENTS}."
        )
    return int(size * data)


def _asked_size(operator: str, given: Sequence[Values]) -> float:
    if operator == "Range":
        return _range_length(*(numbers[0] for numbers in given)) if len(given) == 3 else math.inf
    grows = 1.0 if operator == "Pad" else 0.0
    return math.prod(max(1.0, grows + abs(value)) for value in given[0])


def _range_length(start: float, limit: float, step: float) -> float:
    return max(0.0, (limit - start) / step) if step else math.inf


def _fold(operator: str, given: Sequence[Values | None]) -> Values | None:
    """Return the values that an operator gives of a few known ones, or None."""
    known = [each for each in given if each is not None]
    if not known or len(known) != len(given):
        return None
    if operator in _KEEPS_VALUES:
        return known[0]
    if operator == "Concat":
        return tuple(value for each in known for value in each)
    if operator not in _ARITHMETIC or len(known) != 2:
        return None
    first, second = known
    longest = max(len(first), len(second))
    if not {len(first), len(second)} <= {1, longest}:
        return None
    pairs = zip(first * (longest // len(first)), second * (longest // len(second)), strict=True)
    return tuple(_ARITHMETIC[operator](*pair) for pair in pairs)


def _refuse(message: str) -> NoReturn:
    raise ArtifactError(message, hint="It is no graph of edge-ovss export; export it again.")
