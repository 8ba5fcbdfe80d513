"""Checkpoints from addresses: whole, over https, and really checkpoints."""

from __future__ import annotations

import hashlib
import http.client
import io
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from edge_ovss.errors import CheckpointError, UsageError

torch = pytest.importorskip("torch")

from edge_ovss.models.checkpoints import download, transfer  # noqa: E402
from edge_ovss.models.checkpoints.download import fetch_checkpoint  # noqa: E402

ADDRESS = "https://models.example/weights/sed.pth?token=s3cret"


class _Answer(io.BytesIO):
    """An answer of a server; `seen` gets the inode of the file that is written meanwhile."""

    def __init__(self, content: bytes, length: str | None, folder: Path, seen: list[int]) -> None:
        super().__init__(content)
        self.headers = {} if length is None else {"Content-Length": length}
        self.folder, self.seen = folder, seen

    def read(self, size: int | None = -1) -> bytes:
        self.seen += [path.stat().st_ino for path in self.folder.rglob("*.part")]
        return super().read(size)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return a function that lets every address answer with some bytes."""
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))

    def start(content: bytes, length: str | None = "right") -> list[int]:
        seen: list[int] = []
        said = str(len(content)) if length == "right" else length
        monkeypatch.setattr(
            download, "_open", lambda _: _Answer(content, said, tmp_path / "cache", seen)
        )
        return seen

    return start


def _checkpoint() -> bytes:
    content = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, content)
    return content.getvalue()


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def _refused(spec: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        fetch_checkpoint(spec)
    return str(caught.value)


@pytest.mark.parametrize("length", ["right", None])
def test_a_checkpoint_is_fetched_once_and_whole(
    tmp_path: Path, serve: Callable[..., list[int]], length: str | None
) -> None:
    seen = serve(_checkpoint(), length)
    path = fetch_checkpoint(ADDRESS)
    assert path.name == "sed.pth"
    assert path.read_bytes() == _checkpoint()
    assert _files(tmp_path) == ["sed.pth"]
    # It was renamed, so that nobody can see a half of it.
    assert set(seen) == {path.stat().st_ino}
    serve(b"another answer")
    assert fetch_checkpoint(ADDRESS) == path


def test_different_addresses_have_different_files(serve: Callable[..., list[int]]) -> None:
    serve(_checkpoint())
    assert fetch_checkpoint(ADDRESS) != fetch_checkpoint(ADDRESS + "2")


@pytest.mark.parametrize(
    ("content", "length", "message"),
    [
        (_checkpoint()[:500], str(len(_checkpoint())), "ended after 500 of"),
        (_checkpoint(), "7", "of 7 bytes"),
        (_checkpoint()[:500], None, "truncated or damaged"),
        (b"<!DOCTYPE html><html>Sign in</html>", "right", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "right", "is a Git LFS pointer"),
        (b'{"error": "gated"}', "right", "is JSON text"),
        (b'{"weight_map": {"a": "b"}}', "right", "the index of a checkpoint in several files"),
        (b"", "0", "is empty"),
    ],
)
def test_what_is_no_whole_checkpoint_is_refused_and_not_kept(
    tmp_path: Path, serve: Callable[..., list[int]], content: bytes, length: str, message: str
) -> None:
    serve(content, length)
    refused = _refused(ADDRESS)
    assert message in refused
    assert "models.example/weights/sed.pth" in refused
    assert "s3cret" not in refused
    assert _files(tmp_path) == []
    serve(_checkpoint())
    assert fetch_checkpoint(ADDRESS).read_bytes() == _checkpoint()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("http://models.example/sed.pth", "is at an http address; expected https"),
        ("HTTP://user:s3cret@models.example/sed.pth", "is at an http address; expected https"),
        ("ftp://models.example/sed.pth", "unknown scheme"),
        ("file:///etc/passwd", "unknown scheme"),
        ("s3://bucket/sed.pth", "unknown scheme"),
        ("hf://owner/name", "malformed"),
        ("hf://owner//file", "malformed"),
    ],
)
def test_other_addresses_are_refused(
    serve: Callable[..., list[int]], spec: str, message: str
) -> None:
    serve(_checkpoint())
    refused = _refused(spec)
    assert message in refused
    assert "s3cret" not in refused


def test_the_scheme_may_be_in_capitals(serve: Callable[..., list[int]]) -> None:
    serve(_checkpoint())
    assert fetch_checkpoint("HTTPS://models.example/sed.pth").name == "sed.pth"


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    assert fetch_checkpoint(tmp_path / "x.pth") == tmp_path / "x.pth"
    assert fetch_checkpoint("x.pth") == Path("x.pth")


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route to https://me:s3cret@models.example/x"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine("x"),
    ],
)
def test_a_broken_connection_is_said_and_nothing_is_kept(
    tmp_path: Path,
    serve: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    serve(b"")

    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(download, "_open", fail)
    refused = _refused(ADDRESS)
    assert "cannot be fetched" in refused
    assert "--weights random" in refused
    assert "s3cret" not in refused
    assert _files(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "followed"),
    [("https://other.example/x", True), ("http://other.example/x", False), ("ftp://x/y", False)],
)
def test_a_redirection_stays_on_https(address: str, followed: bool) -> None:
    request = urllib.request.Request("https://models.example/x")
    arguments: tuple[Any, ...] = (request, io.BytesIO(), 302, "Found", {}, address)
    redirect = download._HttpsOnly().redirect_request
    if followed:
        found = redirect(*arguments)
        assert found is not None
        assert found.full_url == address
    else:
        with pytest.raises(urllib.error.URLError, match="not https"):
            redirect(*arguments)


def test_the_hub_is_asked_for_owner_file_and_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def fetch(name: str, file: str, *, revision: str | None) -> str:
        asked.append((name, file, revision))
        return str(tmp_path / "x.pth")

    hub = SimpleNamespace(hf_hub_download=fetch)
    monkeypatch.setattr(download, "require", lambda *_, **__: hub)
    for spec in ("hf://owner/name/file.pth", "hf://owner/name/sub/file.pth@v2"):
        assert fetch_checkpoint(spec) == tmp_path / "x.pth"
    assert asked == [("owner/name", "file.pth", None), ("owner/name", "sub/file.pth", "v2")]


@pytest.mark.parametrize("spec", ["", "  "])
def test_an_empty_path_is_no_folder_but_a_slip(spec: str) -> None:
    with pytest.raises(UsageError, match="--checkpoint is empty"):
        fetch_checkpoint(spec)


class _Server(BaseHTTPRequestHandler):
    """Sends `content`, in pieces where it is asked for a range; hangs up after `most` bytes."""

    content = b""
    most = 0
    astray = 0
    etag = '"one"'
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        start = 0
        if self.headers.get("If-None-Match") == self.etag:
            self.send_response(304)
            self.end_headers()
            return
        if wanted and self.headers.get("If-Range") in (None, self.etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            end, said = len(self.content), start + self.astray
            self.send_header("Content-Range", f"bytes {said}-{end - 1}/{end}")
        else:
            self.send_response(200)
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.most])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Server]]:
    """A server on this machine, to which every address leads."""
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.0)
    handler = type("Handler", (_Server,), {"content": _checkpoint(), "ranges": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        place = f"http://127.0.0.1:{running.server_port}/sed.pth"

        def opened(request: urllib.request.Request) -> Any:  # noqa: ANN401
            here = urllib.request.Request(place, headers=dict(request.header_items()))
            return urllib.request.urlopen(here, timeout=10)

        monkeypatch.setattr(download, "_open", opened)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield handler
        running.shutdown()


def test_a_broken_download_is_continued_where_it_broke(server: type[_Server]) -> None:
    server.most = len(_checkpoint()) // 3 + 1
    path = fetch_checkpoint(ADDRESS)
    assert path.read_bytes() == _checkpoint()
    assert server.ranges == [None, f"bytes={server.most}-", f"bytes={2 * server.most}-"]


def test_the_next_run_continues_what_this_one_could_not(
    tmp_path: Path, server: type[_Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TRIES", 1)
    server.most = 100
    assert "ended after 100 of" in _refused(ADDRESS)
    assert sorted(_files(tmp_path)) == ["sed.pth.partial", "sed.pth.partial.json"]
    server.most = 1 << 20
    assert fetch_checkpoint(ADDRESS).read_bytes() == _checkpoint()
    assert server.ranges == [None, "bytes=100-"]
    assert sorted(_files(tmp_path)) == ["sed.pth", "sed.pth.origin.json"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    server: type[_Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TRIES", 1)
    server.most = 100
    _refused(ADDRESS)
    server.etag, server.most = '"two"', 1 << 20
    server.content = _checkpoint().replace(b"weight", b"height")
    assert fetch_checkpoint(ADDRESS).read_bytes() == server.content


def test_what_a_weak_mark_is_all_that_is_known_of_is_fetched_anew(
    server: type[_Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TRIES", 1)
    server.etag, server.most = 'W/"one"', 100
    _refused(ADDRESS)
    server.most = 1 << 20
    assert fetch_checkpoint(ADDRESS).read_bytes() == _checkpoint()
    assert server.ranges == [None, None]


def test_a_server_that_continues_elsewhere_is_not_believed(
    tmp_path: Path, server: type[_Server]
) -> None:
    server.most, server.astray = 100, -1
    assert "at another byte than asked" in _refused(ADDRESS)
    assert "sed.pth" not in _files(tmp_path)


def test_a_copy_that_the_server_still_has_is_used_without_a_word(
    server: type[_Server], caplog: pytest.LogCaptureFixture
) -> None:
    server.most = 1 << 20
    path = fetch_checkpoint(ADDRESS)
    server.content = b"not sent"
    assert fetch_checkpoint(ADDRESS) == path
    assert path.read_bytes() == _checkpoint()
    assert caplog.text == ""
    server.etag = '"two"'  # it has another file now, which is no checkpoint
    assert fetch_checkpoint(ADDRESS) == path
    assert "The copy from before is used" in caplog.text


def test_the_hash_in_a_name_is_checked(serve: Callable[..., list[int]]) -> None:
    content = _checkpoint()
    serve(content)
    digest = hashlib.sha256(content).hexdigest()[:8]
    named = f"https://models.example/sed-{digest}.pth"
    assert fetch_checkpoint(named).read_bytes() == content
    assert "its name says 01234567" in _refused("https://models.example/sed-01234567.pth")
