"""Words that viewers type into the page of an open bundle: what is taken, refused and told."""

from __future__ import annotations

import json
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_run import live_frame, page_info
from open_words import WIDTH, open_up
from pretended_tower import PretendedTower

pytest.importorskip("starlette")
pytest.importorskip("httpx2")
pytest.importorskip("cv2")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from starlette.testclient import TestClient

from edge_ovss.bundle.words.section import OpenInfo
from edge_ovss.cli.options.words import add_arguments
from edge_ovss.errors import ArtifactError, UsageError, VocabularyError
from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.app import Page
from edge_ovss.live.page.state import PageInfo
from edge_ovss.live.page.typed_words import command_to_keep, text_of, typed_words, warnings_of
from edge_ovss.live.page.word_desk import BusyError, WordDesk
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.vocabulary import Vocabulary

BASE = "http://127.0.0.1:8765"
WORDS = "/api/words"
WS = "ws://127.0.0.1:8765/ws"
JSON = {"content-type": "application/json"}
TOKEN = "a-token-of-some-length"
PLACES = 8
INFO = OpenInfo(PLACES, PLACES, 1, WIDTH, "words.f32")
FRAME = np.full((40, 56, 3), 90, np.uint8)
OWN = Vocabulary.from_names(["road", "car"])


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> PretendedTower:
    return PretendedTower.on_the_desk(monkeypatch)


@pytest.fixture
def path(make_bundle: Callable[..., Path]) -> Path:
    made = make_bundle(extras=("confidence",))
    open_up(made, places=PLACES, least=1, words=3)
    return made


@pytest.fixture
def desk(path: Path, encoder: PretendedTower) -> Iterator[WordDesk]:
    with Segmenter.open(path, backend="onnxruntime", threads=1) as segmenter:
        made = WordDesk.of(segmenter)
        assert made is not None
        yield made
        encoder.go_on.set()
        made.close()


@pytest.fixture
def page(desk: WordDesk) -> Iterator[Page]:
    info = PageInfo.of(desk._segmenter)
    made = Page(info, PageAddress("127.0.0.1", 8765), None, desk)
    yield made
    made.feed.close()


@pytest.fixture
def user(page: Page) -> Iterator[Any]:
    with TestClient(page.guard, base_url=BASE) as made:
        yield made


def settled(desk: WordDesk) -> dict[str, Any]:
    end = time.monotonic() + 10
    while desk.to_json()["busy"] is not None:
        assert time.monotonic() < end
        time.sleep(0.002)
    return desk.to_json()


def segmented(desk: WordDesk, page: Page, number: int) -> None:
    result = desk._segmenter.segment(FRAME)
    page.show(replace(live_frame(number, FRAME, result.labels), result=result))


# What is typed


def test_a_typed_list_is_that_of_the_command(path: Path) -> None:
    typed = typed_words("road, car; automobile ,\n fork lift", INFO, ())
    assert typed == Vocabulary.load("road, car; automobile, fork lift")
    assert text_of(typed) == "road, car; automobile, fork lift"
    assert typed_words("one\r\ntwo,\n\nthree,", INFO, ()).outputs == ("one", "two", "three")


def test_known_words_keep_their_colors() -> None:
    known = Vocabulary.from_names(["sky", "road", "car; automobile"])
    words = typed_words("tree, car; automobile, road", INFO, [known])
    assert words.palette[1].tolist() == known.palette[2].tolist()
    assert words.palette[2].tolist() == known.palette[1].tolist()
    assert len({tuple(color) for color in words.palette.tolist()}) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no words"),
        (" \n ", "no words"),
        (",", "no words"),
        (",road", "Word 1 is empty"),
        ("road,,car", "Word 2 is empty"),
        ("road; , car", "Word 1 has an empty name"),
        ("road, 'car'", "Word 2 .* without quotation marks"),
        ("[road]", "Word 1 .* without quotation marks"),
        ("road, car, ROAD", "Word 3 .* reads the same .* word 1"),
        ("road, road", "(?i)word 2"),
        ("road\0, car", "road"),
    ],
)
def test_words_that_cannot_be_used_are_named(text: str, said: str) -> None:
    with pytest.raises(VocabularyError, match=said):
        typed_words(text, INFO, ())


def test_more_words_than_places_are_counted() -> None:
    with pytest.raises(UsageError, match=f"There are 9 words, and the bundle has {PLACES} places"):
        typed_words(",".join("abcdefghi"), INFO, ())
    assert len(typed_words(",".join("abcdefgh"), INFO, ())) == PLACES


