"""Reads a model repository with tritonclient's own types, and serves it without Triton."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

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
