"""The verbs run, selftest, inspect and doctor: what they print, write, and return."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import images, write_video

from edge_ovss import _files as writing
from edge_ovss.cli import main
from edge_ovss.cli.shared.signals import stoppable
from edge_ovss.frames import sources
from edge_ovss.frames.images import read_picture, write_picture
from edge_ovss.frames.sources import Frame
from edge_ovss.runtime import result_writer as answers
from edge_ovss.runtime.overflow import enough_slots as enough
from edge_ovss.runtime.segmenter import Segmenter

cv2: Any = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    dice = np.random.default_rng(0)
    for name, size in {"a.png": (31, 47), "b.png": (1, 1), "a.bmp": (8, 9)}.items():
        write_picture(folder / name, dice.integers(0, 256, (*size, 3), np.uint8))
    return folder


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_run_writes_labels_overlay_and_facts(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert main(["run", str(make_bundle()), str(photos / "a.png"), "--out", str(out)]) == 0
    assert listing(out) == ["a.json", "a.labels.png", "a.overlay.png"]
    frame = read_picture(photos / "a.png")
    labels = cv2.imread(str(out / "a.labels.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
    facts = json.loads((out / "a.json").read_text())
    assert (facts["height"], facts["width"]) == (31, 47)
    assert sum(facts["shares"].values()) == pytest.approx(1, abs=1e-5)
    assert facts["alive"] == [2, 0]
    assert facts["overflow"] is False
    printed = capsys.readouterr()
    assert "31x47" in printed.out
    assert "edge-ovss selftest" in printed.err


def test_run_on_a_folder_keeps_every_answer_apart(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    arguments = ["run", str(make_bundle()), str(photos), "--out", str(out), "--json"]
    assert main([*arguments, "--no-overlay"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [frame["name"] for frame in document["frames"]] == ["a.bmp", "a.png", "b"]
    assert document["failed"] == []
    assert listing(out) == [
        "a.bmp.json",
        "a.bmp.labels.png",
        "a.png.json",
        "a.png.labels.png",
        "b.json",
        "b.labels.png",
    ]


def test_run_stops_at_the_limit(make_bundle: MakeBundle, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", str(make_bundle()), str(photos), "--out", str(out), "--limit", "1"]
    assert main(arguments) == 0
    assert "b.json" not in listing(out)


def test_run_writes_wide_labels_with_sixteen_bits(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bundle = make_bundle(outputs=300)
    assert main(["run", str(bundle), str(photos / "a.png"), "--out", str(out)]) == 0
    labels = cv2.imread(str(out / "a.labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint16
    assert labels.max() > 255


def test_run_saves_scores_if_there_are_any(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    tail = [str(photos / "a.png"), "--out", str(out), "--save-scores"]
    without = str(make_bundle("without.ovss"))
    assert main(["run", without, *tail]) == 2
    said = capsys.readouterr().err
    assert "--save-scores is given, but" in said
    assert "--outputs labels,scores" in said
    tail[-1:] = ["--save", "labels,scores"]
    assert main(["run", without, *tail]) == 2
    assert "--save scores is given, but" in capsys.readouterr().err
    assert not out.exists()
    assert main(["run", str(make_bundle("with.ovss", extras=["scores"])), *tail]) == 0
    assert np.load(out / "a.scores.npz")["scores"].shape == (3, 2, 3)


def test_a_folder_that_cannot_be_made_leaves_no_part_of_a_recording(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("rosbags")
    bundle = str(make_bundle())
    before = listing(tmp_path)
    out = ("--out", str(photos / "a.png" / "out"), "--bag", str(tmp_path / "bag"))
    assert main(["run", bundle, str(photos), *out]) == 4
    assert listing(tmp_path) == before


def test_one_bad_picture_does_not_stop_the_others(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    (photos / "aa.png").write_text("no picture")
    out = tmp_path / "out"
    arguments = ["run", str(make_bundle()), str(photos), "--out", str(out), "--json"]
    assert main(arguments) == 4
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert len(document["frames"]) == 3
    assert [Path(item["source"]).name for item in document["failed"]] == ["aa.png"]
    assert "1 of 4 images" in printed.err
    assert "b.json" in listing(out)


def test_overflow_is_reported_with_what_to_do(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundle = make_bundle(counts=(9, 4, 2))
    arguments = ["run", str(bundle), str(photos / "a.png"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--quiet"]) == 0
    printed = capsys.readouterr().err
    assert "counts up to 9,4,2, slots 4,4,4" in printed
    assert "--slots 9,9,9" in printed
    assert json.loads((tmp_path / "out" / "a.json").read_text())["overflow"] is True
    assert main([*arguments, "--on-overflow", "error"]) == 6
    assert "counts up to 9,4,2, slots 4,4,4" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["keep", "warn"])
def test_keep_and_warn_are_one_policy_here_and_in_python(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture, policy: str
) -> None:
    bundle = make_bundle(counts=(9, 4, 2))
    arguments = ["run", str(bundle), str(photos / "a.png"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--on-overflow", policy]) == 0
    assert "counts up to 9,4,2, slots 4,4,4" in capsys.readouterr().err
    with Segmenter.open(bundle, on_overflow=policy) as segmenter:
        assert segmenter.segment(read_picture(photos / "a.png")).overflow


@pytest.mark.parametrize(
    ("option", "value"), [("--threads", "0"), ("--limit", "0"), ("--alpha", "2.0")]
)
def test_a_message_spells_an_option_as_the_command_line_does(
    make_bundle: MakeBundle, photos: Path, capsys: Capture, option: str, value: str
) -> None:
    assert main(["run", str(make_bundle()), str(photos / "a.png"), option, value]) == 2
    assert f"error: {option} is {value}; expected" in capsys.readouterr().err


def test_slots_advised_after_an_overflow_allow_for_what_it_hid() -> None:
    assert enough([5, 9, 3], [8, 4, 4]) == [8, 9, 9]
    assert enough([5, 4, 6], [8, 4, 4]) == [8, 4, 6]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nothing.png"], 4, "does not exist"),
        (["photos/empty.png"], 4, "is empty"),
        (["gopher://x"], 2, "no source of kind"),
        (["photos/a.png", "--backend", "onnxruntim"], 2, "Did you mean onnxruntime"),
        (["photos/a.png", "--threads", "0"], 2, "at least 1"),
        (["photos/a.png", "--limit", "0"], 2, "at least 1"),
        (["photos/a.png", "--alpha", "2"], 2, "0 to 1"),
        (["photos", "--out", "photos"], 2, "source folder"),
        (["photos/a.png", "--out", "photos/a.png"], 4, "Cannot write"),
    ],
)
def test_a_mistake_has_its_status_and_no_traceback(
    make_bundle: MakeBundle,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    make_bundle()
    monkeypatch.chdir(photos.parent)
    (photos / "empty.png").write_bytes(b"")
    before = listing(photos)
    assert main(["run", "tiny.ovss", *arguments]) == status
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed
    assert listing(photos) == before


def test_a_damaged_bundle_has_status_5_and_nothing_is_written(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundle = make_bundle()
    (bundle / "model.onnx.data").write_bytes(b"\0\0\0\0")
    out = tmp_path / "out"
    assert main(["run", str(bundle), str(photos), "--out", str(out)]) == 5
    assert "model.onnx.data" in capsys.readouterr().err
    assert not out.exists()


def test_ctrl_c_leaves_no_part_of_a_file(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    bundle = make_bundle()
    monkeypatch.setattr(Path, "replace", interrupted)
    out = tmp_path / "out"
    assert main(["run", str(bundle), str(photos), "--out", str(out)]) == 130
    assert listing(out) == []


def sent_frames(
    monkeypatch: pytest.MonkeyPatch, count: int, at: Callable[[int], None] = lambda _: None
) -> None:
    """Let `run` read `count` small frames; `at` is called with the number of each before it."""
    image = np.zeros((2, 3, 3), np.uint8)

    def frames(_: str) -> Iterator[Frame]:
        for number in range(count):
            at(number)
            yield Frame(f"f-{number:06d}", f"camera #{number}", lambda: image, number / 10)

    monkeypatch.setattr(sources, "open_source", frames)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (None, 130, "interrupted"),
    ],
)
def test_who_stops_a_run_gets_what_there_is(
    make_bundle: MakeBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    sent: signal.Signals | None,
    status: int,
    words: str,
) -> None:
    def stop(number: int) -> None:
        if number == 3 and sent is None:
            raise KeyboardInterrupt
        if number == 3:
            os.kill(os.getpid(), sent)  # type: ignore[arg-type]

    sent_frames(monkeypatch, 1000, stop)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    bundle, out = make_bundle(counts=(9, 4, 2)), tmp_path / "out"
    assert main(["run", str(bundle), "camera", "--out", str(out), "--json"]) == status
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [frame["name"] for frame in document["frames"]] == ["f-000000", "f-000001", "f-000002"]
    assert document["interrupted"] is True
    assert "in 3 of 3 frames more categories" in printed.err
    assert printed.err.endswith(f"{words}\n")
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_that_is_stopped_prints_its_table_too(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def stop(number: int) -> None:
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    sent_frames(monkeypatch, 1000, stop)
    assert main(["run", str(make_bundle()), "camera", "--out", str(tmp_path / "out")]) == 130
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["frame", "size", "infer", "ms", "alive", "most", "of", "it"]
    assert [line.split()[:2] for line in lines[1:3]] == [["f-000000", "2x3"], ["f-000001", "2x3"]]
    assert lines[3].startswith("2 frames written to")


def test_nothing_is_called_written_that_is_not(
    make_bundle: MakeBundle, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    tail = [str(photos / "a.png"), "--out", str(out), "--save", "none"]
    assert main(["run", str(make_bundle()), *tail]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 frame segmented"
    assert main(["run", str(make_bundle("other.ovss")), *tail, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] is None
    assert not out.exists()


def test_a_second_signal_does_not_wait() -> None:
    with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.asked
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("form", [["--json"], []])
def test_memory_does_not_grow_with_the_frames(
    make_bundle: MakeBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: list[str],
) -> None:
    held: dict[int, int] = {}
    # pathlib interns names, and the table of those grows by doubling at some time.
    ours = tracemalloc.Filter(False, "*pathlib*")

    def measure(number: int) -> None:
        if number in (500, 1999):
            gc.collect()
            traces = tracemalloc.take_snapshot().filter_traces([ours]).traces
            held[number] = sum(trace.size for trace in traces)

    sent_frames(monkeypatch, 2000, measure)
    monkeypatch.setattr(answers, "write_json", lambda _path, _facts: None)
    monkeypatch.setattr(answers, "write_label_map", lambda _path, _labels: None)
    bundle = make_bundle(counts=(9, 4, 2))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        tracemalloc.start()
        try:
            arguments = ["run", str(bundle), "camera", "--out", str(tmp_path), "--no-overlay"]
            assert main([*arguments, *form]) == 0
        finally:
            tracemalloc.stop()
    assert held[1999] - held[500] < 1500 * 20  # bytes; the facts of one frame have over 1000


def test_a_cut_video_is_answered_and_then_reported(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    path = write_video(tmp_path / "a.mkv", images(12))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    out = tmp_path / "out"
    arguments = ["run", str(make_bundle()), str(path), "--out", str(out), "--json", "--no-overlay"]
    assert main(arguments) == 4
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    count = len(document["frames"])
    assert 3 <= count <= 7
    assert f"{count} of 12 frames could be read, {12 - count} are lost" in printed.err
    assert "is cut off" in document["error"]
    assert document["frames"][2]["time_s"] == pytest.approx(0.2)
    assert len(listing(out)) == 2 * count
    assert main([*arguments, "--limit", "3"]) == 0  # as many as were asked for
    assert json.loads(capsys.readouterr().out)["error"] is None


def test_a_document_is_whole_when_the_disk_is_full(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(path: Path, document: object) -> None:
        if path.name == "f-000002.json":
            raise writing.output_error(path, OSError(errno.ENOSPC, "No space left on device"))

    sent_frames(monkeypatch, 5)
    monkeypatch.setattr(answers, "write_json", full)
    out = str(tmp_path / "out")
    assert main(["run", str(make_bundle()), "camera", "--out", out, "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert len(document["frames"]) == 2
    assert "the disk is full" in document["error"]
    assert document["interrupted"] is False


def test_a_full_disk_stops_the_run_with_its_reason(
    make_bundle: MakeBundle,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    def full(path: Path, document: object) -> None:
        raise writing.output_error(path, OSError(errno.ENOSPC, "No space left on device"))

    bundle = make_bundle()
    monkeypatch.setattr(answers, "write_json", full)
    assert main(["run", str(bundle), str(photos), "--out", str(tmp_path / "out")]) == 4
    assert "the disk is full" in capsys.readouterr().err


def test_selftest_passes_on_a_good_bundle(make_bundle: MakeBundle, capsys: Capture) -> None:
    assert main(["selftest", str(make_bundle()), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is True
    assert document["agreement"] == 1.0
    assert document["backend"] == "onnxruntime"


@pytest.mark.parametrize(
    ("name", "field"),
    [("labels", "agreement"), ("alive", "same_alive"), ("counts", "same_counts")],
)
def test_selftest_fails_with_status_6(
    make_bundle: MakeBundle, capsys: Capture, name: str, field: str
) -> None:
    bundle = make_bundle()
    path = bundle / "reference" / f"{name}.npy"
    array = np.load(path)
    array.flat[0] = (array.flat[0] + 1) % 3
    array.flat[1] = (array.flat[1] + 1) % 3
    np.save(path, array)
    _list_file(bundle, f"reference/{name}.npy")
    assert main(["selftest", str(bundle), "--json"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is False
    assert document[field] is False or document[field] < 0.999


@pytest.mark.parametrize(("precision", "status"), [("fp32", 6), ("fp16", 0), ("int8", 0)])
def test_below_fp32_other_survivors_with_the_same_labels_pass(
    make_bundle: MakeBundle, capsys: Capture, precision: str, status: int
) -> None:
    bundle = make_bundle(precision=precision)
    np.save(bundle / "reference/counts.npy", np.array([3, 3, 1], np.int32))
    _list_file(bundle, "reference/counts.npy")
    assert main(["selftest", str(bundle)]) == status
    text = capsys.readouterr().out
    assert ("counts      NOT EQUAL (need not be, below FP32)" in text) == (status == 0)


def _list_file(bundle: Path, name: str) -> None:
    from edge_ovss._files import sha256_of_file

    manifest = json.loads((bundle / "manifest.json").read_text())
    path = bundle / name
    manifest["files"][name] = {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_inspect_tells_what_is_in_a_bundle(make_bundle: MakeBundle, capsys: Capture) -> None:
    bundle = make_bundle()
    assert main(["inspect", str(bundle)]) == 0
    printed = capsys.readouterr().out
    for words in ("sed-tiny", "things: 3 categories", "slots 4,4,4", "Apache-2.0", "ReduceSum 1"):
        assert words in printed
    assert main(["inspect", str(bundle), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verified"] is True
    assert document["manifest"]["model"]["name"] == "sed-tiny"


def test_inspect_reads_a_bare_onnx_file(make_bundle: MakeBundle, capsys: Capture) -> None:
    graph = make_bundle() / "model.onnx"
    assert main(["inspect", str(graph), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["inputs"] == [
        {"name": "frame", "dtype": "uint8", "shape": [1, "height", "width", 3]}
    ]
    assert document["metadata"] == {"edge_ovss.schema": 1, "note": "not JSON"}
    assert main(["inspect", str(graph)]) == 0
    assert "labels uint8 [1, height, width]" in capsys.readouterr().out


def test_inspect_refuses_other_files(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.onnx").write_text("x")
    assert main(["inspect", str(tmp_path / "a.txt")]) == 4
    assert main(["inspect", str(tmp_path / "a.onnx")]) == 5
    assert main(["inspect", str(tmp_path / "nothing")]) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_inspect_can_leave_the_hashes_out(make_bundle: MakeBundle, capsys: Capture) -> None:
    bundle = make_bundle()
    data = bytearray((bundle / "reference/frame.npy").read_bytes())
    data[-1] ^= 1
    (bundle / "reference/frame.npy").write_bytes(data)
    assert main(["inspect", str(bundle)]) == 5
    assert main(["inspect", str(bundle), "--no-verify"]) == 0
    assert "sha256 not compared" in capsys.readouterr().out


def test_doctor_says_what_is_there_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from edge_ovss import _machine as environment

    versions = environment.package_versions() | {"timm": None, "tokenizers": None}
    monkeypatch.setattr(environment, "package_versions", lambda: versions)
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["packages"]["numpy"] == np.__version__
    assert document["backends"]["onnxruntime"] is True
    verbs = {verb["verb"]: verb for verb in document["verbs"]}
    assert verbs["run, selftest"]["ready"] is True
    assert verbs["export"]["missing"] == ["timm"]
    words = verbs["words, vocab encode --tower"]
    assert words["install"] == 'pip install "edge-ovss[words]"'
    assert main(["doctor"]) == 0
    assert 'needs timm: pip install "edge-ovss[export]"' in capsys.readouterr().out
