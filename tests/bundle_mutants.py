"""Thousands of ways to spoil a bundle, the same ones in every run.

Each mutant is a name and a function that changes a copy of a bundle in place. Hashes are made
again wherever a file is changed, as a forger would.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_ovss._files import sha256_of_file

KINDS = onnx.TensorProto
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Mutant:
    """One spoiled bundle; `refused` says whether every verb must refuse it with status 5."""

    name: str
    change: Change
    refused: bool


def relist(bundle: Path, *names: str) -> None:
    """Bring size and hash of files in the manifest up to date."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    for name in names:
        entry = {"sha256": sha256_of_file(bundle / name), "bytes": (bundle / name).stat().st_size}
        document["files"][name] = entry
    path.write_text(json.dumps(document))


def add_metadata(bundle: Path) -> None:
    """Write the facts of the manifest into the ONNX file, as the exporter does."""
    document = json.loads((bundle / "manifest.json").read_text())
    words = json.loads((bundle / "vocabulary.json").read_text())
    names = [output["name"] for output in words["outputs"]]
    kept = ("schema", "model", "licenses", "vocabulary", "templates", "picture", "output")
    facts = {f"edge_ovss.{key}": json.dumps(document[key]) for key in (*kept, "precision")}
    rejection = {key: document["rejection"][key] for key in ("mode", "topk", "slots")}
    facts |= {
        "edge_ovss.version": "0.1.0",
        "edge_ovss.rejection": json.dumps(rejection),
        "edge_ovss.names": json.dumps(names),
        "edge_ovss.output_map": json.dumps([each["output"] for each in words["categories"]]),
        "names": json.dumps(dict(enumerate(names))),
        "imgsz": json.dumps([document["picture"][side] for side in ("height", "width")]),
        "task": "segment",
    }
    edit_graph(lambda model: helper.set_model_props(model, facts))(bundle)


def edit_graph(change: Callable[[Any], object]) -> Change:
    """Return a change of the ONNX file with a manifest that fits."""

    def apply(bundle: Path) -> None:
        path = bundle / "model.onnx"
        model = onnx.load(str(path), load_external_data=False)
        change(model)
        path.write_bytes(model.SerializeToString())
        relist(bundle, "model.onnx")

    return apply


def all_mutants(bundle: Path) -> list[Mutant]:
    """Return every mutant of a bundle made by conftest with `add_metadata`."""
    kinds = (_fields, _names, _files, _bytes, _graphs, _metadata, _words, _arrays, _contradictions)
    return [mutant for kind in kinds for mutant in kind(bundle)]


# What is put in the place of every field of the manifest; the text is written as it stands.
RAW = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "below zero": "-1",
    "half": "0.5",
    "2^31": str(2**31),
    "2^63": str(2**63),
    "400 digits": "1" * 400,
    "5000 digits": "9" * 5000,
    "1e308": "1e308",
    "1e999": "1e999",
    "NaN": "NaN",
    "empty": '""',
    "long": '"' + "x" * 300 + '"',
    "surrogate": '"\\ud800"',
    "zero byte": '"a\\u0000b"',
    "list": "[]",
    "object": "{}",
    "deep": "[" * 200 + "]" * 200,
    "twice": '{"a": 1, "a": 2}',
    "wide": "[" + ",".join("0" * 5000) + "]",
}
_NEVER = {"400 digits", "5000 digits", "1e999", "NaN", "surrogate", "deep", "twice"}


def _paths(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*above, key))


def _put(path: tuple[Any, ...], raw: str | None) -> Change:
    def apply(bundle: Path) -> None:
        document = json.loads((bundle / "manifest.json").read_text())
        owner = document
        for key in path[:-1]:
            owner = owner[key]
        if raw is None:
            del owner[path[-1]]
        else:
            owner[path[-1]] = "@here@"
        text = json.dumps(document).replace('"@here@"', raw or "")
        (bundle / "manifest.json").write_text(text)

    return apply


def _fields(bundle: Path) -> Iterator[Mutant]:
    document = json.loads((bundle / "manifest.json").read_text())
    for path in _paths(document):
        where = ".".join(map(str, path))
        yield Mutant(f"manifest {where} missing", _put(path, None), refused=False)
        for name, raw in RAW.items():
            yield Mutant(f"manifest {where} {name}", _put(path, raw), refused=name in _NEVER)


