"""Requests that the page answers, and those that it refuses before it reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drawn_run import live_frame, page_info

pytest.importorskip("starlette")
pytest.importorskip("httpx2")
pytest.importorskip("cv2")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.app import Page

TOKEN = "a-token-of-some-length"
HOST = "127.0.0.1:8765"
WS = f"ws://{HOST}/ws"
PUT = {"content-type": "application/json"}


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page(page_info(), PageAddress("127.0.0.1", 8765), None)
    yield made
    made.feed.close()


@pytest.fixture
def guarded() -> Iterator[Page]:
    made = Page(page_info(), PageAddress("0.0.0.0", 8765), TOKEN)
    yield made
    made.feed.close()


def client(page: Page, host: str = HOST) -> Any:  # noqa: ANN401
    return TestClient(page.guard, base_url=f"http://{host}", follow_redirects=False)


# Host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "10.1.2.3:80", "[::1]:8765"])
def test_hosts_of_this_machine_are_answered(page: Page, host: str) -> None:
    assert client(page).get("/api/state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8765", "", "a/b", "[x]"],
)
def test_other_hosts_are_refused(page: Page, host: str) -> None:
    answer = client(page).get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "localhost" in answer.text
    assert "edge-ovss live" not in answer.text


@pytest.mark.parametrize("hosts", [(HOST, "evil.example"), (HOST, HOST)])
def test_a_request_with_two_hosts_is_refused(page: Page, hosts: tuple[str, str]) -> None:
    answer = client(page).get("/", headers=[("host", host) for host in hosts])
    assert answer.status_code == 400
    assert "exactly one Host" in answer.text


def test_a_name_to_listen_on_is_a_name_of_the_page() -> None:
    named = Page(page_info(), PageAddress("Robot.lab", 80), None)
    assert client(named, "robot.lab").get("/").status_code == 200
    assert client(named, "other.lab").get("/").status_code == 421
    named.feed.close()


# Origin


def change(page: Page, **headers: str) -> int:
    answer = client(page).put("/api/settings", json={"unknown": 0.5}, headers=headers)
    return int(answer.status_code)


def test_only_the_page_itself_changes_settings(page: Page) -> None:
    assert change(page, origin="https://evil.example") == 403
    assert change(page, origin="null") == 403
    assert change(page, origin="http://[") == 403
    assert change(page, origin="http://127.0.0.1:9999") == 403
    assert change(page, origin=f"http://{HOST}@evil.example") == 403
    assert change(page, **{"sec-fetch-site": "cross-site"}) == 403
    assert change(page, **{"sec-fetch-site": "same-site"}) == 403
    assert page.dials.settings().unknown is None
    assert change(page, origin=f"http://{HOST}") == 200
    assert change(page, **{"sec-fetch-site": "same-origin"}) == 200
    assert change(page) == 200  # not a browser
    assert page.dials.settings().unknown == 0.5


def test_another_site_may_link_to_the_page_but_not_read_it(page: Page) -> None:
    cross = {"sec-fetch-site": "cross-site"}
    opened = client(page).get("/", headers={**cross, "sec-fetch-mode": "navigate"})
    assert opened.status_code == 200
    assert client(page).get("/api/frame", headers=cross).status_code == 403


def test_another_site_gets_no_websocket(page: Page) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as caught,
        client(page).websocket_connect(WS, headers={"origin": "http://evil.example"}),
    ):
        pass
    assert "another site" in caught.value.reason
    with (
        pytest.raises(WebSocketDisconnect) as caught,
        client(page).websocket_connect("ws://evil.example/ws"),
    ):
        pass
    assert "answers to" in caught.value.reason
    with client(page).websocket_connect(WS, headers={"origin": f"http://{HOST}"}) as socket:
        assert json.loads(socket.receive_text())["kind"] == "hello"


# Form


def test_methods_bodies_and_addresses_have_limits(page: Page) -> None:
    user = client(page)
    assert user.delete("/api/state").status_code == 405
    assert user.request("TRACE", "/").status_code == 405
    assert user.post("/api/settings", json={}).status_code == 405
    assert user.put("/api/settings", content=b"x" * 5000, headers=PUT).status_code == 413
    assert user.get("/?" + "a" * 300).status_code == 414

    def parts() -> Iterator[bytes]:
        yield from [b'{"unknown": 0.5', b" " * 3000, b" " * 3000, b"}"]

    assert user.put("/api/settings", content=parts(), headers=PUT).status_code == 400
    assert page.dials.settings().unknown is None
    assert user.get("/", headers={"x-many": "a" * 17000}).status_code == 431
    assert (
        user.put("/api/settings", content=b"{", headers={"content-length": "-1"}).status_code == 413
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"0.5", b'{"unknown": "0.5"}', b'{"unknown": null}'),
        *(
            b'{"unknown": true}',
            b'{"unknown": NaN}',
            b'{"unknown": Infinity}',
            b'{"unknown": -0.1}',
        ),
        *(b'{"unknown": 1.01}', b'{"unknown": 1' + b"0" * 4000 + b"}", b'{"unknown": [0.5]}'),
        *(b"{}", b'{"unknown": 0.5, "stop": true}', b'{"paused": true}', b"[" * 4000, b"\xff"),
    ],
)
def test_other_values_are_refused_and_change_nothing(page: Page, body: bytes) -> None:
    answer = client(page).put("/api/settings", content=body, headers=PUT)
    assert answer.status_code == 400, answer.text
    assert "Expected" in answer.json()["error"]
    assert page.dials.settings().unknown is None


def test_a_form_cannot_change_settings(page: Page) -> None:
    kind = {"content-type": "text/plain"}
    answer = client(page).put("/api/settings", content=b'{"unknown": 0.5}', headers=kind)
    assert answer.status_code == 400
    assert page.dials.settings().unknown is None


def test_a_bundle_without_thresholds_says_so() -> None:
    page = Page(page_info(unknown=None), PageAddress("127.0.0.1", 8765), None)
    answer = client(page).put("/api/settings", json={"unknown": 0.5})
    assert (answer.status_code, "no thresholds" in answer.text) == (400, True)
    page.feed.close()


@pytest.mark.parametrize(
    "path",
    [
        *("/assets/../app.py", "/assets/..%2fapp.py", "/assets/%2e%2e/app.py", "/assets/app.py"),
        *("/assets//etc/passwd", "/assets/index.html%00", "/assets/", "/..%2f..%2fetc/passwd"),
    ],
)
def test_no_path_reaches_the_disk(page: Page, path: str) -> None:
    assert client(page).get(path).status_code == 404


def test_every_answer_forbids_what_the_page_does_not_need(page: Page) -> None:
    user = client(page)
    for path, status in (("/", 200), ("/assets/page.js", 200), ("/none", 404), ("/api/state", 200)):
        answer = user.get(path)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


# Token


@pytest.mark.parametrize("path", ["/api/state", "/api/frame", "/api/settings", "/none", "/docs"])
def test_without_the_token_there_is_only_the_door(guarded: Page, path: str) -> None:
    user = client(guarded)
    assert user.get(path).status_code == 401
    door = user.get("/")
    assert door.status_code == 401
    assert "needs a token" in door.text
    assert "street.ovss" not in door.text
    with pytest.raises(WebSocketDisconnect) as caught, user.websocket_connect(WS):
        pass
    assert "token" in caught.value.reason


@pytest.mark.parametrize("given", ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\ud800", "é"])
def test_a_wrong_token_opens_nothing(guarded: Page, given: str) -> None:
    user = client(guarded)
    text = json.dumps({"token": given})
    answer = user.post("/login", content=text, headers=PUT)
    assert answer.status_code == 401
    assert not answer.cookies
    assert user.get("/api/state").status_code == 401
    plain = given.encode("ascii", "replace").decode()
    bearer = {"authorization": f"Bearer {plain}"}
    assert user.get("/api/state", headers=bearer).status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_see(guarded: Page) -> None:
    user = client(guarded)
    answer = user.post("/login", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("edge_ovss_8765=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "Classes" in user.get("/").text
    with user.websocket_connect(WS) as socket:
        assert json.loads(socket.receive_text())["bundle"] == "street.ovss"


def test_programs_give_the_token_in_a_header_and_nobody_in_the_address(guarded: Page) -> None:
    user = client(guarded)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert user.get("/api/state", headers=bearer).status_code == 200
    assert user.get(f"/api/state?token={TOKEN}").status_code == 401


def test_the_newest_frame_is_there_as_json(page: Page) -> None:
    user = client(page)
    assert user.get("/api/frame").status_code == 404
    labels = np.zeros((4, 6), np.uint8)
    labels[0] = 255
    page.feed.show(live_frame(7, np.zeros((4, 6, 3), np.uint8), labels))
    facts = user.get("/api/frame").json()
    assert (facts["index"], facts["shares"], facts["unknown"]) == (7, {"sky": 0.75}, 0.25)
    assert facts["name"] == "street-000007"
