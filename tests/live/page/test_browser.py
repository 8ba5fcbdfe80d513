"""The page in a real browser: what a person sees and does, one test after the other."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from drawn_run import DrawnRun
from web_driver import Browser, browser

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("cv2")

pytestmark = pytest.mark.slow

SEEN = "return document.body.dataset.number > 3"
LEGEND = """
const rows = [...document.querySelectorAll("#legend li")];
const text = (row, kind) => row.querySelector(kind).textContent;
return [Number(document.body.dataset.number),
        Object.fromEntries(rows.map((row) => [text(row, ".name"), text(row, ".share")]))];
"""
# The share of pixels of the canvas over the image that have no color: those that are unknown.
GRAY = """
const canvas = document.getElementById("colors");
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let gray = 0;
for (let at = 0; at < data.length; at += 4)
  gray += data[at] === data[at + 1] && data[at] === data[at + 2];
return gray / (canvas.width * canvas.height);
"""
PIXELS = "return document.getElementById('image').toDataURL()"
SLIDE = """
const dial = document.getElementById(arguments[0]);
dial.value = arguments[1];
dial.dispatchEvent(new Event("input", { bubbles: true }));
"""


@pytest.fixture(scope="module")
def run() -> Iterator[DrawnRun]:
    made = DrawnRun.open(size=(120, 200), fps=8)
    yield made
    made.close()


@pytest.fixture(scope="module")
def seen(run: DrawnRun) -> Iterator[Browser]:
    with browser() as opened:
        opened.screen(1280, 800)
        opened.open(run.url)
        opened.wait(SEEN, seconds=60)
        yield opened


def test_the_image_moves(seen: Browser) -> None:
    first = seen.run(PIXELS)
    seen.wait(f"{PIXELS} !== arguments[0]", first)
    assert seen.run("return document.getElementById('status').textContent") == "Live"
    assert float(seen.run("return document.getElementById('rate').textContent")) > 1


def test_the_legend_agrees_with_the_json(seen: Browser, run: DrawnRun) -> None:
    number, legend = seen.run(LEGEND)
    facts: Any = run.frame(number, 0.2).facts
    shares = {**facts["shares"], "unknown": facts["unknown"]}
    expected = {
        name: f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
        for name, share in shares.items()
    }
    assert legend == expected
    assert legend["unknown"] != "0.0 %"


def test_the_colors_are_those_of_the_label_map(seen: Browser, run: DrawnRun) -> None:
    seen.click("#pause")
    gray = seen.run(GRAY)
    number = seen.run("return Number(document.body.dataset.number)")
    labels = run.frame(number, 0.2).result.labels
    assert gray == pytest.approx(float((labels == 255).mean()), abs=1e-6)
    seen.click("#pause")


def test_pause_holds_the_image_and_the_board_goes_on(seen: Browser, run: DrawnRun) -> None:
    seen.click("#pause")
    still = seen.run(PIXELS)
    before = run.sink.page.feed.newest()
    time.sleep(1.2)
    after = run.sink.page.feed.newest()
    assert before is not None
    assert after is not None
    assert after.index > before.index + 3
    assert seen.run(PIXELS) == still
    encoded = run.sink.page.feed.encoded
    time.sleep(0.5)
    assert run.sink.page.feed.encoded == encoded
    assert seen.run("return document.getElementById('status').textContent") == "Paused"
    seen.click("#pause")
    seen.wait(f"{PIXELS} !== arguments[0]", still)


def test_the_threshold_changes_labels_for_everybody(seen: Browser, run: DrawnRun) -> None:
    few = seen.run(GRAY)
    seen.run(SLIDE, "unknown", 0.5)
    seen.wait("return document.getElementById('unknown-value').textContent === '0.50'")
    seen.wait(f"const now = (() => {{ {GRAY} }})(); return now > arguments[0] + 0.2", few)
    assert run.sink.settings().unknown == 0.5
    seen.run(SLIDE, "unknown", 0)
    seen.wait(f"const now = (() => {{ {GRAY} }})(); return now === 0")
    assert seen.run("return document.getElementById('unknown-value').textContent") == "off"
    run.sink.page.dials.change({"unknown": 0.2})


def test_opacity_and_hidden_classes_change_only_what_is_drawn(seen: Browser) -> None:
    seen.run(SLIDE, "alpha", 0.25)
    assert seen.run("return getComputedStyle(document.getElementById('colors')).opacity") == "0.25"
    seen.click('#legend li[data-name="building"] button')
    clear = f"const share = (() => {{ {GRAY} }})(); return share > 0.3"
    seen.wait(clear)  # a building is a third of this street, and unknown less than a tenth
    seen.click("#all")
    seen.wait(clear.replace("> 0.3", "< 0.2"))


def test_a_snapshot_is_a_png_with_the_legend_below(seen: Browser) -> None:
    seen.run("""window.saved = null;
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => { window.saved = blob; return make(blob); };""")
    seen.click("#snapshot")
    seen.wait("return window.saved !== null")
    seen.run("""window.size = null;
    createImageBitmap(window.saved).then((one) => { window.size = [one.width, one.height]; });""")
    width, height = seen.wait("return window.size")
    assert width == 200
    assert height > 120 + 24
    assert seen.run("return window.saved.type") == "image/png"


def test_warnings_are_text_and_never_markup(seen: Browser, run: DrawnRun) -> None:
    run.sink.warn("<img src=x onerror=alert(1)> stalls")
    row = seen.wait("return document.querySelector('#warnings li').textContent")
    seen.wait("return document.querySelector('#warnings li').textContent.includes('<img')")
    assert seen.run("return document.querySelectorAll('#warnings img').length") == 0
    assert row


def test_the_plot_shows_two_lines(seen: Browser) -> None:
    colors = """const c = document.getElementById("plot");
    const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    let blue = 0, orange = 0;
    for (let at = 0; at < d.length; at += 4) if (d[at + 3] > 200) {
      blue += d[at + 2] > d[at] + 80; orange += d[at] > d[at + 2] + 80; }
    return [blue, orange]"""
    blue, orange = seen.run(colors)
    assert blue > 10
    assert orange > 10


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling(seen: Browser, dark: bool) -> None:
    seen.screen(390, 844, dark=dark, phone=True)
    time.sleep(0.3)
    assert seen.run("return document.documentElement.scrollWidth <= innerWidth")
    paper = seen.run("return getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in paper.strip("rgb()").split(",")) > 380
    assert light != dark
    seen.screen(1280, 800)


def test_the_console_is_empty_and_nothing_comes_from_elsewhere(
    seen: Browser, run: DrawnRun
) -> None:
    own = "willReadFrequently"  # a hint about what these tests do
    assert [line for line in seen.log() if own not in line] == []
    urls = seen.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(urls) > 5
    assert all(url.startswith((run.url, "blob:")) for url in urls)


def test_the_token_opens_the_page_and_leaves_the_address(seen: Browser) -> None:
    run = DrawnRun.open("0.0.0.0:0", size=(60, 80), fps=8)
    try:
        port = run.url.split(":")[2].split("/")[0]
        token = run.url.split("#token=")[1]
        seen.open(f"http://127.0.0.1:{port}/")
        assert "needs a token" in seen.run("return document.body.textContent")
        assert not seen.run("return document.getElementById('legend')")
        seen.open(f"http://127.0.0.1:{port}/#token=wrong")
        seen.wait("return document.getElementById('answer').textContent.includes('not the token')")
        seen.open(f"http://127.0.0.1:{port}/#token={token}")
        seen.wait(SEEN, seconds=30)
        assert seen.url() == f"http://127.0.0.1:{port}/"
        assert seen.run("return document.cookie") == ""
        link = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
        link.request("GET", "/api/state", headers={"Authorization": f"Bearer {token}"})
        assert json.loads(link.getresponse().read())["viewers"] == 1
        link.close()
    finally:
        run.close()
    seen.wait("return document.getElementById('status').textContent === 'Ended'")