BAD_NAMES = {
    "long": "x" * 256,
    "long with umlauts": "ü" * 128,
    "long inside": "reference/" + "y" * 4000,
    "deep": "d/" * 600 + "f",
    "zero byte": "a\0b",
    "absolute": "/etc/hostname",
    "above": "../secret",
    "above inside": "a/../../secret",
    "backslash": "..\\secret",
    "drive": "C:/secret",
    "empty": "",
    "dot": ".",
    "slash": "reference/",
    "missing": "nothing.bin",
    "folder": "reference",
    "manifest": "manifest.json",
}


def _names(bundle: Path) -> Iterator[Mutant]:
    places = [("graph", "file"), ("vocabulary", "file"), ("graph", "external_data")]
    places += [("reference", each) for each in ("frame", "labels", "alive", "counts")]
    places += [("graph", "spare"), ("graph", "small")]
    for place in places:
        for name, text in BAD_NAMES.items():
            for listed in (False, True):
                change = _rename(place, text, listed=listed)
                yield Mutant(f"name {'.'.join(place)} {name} {listed}", change, refused=True)


def _rename(place: tuple[str, str], name: str, *, listed: bool) -> Change:
    def apply(bundle: Path) -> None:
        document = json.loads((bundle / "manifest.json").read_text())
        section, key = place
        value: Any = name
        if key == "external_data":
            value = [name]
        elif key in ("spare", "small"):
            value = {"file": name, "slots": [5, 5, 5]}
        document[section][key] = value
        if listed:
            document["files"][name] = {"sha256": "0" * 64, "bytes": 1}
        (bundle / "manifest.json").write_text(json.dumps(document))

    return apply


def _files(bundle: Path) -> Iterator[Mutant]:
    listed = sorted(json.loads((bundle / "manifest.json").read_text())["files"])
    changes: dict[str, Callable[[Path], object]] = {
        "missing": Path.unlink,
        "empty": lambda path: path.write_bytes(b""),
        "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        "link out": _link_out,
        "link to itself": _replaced(lambda path: path.symlink_to(path.name)),
        "folder": _replaced(Path.mkdir),
        "pipe": _replaced(os.mkfifo),
        "text": lambda path: path.write_text("no such thing"),
    }
    for name in [*listed, "manifest.json"]:
        for title, change in changes.items():
            for again in (False, True):
                if not (again and name == "manifest.json"):
                    yield Mutant(
                        f"file {name} {title} {again}",
                        _on_file(name, change, again=again),
                        refused=title != "longer" and (name, title) != ("model.onnx.data", "text"),
                    )
    for name in listed:
        for other in listed:
            if name != other:
                weights = name == "model.onnx.data"  # which say nothing of themselves
                yield Mutant(f"file {name} is {other}", _swap(name, other), refused=not weights)


def _on_file(name: str, change: Callable[[Path], object], *, again: bool) -> Change:
    def apply(bundle: Path) -> None:
        change(bundle / name)
        if again and (bundle / name).is_file():
            relist(bundle, name)

    return apply


def _replaced(make: Change) -> Change:
    def apply(path: Path) -> None:
        path.unlink()
        make(path)

    return apply


def _link_out(path: Path) -> None:
    outside = path.parents[2 if path.parent.name == "reference" else 1] / f"out-{path.name}"
    shutil.move(path, outside)
    path.symlink_to(outside)


def _swap(name: str, other: str) -> Change:
    def apply(bundle: Path) -> None:
        shutil.copy(bundle / other, bundle / name)
        relist(bundle, name)

    return apply


def _bytes(bundle: Path) -> Iterator[Mutant]:
    """Random damage with hashes made again."""
    names = ["model.onnx"] * 12 + ["vocabulary.json"] * 3 + ["reference/labels.npy"]
    names += ["reference/alive.npy", "manifest.json", "manifest.json"]
    for seed in range(300):
        name = names[seed % len(names)]
        yield Mutant(f"bytes {name} {seed}", _damage(name, seed), refused=False)


def _damage(name: str, seed: int) -> Change:
    def apply(bundle: Path) -> None:
        dice = random.Random(seed)
        data = bytearray((bundle / name).read_bytes())
        for _ in range(dice.randrange(1, 5)):
            at = dice.randrange(len(data))
            kind = dice.randrange(4)
            if kind == 0:
                data[at] = dice.randrange(256)
            elif kind == 1:
                data[at] ^= 1 << dice.randrange(8)
            elif kind == 2:
                del data[at : at + dice.randrange(1, 20)]
            else:
                data[at:at] = bytes(dice.choice((0, 0x7F, 0xFF)) for _ in range(9))
            data = data or bytearray(b"\0")
        (bundle / name).write_bytes(data)
        if name != "manifest.json":
            relist(bundle, name)

    return apply


