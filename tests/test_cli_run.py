"""The verbs run, selftest, inspect and doctor: what they print, write, and return."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.cli import main
from edge_ovss.cli.run import _enough as enough
from edge_ovss.runtime import answers, writing
from edge_ovss.runtime.pictures import read_picture, write_picture

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
    assert main(["run", str(make_bundle("without.ovss")), *tail]) == 2
    assert "--outputs labels,scores" in capsys.readouterr().err
    assert not out.exists()
    assert main(["run", str(make_bundle("with.ovss", extras=["scores"])), *tail]) == 0
    assert np.load(out / "a.scores.npz")["scores"].shape == (3, 2, 3)


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
    assert "1 of 4 pictures" in printed.err
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
    bundle = make_bundle()
    np.save(bundle / "reference/counts.npy", np.array([3, 3, 1], np.int32))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["precision"] = {"name": precision}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    _list_file(bundle, "reference/counts.npy")
    assert main(["selftest", str(bundle)]) == status
    text = capsys.readouterr().out
    assert ("counts      NOT EQUAL (need not be, below FP32)" in text) == (status == 0)


def _list_file(bundle: Path, name: str) -> None:
    from edge_ovss._checksums import sha256_of_file

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
    shutil.copy(bundle / "reference/alive.npy", bundle / "reference/spare.npy")
    data = bytearray((bundle / "reference/alive.npy").read_bytes())
    data[-1] ^= 1
    (bundle / "reference/alive.npy").write_bytes(data)
    assert main(["inspect", str(bundle)]) == 5
    assert main(["inspect", str(bundle), "--no-verify"]) == 0
    assert "sha256 not compared" in capsys.readouterr().out


def test_doctor_says_what_is_there_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from edge_ovss.runtime import environment

    versions = environment.package_versions() | {"timm": None}
    monkeypatch.setattr(environment, "package_versions", lambda: versions)
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["packages"]["numpy"] == np.__version__
    assert document["backends"]["onnxruntime"] is True
    verbs = {verb["verb"]: verb for verb in document["verbs"]}
    assert verbs["run, selftest"]["ready"] is True
    assert verbs["export"]["missing"] == ["timm"]
    assert main(["doctor"]) == 0
    assert 'needs timm: pip install "edge-ovss[export]"' in capsys.readouterr().out
