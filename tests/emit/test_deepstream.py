"""What `emit deepstream` writes: the graph runs, and the parser is compiled and called."""

from __future__ import annotations

import configparser
import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.emit.deepstream.texts import colors, header_text, names
from edge_ovss.emit.origin import Origin

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
HEADERS = Path(__file__).parent / "deepstream_headers"
FRAME = np.random.default_rng(7).integers(0, 256, (20, 30, 3), np.uint8)


def emit(bundle: Path, out: Path, *words: str) -> int:
    pytest.importorskip("onnx")
    return main(["emit", "deepstream", str(bundle), "--out", str(out), "--quiet", *words])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run_emitted(out: Path, frame: NDArray[np.uint8]) -> NDArray[Any]:
    """Feed the graph as nvinfer does: float32, planes first, RGB from 0 to 255."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    height, width = frame.shape[:2]
    assert (port.type, port.shape) == ("tensor(float)", [1, 3, height, width])
    (end,) = session.get_outputs()
    assert (end.name, end.type, end.shape) == ("labels", "tensor(int32)", [1, height, width])
    planes = frame.transpose(2, 0, 1)[None].astype(np.float32)
    labels: NDArray[Any] = session.run(None, {port.name: planes})[0][0]
    return labels


@pytest.mark.parametrize("options", [{}, {"outputs": 300}, {"unknown": [0.5]}])
def test_the_graph_takes_what_nvinfer_gives_and_its_labels_are_the_bundles(
    make_bundle: MakeBundle, tmp_path: Path, options: dict[str, Any]
) -> None:
    from edge_ovss.runtime.segmenter import Segmenter

    pytest.importorskip("onnxruntime")
    bundle = make_bundle(**options)
    assert emit(bundle, tmp_path / "out", "--size", "20x30") == 0
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        expected = segmenter.segment(FRAME).labels
    found = run_emitted(tmp_path / "out", FRAME)
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) > 1


def test_the_graph_of_a_real_model_too(tmp_path: Path) -> None:
    from edge_ovss.demo import __file__ as demo
    from edge_ovss.runtime.segmenter import Segmenter

    pytest.importorskip("onnxruntime")
    bundle = Path(demo).parent / "street.ovss"
    frame = Bundle.open(bundle).reference().frame
    height, width = frame.shape[:2]
    assert emit(bundle, tmp_path / "out", "--size", f"{height}x{width}") == 0
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        expected = segmenter.segment(frame).labels
    assert np.array_equal(run_emitted(tmp_path / "out", frame), expected)


def test_the_configuration_fits_the_graph(make_bundle: MakeBundle, tmp_path: Path) -> None:
    path = make_bundle()
    bundle, out = Bundle.open(path), tmp_path / "out"
    assert emit(path, out) == 0
    config = configparser.ConfigParser()
    config.read_string((out / "config_infer.txt").read_text("utf-8"))
    found = dict(config["property"])
    picture = bundle.manifest.picture
    assert found["infer-dims"] == f"3;{picture.height};{picture.width}"
    assert (found["net-scale-factor"], found["offsets"]) == ("1.0", "0;0;0")
    assert (found["model-color-format"], found["network-input-order"]) == ("0", "0")
    assert (found["network-type"], found["num-detected-classes"]) == ("2", "3")
    assert found["output-blob-names"] == "labels"
    assert (out / found["onnx-file"]).is_file()
    labels = (out / found["labelfile-path"]).read_text("utf-8").splitlines()
    assert labels == list(bundle.vocabulary.outputs)
    made = (out / "parser" / "Makefile").read_text("utf-8")
    assert Path(found["custom-lib-path"]).name in made
    assert found["parse-segmentation-func-name"] in (out / "parser" / "parser.cpp").read_text()
    rows = list(csv.reader((out / "colors.csv").read_text("utf-8").splitlines()[3:]))
    assert [row[1] for row in rows[1:]] == labels


def test_a_graph_of_a_precision_of_its_own_is_not_built_by_nvinfer(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    assert emit(make_bundle(precision="fp16"), tmp_path / "out") == 0
    text = (tmp_path / "out" / "config_infer.txt").read_text("utf-8")
    assert "onnx-file" not in text
    assert "model-engine-file=model.engine" in text
    assert "--stronglyTyped" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_every_file_says_its_bundle_and_twice_gives_the_same_bytes(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle(unknown=[0.2])
    before = tree(bundle)
    assert emit(bundle, tmp_path / "one") == 0
    assert emit(bundle, tmp_path / "two") == 0
    files, graph = tree(tmp_path / "one"), graph_hash(Bundle.open(bundle))
    assert tree(tmp_path / "two") == files
    assert tree(bundle) == before
    assert {path.name for path in tmp_path.iterdir()} == {bundle.name, "one", "two"}
    record = json.loads(files["emitted.json"])
    assert set(record["files"]) == set(files) - {"emitted.json"}
    for name, data in files.items():
        if name != "model.onnx.data" and not name.startswith("labels-"):
            assert graph.encode() in data, name
    assert f"labels-{graph[:12]}.txt" in files


@pytest.fixture
def parser(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    """The emitted parser, compiled against a stand-in of DeepStream's header."""
    compiler = shutil.which("g++") or pytest.skip("there is no g++")
    assert emit(make_bundle(unknown=[0.5]), tmp_path / "out", "--size", "2x3") == 0
    program = tmp_path / "call_parser"
    sources = [str(tmp_path / "out" / "parser" / "parser.cpp"), str(HEADERS / "call_parser.cpp")]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    command = [compiler, *flags, f"-I{HEADERS}", "-o", str(program), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def test_the_parser_makes_class_maps_and_refuses_what_is_none(parser: Path) -> None:
    def call(labels: list[int], *kind: str) -> subprocess.CompletedProcess[bytes]:
        data = np.array(labels, "<i4").tobytes()
        command = [str(parser), "2", "3", *kind]
        return subprocess.run(command, input=data, capture_output=True, check=False)

    for kind in ([], ["batched"]):
        done = call([0, 1, 2, 255, 0, 1], *kind)
        assert done.returncode == 0, done.stderr
        assert np.frombuffer(done.stdout, "<i4").tolist() == [0, 1, 2, -1, 0, 1]
    reasons = {"float": b"int32", "named": b"'labels'", "wide": b"another size"}
    for kind_of_fault, reason in reasons.items():
        done = call([0] * 6, kind_of_fault)
        assert (done.returncode, reason in done.stderr) == (3, True), done.stderr
    for wrong in (3, -1, 254, 256):
        done = call([0, 0, 0, 0, 0, wrong])
        assert (done.returncode, b"none of the bundle's" in done.stderr) == (3, True)


def test_names_of_any_letters_are_strings_of_cpp(make_bundle: MakeBundle) -> None:
    bundle = Bundle.open(make_bundle())
    text = header_text(bundle, Origin.of(bundle))
    assert f'kGraphSha256 = "{graph_hash(bundle)}"' in text
    assert "kUnknown = -1" in text
    for name, color in zip(names(bundle), colors(bundle), strict=True):
        assert f'{{"{name}", {{{", ".join(map(str, color))}}}}},' in text


def test_sizes_and_places_that_do_not_fit_are_refused(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    bundle = make_bundle()
    assert emit(bundle, tmp_path / "out", "--size", "big") == 2
    assert "big" in capsys.readouterr().err
    assert emit(bundle, bundle / "out") == 4
    assert not (tmp_path / "out").exists()