def _tensor(name: str, values: Any, dtype: Any = np.int64) -> Any:  # noqa: ANN401
    return numpy_helper.from_array(np.array(values, dtype), name)


def _ahead(*nodes: Any, tensors: tuple[Any, ...] = ()) -> Change:  # noqa: ANN401
    """Put nodes in front of a graph, whose answers nobody reads."""

    def change(model: Any) -> None:  # noqa: ANN401
        graph = model.graph
        graph.initializer.extend(tensors)
        for node in reversed(nodes):
            graph.node.insert(0, node)

    return edit_graph(change)


def _graphs(bundle: Path) -> Iterator[Mutant]:
    make = helper.make_node
    big = 2**30
    shape = _tensor("big", [big])
    one = _tensor("one", [1.0], np.float32)
    sized = {
        "ConstantOfShape": (make("ConstantOfShape", ["big"], ["x"]), (shape,)),
        "Expand": (make("Expand", ["one", "big"], ["x"]), (one, shape)),
        "Tile": (make("Tile", ["one", "big"], ["x"]), (one, shape)),
        "Pad": (make("Pad", ["one", "pads"], ["x"]), (one, _tensor("pads", [0, big]))),
        "Range": (
            make("Range", ["zero", "end", "step"], ["x"]),
            (_tensor("zero", 0), _tensor("end", big), _tensor("step", 1)),
        ),
        "OneHot": (
            make("OneHot", ["at", "depth", "two"], ["x"]),
            (_tensor("at", [0]), _tensor("depth", big), _tensor("two", [0.0, 1.0], np.float32)),
        ),
        "Resize": (
            make("Resize", ["image", "", "", "sizes"], ["x"]),
            (
                _tensor("image", [[[[1.0]]]], np.float32),
                _tensor("sizes", [1, 1, 2**15, 2**15]),
            ),
        ),
        "Expand a frame": (
            make("Expand", ["frame", "wide"], ["x"]),
            (_tensor("wide", [1, 1, big, 3]),),
        ),
        "negative": (make("Expand", ["one", "minus"], ["x"]), (one, _tensor("minus", [-big]))),
    }
    for name, (node, tensors) in sized.items():
        yield Mutant(f"graph {name}", _ahead(node, tensors=tensors), refused=True)
    parts = _tensor("half", [2**15, 2**15])
    node = make("ConstantOfShape", ["product"], ["x"])
    for name, nodes in {
        "ReduceProd": [make("ReduceProd", ["half"], ["product"], keepdims=1), node],
        "Mul": [make("Mul", ["half", "half"], ["product"]), node],
        "Concat": [make("Concat", ["half", "half"], ["product"], axis=0), node],
        "Cast": [make("Cast", ["half"], ["product"], to=KINDS.INT64), node],
        "Constant": [
            make("Constant", [], ["product"], value=_tensor("v", [2**20, 2**20])),
            node,
        ],
        "Constant of integers": [make("Constant", [], ["product"], value_ints=[big]), node],
    }.items():
        yield Mutant(f"graph by {name}", _ahead(*nodes, tensors=(parts,)), refused=True)
    many = [make("ConstantOfShape", ["some"], [f"x{i}"]) for i in range(200)]
    yield Mutant("graph many", _ahead(*many, tensors=(_tensor("some", [2**22]),)), refused=True)
    column = [
        make("ConstantOfShape", ["tall"], ["a"]),
        make("ConstantOfShape", ["wide"], ["b"]),
        make("MatMul", ["a", "b"], ["c"]),
    ]
    sides = (_tensor("tall", [2**16, 1]), _tensor("wide", [1, 2**16]))
    yield Mutant("graph outer product", _ahead(*column, tensors=sides), refused=True)
    for pads in ([2**30] * 4, [2**14] * 4):
        conv = make("MaxPool", ["image"], ["x"], kernel_shape=[1, 1], pads=pads)
        image = _tensor("image", [[[[1.0]]]], np.float32)
        yield Mutant(f"graph pool {pads[0]}", _ahead(conv, tensors=(image,)), refused=True)
    yield from _foreign_graphs()
    yield from _hostile_tensors()


