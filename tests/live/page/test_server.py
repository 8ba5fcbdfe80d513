"""The page behind its real server: joining, leaving, hanging, and the end."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_run import DrawnRun, page_info

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("cv2")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edge_ovss.errors import InputError
from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.sink import PageSink


@pytest.fixture
def run() -> Iterator[DrawnRun]:
    made = DrawnRun.open(size=(60, 80), fps=100)
    yield made
    made.close()


def port_of(run: DrawnRun) -> int:
    return int(run.url.split(":")[2].split("/")[0])


def join(run: DrawnRun) -> ClientConnection:
    viewer = connect(f"ws://127.0.0.1:{port_of(run)}/ws", proxy=None, compression=None)
    assert json.loads(viewer.recv())["kind"] == "hello"
    return viewer


def watch(viewer: ClientConnection, frames: int) -> None:
    for _ in range(frames):
        viewer.send("frame")
        while isinstance(viewer.recv(10), str):
            pass


def files_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_ten_viewers_that_come_and_go_leave_no_file_and_no_thread(run: DrawnRun) -> None:
    def crowd() -> tuple[int, int]:
        def one(frames: int) -> None:
            viewer = join(run)
            watch(viewer, frames)
            if frames % 2:
                viewer.close()
            else:  # as when a phone leaves the network
                viewer.socket.shutdown(socket.SHUT_RDWR)

        threads = [threading.Thread(target=one, args=(1 + number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        end = time.monotonic() + 10
        while len(run.sink.page.room):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.2)
        gc.collect()
        return files_open(), threading.active_count()

    first = crowd()
    assert [crowd() for _ in range(2)] == [first, first]


def test_a_viewer_that_reads_nothing_delays_neither_the_run_nor_the_others(run: DrawnRun) -> None:
    stuck = join(run)
    for _ in range(20):  # asks again and again, and takes nothing
        stuck.send("frame")
    busy = join(run)
    begin = time.monotonic()
    watch(busy, 30)
    assert time.monotonic() - begin < 10
    newest = run.sink.page.feed.newest()
    assert newest is not None
    assert newest.index >= 29
    busy.close()
    stuck.close()


def test_the_end_of_the_run_is_told_and_everything_is_closed() -> None:
    run = DrawnRun.open(size=(60, 80), fps=100)
    viewer = join(run)
    watch(viewer, 2)
    port = port_of(run)
    begin = time.monotonic()
    run.close()
    assert time.monotonic() - begin < 5
    notices = []
    with pytest.raises(ConnectionClosed):
        while True:
            notices.append(viewer.recv(5))
    assert {"kind": "end"} in [json.loads(one) for one in notices if isinstance(one, str)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"page-server", "page-encoder"}


def test_a_second_page_on_the_port_fails_and_the_first_goes_on(run: DrawnRun) -> None:
    port = port_of(run)
    before = threading.active_count()
    with pytest.raises(InputError, match=f"port {port}"):
        PageSink(PageAddress(port=port), page_info())
    assert threading.active_count() == before
    watch(join(run), 1)


def test_another_machine_needs_the_token() -> None:
    run = DrawnRun.open("0.0.0.0:0", size=(60, 80), fps=50)
    try:
        token = run.url.split("#token=")[1]
        address = f"ws://127.0.0.1:{port_of(run)}/ws"
        with pytest.raises(InvalidStatus) as caught:
            connect(address, proxy=None)
        assert caught.value.response.status_code == 403
        bearer = {"Authorization": f"Bearer {token}"}
        with connect(address, proxy=None, additional_headers=bearer) as viewer:
            assert json.loads(viewer.recv())["kind"] == "hello"
    finally:
        run.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_broken_requests_are_refused_and_the_page_goes_on(run: DrawnRun, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port_of(run)), 5) as link:
        link.sendall(sent)
        assert link.recv(64).startswith((b"HTTP/1.1 4",))
    fine = http.client.HTTPConnection("127.0.0.1", port_of(run), timeout=5)
    fine.request("GET", "/api/state")
    assert fine.getresponse().status == 200
    fine.close()
