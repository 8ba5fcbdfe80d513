"""The small ONNX reader sees what the onnx package sees, and refuses what is no ONNX file."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.onnx_reader.file import read_graph_file
from edge_ovss.errors import ArtifactError

onnx: Any = pytest.importorskip("onnx")


def tensor(name: str, location: str | None = None) -> Any:  # noqa: ANN401 (a class of onnx)
    made = onnx.numpy_helper.from_array(np.zeros(3, np.float32), name)
    if location is not None:
        onnx.external_data_helper.set_external_data(made, location, offset=0, length=12)
        made.ClearField("raw_data")
    return made


def model_with_everything(path: Path) -> Path:
    """Write a graph with a branch, a function, an odd operator and external tensors anywhere."""
    helper, kinds = onnx.helper, onnx.TensorProto
    value = helper.make_tensor_value_info("v", kinds.FLOAT, [3])
    constant = helper.make_node("Constant", [], ["v"], value=tensor("v", "constant.bin"))
    then = helper.make_graph([constant], "then", [], [value], [tensor("t", "branch.bin")])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["v"])], "else", [], [value])
    sparse = onnx.SparseTensorProto(values=tensor("s", "values.bin"), dims=[3])
    sparse.indices.CopyFrom(tensor("i", "indices.bin"))
    held = onnx.SparseTensorProto(values=tensor("h", "held.bin"), dims=[3])
    held.indices.CopyFrom(tensor("k", "held_indices.bin"))
    many = onnx.SparseTensorProto(values=tensor("m", "many.bin"), dims=[3])
    odd = helper.make_node("Odd", ["v"], ["y"], domain="com.example", one=held)
    odd.attribute.add(name="all", type=onnx.AttributeProto.SPARSE_TENSORS).sparse_tensors.append(
        many
    )
    odd.attribute.add(name="list", type=onnx.AttributeProto.TENSORS).tensors.append(
        tensor("l", "list.bin")
    )
    nodes = [
        helper.make_node("If", ["c"], ["v"], then_branch=then, else_branch=other),
        odd,
    ]
    inputs = [
        helper.make_tensor_value_info("x", kinds.FLOAT, ["n", 3, None]),
        helper.make_tensor_value_info("c", kinds.BOOL, []),
        helper.make_tensor_value_info("w", kinds.FLOAT, [3]),
    ]
    outputs = [helper.make_tensor_value_info("y", kinds.UINT16, [1, 2])]
    weights = [tensor("w", "weights.bin"), tensor("inside")]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights, sparse_initializer=[sparse])
    body = [helper.make_node("Relu", ["a"], ["b"])]
    sets = [helper.make_opsetid("com.example", 3), helper.make_opsetid("", 18)]
    function = helper.make_function("com.example", "Odd", ["a"], ["b"], body, sets)
    model = helper.make_model(
        graph, opset_imports=sets, functions=[function], producer_name="maker"
    )
    helper.set_model_props(model, {"edge_ovss.a": '{"b": 1}', "é": "日本"})
    path.write_bytes(model.SerializeToString())
    return path


def test_it_sees_the_whole_graph(tmp_path: Path) -> None:
    graph = read_graph_file(model_with_everything(tmp_path / "a.onnx"))
    assert graph.opset == 18
    assert graph.producer == "maker"
    assert graph.metadata == {"edge_ovss.a": '{"b": 1}', "é": "日本"}
    assert [(item.name, item.dtype, item.shape) for item in graph.inputs] == [
        ("x", "float32", ("n", 3, "?")),
        ("c", "bool", ()),
    ]
    assert [(item.name, item.dtype, item.shape) for item in graph.outputs] == [
        ("y", "uint16", (1, 2))
    ]
    assert graph.operators == {
        "If": 1,
        "Constant": 1,
        "Identity": 1,
        "com.example::Odd": 1,
        "Relu": 1,
    }


def test_it_finds_external_tensors_wherever_they_are(tmp_path: Path) -> None:
    graph = read_graph_file(model_with_everything(tmp_path / "a.onnx"))
    assert set(graph.external_data) == {
        "weights.bin",
        "branch.bin",
        "constant.bin",
        "values.bin",
        "indices.bin",
        "held.bin",
        "held_indices.bin",
        "many.bin",
        "list.bin",
    }


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for data in (b"", b"text that is no graph", b"\x80" * 20, b"\x08\x0a"):
        path.write_bytes(data)
        with pytest.raises(ArtifactError, match="not an ONNX file"):
            read_graph_file(path)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_graph_file(tmp_path / "nothing.onnx")


def nested(depth: int) -> bytes:
    """Graphs in graphs: one holds a node, which holds an attribute, which holds the next."""

    def wrap(number: int, data: bytes) -> bytes:
        size, head = len(data), bytearray()
        while True:
            head.append((size & 0x7F) | (0x80 if size > 0x7F else 0))
            size >>= 7
            if not size:
                return bytes([number << 3 | 2]) + bytes(head) + data

    data = b""
    for _ in range(depth):
        data = wrap(1, wrap(5, wrap(6, data)))
    return wrap(7, data)


@pytest.mark.parametrize("depth", [33, 200])
def test_graphs_in_graphs_without_end_are_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(nested(depth))
    with pytest.raises(ArtifactError, match="nested more than 32 deep"):
        read_graph_file(path)


def test_graphs_are_read_32_deep(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(nested(32))
    assert read_graph_file(path).inputs == ()


def test_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    path = model_with_everything(tmp_path / "a.onnx")
    whole = path.read_bytes()
    dice = random.Random(0)
    for _ in range(300):
        data = bytearray(whole[: dice.randrange(1, len(whole) + 1)])
        data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            read_graph_file(path)
        except ArtifactError:
            continue


@pytest.mark.parametrize("what", ["nodes", "tensors"])
def test_a_graph_may_have_so_many_parts_and_no_more(tmp_path: Path, what: str) -> None:
    path, graph = tmp_path / "a.onnx", onnx.GraphProto()
    for index in range(11):
        part = graph.node.add() if what == "nodes" else graph.initializer.add()
        part.name = f"part{index}"
    path.write_bytes(onnx.ModelProto(graph=graph).SerializeToString())
    assert read_graph_file(path, most=11).inputs == ()
    with pytest.raises(ArtifactError, match=f"more than 10 {what}"):
        read_graph_file(path, most=10)
