"""`run` over a camera on the network: views, lines, summary, errors, secrets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mjpeg_camera import Camera

from edge_ovss.cli import main
from edge_ovss.live.percentiles import Percentiles

pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def camera() -> Iterator[Camera]:
    with Camera(fps=60).serving() as serving:
        yield serving


def run(bundle: Path, *arguments: str) -> int:
    return main(["run", str(bundle), *arguments])


def test_a_camera_writes_nothing_unless_asked_and_ends_with_a_summary(
    make_bundle: MakeBundle,
    camera: Camera,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    bundle = make_bundle()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run(bundle, camera.url, "--limit", "8", "--json") == 0
    assert sorted(tmp_path.rglob("*")) == before
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["segmented"] == 8
    assert document["read"] == 8 + document["dropped"] + document["skipped"]
    assert set(document["latency_ms"]) == set(document["age_ms"]) == {"p50", "p90", "p99", "max"}
    assert document["latency_ms"]["p50"] <= document["age_ms"]["max"]
    assert (document["interrupted"], document["error"], document["saved"]) == (False, None, 0)
    assert "s3cret" not in printed.out + printed.err


def test_lines_are_frames_and_files_are_written_on_request(
    make_bundle: MakeBundle, camera: Camera, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    arguments = ["--limit", "4", "--jsonl", "--save", "labels,rle", "--out", str(out)]
    assert run(make_bundle(), camera.url, *arguments) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{line['name']}.{kind}" for line in lines for kind in ("labels.png", "rle.json")
    )
    assert "latency ms" in printed.err
    assert "s3cret" not in printed.out + printed.err


def test_the_summary_for_people(make_bundle: MakeBundle, camera: Camera, capsys: Capture) -> None:
    assert run(make_bundle(), camera.url, "--duration", "0.5", "--max-fps", "10") == 0
    text = capsys.readouterr().out
    for words in ("segmented", "per second", "latency ms", "age ms", "p99", camera.url[-10:]):
        assert words in text


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_the_summary_and_a_whole_video(
    make_bundle: MakeBundle, camera: Camera, tmp_path: Path, number: int, status: int
) -> None:
    av = pytest.importorskip("av")
    video = tmp_path / "a.mp4"
    command = [sys.executable, "-m", "edge_ovss", "run", str(make_bundle()), camera.url]
    with subprocess.Popen(
        [*command, "--jsonl", "--video", str(video)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(10)]
        process.send_signal(number)
        rest, messages = process.communicate(timeout=60)
    assert process.returncode == status
    assert "per second" in messages
    assert f"wrote {video}" in messages
    with av.open(str(video)) as file:
        frames = sum(1 for _ in file.decode(video=0))
    assert frames == len(lines) + len(rest.splitlines())


def test_a_camera_vanishes_and_comes_back(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with Camera(fps=60).serving() as camera:
        threading.Timer(1.0, camera.off.set).start()
        threading.Timer(1.6, camera.off.clear).start()
        arguments = ["--duration", "6", "--json", "--timeout", "3"]
        assert run(make_bundle(), camera.url, *arguments) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["reconnects"] >= 1
    assert "is lost" in printed.err
    assert "is back after" in printed.err


def test_a_stream_that_never_sends_is_an_error(make_bundle: MakeBundle, capsys: Capture) -> None:
    with Camera(fps=60).serving() as camera:
        camera.silent.set()
        assert run(make_bundle(), camera.url, "--timeout", "1") == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "s3cret" not in printed.err


def test_two_cameras_share_one_session(
    make_bundle: MakeBundle, camera: Camera, capsys: Capture
) -> None:
    other = camera.url.replace("/live", "/live?channel=2")
    assert run(make_bundle(), camera.url, other, "--limit", "10", "--json") == 0
    sources = json.loads(capsys.readouterr().out)["sources"]
    assert [source["source"][-8:] for source in sources] == ["live (1)", "live (2)"]
    assert sum(source["segmented"] for source in sources) == 10
    assert all(source["segmented"] for source in sources)


def test_a_page_shows_the_run_and_a_port_in_use_is_an_error(
    make_bundle: MakeBundle, camera: Camera, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    bundle = make_bundle()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        bag = tmp_path / "bag"
        assert run(bundle, camera.url, "--serve", port, "--bag", str(bag)) == 4
    assert "in use" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [bundle], "what was opened before is taken back"
    answers: list[bytes] = []

    def look() -> None:
        address = f"http://127.0.0.1:{port}/api/frame"
        for _ in range(100):
            time.sleep(0.05)
            with suppress(OSError), urllib.request.urlopen(address, timeout=5) as reply:
                answers.append(reply.read())
                return

    looker = threading.Thread(target=look)
    looker.start()
    assert run(bundle, camera.url, "--serve", port, "--duration", "2") == 0
    looker.join()
    assert json.loads(answers[0])["source"].startswith("http://127.0.0.1")
    assert f"page: http://127.0.0.1:{port}/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--every", "0"], "--every is 0"),
        (["--max-fps", "0"], "--max-fps is 0"),
        (["--duration", "-1"], "--duration is -1"),
        (["--duration", "nan"], "--duration is nan"),
        (["--timeout", "0"], "--timeout is 0"),
        (["--reconnect", "-1"], "--reconnect is -1"),
        (["--json", "--jsonl"], "expected one"),
        (["--video", "a.gif"], "ends in .mp4"),
        (["--save", "maps"], "--save has 'maps'"),
    ],
)
def test_wrong_options_are_found_before_anything_is_opened(
    make_bundle: MakeBundle, arguments: list[str], words: str, capsys: Capture
) -> None:
    assert run(make_bundle(), "synthetic://street?count=1&size=8x8", *arguments) == 2
    assert words in capsys.readouterr().err


def test_the_errors_of_sources_list_the_grammar(make_bundle: MakeBundle, capsys: Capture) -> None:
    bundle = make_bundle()
    assert run(bundle, "foo://x") == 2
    assert run(bundle, "nowhere.png") == 4
    text = capsys.readouterr().err
    assert text.count("v4l2:///dev/video0?size=720x1280&fps=30&format=MJPG") == 2
    assert text.count("bag://FOLDER?topic=") == 2


def test_recordings_can_be_shown_too(make_bundle: MakeBundle, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    out, video = tmp_path / "out", tmp_path / "a.mp4"
    street = "synthetic://street?count=6&size=24x32"
    arguments = ["--video", str(video), "--out", str(out), "--save", "labels", "--every", "2"]
    assert run(make_bundle(), street, *arguments) == 0
    assert len(list(out.iterdir())) == 3
    with av.open(str(video)) as file:
        times = [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]
    assert times == pytest.approx([0, 0.1, 0.2])


def test_the_video_never_replaces_its_source(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"precious")
    assert run(make_bundle(), str(source), "--video", f"{tmp_path}/./a.mp4") == 2
    assert "would be replaced" in capsys.readouterr().err
    assert source.read_bytes() == b"precious"


def test_percentiles_are_right_to_one_percent() -> None:
    found, values = Percentiles(), [0.001 * (number + 1) for number in range(1000)]
    assert found.at(50) is None
    for value in values:
        found.add(value)
    for percent, true in ((50, 0.5), (90, 0.9), (99, 0.99)):
        assert found.at(percent) == pytest.approx(true, rel=0.011)
    assert found.highest == values[-1]
    extremes = Percentiles()
    extremes.add(0.0)
    extremes.add(1e9)
    assert extremes.at(100) is not None