def test_nothing_that_is_typed_is_a_file_or_a_list(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("one\ntwo\n")
    for text in (str(file), "ade150", "~/.ssh/id_rsa", "words.npz"):
        assert typed_words(text, INFO, ()).outputs == (text,)


def test_lint_is_told_of_new_words_only() -> None:
    words = typed_words("traffic_light, car_park", INFO, ())
    (only,) = warnings_of(words, Vocabulary.from_names(["car_park", "x"]))
    assert "traffic_light" in only
    assert "underscore" in only
    many = Vocabulary.from_names([f"a_{number}" for number in range(14)])
    assert warnings_of(many, OWN)[10:] == ["4 more of such warnings."]


@pytest.mark.parametrize(
    "text", ["road, car; automobile", "it's a word, $(reboot)", "-a, b", "forklift"]
)
def test_the_command_that_keeps_words_gives_the_same(text: str) -> None:
    import argparse

    command = command_to_keep("/a b/c.ovss", typed_words(text, INFO, ()))
    assert command is not None
    verb = shlex.split(command)
    assert verb[:2] == ["edge-ovss", "words"]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(verb[2:])
    assert (str(given.bundle), given.set_to) == ("/a b/c.ovss", text)


def test_no_command_would_read_a_word_as_a_file() -> None:
    assert command_to_keep("a.ovss", typed_words("/etc/passwd", INFO, ())) is None
    assert command_to_keep("a.ovss", typed_words("ade150", INFO, ())) is None


# The way of a change


def test_a_change_is_told_to_everybody_and_the_bundle_on_the_disk_stays(
    page: Page,
    user: Any,  # noqa: ANN401
    desk: WordDesk,
    path: Path,
) -> None:
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    segmented(desk, page, 0)
    with user.websocket_connect(WS) as one, user.websocket_connect(WS) as two:
        hello, _ = one.receive_json(), two.receive_json()
        assert (hello["words"]["used"], hello["words"]["places"]) == (3, PLACES)
        assert (hello["words"]["own"], hello["words"]["command"]) == (True, None)
        answer = user.post(WORDS, json={"words": "sky, big_bus, tree"})
        assert answer.status_code == 202
        settled(desk)
        for socket in (one, two):
            while (notice := socket.receive_json())["words"]["busy"] is not None:
                assert notice["kind"] == "words"
            told = notice["words"]
            assert (told["text"], told["used"], told["own"]) == ("sky, big_bus, tree", 3, False)
            assert "underscore" in told["warnings"][0]
            assert str(path) in told["command"]
            assert notice["details"]["vocabulary"] == "custom"
        segmented(desk, page, 1)
        classes = one.receive_json()
        assert (classes["kind"], classes["classes"]) == ("classes", 1)
        assert classes["names"] == ["sky", "big_bus", "tree"]
        assert len(classes["colors"]) == 3
    assert user.get("/api/state").json()["names"] == ["sky", "big_bus", "tree"]
    assert user.get(WORDS).json() == desk.to_json()
    assert user.post(WORDS, json={"words": None}).status_code == 202
    assert settled(desk)["own"] is True
    segmented(desk, page, 2)
    assert user.get("/api/state").json()["names"] == hello["names"]
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_frames_go_on_while_words_are_encoded(
    page: Page,
    user: Any,  # noqa: ANN401
    desk: WordDesk,
    encoder: PretendedTower,
) -> None:
    encoder.go_on.clear()
    user.post(WORDS, json={"words": "sky, bus, tree"})
    assert encoder.begun.wait(10)
    assert user.get(WORDS).json()["busy"] == [1, 2]
    for number in range(3):
        assert len(desk._segmenter.segment(FRAME).names) == 3
        segmented(desk, page, number)
    busy = user.post(WORDS, json={"words": "tree"})
    assert busy.status_code == 409
    assert "being encoded" in busy.json()["error"]
    encoder.go_on.set()
    assert settled(desk)["text"] == "sky, bus, tree"
    assert desk._segmenter.segment(FRAME).names == ("sky", "bus", "tree")


@pytest.mark.parametrize("failure", [ArtifactError("The tower is damaged."), ValueError("odd")])
def test_a_failure_is_told_and_the_words_stay(
    page: Page, desk: WordDesk, encoder: PretendedTower, failure: Exception
) -> None:
    encoder.failure = failure
    before = desk.to_json()["text"]
    desk.ask({"words": "sky"})
    told = settled(desk)
    assert str(failure) in told["failed"]
    assert (told["text"], told["own"]) == (before, True)
    encoder.failure = None
    desk.ask({"words": "sky"})
    assert settled(desk)["failed"] is None


def test_the_end_stops_the_encoder_and_changes_nothing(
    desk: WordDesk, encoder: PretendedTower
) -> None:
    encoder.go_on.clear()
    desk.ask({"words": "sky"})
    assert encoder.begun.wait(10)
    closing = threading.Thread(target=desk.close)
    closing.start()
    while not desk._closed.is_set():
        time.sleep(0.001)
    encoder.go_on.set()
    closing.join(10)
    assert not closing.is_alive()
    assert desk.to_json()["own"] is True
    assert "page-words" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(BusyError):
        desk.ask({"words": "tree"})


# What is refused


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"road"', b"{}", b'{"words": 1}', b'{"words": ["road"]}'),
        *(b'{"words": "sky", "tower": "/tmp"}', b'{"embeddings": "/tmp/a.npz"}', b"\xff"),
        *(b'{"words": ""}', b'{"words": "a,,b"}', b'{"words": "a, A"}'),
        json.dumps({"words": ",".join(f"w{n}" for n in range(PLACES + 1))}).encode(),
        json.dumps({"words": "a," * 30000}).encode(),
    ],
)
def test_other_bodies_are_refused_and_change_nothing(
    user: Any,  # noqa: ANN401
    desk: WordDesk,
    body: bytes,
) -> None:
    before = desk.to_json()
    answer = user.post(WORDS, content=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert desk.to_json() == before


def test_sizes_kinds_methods_and_origins_are_checked(user: Any, desk: WordDesk) -> None:  # noqa: ANN401
    text = json.dumps({"words": "sky"}).encode()
    plain = user.post(WORDS, content=text, headers={"content-type": "text/plain"})
    assert plain.status_code == 400
    assert user.post(WORDS, content=b"x" * 70000, headers=JSON).status_code == 413
    assert user.put("/api/settings", content=b"x" * 5000, headers=JSON).status_code == 413
    assert user.put(WORDS, content=text, headers=JSON).status_code == 405
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert user.post(WORDS, content=text, headers={**JSON, **headers}).status_code == 403
    assert (
        user.post(WORDS, content=text, headers={**JSON, "host": "evil.example"}).status_code == 421
    )
    assert desk.to_json()["own"] is True


def test_a_page_with_a_token_takes_words_with_it_only(desk: WordDesk) -> None:
    page = Page(page_info(), PageAddress("0.0.0.0", 8765), TOKEN, desk)
    with TestClient(page.guard, base_url=BASE) as user:
        assert user.post(WORDS, json={"words": "sky"}).status_code == 401
        assert user.get(WORDS).status_code == 401
        assert desk.to_json()["own"] is True
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert user.post(WORDS, json={"words": "sky"}, headers=bearer).status_code == 202
        assert settled(desk)["text"] == "sky"
    page.feed.close()


def test_a_frozen_bundle_has_no_words_to_change(make_bundle: Callable[..., Path]) -> None:
    with Segmenter.open(make_bundle(), backend="onnxruntime", threads=1) as segmenter:
        assert WordDesk.of(segmenter) is None
    page = Page(page_info(), PageAddress("127.0.0.1", 8765), None)
    with TestClient(page.guard, base_url=BASE) as user:
        assert user.get("/api/state").json()["words"] is None
        answer = user.post(WORDS, json={"words": "sky"})
        assert (answer.status_code, "--open" in answer.text) == (404, True)
    page.feed.close()


def test_without_a_tokenizer_the_page_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with Segmenter.open(path, backend="onnxruntime", threads=1) as segmenter:
        desk = WordDesk.of(segmenter)
        assert desk is not None
        assert "edge-ovss[words]" in str(desk.to_json()["missing"])
        desk.close()


def test_without_a_text_tower_the_page_says_what_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))
    with Segmenter.open(path, backend="onnxruntime", threads=1) as segmenter:
        desk = WordDesk.of(segmenter)
        assert desk is not None
        assert "no text tower" in str(desk.to_json()["missing"])
        assert "vocab tower" in str(desk.to_json()["missing"])
        with pytest.raises(UsageError, match="no text tower"):
            desk.ask({"words": "sky"})
        desk.close()
