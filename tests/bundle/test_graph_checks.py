"""The graph of a bundle is judged before a library reads it: operators, sizes, ends, precision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundle_mutants import add_metadata, edit_graph, relist

from edge_ovss.bundle.hashes.ownership import check_owner
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.npy import read_array
from edge_ovss.bundle.onnx_reader.file import read_graph
from edge_ovss.bundle.onnx_reader.operators import ALLOWED, forbidden_operators
from edge_ovss.bundle.onnx_reader.sizes import MOST_ELEMENTS, check_sizes
from edge_ovss.cli import main
from edge_ovss.errors import ArtifactError, BundleError
from edge_ovss.runtime import Bundle
from edge_ovss.runtime.trt.engine_record import PLAN

MakeBundle = Callable[..., Path]
helper = onnx.helper
KINDS = onnx.TensorProto


def model_of(path: Path, nodes: list[Any], tensors: dict[str, Any]) -> Path:
    """Write a graph of these nodes and constants."""
    made = [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "g", [], [], made)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def check(path: Path, *nodes: Any, **tensors: Any) -> None:  # noqa: ANN401
    model_of(path, list(nodes), tensors)
    check_sizes(read_graph(path)[1], path.name, {})


@pytest.mark.parametrize("elements", [MOST_ELEMENTS, MOST_ELEMENTS + 1])
def test_a_graph_may_make_so_much_of_constants_and_no_more(tmp_path: Path, elements: int) -> None:
    path = tmp_path / "a.onnx"
    node = helper.make_node("ConstantOfShape", ["shape"], ["x"])
    shape = np.array([elements], np.int64)
    if elements == MOST_ELEMENTS:
        check(path, node, shape=shape)
        return
    with pytest.raises(ArtifactError, match=f"at most {MOST_ELEMENTS}"):
        check(path, node, shape=shape)


def test_what_all_nodes_make_is_added_up(tmp_path: Path) -> None:
    path, third = tmp_path / "a.onnx", np.array([MOST_ELEMENTS // 3], np.int64)
    nodes = [helper.make_node("ConstantOfShape", ["third"], [f"x{i}"]) for i in range(4)]
    check(path, *nodes[:3], third=third)
    with pytest.raises(ArtifactError, match="makes"):
        check(path, *nodes, third=third)


def test_sizes_that_arithmetic_makes_of_constants_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    make = helper.make_node
    ends = {"a": np.array([1000], np.int64), "b": np.array([64], np.int64)}
    steps = [make("Mul", ["a", "b"], ["c"]), make("Concat", ["b", "c"], ["d"], axis=0)]
    check(path, *steps, make("ConstantOfShape", ["d"], ["x"]), **ends)
    steps.append(make("Concat", ["d", "a"], ["e"], axis=0))
    with pytest.raises(ArtifactError, match="ConstantOfShape"):
        check(path, *steps, make("ConstantOfShape", ["e"], ["x"]), **ends)
    with pytest.raises(ArtifactError, match="computed of constants"):
        steps = [make("ReduceProd", ["a"], ["p"]), make("ConstantOfShape", ["p"], ["x"])]
        check(path, *steps, **ends)


def test_sizes_that_depend_on_the_frame_are_left_to_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    nodes = [
        helper.make_node("Shape", ["frame"], ["shape"]),
        helper.make_node("Expand", ["one", "shape"], ["x"]),
        helper.make_node("Range", ["zero", "shape", "zero"], ["y"]),
    ]
    check(path, *nodes, one=np.ones(1, np.float32), zero=np.array(0))


@pytest.mark.parametrize("pads", [4096, 4097])
def test_convolutions_reach_no_further_than_a_picture(tmp_path: Path, pads: int) -> None:
    node = helper.make_node("MaxPool", ["frame"], ["x"], kernel_shape=[1], pads=[0, pads])
    if pads == 4096:
        check(tmp_path / "a.onnx", node)
        return
    with pytest.raises(ArtifactError, match="pads of 4097"):
        check(tmp_path / "a.onnx", node)


def test_weights_may_be_cast_and_quantized(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["x"]),
        helper.make_node("Cast", ["x"], ["y"], to=KINDS.FLOAT16),
    ]
    weights = np.zeros((2000, 1000), np.int8)
    check(tmp_path / "a.onnx", *nodes, w=weights, s=np.ones(2000, np.float32))


def test_operators_that_repeat_branch_or_draw_are_forbidden() -> None:
    bad = ["Loop", "Scan", "If", "SequenceMap", "RandomNormal", "com.microsoft::Gelu", "Optional"]
    assert forbidden_operators([*bad, "Conv", "Add"], dynamic=True) == sorted(bad)
    assert forbidden_operators(["NonZero", "Compress", "Unique"], dynamic=True) == []
    assert forbidden_operators(["NonZero"], dynamic=False) == ["NonZero"]
    assert not {"NonZero", "Loop"} & ALLOWED


VERBS = [
    ["inspect", "{}"],
    ["inspect", "{}", "--no-verify"],
    ["selftest", "{}"],
    ["run", "{}", "synthetic://street?count=1"],
    ["bench", "{}", "--duration", "0.1"],
    ["eval", "{}", "data", "--layout", "folder"],
    ["parity", "{}", "--pictures", "synthetic://street?count=1"],
    ["calibrate", "{}", "--calibration", "synthetic://street?count=1"],
    ["build", "{}", "--backend", "tensorrt"],
    ["report", "{}"],
]


def write_data(folder: Path) -> None:
    """Write a labeled picture."""
    cv2 = pytest.importorskip("cv2")
    for name, shape in (("images", (4, 6, 3)), ("labels", (4, 6))):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "a.png"), np.zeros(shape, np.uint8))
    (folder / "classes.txt").write_text("thing0\nthing1\nthing2\n")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0] + verb[-1][:4])
def test_every_verb_refuses_a_bundle_that_contradicts_itself(
    make_bundle: MakeBundle,
    verb: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = make_bundle()
    monkeypatch.chdir(bundle.parent)
    write_data(bundle.parent / "data")
    add_metadata(bundle)
    path = bundle / "manifest.json"
    whole = path.read_text()
    for section, key, value, words in (
        ("licenses", "weights", "MIT", ("none", "MIT")),
        ("precision", "name", "int8", ("fp32", "int8")),
        ("graph", "opset", 19, ("18", "19")),
        ("rejection", "slots", [4, 4, 2], ("4 places", "2 slots")),
        ("picture", "std", [1, 1, 0], ("[1, 1, 0]", "above 0")),
    ):
        document = json.loads(whole)
        document[section][key] = value
        path.write_text(json.dumps(document))
        assert main([word.format(bundle) for word in verb]) == 5, (section, key)
        error = capsys.readouterr().err
        assert all(word in error for word in words), error
    assert sorted(each.name for each in bundle.parent.iterdir()) == ["data", "tiny.ovss"]


def test_a_manifest_that_is_a_link_out_of_the_bundle_is_refused(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    outside = bundle.parent / "outside.json"
    shutil.move(bundle / "manifest.json", outside)
    (bundle / "manifest.json").symlink_to(outside)
    with pytest.raises(BundleError, match=r"'manifest.json' is a link that leaves"):
        Bundle.open(bundle)
    shutil.copy(outside, bundle / "own.json")
    (bundle / "manifest.json").unlink()
    (bundle / "manifest.json").symlink_to("own.json")
    (bundle.parent / "link.ovss").symlink_to(bundle)
    assert Bundle.open(bundle.parent / "link.ovss").vocabulary.outputs


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/".join(["d" * 200] * 30)])
def test_a_bundle_at_a_path_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.open(name)


def test_a_bundle_lists_thousands_of_files_and_no_more(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["files"] |= {f"f{i}": {"sha256": "", "bytes": 0} for i in range(200_000)}
    path.write_text(json.dumps(document))
    with pytest.raises(BundleError, match="lists 200007 files"):
        Bundle.open(bundle)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("said", ["fp32", "fp16", "int8", "bf16"])
def test_the_precision_is_the_one_that_the_graph_shows(
    make_bundle: MakeBundle, precision: str, said: str
) -> None:
    bundle = make_bundle(precision=precision)
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["precision"]["name"] = said
    path.write_text(json.dumps(document))
    if precision == said:
        assert Bundle.open(bundle).manifest.precision == said
        return
    with pytest.raises(ArtifactError, match=f"{precision}.*{said}"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("outputs", "dtype"),
    [(254, "uint8"), (255, "uint8"), (256, "uint16"), (257, "uint16"), (300, "uint16")],
)
def test_labels_are_wide_enough_for_the_outputs(
    make_bundle: MakeBundle, outputs: int, dtype: str
) -> None:
    bundle = make_bundle(outputs=outputs)
    assert Bundle.open(bundle).manifest.output.labels_dtype == dtype
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["output"]["labels_dtype"] = "uint8" if dtype == "uint16" else "uint16"
    path.write_text(json.dumps(document))
    with pytest.raises((BundleError, ArtifactError), match="uint16"):
        Bundle.open(bundle)


def test_a_spare_graph_is_judged_when_the_bundle_is_opened(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(spare=[5, 5, 5])
    assert Bundle.open(bundle).spare() is not None
    shutil.copy(bundle / "model.onnx", bundle / "spare.onnx")
    relist(bundle, "spare.onnx")
    with pytest.raises(ArtifactError, match=r"'spare.onnx' has 'alive' of the shape \[4\].*\[5\]"):
        Bundle.open(bundle)


def test_a_small_graph_is_judged_when_the_bundle_is_opened(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(small=[3, 3, 3])
    opened = Bundle.open(bundle).small()
    assert opened is not None
    assert opened.graph_path.name == "small.onnx"
    assert opened.manifest.rejection.slots == (3, 3, 3)
    shutil.copy(bundle / "model.onnx", bundle / "small.onnx")
    relist(bundle, "small.onnx")
    with pytest.raises(ArtifactError, match=r"'small.onnx' has 'alive' of the shape \[4\].*\[3\]"):
        Bundle.open(bundle)


def test_metadata_may_leave_facts_out(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    add_metadata(bundle)

    def drop(model: Any) -> None:  # noqa: ANN401
        kept = [item for item in model.metadata_props if "licenses" not in item.key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)

    edit_graph(drop)(bundle)
    assert "edge_ovss.licenses" not in Bundle.open(bundle).graph.metadata


def test_true_is_not_one_in_metadata(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    add_metadata(bundle)

    def change(model: Any) -> None:  # noqa: ANN401
        for item in model.metadata_props:
            item.value = item.value.replace('"topk": 8', '"topk": 8.0').replace(
                '"antialias": false', '"antialias": 0'
            )

    edit_graph(change)(bundle)
    with pytest.raises(BundleError, match=r"says 0 for 'picture.antialias'.*says false"):
        Bundle.open(bundle)


def test_a_model_that_holds_two_graphs_or_two_facts_is_refused(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    path = bundle / "model.onnx"
    whole = path.read_bytes()
    for more in (b"\x3a\x00", b"\x72\x06\x0a\x04note"):
        path.write_bytes(whole + more)
        relist(bundle, "model.onnx")
        with pytest.raises(ArtifactError, match="second"):
            Bundle.open(bundle)


def test_arrays_are_read_as_numpy_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (np.zeros((3, 4), np.uint8), np.arange(5, dtype=np.int32), np.zeros(0, np.int32)):
        np.save(path, array)
        found = read_array(path, "a", str(array.dtype), rank=array.ndim)
        assert np.array_equal(found, array)
        assert found.dtype == array.dtype
        np.save(path, array[None])
        assert np.array_equal(read_array(path, "a", str(array.dtype), rank=array.ndim), array)
    np.save(path, np.asfortranarray(np.zeros((3, 4), np.uint8)))
    with pytest.raises(BundleError, match="Fortran"):
        read_array(path, "a", "uint8", rank=2)
    np.save(path, np.zeros(4, np.uint8))
    with pytest.raises(BundleError, match="expected 2 axes"):
        read_array(path, "a", "uint8", rank=2)


ANSWER = {
    "labels": np.zeros((1, 2, 2), np.uint8),
    "alive": np.array([1, -1, -1, -1], np.int32),
    "counts": np.array([3, 3, 1], np.int32),
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("labels", np.full((1, 2, 2), 2, np.uint8), None),
        ("labels", np.full((1, 2, 2), 3, np.uint8), "as high as 3; expected values below 3"),
        ("alive", np.array([2], np.int32), None),
        ("alive", np.array([3], np.int32), "as high as 3"),
        ("alive", np.zeros(0, np.int32), None),
        ("labels", np.zeros((1, 2, 2), np.uint16), "uint16; expected uint8"),
        ("labels", np.zeros((1, 2, 3), np.uint8), "of shape"),
        ("labels", np.zeros((2, 2), np.uint8), "of shape"),
        ("counts", np.zeros((1, 3), np.int32), "of shape"),
        ("counts", np.zeros(3, np.int64), "int64"),
        ("counts", None, "missing"),
    ],
)
def test_answers_are_compared_with_the_contract(
    make_bundle: MakeBundle,
    name: str,
    value: Any,  # noqa: ANN401
    words: str | None,
) -> None:
    bundle = Bundle.open(make_bundle())
    answer = {key: each for key, each in {**ANSWER, name: value}.items() if each is not None}
    if words is None:
        bundle.manifest.contract.check_answer(answer, (2, 2))
        return
    with pytest.raises(ArtifactError, match=words):
        bundle.manifest.contract.check_answer(answer, (2, 2))


@pytest.mark.parametrize("target", ["folder", "plan"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_an_engine_that_a_group_or_others_may_write_is_refused(
    tmp_path: Path, target: str, mode: int
) -> None:
    folder = tmp_path / "engine"
    folder.mkdir(mode=0o755)
    (folder / PLAN).write_bytes(b"x")
    (folder / PLAN).chmod(0o644)
    check_owner(folder, PLAN)
    path = folder if target == "folder" else folder / PLAN
    path.chmod(path.stat().st_mode | mode)
    with pytest.raises(ArtifactError, match=f"may write '{path.name}'"):
        check_owner(folder, PLAN)


def test_an_engine_is_bound_to_every_file_of_its_graph(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    before = graph_hash(Bundle.open(path))
    for name in ("model.onnx", "model.onnx.data"):
        document = json.loads((path / "manifest.json").read_text())
        document["files"][name]["sha256"] = "0" * 64
        (path / "manifest.json").write_text(json.dumps(document))
        after = graph_hash(Bundle.open(path, verify=False))
        assert after != before, name
        before = after
    document["files"]["vocabulary.json"]["sha256"] = "0" * 64
    (path / "manifest.json").write_text(json.dumps(document))
    assert graph_hash(Bundle.open(path, verify=False)) == before
