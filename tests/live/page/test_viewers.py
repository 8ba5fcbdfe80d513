"""Viewers: one encoding for all, the newest frame for each, and nothing left of those who leave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from drawn_run import live_frame, page_info

pytest.importorskip("starlette")
pytest.importorskip("httpx2")
pytest.importorskip("cv2")

import cv2
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from edge_ovss.errors import PictureError
from edge_ovss.live.page import message as messages
from edge_ovss.live.page import room as rooms
from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.app import Page
from edge_ovss.live.page.feed import Want
from edge_ovss.live.page.message import Message, encode_view
from edge_ovss.live.page.room import Room, Viewer

WS = "ws://127.0.0.1:8765/ws"


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page(page_info(), PageAddress("127.0.0.1", 8765), None)
    yield made
    made.feed.close()


@pytest.fixture
def user(page: Page) -> Iterator[Any]:
    with TestClient(page.guard, base_url="http://127.0.0.1:8765") as made:
        yield made


def show(page: Page, number: int, **changes: Any) -> None:  # noqa: ANN401
    image = np.full((24, 32, 3), number % 256, np.uint8)
    labels = np.full((24, 32), number % 16, np.uint8)
    page.feed.show(live_frame(number, image, labels, **changes))


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    (length,) = struct.unpack_from("<I", data)
    facts = json.loads(data[4 : 4 + length])
    image = data[4 + length : 4 + length + facts["image"]]
    labels = data[4 + length + facts["image"] :]
    assert len(labels) == facts["labels"]
    return facts, image, labels


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_frame_arrives_with_the_labels_of_every_pixel(page: Page, user: Any) -> None:  # noqa: ANN401
    with user.websocket_connect(WS) as socket:
        hello = socket.receive_json()
        assert hello["names"][2] == "road"
        assert len(hello["colors"]) == len(hello["names"])
        socket.send_text("frame")
        show(page, 5)
        facts, image, labels = unpacked(socket.receive_bytes())
    assert facts["number"] == 5
    assert facts["shares"] == {"tree": 1.0}
    pixels = np.frombuffer(zlib.decompress(labels), np.uint8).reshape(24, 32)
    assert (pixels == 5).all()
    shown: Any = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(shown.astype(int) - 5).max() <= 2


def test_many_outputs_come_as_two_bytes_and_large_frames_smaller() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 300, (30, 4000)).astype(np.uint16)
    view = encode_view(np.zeros((30, 4000, 3), np.uint8), labels, side=1000)
    assert (view.width, view.height, view.label_bytes) == (1000, 8, 2)
    found = np.frombuffer(zlib.decompress(view.labels), "<u2")
    assert found.size == 8000
    assert set(found.tolist()) <= set(labels.ravel().tolist())
    one = encode_view(np.zeros((1, 5000, 3), np.uint8), np.zeros((1, 5000), np.uint8))
    assert (one.width, one.height) == (1280, 1)


def test_without_viewers_nothing_is_encoded(page: Page) -> None:
    for number in range(50):
        show(page, number)
    time.sleep(0.05)
    assert page.feed.encoded == 0
    assert [moment.count for moment in page.feed.history()] == list(range(50))


def test_several_viewers_cost_one_encoding(page: Page, user: Any) -> None:  # noqa: ANN401
    sockets = [user.websocket_connect(WS).__enter__() for _ in range(4)]
    for socket in sockets:
        socket.receive_json()
    for number in range(3):
        for socket in sockets:
            socket.send_text("frame")
        until(lambda: sum(one.wants is Want.FRAME for one in page.room._viewers) == 4)
        show(page, number)
        messages = [socket.receive_bytes() for socket in sockets]
        assert len(set(messages)) == 1
        assert unpacked(messages[0])[0]["number"] == number
    assert page.feed.encoded == 3
    for socket in sockets:
        socket.__exit__(None, None, None)


def test_a_paused_page_gets_facts_and_costs_no_encoding(page: Page, user: Any) -> None:  # noqa: ANN401
    with user.websocket_connect(WS) as socket:
        socket.receive_json()
        socket.send_text("facts")
        show(page, 1)
        facts, image, labels = unpacked(socket.receive_bytes())
        assert (facts["number"], image, labels) == (1, b"", b"")
        assert page.feed.encoded == 0
        # Going on, it gets the image of that frame without waiting for a new one.
        socket.send_text("frame")
        facts, image, _ = unpacked(socket.receive_bytes())
        assert facts["number"] == 1
        assert image


def test_a_viewer_that_was_away_gets_the_newest_frame_only(page: Page, user: Any) -> None:  # noqa: ANN401
    with user.websocket_connect(WS) as socket:
        socket.receive_json()
        socket.send_text("frame")
        show(page, 0)
        socket.receive_bytes()
        for number in range(1, 40):
            show(page, number)
        socket.send_text("frame")
        assert unpacked(socket.receive_bytes())[0]["number"] == 39
    assert page.feed.encoded == 2


def test_who_comes_later_starts_with_the_newest_frame_and_the_history(
    page: Page,
    user: Any,  # noqa: ANN401
) -> None:
    with user.websocket_connect(WS) as socket:
        socket.receive_json()
        socket.send_text("frame")
        show(page, 0)
        socket.receive_bytes()
    until(lambda: not len(page.room))
    show(page, 1)
    with user.websocket_connect(WS) as socket:
        assert [moment[1] for moment in socket.receive_json()["history"]] == [0, 1]
        socket.send_text("frame")
        assert unpacked(socket.receive_bytes())[0]["number"] == 1


def test_a_viewer_sees_one_camera_of_several() -> None:
    page = Page(page_info(sources=("left", "right")), PageAddress("127.0.0.1", 8765), None)
    try:
        with (
            TestClient(page.guard, base_url="http://127.0.0.1:8765") as user,
            user.websocket_connect(WS) as one,
            user.websocket_connect(WS) as two,
        ):
            assert one.receive_json()["sources"] == ["left", "right"]
            two.receive_json()
            for number in range(4):
                show(page, number, source=("right", "left")[number % 2])
            one.send_text("frame")
            two.send_text("frame 1")
            numbers = [unpacked(socket.receive_bytes())[0]["number"] for socket in (one, two)]
            assert numbers == [3, 2]
            one.send_text("frame 1")  # an older frame than the last one, of the other camera
            assert unpacked(one.receive_bytes())[0]["moment"][:2] == [1, 1]
        assert page.feed.encoded <= 3
    finally:
        page.feed.close()


def test_settings_and_warnings_reach_everybody(page: Page, user: Any) -> None:  # noqa: ANN401
    with user.websocket_connect(WS) as one, user.websocket_connect(WS) as two:
        one.receive_json()
        two.receive_json()
        user.put("/api/settings", json={"unknown": 0.25})
        for socket in (one, two):
            assert socket.receive_json() == {"kind": "settings", "settings": {"unknown": 0.25}}
        page.room.tell({"kind": "warning", "warning": page.warnings.add("the camera stalls")})
        assert two.receive_json()["warning"]["text"] == "the camera stalls"
    page.warnings.add("the camera stalls")
    with user.websocket_connect(WS) as late:
        hello = late.receive_json()
    assert hello["settings"] == {"unknown": 0.25}
    assert [(one["text"], one["count"]) for one in hello["warnings"]] == [("the camera stalls", 2)]


def test_only_the_last_warnings_are_kept(page: Page) -> None:
    for number in range(200):
        page.warnings.add(f"warning {number}")
    kept = page.warnings.to_json()
    assert len(kept) == 50
    assert kept[-1]["text"] == "warning 199"


@pytest.mark.parametrize(
    "text",
    ["", "frames", "x" * 500, '{"unknown": 1}', "frame 1", "frame -1", "frame 99999", "frame٣"],
)
def test_a_viewer_that_asks_for_something_else_is_dropped(page: Page, user: Any, text: str) -> None:  # noqa: ANN401
    with user.websocket_connect(WS) as socket:
        socket.receive_json()
        socket.send_text(text)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_bytes()
    assert caught.value.code == rooms.CODE_WRONG
    until(lambda: not len(page.room))


def test_a_message_of_bytes_is_no_question(page: Page, user: Any) -> None:  # noqa: ANN401
    with user.websocket_connect(WS) as socket:
        socket.receive_json()
        socket.send_bytes(b"\xff")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_bytes()
    until(lambda: not len(page.room))


def test_places_are_limited(page: Page, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    monkeypatch.setattr(rooms, "MOST_VIEWERS", 1)
    with user.websocket_connect(WS) as first:
        first.receive_json()
        with (
            user.websocket_connect(WS) as second,
            pytest.raises(WebSocketDisconnect) as caught,
        ):
            second.receive_text()
        assert caught.value.code == rooms.CODE_FULL
        assert len(page.room) == 1


def test_ten_viewers_that_join_and_leave_leave_nothing(page: Page, user: Any) -> None:  # noqa: ANN401
    number = 0
    for round_number in range(3):
        for _ in range(10):
            with user.websocket_connect(WS) as socket:
                socket.receive_json()
                socket.send_text("frame")
                show(page, number := number + 1)
                socket.receive_bytes()
        until(lambda: not len(page.room))
        gc.collect()
        left = sum(isinstance(one, Viewer | Message) for one in gc.get_objects())
        assert left <= 1, round_number
        threads = threading.active_count()
        if round_number == 0:
            before = threads
        assert threads == before


class StuckWire:
    """A viewer whose connection takes nothing."""

    def __init__(self) -> None:
        self.closed: int | None = None

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.sleep(3600)

    async def send_text(self, data: str) -> None:
        await asyncio.sleep(3600)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed = code


def test_a_viewer_that_takes_nothing_is_dropped_and_holds_up_nobody() -> None:
    async def go() -> int | None:
        room = Room(lambda what, source: None, patience_s=0.05)
        stuck = Viewer(StuckWire())
        stuck.wants = Want.FRAME
        room._viewers.add(stuck)
        room._loop = asyncio.get_running_loop()
        serving = asyncio.create_task(room._serve(stuck))
        view = encode_view(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))
        begin = time.monotonic()
        for number in range(1000):
            room.publish(Message(number, 0, {"number": number}, view))
        assert time.monotonic() - begin < 5
        await asyncio.wait_for(serving, 5)
        wire = stuck.wire
        assert isinstance(wire, StuckWire)
        return wire.closed

    assert asyncio.run(go()) == rooms.CODE_SLOW


def test_a_failure_to_encode_is_told_with_the_next_frame(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "no memory"
        raise PictureError(message)

    monkeypatch.setattr(messages, "encode_view", fail)
    page.feed.want(Want.FRAME)
    show(page, 0)
    until(lambda: not page.feed._thread.is_alive())
    with pytest.raises(PictureError, match="no memory"):
        show(page, 1)


def test_who_cancels_a_viewer_that_is_leaving_gets_its_own_cancellation_back() -> None:
    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:  # raised again whatever comes meanwhile, as by wait_for()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)
            raise

    async def leave() -> None:
        slow = asyncio.create_task(slow_to_end())
        await asyncio.sleep(0)  # it starts
        leaving = asyncio.create_task(rooms._ended([slow]))
        await asyncio.sleep(0.01)
        leaving.cancel("of the server")
        await leaving

    with pytest.raises(asyncio.CancelledError, match="of the server"):
        asyncio.run(leave())
