"""`run --serve`: a page beside a run, from the address that is printed to the end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mjpeg_camera import Camera

from edge_ovss.cli import main

pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
STREET = "synthetic://street?count=1&size=24x32"


@pytest.fixture(scope="module")
def camera() -> Iterator[Camera]:
    with Camera(fps=60).serving() as serving:
        yield serving


class Served:
    """A run in a process of its own, and its page."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "edge_ovss", "run", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        line = next(line for line in self.process.stderr if line.startswith("page: "))
        self.url = line.split()[1]
        self.port = int(self.url.split(":")[2].split("/")[0])

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        text = None if body is None else json.dumps(body)
        link.request(method, path, text, {**kind, **headers})
        reply = link.getresponse()
        content = reply.read()
        link.close()
        return reply.status, json.loads(content) if content.startswith(b"{") else content

    def wait(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 30
        while True:
            status, facts = self.ask("GET", "/api/frame")
            if status == 200 and true(facts):
                assert isinstance(facts, dict)
                return facts
            assert time.monotonic() < end, facts
            time.sleep(0.02)

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


def test_the_page_runs_beside_the_camera_and_sets_its_threshold(
    make_bundle: MakeBundle, camera: Camera
) -> None:
    served = Served(str(make_bundle(unknown=(0.0,))), camera.url, "--serve", "0", "--quiet")
    try:
        assert served.url == f"http://127.0.0.1:{served.port}/"
        assert served.wait(lambda facts: facts["index"] > 3)["unknown"] < 1
        state = served.ask("GET", "/api/state")[1]
        assert state["unknown"]["measure"] == "score"
        assert "s3cret" not in json.dumps(state)
        assert served.ask("PUT", "/api/settings", {"unknown": 1})[0] == 200
        assert served.wait(lambda facts: facts["unknown"] == 1)["shares"] == {}
        assert served.ask("PUT", "/api/settings", {"unknown": 0})[0] == 200
        served.wait(lambda facts: facts["unknown"] == 0)
    finally:
        assert served.end() == 130


def test_another_host_needs_the_token_which_is_printed_even_when_quiet(
    make_bundle: MakeBundle, camera: Camera
) -> None:
    served = Served(str(make_bundle()), camera.url, "--serve", "0.0.0.0:0", "--quiet")
    try:
        token = served.url.split("#token=")[1]
        assert served.ask("GET", "/api/frame")[0] == 401
        bearer = f"Bearer {token}"
        assert served.ask("GET", "/api/state", Authorization=bearer)[0] == 200
    finally:
        assert served.end() == 130


def test_recordings_can_be_watched_too(make_bundle: MakeBundle, tmp_path: Path) -> None:
    street = "synthetic://street?count=5000&size=24x32"
    arguments = ("--serve", "0", "--max-fps", "20", "--save", "none")
    served = Served(str(make_bundle()), street, *arguments)
    try:
        served.wait(lambda facts: facts["index"] > 2)
    finally:
        assert served.end() == 130


def test_a_run_without_a_page_does_not_load_one() -> None:
    code = "import sys, edge_ovss.cli.run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    names = set(done.stdout.split())
    assert "edge_ovss.cli.running.views" in names
    assert not {"asyncio", "edge_ovss.live.page", "edge_ovss.cli.running.page"} & names


def test_a_port_in_use_is_status_4_before_anything_is_read(
    make_bundle: MakeBundle, capsys: Capture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["run", str(make_bundle()), "nowhere.png", "--serve", str(port)]) == 4
    assert f"port {port} of 127.0.0.1 is in use" in capsys.readouterr().err


def test_another_form_is_status_2(make_bundle: MakeBundle, capsys: Capture) -> None:
    assert main(["run", str(make_bundle()), STREET, "--serve", "here"]) == 2
    assert "Expected [HOST:]PORT" in capsys.readouterr().err


def test_a_missing_library_is_status_3_and_names_the_extra(
    make_bundle: MakeBundle, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["run", str(make_bundle()), STREET, "--serve", "0"]) == 3
    assert "edge-ovss[serve]" in capsys.readouterr().err


def test_a_token_of_the_environment_is_taken_and_a_short_one_refused(
    make_bundle: MakeBundle, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "EDGE_OVSS_PAGE_TOKEN", "too-short")
    bundle = str(make_bundle())
    assert main(["run", bundle, STREET, "--serve", "0"]) == 2
    printed = capsys.readouterr().err
    assert "16 to 128" in printed
    assert "too-short" not in printed
    monkeypatch.setitem(os.environ, "EDGE_OVSS_PAGE_TOKEN", "0123456789abcdef")
    assert main(["run", bundle, STREET, "--serve", "0"]) == 0
    assert "/#token=0123456789abcdef" in capsys.readouterr().err