def _foreign_graphs() -> Iterator[Mutant]:
    make = helper.make_node
    value = helper.make_tensor_value_info("v", KINDS.INT32, [4])
    body = helper.make_graph([make("Identity", ["alive_ids"], ["v"])], "body", [], [value])
    turn = helper.make_tensor_value_info("i", KINDS.INT64, [])
    go = helper.make_tensor_value_info("go", KINDS.BOOL, [])
    gone = helper.make_tensor_value_info("gone", KINDS.BOOL, [])
    rounds = helper.make_graph([make("Identity", ["go"], ["gone"])], "rounds", [turn, go], [gone])
    loop = make("Loop", ["most", "yes"], [], body=rounds)
    most = (_tensor("most", 2**62), _tensor("yes", True, np.bool_))
    yield Mutant("graph Loop", _ahead(loop, tensors=most), refused=True)
    branch = make("If", ["yes"], ["x"], then_branch=body, else_branch=body)
    yield Mutant("graph If", _ahead(branch, tensors=most[1:]), refused=True)
    for name in ("Scan", "SequenceMap", "RandomNormal", "StringNormalizer", "NonZero", "Unique"):
        yield Mutant(f"graph {name}", _ahead(make(name, ["alive_ids"], ["x"])), refused=True)
    for domain in ("com.microsoft", "ai.onnx.ml", "example"):
        node = make("Identity", ["alive_ids"], ["x"], domain=domain)
        yield Mutant(f"graph of {domain}", _ahead(node), refused=True)
    sparse = onnx.SparseTensorProto(values=_tensor("s", [1]), dims=[2**30])
    sparse.indices.CopyFrom(_tensor("i", [0]))
    yield Mutant(
        "graph sparse",
        edit_graph(lambda model: model.graph.sparse_initializer.append(sparse)),
        refused=True,
    )
    function = helper.make_function(
        "example", "F", ["a"], ["b"], [make("Relu", ["a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    yield Mutant(
        "graph function", edit_graph(lambda model: model.functions.append(function)), refused=True
    )
    nodes = [make("Identity", ["alive_ids"], [f"n{i}"]) for i in range(30_000)]
    yield Mutant(
        "graph of very many nodes", edit_graph(lambda m: m.graph.node.extend(nodes)), refused=True
    )


def _hostile_tensors() -> Iterator[Mutant]:
    def add(**fields: Any) -> Change:  # noqa: ANN401
        tensor = KINDS(name="hostile", data_type=KINDS.FLOAT)
        tensor.dims.extend(fields.pop("dims"))
        tensor.raw_data = fields.pop("raw", b"")
        for key, text in fields.items():
            tensor.data_location = KINDS.EXTERNAL
            tensor.external_data.add(key=key, value=text)
        return edit_graph(lambda model: model.graph.initializer.append(tensor))

    data = "model.onnx.data"
    for name, change in {
        "of 2^40 elements": add(dims=[2**40]),
        "of 2^62 twice": add(dims=[2**62, 2**62]),
        "below zero": add(dims=[-5]),
        "of many axes": add(dims=[1] * 5000),
        "cut short": add(dims=[4], raw=b"\0" * 15),
        "beyond its file": add(dims=[4], location=data, offset="1"),
        "of another length": add(dims=[1], location=data, length="3"),
        "at no number": add(dims=[1], location=data, offset="-4"),
        "at digits": add(dims=[1], location=data, offset="9" * 5000),
        "in a long name": add(dims=[1], location="x" * 300),
        "in no name": add(dims=[1], location=""),
        "above": add(dims=[1], location="../../secret"),
    }.items():
        yield Mutant(f"tensor {name}", change, refused=True)


def _metadata(bundle: Path) -> Iterator[Mutant]:
    """Every fact in the ONNX file that the manifest says otherwise."""
    model = onnx.load(str(bundle / "model.onnx"), load_external_data=False)
    for item in model.metadata_props:
        if item.key in ("task", "edge_ovss.version"):
            continue
        value = json.loads(item.value)
        for where, changed in _changed(value):
            change = _set_metadata(item.key, json.dumps(changed))
            yield Mutant(f"metadata {item.key}{where}", change, refused=True)
        for title, text in {"no JSON": "{", "NaN": "NaN", "deep": "[" * 5000}.items():
            yield Mutant(
                f"metadata {item.key} {title}", _set_metadata(item.key, text), refused=True
            )


def _changed(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield where, and the value with one leaf of it changed."""
    if isinstance(value, dict):
        for key, part in value.items():
            for where, other in _changed(part):
                yield f".{key}{where}", {**value, key: other}
    elif isinstance(value, list) and value:
        for where, other in _changed(value[-1]):
            yield f"[-1]{where}", [*value[:-1], other]
        yield " longer", [*value, value[-1]]
    elif isinstance(value, bool):
        yield "", not value
    elif isinstance(value, int | float):
        yield "", value + 1
    else:
        yield "", "another"


def _set_metadata(key: str, text: str) -> Change:
    def change(model: Any) -> None:  # noqa: ANN401
        for item in model.metadata_props:
            if item.key == key:
                item.value = text

    return edit_graph(change)


def _words(bundle: Path) -> Iterator[Mutant]:
    document = json.loads((bundle / "vocabulary.json").read_text())
    for path in _paths(document):
        where = ".".join(map(str, path))
        for name in ("null", "below zero", "5000 digits", "NaN", "surrogate", "zero byte", "list"):
            fine = path[0] == "background" and name == "null"
            change = _put_words(path, RAW[name])
            yield Mutant(f"words {where} {name}", change, refused=not fine and path[0] != "sha256")
    for title, count in {"a million": 10**6, "a few too many": 2**17 + 1}.items():
        change = _many_words(count)
        yield Mutant(f"words {title}", change, refused=True)
    long = {**document, "name": "x" * (17 << 20)}
    yield Mutant("words of one long name", _write_words(json.dumps(long)), refused=True)


def _put_words(path: tuple[Any, ...], raw: str) -> Change:
    def apply(bundle: Path) -> None:
        document = json.loads((bundle / "vocabulary.json").read_text())
        owner = document
        for key in path[:-1]:
            owner = owner[key]
        owner[path[-1]] = "@here@"
        _write_words(json.dumps(document).replace('"@here@"', raw))(bundle)

    return apply


def _many_words(count: int) -> Change:
    def apply(bundle: Path) -> None:
        document = json.loads((bundle / "vocabulary.json").read_text())
        document["categories"] = ["@here@"]
        row = '{"text":"%d","synonyms":["%d"],"output":0}'
        rows = ",".join(row % (i, i) for i in range(count))
        _write_words(json.dumps(document).replace('"@here@"', rows))(bundle)

    return apply


def _write_words(text: str) -> Change:
    def apply(bundle: Path) -> None:
        (bundle / "vocabulary.json").write_text(text)
        relist(bundle, "vocabulary.json")

    return apply


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + data


def _arrays(bundle: Path) -> Iterator[Mutant]:
    shape = "{'descr': '%s', 'fortran_order': %s, 'shape': %s}"
    headers = {
        "huge": shape % ("|u1", "False", (2**40,) * 2),
        "negative": shape % ("|u1", "False", (-1, 5)),
        "object": shape % ("|O", "False", (2, 2)),
        "of 8 GiB": shape % ("<i4", "False", (2**31,)),
        "no dict": "[1, 2]",
        "deep": "(" * 5000,
        "digits": shape % ("|u1", "False", "9" * 5000),
        "code": "__import__('os')",
        "strings": shape % ("<U9", "False", (4,)),
        "fields": shape % ("[('a', '<i4')]", "False", (4,)),
    }
    for name in ("frame", "labels", "alive", "counts", "measure"):
        for title, header in headers.items():
            change = _write_array(name, _npy(header, b"\0" * 64))
            yield Mutant(f"array {name} {title}", change, refused=True)
        long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff"
        yield Mutant(f"array {name} long header", _write_array(name, long), refused=True)
        yield Mutant(f"array {name} 3.0", _write_array(name, b"\x93NUMPY\x03\x00"), refused=True)


def _write_array(name: str, data: bytes) -> Change:
    def apply(bundle: Path) -> None:
        (bundle / f"reference/{name}.npy").write_bytes(data)
        relist(bundle, f"reference/{name}.npy")

    return apply


CONTRADICTIONS: dict[str, tuple[tuple[str, ...], Any]] = {
    "opset": (("graph", "opset"), 19),
    "rejection none": (("rejection",), {"mode": "none", "topk": None, "slots": None}),
    "rejection dynamic": (("rejection",), {"mode": "dynamic", "topk": 8, "slots": None}),
    "slots none": (("rejection", "slots"), [0, 0, 0]),
    "slots many": (("rejection", "slots"), [10**5, 4, 4]),
    "slots one": (("rejection", "slots"), [4]),
    "slots grow": (("rejection", "slots"), [3, 4, 4]),
    "slots others": (("rejection", "slots"), [4, 4, 3]),
    "top-k": (("rejection", "topk"), 7),
    "top-k zero": (("rejection", "topk"), 0),
    "height": (("picture", "height"), 65),
    "std zero": (("picture", "std"), [1, 0, 1]),
    "std below zero": (("picture", "std"), [1, 1, -1]),
    "mean": (("picture", "mean"), [1, 0, 0]),
    "int8": (("precision", "name"), "int8"),
    "fp16": (("precision", "name"), "fp16"),
    "bf16": (("precision", "name"), "bf16"),
    "int4": (("precision", "name"), "int4"),
    "uint16": (("output", "labels_dtype"), "uint16"),
    "outputs": (("output", "outputs"), ["labels", "alive", "counts", "scores"]),
    "scores": (("output", "scores"), {"height": 2, "width": 3}),
    "model": (("model", "name"), "san-large"),
    "license": (("licenses", "weights"), "MIT"),
    "another license": (("licenses", "training_data"), "CC0"),
    "words": (("vocabulary", "name"), "others"),
    "unknown gone": (("unknown",), None),
    "unknown of another kind": (("unknown",), [0.5]),
    "threshold too high": (("unknown", "thresholds"), [1.5]),
    "threshold below zero": (("unknown", "thresholds"), [-0.5]),
    "threshold no number": (("unknown", "thresholds"), ["0.5"]),
    "threshold true": (("unknown", "thresholds"), [True]),
    "thresholds none": (("unknown", "thresholds"), []),
    "thresholds two": (("unknown", "thresholds"), [0.5, 0.5]),
    "thresholds one": (("unknown", "thresholds"), 0.5),
    "range turned": (("unknown", "range"), [1.0, 0.0]),
    "range short": (("unknown", "range"), [0.0]),
    "measure no name": (("unknown", "measure"), 1),
    "auto too high": (("unknown", "auto"), 1.5),
    "reference without measure": (("reference", "measure"), None),
}


def _contradictions(bundle: Path) -> Iterator[Mutant]:
    for name, (path, value) in CONTRADICTIONS.items():
        yield Mutant(f"contradiction {name}", _put(path, json.dumps(value)), refused=True)
    yield Mutant("contradiction answers", edit_graph(_swap_answers), refused=True)
    for name, array in {
        "labels": np.full((20, 30), 3, np.uint8),
        "labels shape": np.zeros((20, 31), np.uint8),
        "alive": np.array([3, -1, -1, -1], np.int32),
        "alive below": np.array([-2, -1, -1, -1], np.int32),
        "alive twice": np.array([1, 1, -1, -1], np.int32),
        "alive places": np.array([1], np.int32),
        "counts": np.array([4, 3, 3], np.int32),
        "counts two": np.array([3, 3], np.int32),
        "counts below": np.array([3, 3, -1], np.int32),
        "measure shape": np.zeros((20, 31), np.float32),
        "measure wide": np.zeros((20, 30), np.float64),
    }.items():
        yield Mutant(f"contradiction {name}", _save(name.split()[0], array), refused=True)

    for name, lead in {
        "of another shape": np.zeros((20, 31), np.uint16),
        "of another type": np.zeros((20, 30), np.float32),
    }.items():
        yield Mutant(f"contradiction lead {name}", _save_lead(lead), refused=True)


def _save_lead(array: Any) -> Change:  # noqa: ANN401
    def apply(bundle: Path) -> None:
        _save("lead", array)(bundle)
        _put(("reference", "lead"), '"reference/lead.npy"')(bundle)

    return apply


def _swap_answers(model: Any) -> None:  # noqa: ANN401
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = {"alive": "counts", "counts": "alive"}.get(name, name)
    alive, counts = (end for end in model.graph.output if end.name in ("alive", "counts"))
    alive.name, counts.name = counts.name, alive.name


def _save(name: str, array: Any) -> Change:  # noqa: ANN401
    def apply(bundle: Path) -> None:
        np.save(bundle / f"reference/{name}.npy", array)
        relist(bundle, f"reference/{name}.npy")

    return apply
