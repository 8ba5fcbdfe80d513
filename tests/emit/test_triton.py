"""What `emit triton` writes: read by tritonclient's own protobufs, served, and called."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

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

KINDS = {"TYPE_UINT8": "UINT8", "TYPE_UINT16": "UINT16", "TYPE_INT32": "INT32", "TYPE_FP32": "FP32"}
NUMPY = {"UINT8": "<u1", "UINT16": "<u2", "INT32": "<i4", "FP32": "<f4"}


def protobufs() -> ModuleType:
    """The module of tritonclient that knows config.pbtxt, without grpc, which its package wants."""
    pytest.importorskip("google.protobuf")
    found = importlib.util.find_spec("tritonclient")
    if found is None or not found.submodule_search_locations:
        pytest.skip("tritonclient is not installed")
    if "model_config_pb2" not in sys.modules:
        path = Path(next(iter(found.submodule_search_locations))) / "grpc" / "model_config_pb2.py"
        spec = importlib.util.spec_from_file_location("model_config_pb2", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["model_config_pb2"] = module
        spec.loader.exec_module(module)
    return sys.modules["model_config_pb2"]


def read_config(out: Path, name: str = "tiny") -> Any:  # noqa: ANN401 (a message of protobuf)
    """The configuration as Triton's own types read it: an unknown or misspelled key fails."""
    module = protobufs()
    from google.protobuf import text_format

    text = (out / "models" / name / "config.pbtxt").read_text("ascii")
    return text_format.Parse(text, module.ModelConfig())


def kind_of(port: Any) -> str:  # noqa: ANN401 (a message of protobuf)
    """The data type of an input or output as the protocol spells it."""
    return KINDS[protobufs().DataType.Name(port.data_type)]


def ports(config: Any, side: str) -> dict[str, tuple[str, list[int]]]:  # noqa: ANN401
    return {each.name: (kind_of(each), list(each.dims)) for each in getattr(config, side)}


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


class StandIn(BaseHTTPRequestHandler):
    """Serves a model repository as Triton's HTTP protocol says, with ONNX Runtime.

    It takes only what the configuration declares, as the real server does.
    """

    config: Any
    session: Any

    def do_GET(self) -> None:
        from google.protobuf import json_format

        document = json_format.MessageToDict(self.config, preserving_proto_field_name=True)
        self._answer(200, json.dumps(document).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers["Inference-Header-Content-Length"])
        request, rest = json.loads(body[:length]), memoryview(body)[length:]
        feed, expected = {}, ports(self.config, "input")
        for given in request["inputs"]:
            kind, dims = expected.pop(given["name"])
            shape = given["shape"]
            fits = all(want in (-1, have) for want, have in zip(dims, shape, strict=True))
            if given["datatype"] != kind or not fits:
                return self._answer(400, b'{"error": "wrong input"}')
            size = given["parameters"]["binary_data_size"]
            feed[given["name"]] = np.frombuffer(rest[:size], NUMPY[kind]).reshape(shape)
            rest = rest[size:]
        if expected:
            return self._answer(400, b'{"error": "an input is missing"}')
        names = [each["name"] for each in request["outputs"]]
        arrays = self.session.run(names, feed)
        said = ports(self.config, "output")
        outputs = [
            {
                "name": name,
                "datatype": said[name][0],
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
            }
            for name, array in zip(names, arrays, strict=True)
        ]
        header = json.dumps({"model_name": self.config.name, "outputs": outputs}).encode()
        return self._answer(200, header + b"".join(a.tobytes() for a in arrays), len(header))

    def _answer(self, status: int, body: bytes, header: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if header is not None:
            self.send_header("Inference-Header-Content-Length", str(header))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(out: Path) -> Iterator[str]:
    """Serve an emitted repository; yield the address."""
    ort = pytest.importorskip("onnxruntime")
    config = read_config(out)
    path = out / "models" / config.name / "1" / config.default_model_filename
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    handler = type("Handler", (StandIn,), {"config": config, "session": session})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def call(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the client that was written, as a user does: alone, without this package."""
    pytest.importorskip("tritonclient")
    pytest.importorskip("geventhttpclient")
    pytest.importorskip("cv2")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, str(out / "client.py"), *words],
        cwd=out.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("options", [{"unknown": [0.5, 0.0, 0.4]}, {"outputs": 300}])
def test_the_client_writes_the_labels_that_the_graph_gives(
    make_bundle: MakeBundle, tmp_path: Path, options: Mapping[str, Any]
) -> None:
    cv2 = pytest.importorskip("cv2")
    from edge_ovss.runtime.segmenter import Segmenter

    bundle, out = make_bundle(**options), tmp_path / "out"
    assert emit(bundle, out) == 0
    frame = np.random.default_rng(3).integers(0, 256, (17, 23, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), frame[..., ::-1])
    with served(out) as url:
        done = call(out, "a.png", "--url", url, "--out", "b.png")
    assert (done.returncode, "wrote b.png" in done.stderr) == (0, True), done.stderr
    labels = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        expected = segmenter.segment(frame).labels
    assert labels.dtype == expected.dtype
    assert np.array_equal(labels, expected)
    assert ("unknown" in done.stdout) == ("unknown" in options)


def test_the_client_says_what_is_wrong(make_bundle: MakeBundle, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    out, other = tmp_path / "out", tmp_path / "other"
    assert emit(make_bundle(counts=(9, 9, 9)), out) == 0
    assert emit(make_bundle("other.ovss", outputs=4), other, "--name", "tiny") == 0
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 6, 3), np.uint8))
    with served(other) as url:
        done = call(out, "a.png", "--url", url)
        assert done.returncode == 1
        assert "Emit both again" in done.stderr
        assert not (tmp_path / "a.labels.png").exists()
    with served(out) as url:
        done = call(out, "a.png", "--url", url)
        assert done.returncode == 0, done.stderr
        assert "there are [4, 4, 4] slots" in done.stderr
        assert (tmp_path / "a.labels.png").is_file()
    done = call(out, "a.png", "--url", url)
    assert (done.returncode, "gave no answer" in done.stderr) == (1, True), done.stderr
    assert "is no image" in call(out, "none.png").stderr
    assert "Traceback" not in done.stderr


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
