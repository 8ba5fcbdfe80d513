"""A headless Chromium, driven over the plain HTTP of WebDriver; no network is used."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)
_START_S = 60


class Browser:
    """One session of a browser."""

    def __init__(self, port: int) -> None:
        self._port = port
        chrome = {"args": list(_FLAGS), "binary": _chromium()}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}
        wanted["alwaysMatch"]["goog:loggingPrefs"] = {"browser": "ALL"}
        self._session = ""
        self._session = "/session/" + self._call("POST", "", {"capabilities": wanted})["sessionId"]

    def _call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=90)
        text = None if body is None else json.dumps(body)
        link.request(method, (self._session or "/session") + path, text)
        value = json.loads(link.getresponse().read())["value"]
        link.close()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(value["message"])
        return value

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("POST", "/url", {"url": url})

    def url(self) -> str:
        """The address that is shown."""
        return str(self._call("GET", "/url"))

    def run(self, script: str, *args: object) -> Any:  # noqa: ANN401
        """Run the body of a function in the page and return its result."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, script: str, *args: object, seconds: float = 20) -> Any:  # noqa: ANN401
        """Wait until a script gives something true, and return it."""
        end = time.monotonic() + seconds
        while not (found := self.run(script, *args)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        """Click an element."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{next(iter(found.values()))}/click", {})

    def log(self) -> list[str]:
        """What the console said, refusals by the Content-Security-Policy too."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [str(entry["message"]) for entry in entries]

    def devtools(self, command: str, **params: object) -> Any:  # noqa: ANN401
        """Give a command of the DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def screen(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Set size and color scheme."""
        scale = 2 if phone else 1
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """A PNG of what is seen."""
        return base64.b64decode(self.devtools("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """End the session."""
        self._call("DELETE", "")


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return found or shutil.which("google-chrome") or ""


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser for a block; skip the test where there is none."""
    driver = shutil.which("chromedriver")
    if driver is None or not _chromium():
        pytest.skip("there is no Chromium with chromedriver (apt-get install chromium-driver)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
        try:
            _wait_for(lambda: _answers(port))
            session = Browser(port)
            try:
                yield session
            finally:
                session.close()
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + _START_S
    while not ready():
        assert time.monotonic() < end, "chromedriver does not answer"
        time.sleep(0.05)
