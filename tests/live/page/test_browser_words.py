"""Words of an open bundle in a real browser: typed, refused, applied, and taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_run import live_frame
from open_words import open_up
from pretended_tower import PretendedTower
from web_driver import Browser, browser

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("cv2")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from edge_ovss.live.page.address import PageAddress
from edge_ovss.live.page.sink import PageSink
from edge_ovss.live.page.state import PageInfo
from edge_ovss.live.page.word_desk import WordDesk
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.synthetic import render_street

pytestmark = pytest.mark.slow

TYPE = """
const field = document.getElementById("words");
field.value = arguments[0];
field.dispatchEvent(new Event("input", { bubbles: true }));
"""
PRESS = """
document.getElementById("words").dispatchEvent(new KeyboardEvent("keydown",
  { key: arguments[0], ctrlKey: arguments[1], bubbles: true, cancelable: true }));
"""
LEGEND = "return [...document.querySelectorAll('#legend .name')].map((one) => one.textContent)"
SEEN = "return document.body.dataset.number > 2"


def text(name: str) -> str:
    return f"return document.getElementById('{name}').textContent"


def value(name: str) -> str:
    return f"return document.getElementById('{name}').value"


def hidden(name: str) -> str:
    return f"return document.getElementById('{name}').hidden"


@pytest.fixture
def tower(monkeypatch: pytest.MonkeyPatch) -> PretendedTower:
    return PretendedTower.on_the_desk(monkeypatch)


@pytest.fixture
def sink(make_bundle: Callable[..., Path], tower: PretendedTower) -> Iterator[PageSink]:
    path = make_bundle(extras=("confidence",))
    open_up(path, places=8, least=1, words=3)
    image, end = render_street(3, 60, 100).image, threading.Event()
    with Segmenter.open(path, backend="onnxruntime", threads=1) as segmenter:
        desk = WordDesk.of(segmenter)
        made = PageSink(PageAddress.parse("0"), PageInfo.of(segmenter), desk)

        def run() -> None:
            index = 0
            while not end.wait(0.1):
                result = segmenter.segment(image)
                frame = live_frame(index, image, result.labels, names=result.names)
                made.show(replace(frame, result=result))
                index += 1

        thread = threading.Thread(target=run)
        thread.start()
        yield made
        end.set()
        thread.join()
        tower.go_on.set()
        made.close()


def test_words_are_typed_applied_and_taken_back(sink: PageSink, tower: PretendedTower) -> None:
    with browser() as seen:
        seen.screen(1280, 900)
        seen.open(sink.urls[0])
        seen.wait(SEEN, seconds=60)
        own = seen.run(value("words"))
        assert "3 of 8 places used, 5 free" in seen.run(text("words-places"))
        assert seen.run(hidden("words-keep"))
        _refused(seen, own)
        tower.go_on.clear()
        seen.run(TYPE, "sky, big_bus, <b>tree</b>")
        seen.run(PRESS, "Enter", True)
        seen.wait(f"{text('words-step')}.includes('1 of 2 prompts')")
        number = seen.run("return document.body.dataset.number")
        seen.wait("return document.body.dataset.number > arguments[0]", number)  # it goes on
        tower.go_on.set()
        seen.wait(f"{LEGEND}.includes('big_bus')")
        assert set(seen.run(LEGEND)) <= {"sky", "big_bus", "<b>tree</b>"}  # text, not markup
        assert "underscore" in seen.run(text("words-warnings"))
        assert "edge-ovss words" in seen.run(text("words-command"))
        assert not seen.run(hidden("words-keep"))
        _on_a_phone(seen)
        seen.click("#words-back")
        seen.wait(f"{value('words')} === arguments[0]", own)
        seen.wait(f"{LEGEND}.every((name) => arguments[0].includes(name))", own)
        assert seen.run(hidden("words-keep"))
        assert all("400" in line for line in seen.log())  # what the board refused, no script error


def _refused(seen: Browser, own: str) -> None:
    """What cannot be used is said beside the field; keys of the page do nothing in it."""
    seen.run(TYPE, ",".join("abcdefghij"))
    assert seen.run(text("words-places")) == "10 of 8 places typed, 2 too many"
    seen.run(TYPE, "road, Road")
    assert seen.run(text("words-places")) == "2 of 8 places typed, 6 free"
    seen.click("#words-apply")
    seen.wait(f"{text('words-bad')}.includes('reads the same')")
    assert seen.run(value("words")) == "road, Road"
    seen.run(PRESS, " ", False)
    assert seen.run(text("status")) == "Live"
    seen.click("#words-back")
    assert seen.run(value("words")) == own
    assert seen.run(text("words-bad")) == ""


def _on_a_phone(seen: Browser) -> None:
    seen.screen(390, 844, dark=True, phone=True)
    time.sleep(0.3)
    assert seen.run("return document.documentElement.scrollWidth <= innerWidth")
    seen.screen(1280, 900)


def test_a_viewer_sees_what_another_applied_and_keeps_what_was_typed(sink: PageSink) -> None:
    with browser() as seen:
        seen.screen(1280, 900)
        seen.open(sink.urls[0])
        seen.wait(SEEN, seconds=60)
        assert sink.page.words is not None
        sink.page.words.ask({"words": "a, b, c"})
        seen.wait(f"{value('words')} === 'a, b, c'")
        seen.run(TYPE, "my own words")
        sink.page.words.ask({"words": "d, e, f"})
        seen.wait(f"{text('words-remark')}.includes('another page')")
        assert seen.run(value("words")) == "my own words"
        seen.wait(f"{LEGEND}.includes('d')")
