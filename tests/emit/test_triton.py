"""What `emit triton` writes: read by tritonclient's own protobufs, served, and called."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from triton_stand_in import NUMPY, kind_of, ports, protobufs, read_config

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.emit.triton.config import quoted
from edge_ovss.emit.triton.repository import TritonOptions, emit_triton, labels_text
from edge_ovss.emit.triton.served import model_name
from edge_ovss.errors import ArtifactError, OutputError, UsageError
from edge_ovss.runtime.trt.engine_key import EngineKey, Flags, Surroundings
from edge_ovss.runtime.trt.engine_record import PLAN, BuildRecord, Proof
from edge_ovss.runtime.trt.frame_sizes import FrameRange

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def emit(bundle: Path, out: Path, *words: str) -> int:
    return main(["emit", "triton", str(bundle), "--out", str(out), "--quiet", *words])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def add_engine(
    bundle: Path,
    frames: FrameRange,
    *,
    graph: str | None = None,
    labels: str = "uint8",
    state: str = "passed",
) -> str:
    """Write an engine as a build on an Orin does; return its name."""
    here = Surroundings("tensorrt", "10.3.0", "linux-aarch64", ("8.7",), "Orin", "L4T 36.4")
    key = EngineKey(graph or graph_hash(Bundle.open(bundle)), here, frames, Flags())
    folder = bundle / "engines" / key.name
    folder.mkdir(parents=True, mode=0o700)
    (folder / PLAN).write_bytes(b"plan")
    (folder / PLAN).chmod(0o600)
    BuildRecord(
        key=key,
        sha256=hashlib.sha256(b"plan").hexdigest(),
        size=4,
        created="2026-01-01T00:00:00Z",
        labels=labels,
        layers={},
        seconds={},
        warnings=(),
        proof=Proof(state),
        precision="fp32",
    ).write(folder)
    return key.name


PINNED = FrameRange.pinned((20, 30))


def test_the_configuration_says_what_the_graph_takes_and_gives(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle(unknown=[0.25], extras=("confidence", "scores"))
    assert emit(bundle, tmp_path / "out") == 0
    config = read_config(tmp_path / "out")
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 0)
    assert config.default_model_filename == "model.onnx"
    assert ports(config, "input") == {
        "frame": ("UINT8", [1, -1, -1, 3]),
        "thresholds": ("FP32", [3]),
    }
    assert ports(config, "output") == {
        "labels": ("UINT8", [1, -1, -1]),
        "alive": ("INT32", [4]),
        "counts": ("INT32", [3]),
        "confidence": ("FP32", [1, -1, -1]),
        "scores": ("FP32", [1, 3, 2, 3]),
    }
    assert not any(each.optional for each in config.input)
    parameter = config.parameters["edge_ovss.graph_sha256"].string_value
    assert parameter == graph_hash(Bundle.open(bundle))


def test_a_graph_without_thresholds_has_no_such_input_and_many_outputs_are_uint16(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    assert emit(make_bundle(outputs=300), tmp_path / "out") == 0
    config = read_config(tmp_path / "out")
    assert list(ports(config, "input")) == ["frame"]
    assert ports(config, "output")["labels"] == ("UINT16", [1, -1, -1])


def test_dynamic_rejection_leaves_the_number_of_survivors_free(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    assert emit(make_bundle(mode="dynamic"), tmp_path / "out") == 0
    assert ports(read_config(tmp_path / "out"), "output")["alive"] == ("INT32", [-1])


def test_the_model_is_the_bundles_with_its_tensors_beside_it(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    ort = pytest.importorskip("onnxruntime")
    bundle = make_bundle()
    assert emit(bundle, tmp_path / "out") == 0
    folder = tmp_path / "out" / "models" / "tiny" / "1"
    for name in ("model.onnx", "model.onnx.data"):
        assert (folder / name).read_bytes() == (bundle / name).read_bytes()
        assert not (folder / name).is_symlink()
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["frame"]


def test_the_warm_up_is_the_reference_frame_with_the_bundles_thresholds(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle(unknown=[0.25])
    assert emit(bundle, tmp_path / "out") == 0
    config = read_config(tmp_path / "out")
    (sample,) = config.model_warmup
    assert sample.batch_size == 1  # the server leaves out samples of 0
    found = {}
    for name, given in sample.inputs.items():
        path = tmp_path / "out" / "models" / "tiny" / "warmup" / given.input_data_file
        array = np.frombuffer(path.read_bytes(), NUMPY[kind_of(given)])
        found[name] = array.reshape(list(given.dims))
    assert np.array_equal(found["frame"][0], Bundle.open(bundle).reference().frame)
    assert found["thresholds"].tolist() == [0.25, 0.25, 0.25]


def test_line_n_of_the_labels_file_is_what_label_n_means(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle()
    assert emit(bundle, tmp_path / "out") == 0
    labels = {each.name: each.label_filename for each in read_config(tmp_path / "out").output}
    assert [name for name, file in labels.items() if file] == ["labels"]
    path = tmp_path / "out" / "models" / "tiny" / labels["labels"]
    assert path.read_text("utf-8").splitlines() == list(Bundle.open(bundle).vocabulary.outputs)
    assert labels_text(["a\nb", " c  d "]).splitlines() == ["a b", "c d"]


def test_twice_gives_the_same_bytes_and_the_bundle_is_untouched(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle(unknown=[0.2])
    before, around = tree(bundle), sorted(tmp_path.iterdir())
    assert emit(bundle, tmp_path / "one") == 0
    assert emit(bundle, tmp_path / "two") == 0
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert tree(bundle) == before
    assert sorted(tmp_path.iterdir()) == sorted([*around, tmp_path / "one", tmp_path / "two"])
    assert emit(bundle, tmp_path / "two", "--overwrite") == 0
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_every_file_says_its_bundle_or_is_listed_with_its_hash(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle()
    assert emit(bundle, tmp_path / "out") == 0
    files, graph = tree(tmp_path / "out"), graph_hash(Bundle.open(bundle))
    record = json.loads(files["emitted.json"])
    assert (record["graph_sha256"], record["bundle"]) == (graph, "tiny.ovss")
    assert set(record["files"]) == set(files) - {"emitted.json"}
    for name, entry in record["files"].items():
        assert entry["sha256"] == hashlib.sha256(files[name]).hexdigest()
        generated = not name.startswith("models/tiny/1/")  # which holds copies
        if generated:
            assert graph.encode() in files[name] or graph[:12] in name, name


def test_what_is_there_is_not_replaced_unless_emit_wrote_it(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    bundle, out = make_bundle(), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    assert emit(bundle, out) == 4
    assert "already there" in capsys.readouterr().err
    assert emit(bundle, out, "--overwrite") == 4
    assert "was not written by edge-ovss emit triton" in capsys.readouterr().err
    assert tree(out) == {"mine.txt": b"x"}
    ros2 = tmp_path / "ros2"
    assert main(["emit", "ros2", str(bundle), "--out", str(ros2), "--quiet"]) == 0
    before = tree(ros2)
    assert emit(bundle, ros2, "--overwrite") == 4
    assert "was not written by edge-ovss emit triton" in capsys.readouterr().err
    assert tree(ros2) == before


@pytest.mark.parametrize("place", ["tiny.ovss", "tiny.ovss/served", "."])
def test_a_place_in_or_around_the_bundle_is_refused(
    make_bundle: MakeBundle, tmp_path: Path, place: str
) -> None:
    bundle = Bundle.open(make_bundle())
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="holds the bundle"):
        emit_triton(bundle, tmp_path / place, TritonOptions(overwrite=True))
    assert tree(tmp_path) == before


def test_a_failure_leaves_nothing(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle()
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    assert emit(bundle, tmp_path / "out") == 4
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_no_bundle_is_said(tmp_path: Path, capsys: Capture) -> None:
    assert emit(tmp_path / "nothing", tmp_path / "out") == 5
    assert "There is no bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_engine_is_served_in_the_sizes_and_types_that_it_has(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle(outputs=300)
    frames = FrameRange((40, 64), (48, 64), (80, 64))
    add_engine(bundle, frames, labels="int32")
    assert emit(bundle, tmp_path / "out", "--backend", "tensorrt") == 0
    config = read_config(tmp_path / "out")
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert ports(config, "input")["frame"] == ("UINT8", [1, -1, 64, 3])
    assert ports(config, "output")["labels"] == ("INT32", [1, -1, 64])
    assert (tmp_path / "out/models/tiny/1/model.plan").read_bytes() == b"plan"
    # The reference frame of 20x30 would be refused; its repetitions are not.
    given = config.model_warmup[0].inputs["frame"]
    path = tmp_path / "out/models/tiny/warmup" / given.input_data_file
    assert list(given.dims) == [1, 48, 64, 3]
    frame = np.frombuffer(path.read_bytes(), np.uint8).reshape(48, 64, 3)
    assert np.array_equal(frame[:20, :30], Bundle.open(bundle).reference().frame)
    settings = json.loads((tmp_path / "out/client.json").read_text())
    assert (settings["frames"], settings["labels"]["dtype"]) == ([[40, 64], [80, 64]], "uint16")
    comment = (tmp_path / "out/models/tiny/config.pbtxt").read_text()
    assert "# needs TensorRT 10.3.0 in the server, linux-aarch64, Orin" in comment


def test_a_bundle_without_an_engine_and_one_with_several_are_refused(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    bundle, words = make_bundle(), ("--backend", "tensorrt")
    assert emit(bundle, tmp_path / "out", *words) == 5
    assert "has no engine for tensorrt" in (said := capsys.readouterr().err)
    assert "edge-ovss build" in said
    add_engine(bundle, PINNED, graph="0" * 64)
    assert emit(bundle, tmp_path / "out", *words) == 5
    assert "is of another graph" in capsys.readouterr().err
    first = add_engine(bundle, PINNED)
    second = add_engine(bundle, FrameRange.pinned((40, 60)))
    assert emit(bundle, tmp_path / "out", *words) == 2
    said = capsys.readouterr().err
    assert first in said
    assert second in said
    assert emit(bundle, tmp_path / "out", *words, "--engine", second) == 0
    assert ports(read_config(tmp_path / "out"), "input")["frame"] == ("UINT8", [1, 40, 60, 3])
    assert emit(bundle, tmp_path / "other", *words, "--engine", "no") == 5
    assert emit(bundle, tmp_path / "other", "--engine", second) == 2


def test_a_changed_plan_is_not_served_and_an_unchecked_one_is_told(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    bundle = make_bundle()
    name = add_engine(bundle, PINNED, state="not run")
    assert emit(bundle, tmp_path / "out", "--backend", "tensorrt") == 0
    assert "never compared" in capsys.readouterr().err
    (bundle / "engines" / name / PLAN).write_bytes(b"evil")
    with pytest.raises(ArtifactError, match="has been changed"):
        emit_triton(Bundle.open(bundle), tmp_path / "other", TritonOptions("tensorrt"))
    assert not (tmp_path / "other").exists()


def test_names_of_models_are_fit_for_addresses(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle("my city ü.ovss"))
    assert model_name(bundle, None) == "my_city"
    assert model_name(replace(bundle, path=tmp_path / "ü.ovss"), None) == "edge_ovss"
    assert model_name(bundle, "front.v2") == "front.v2"
    for wrong in ("", "a/b", "..", "-a", "ü", "a" * 129):
        with pytest.raises(UsageError):
            model_name(bundle, wrong)


@pytest.mark.parametrize("text", ["plain", 'a "b" \\ c', "zwölf\n0\x001", "\\n"])
def test_strings_of_the_configuration_are_read_back(text: str) -> None:
    module = protobufs()
    from google.protobuf import text_format

    config = text_format.Parse(f"name: {quoted(text)}", module.ModelConfig())
    assert config.name == text


@pytest.mark.parametrize("options", [{}, {"outputs": 300}, {"unknown": [0.2]}])
def test_openvino_sees_the_sizes_that_the_configuration_says(
    make_bundle: MakeBundle, tmp_path: Path, options: Mapping[str, Any]
) -> None:
    # Triton's OpenVINO backend refuses a configuration that says otherwise.
    openvino = pytest.importorskip("openvino")
    assert emit(make_bundle(**options), tmp_path / "out", "--backend", "openvino") == 0
    config = read_config(tmp_path / "out")
    assert config.backend == "openvino"
    folder = tmp_path / "out" / "models" / "tiny" / "1"
    model = openvino.Core().read_model(folder / config.default_model_filename)
    for side, found in (("input", model.inputs), ("output", model.outputs)):
        said = ports(config, side)
        assert {each.get_any_name() for each in found} == set(said)
        for each in found:
            kind, dims = said[each.get_any_name()]
            assert np.dtype(each.get_element_type().to_dtype()) == np.dtype(NUMPY[kind])
            shape = each.get_partial_shape()
            assert [-1 if size.is_dynamic else size.get_length() for size in shape] == dims


def test_the_choices_of_the_command_line_are_those_of_the_package() -> None:
    from edge_ovss.cli.options import emit as options
    from edge_ovss.emit.triton.served import BACKENDS

    assert options._BACKENDS == BACKENDS


@pytest.mark.parametrize("action", ["triton", "ros2"])
def test_numpy_is_enough(make_bundle: MakeBundle, tmp_path: Path, action: str) -> None:
    bundle, out = make_bundle(unknown=[0.1]), tmp_path / "out"
    code = (
        "import sys\n"
        "for name in ('cv2', 'onnx', 'onnxruntime', 'openvino', 'rosbags', 'torch'):\n"
        "    sys.modules[name] = None\n"
        "from edge_ovss.cli import main\n"
        f"raise SystemExit(main(['emit', {action!r}, {str(bundle)!r}, '--out', {str(out)!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (out / "emitted.json").is_file()
