"""`edge-ovss tune` on bundles, in real processes: what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.tune.checks import identity, read_calibration
from edge_ovss.tune.subject import LabeledData, Subject

pytest.importorskip("onnxruntime")
cv2 = pytest.importorskip("cv2")

MakeBundle = Callable[..., Path]


def write_images(folder: Path, count: int, *, seed: int) -> Path:
    """Write images whose right label is (R + G + B) mod 3, and their label maps."""
    random = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        image = random.integers(0, 256, (24, 32, 3), np.uint8)
        labels = (image.sum(-1, dtype=np.int32) % 3).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        cv2.imwrite(str(folder / "labels" / f"{number}.png"), labels)
    (folder / "classes.txt").write_text("thing0\nthing1\nthing2\n")
    return folder


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    return write_images(tmp_path / "labeled", 5, seed=1)


def options(labeled: Path, out: Path) -> list[str]:
    data = ["--data", str(labeled), "--layout", "folder"]
    classes = ["--classes", str(labeled / "classes.txt")]
    device = ["--backends", "onnxruntime", "--threads", "1"]
    return [*data, *classes, *device, "--out", str(out)]


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_bundles_are_compared_and_one_is_recommended(
    make_bundle: MakeBundle,
    labeled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundles = [str(make_bundle("a.ovss")), str(make_bundle("b.ovss", counts=(3, 3, 3)))]
    asked = ["tune", *bundles, *options(labeled, tmp_path / "out")]
    budget = ["--budget", "miou>=99,peak_mib<=4000"]
    assert main([*asked, *budget, "--json"]) == 0
    found = said(capsys)
    assert found["kind"] == "tune"
    assert {row["title"] for row in found["candidates"]} == {"default export", bundles[1]}
    numbers = found["recommended"]["numbers"]
    assert numbers["miou"] == pytest.approx(100.0)
    assert numbers["miou_drop"] == pytest.approx(0.0)
    assert 0 < numbers["p50_ms"] <= numbers["p99_ms"]
    assert 20 < numbers["peak_mib"] < 4000
    assert numbers["bundle_mib"] < 1
    assert all(row["measured_on_all"] and row["images"] == 5 for row in found["candidates"])
    command = found["recommended"]["commands"][-1]
    assert command.startswith("edge-ovss run ")
    assert command.endswith("IMAGE --backend onnxruntime --threads 1")
    out = tmp_path / "out"
    assert json.loads((out / "tune.json").read_text())["recommended"] == found["recommended"]
    assert (out / "front.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "<polyline" in (out / "tune.html").read_text()
    assert (
        main(["report", bundles[0], "--include", str(out), "--out", str(tmp_path / "r.html")]) == 0
    )
    shown = capsys.readouterr()
    assert "0 evaluations, 0 comparisons, 0 benches, 1 tunings" in shown.out
    assert "left out" not in shown.err  # the evaluations of the candidates are in the table
    # Again: nothing is measured, and the answer is the same, in words and for another budget.
    before = (out / "journal.jsonl").read_bytes()
    assert main([*asked, "--budget", "speedup_p50>=1000"]) == 6
    shown = capsys.readouterr()
    assert "recommended  nothing meets the budget" in shown.out
    assert "speedup_p50>=1000: FAILED" in shown.err
    assert (out / "journal.jsonl").read_bytes() == before


def test_a_bundle_that_fails_is_a_row(
    make_bundle: MakeBundle,
    labeled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = make_bundle("good.ovss")
    asked = [*options(labeled, tmp_path / "out")]
    asked[asked.index("onnxruntime")] = "onnxruntime,tensorrt"
    assert main(["tune", str(good), *asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("tensorrt" in line and "failed: " in line for line in lines)
    assert "recommended  default export" in lines


def test_without_labels_only_speed_is_measured(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["tune", str(make_bundle()), "--backends", "onnxruntime", "--threads", "1"]
    asked += ["--source", "synthetic://street?count=2&size=24x32", "--out", str(tmp_path / "out")]
    assert main([*asked, "--budget", "p99_ms<=60000,miou_drop<=1"]) == 0
    shown = capsys.readouterr()
    assert "speed only: there are no labeled images" in shown.out
    assert "miou_drop<=1: not checked, there are no labels" in shown.out
    assert "'miou_drop<=1' was not checked" in shown.err


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        (["--budget", "p99_ms<=50,p99_ms>=60"], 2, "cannot be met"),
        (["--budget", "speed<=3"], 2, "miou_drop_high"),
        (["--sizes", "256"], 2, "--sizes would have no effect"),
        (["--keyframe", "2"], 2, "stand for themselves"),
        (["--time-limit", "0"], 2, "above 0"),
        (["--threads", "0"], 2, "--threads has '0'"),
        (["--backends", "onnx"], 2, "no backend 'onnx'"),
        (["--layout", "folders"], 2, "folders"),
        (["--expect", "99"], 4, "has 5 images here; expected 99"),
        (["--source", "nowhere/"], 4, "nowhere"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_measured(
    make_bundle: MakeBundle,
    labeled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    status: int,
    text: str,
) -> None:
    asked = ["tune", str(make_bundle()), *options(labeled, tmp_path / "out"), *change]
    assert main(asked) == status
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_is_not_there_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", str(tmp_path / "no.ovss"), "--out", str(tmp_path / "out")]) == 5
    assert "There is no bundle at" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["sed-tinny", "--vocab", "camvid"], "Did you mean"),
        (["sed-tiny"], "--vocab is missing"),
        (["sed-tiny", "--vocab", "camvid", "--model", "sed-base"], "Two models"),
        (["sed-tiny", "--vocab", "camvid", "--sizes", "100"], "multiples of 32"),
        (["sed-tiny", "--vocab", "camvid", "--precisions", "int4"], "int4"),
        (["sed-tiny", "--vocab", "camvid", "--precisions", "int8"], "needs images"),
        (["sed-tiny", "--vocab", "camvid", "--answers", "fast"], "published"),
        (["sed-tiny", "--vocab", "camvid", "--slots", "8,8"], "three numbers"),
        (["sed-tiny", "--vocab", "camvid", "--count", "3"], "--calibration names no"),
        (["sed-tiny", "--vocab", "camvid", "--limit", "3"], "--data is not given"),
        (["sed-tiny", "san-tiny", "--vocab", "camvid"], "is no bundle"),
        (["sed-tiny", "--vocab", "camvid", "--keyframe", "2"], "--data names none"),
    ],
)
def test_wrong_options_of_a_model_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    pytest.importorskip("torch")
    assert main(["tune", *words, "--out", str(tmp_path / "out")]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_needs_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.pth").write_bytes(b"")
    assert main(["tune", str(tmp_path / "model.pth"), "--vocab", "camvid"]) == 2
    assert "--model does not say" in capsys.readouterr().err


def test_calibration_images_among_the_labeled_ones_are_refused_by_content(
    labeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    other = write_images(tmp_path / "other", 3, seed=2)
    twin = (labeled / "images" / "3.png").read_bytes()
    (other / "images" / "renamed.png").write_bytes(twin)
    asked = ["tune", "sed-tiny", "--vocab", "thing0, thing1, thing2"]
    asked += options(labeled, tmp_path / "out")
    assert main([*asked, "--calibration", str(other / "images")]) == 4
    assert not (tmp_path / "out").exists()
    error = capsys.readouterr().err
    assert "also in the validation set" in error
    assert "renamed = 3" in error


def test_images_and_labels_count_by_content(labeled: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "other", 3, seed=2) / "images"
    data = LabeledData(str(labeled), layout="folder", classes=str(labeled / "classes.txt"))
    subject = Subject(model="sed-tiny", vocab="camvid", calibration=str(images), data=data)

    def known() -> dict[str, object]:
        pictures = read_calibration(subject, data.open(), None)
        return identity(subject, data.open(), pictures, [], {})

    before = known()
    assert known() == before
    for changed, part in (
        (labeled / "labels" / "1.png", "data"),
        (images / "1.png", "calibration"),
    ):
        cv2.imwrite(str(changed), 1 - cv2.imread(str(changed)) % 2)
        after = known()
        assert {name for name in after if after[name] != before[name]} == {part}
        before = after


def test_an_engine_that_was_built_anew_makes_another_run(
    trt: Any,  # noqa: ANN401
    make_bundle: MakeBundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    bundle = Bundle.open(make_bundle())
    subject = Subject(bundles=(str(bundle.path),))

    def known() -> dict[str, object]:
        return identity(subject, None, None, [bundle], {})

    before = known()
    build_engine(bundle, "tensorrt", BuildOptions(FrameRange.pinned((20, 30))))
    after = known()
    assert {name for name in after if after[name] != before[name]} == {"bundles"}
    # What ONNX Runtime compiles while it runs is no other bundle.
    (made,) = (bundle.path / "engines").iterdir()
    shutil.copytree(made, made.with_name("onnxruntime-rtx-0123456789abcdef"))
    assert known() == after


def test_a_folder_that_cannot_be_written_is_refused(
    make_bundle: MakeBundle, labeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    asked = ["tune", str(make_bundle()), *options(labeled, tmp_path / "file" / "out")]
    assert main(asked) == 4
    assert "Cannot write" in capsys.readouterr().err


def test_the_journal_of_other_bundles_is_refused_and_fresh_starts_over(
    make_bundle: MakeBundle, labeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = options(labeled, tmp_path / "out")
    assert main(["tune", str(make_bundle("a.ovss")), *asked]) == 0
    other = str(make_bundle("b.ovss", extras=["confidence"]))
    assert main(["tune", other, *asked]) == 4
    assert "is of another run: it differs in bundles" in capsys.readouterr().err
    assert main(["tune", other, *asked, "--fresh"]) == 0


def test_what_the_user_has_in_the_folder_of_results_stays(
    make_bundle: MakeBundle, labeled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "bundles").mkdir(parents=True)
    given = out / "bundles" / "0123456789ab.ovss"  # such as an earlier run made
    make_bundle("a.ovss").rename(given)
    (out / "scores" / "mine").mkdir(parents=True)
    (out / "scores" / "0123456789ab").mkdir()
    assert main(["tune", str(given), *options(labeled, out), "--fresh"]) == 0
    assert (given / "manifest.json").is_file()
    assert (out / "scores" / "mine").is_dir()
    assert not (out / "scores" / "0123456789ab").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_is_killed_goes_on_and_leaves_no_process(
    make_bundle: MakeBundle, labeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = [str(make_bundle(f"{name}.ovss")) for name in "abc"]
    out = tmp_path / "out"
    # On a device there is neither torch nor onnx.
    for name in ("torch", "onnx"):
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"), prepend=os.pathsep)
    asked = [sys.executable, "-m", "edge_ovss", "tune", *bundles, *options(labeled, out), "--json"]
    kept = b""
    for least in (0, 1, 2):
        run = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = out / "journal.jsonl"
        while run.poll() is None:
            lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
            if lines >= 1 + least:
                time.sleep(0.15 * least)
                break
            time.sleep(0.02)
        children = children_of(run.pid)
        run.kill()
        run.wait()
        assert journal.read_bytes().startswith(kept)
        kept = journal.read_bytes().rpartition(b"\n")[0]
        for _ in range(100):
            if not any(is_alive(child) for child in children):
                break
            time.sleep(0.05)
        assert not any(is_alive(child) for child in children)
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert "measurements are from the journal" in done.stderr
    found = json.loads(done.stdout)
    assert found["complete"]
    assert len(found["candidates"]) == 3
    assert journal.read_bytes().startswith(kept)


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False
