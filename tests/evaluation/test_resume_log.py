"""Numbers of an earlier run are used for the very same pictures, labels and options only."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.cli import main
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError, OutputError
from edge_ovss.evaluation.checked_lines import checked_line
from edge_ovss.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from edge_ovss.evaluation.resume_log import Journal, JournalEntry
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.trt.engine_store import engine_hashes

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]


def write(path: Path, numbers: list[int], *, picture: bool = False) -> None:
    """A picture that the bundles of conftest.py label so, or a label map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.array([numbers], np.uint8)
    if picture:
        array = np.stack([0 * array, array, 0 * array], axis=-1)
    assert cv2.imwrite(str(path), array)


def make_data(root: Path, *, first: list[int]) -> Path:
    """Two pictures; of four categories, `first` is what is true of the first."""
    for name, answer, truth in (("a", [0, 1, 2, 3], first), ("b", [0, 0, 1, 1], [0, 0, 1, 1])):
        write(root / f"images/{name}.png", answer, picture=True)
        write(root / f"labels/{name}.png", truth)
    return root


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Path:
    return make_bundle(outputs=4, extras=["scores"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data", first=[0, 1, 2, 3])


def score(bundle: Path, data: Path | Dataset, out: Path, **options: Any) -> Evaluation:  # noqa: ANN401
    dataset = open_dataset(str(data), layout="folder") if isinstance(data, Path) else data
    with Segmenter.open(bundle, threads=options.pop("threads", 1)) as segmenter:
        return evaluate(segmenter, dataset, out, EvaluationOptions(**options))


def test_the_very_same_is_not_measured_again(bundle: Path, data: Path, tmp_path: Path) -> None:
    first = score(bundle, data, tmp_path / "out")
    again = score(bundle, data, tmp_path / "out")
    assert (first.reused, again.reused, again.restarted) == (0, 2, "")
    assert again.entries[0].timings_ms == pytest.approx(first.entries[0].timings_ms, abs=1e-3)
    assert np.array_equal(first.confusion, again.confusion)
    assert again.coverage == first.coverage
    assert again.to_json()["pictures_of_earlier_run"] == 2
    assert score(bundle, data, tmp_path / "out", fresh=True).reused == 0


def test_other_data_of_the_same_names_have_numbers_of_their_own(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    other = make_data(tmp_path / "other", first=[3, 2, 1, 0])
    assert score(bundle, data, tmp_path / "out").scores.pixel_accuracy == 1.0
    second = score(bundle, other, tmp_path / "out")
    assert second.scores.pixel_accuracy == 0.5
    assert second.reused == 1  # the second picture is the same in both
    assert score(bundle, data, tmp_path / "out").reused == 2  # and the first is not forgotten


@pytest.mark.parametrize("what", ["labels", "images"])
def test_a_file_that_changed_is_measured_again(
    bundle: Path, data: Path, tmp_path: Path, what: str
) -> None:
    score(bundle, data, tmp_path / "out")
    path = data / what / "a.png"
    before = path.stat()
    write(path, [3, 2, 1, 0], picture=what == "images")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its time tells nothing
    changed = score(bundle, data, tmp_path / "out")
    assert changed.reused == 1
    assert changed.scores.pixel_accuracy == 0.5
    assert changed.to_json() | {
        "environment": 0,
        "latency_ms": 0,
        "pictures_of_earlier_run": 0,
    } == (
        score(bundle, data, tmp_path / "new").to_json()
        | {"environment": 0, "latency_ms": 0, "pictures_of_earlier_run": 0}
    )


def test_a_picture_of_another_name_is_known_by_its_bytes(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    score(bundle, data, tmp_path / "out")
    for folder in ("images", "labels"):
        (data / folder / "a.png").rename(data / folder / "z.png")
    moved = score(bundle, data, tmp_path / "out")
    assert moved.reused == 2
    assert [entry.name for entry in moved.entries] == ["b", "z"]


def changed_options(data: Path, what: str) -> dict[str, Any]:
    """Options of `score` in which one thing is another."""
    if what == "mapping":
        (data / "classes.txt").write_text("thing1\nthing0\nthing2\nthing3\n")
    changes: dict[str, Any] = {"ignore": {"ignore": (3,)}, "labels-start": {"labels_start": 1}}
    dataset = open_dataset(str(data), layout="folder", **changes.get(what, {}))
    options: dict[str, Any] = {"data": dataset}
    if what == "threads":
        options["threads"] = 2
    if what == "preprocessing":
        options["preprocessing"] = "published"
    return options


@pytest.mark.parametrize("what", ["mapping", "ignore", "labels-start", "threads", "preprocessing"])
def test_what_decides_a_result_is_in_the_key(
    bundle: Path, data: Path, tmp_path: Path, what: str
) -> None:
    if what == "mapping":
        (data / "classes.txt").write_text("thing0\nthing1\nthing2\nthing3\n")
    score(bundle, data, tmp_path / "out")
    options = changed_options(data, what)
    changed = score(bundle, out=tmp_path / "out", **options)
    assert changed.reused == 0
    assert what in changed.restarted
    fresh = score(bundle, out=tmp_path / "new", **options)
    assert np.array_equal(changed.confusion, fresh.confusion)
    assert fresh.restarted == ""


def test_another_machine_or_installation_is_another_run(
    bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(bundle, data, tmp_path / "out")
    module = sys.modules[evaluate.__module__]
    monkeypatch.setattr(module, "package_versions", lambda: {"onnxruntime": "9"})
    assert "packages" in score(bundle, data, tmp_path / "out").restarted
    monkeypatch.setattr(module, "engine_hashes", lambda *_: {"tensorrt-0": "1"})
    assert "engines" in score(bundle, data, tmp_path / "out").restarted
    monkeypatch.setattr(module, "machine_facts", lambda: {"usable_cores": 512})
    assert "machine" in score(bundle, data, tmp_path / "out").restarted


def test_engines_belong_to_the_key_of_backends_that_use_them(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    record = bundle / "engines" / "tensorrt-0123456789abcdef" / "build.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    before = engine_hashes(opened, "tensorrt")
    assert list(before) == ["tensorrt-0123456789abcdef"]
    record.write_text("{ }")
    assert engine_hashes(opened, "tensorrt") != before
    assert engine_hashes(opened, "native")
    assert engine_hashes(opened, "onnxruntime-cuda") == engine_hashes(opened, "openvino") == {}


def command(bundle: Path, data: Path, *options: str) -> list[str]:
    return ["eval", str(bundle), str(data), "--layout", "folder", *options]


def test_how_many_are_of_an_earlier_run_is_said(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(bundle, data)) == 0
    assert "earlier run" not in capsys.readouterr().out
    write(data / "labels/a.png", [0, 1, 2, 2])
    assert main(command(bundle, data)) == 0
    assert "earlier run     1 of 2 images are from an earlier run" in capsys.readouterr().out
    assert main(command(bundle, data, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["pictures_of_earlier_run"] == 2
    assert main(command(bundle, data, "--ignore", "2,255")) == 0
    assert "not used: it differs in ignore" in capsys.readouterr().out


@pytest.mark.parametrize(("gate", "reused"), [("p99_ms<=1e9", 0), ("miou>=0", 2)])
def test_times_that_are_gated_are_of_this_run(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str], gate: str, reused: int
) -> None:
    assert main(command(bundle, data)) == 0
    capsys.readouterr()
    assert main(command(bundle, data, "--json", "--gate", gate)) == 0
    assert json.loads(capsys.readouterr().out)["pictures_of_earlier_run"] == reused


def test_folders_of_one_name_have_results_of_their_own(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    other = make_data(tmp_path / "elsewhere" / "data", first=[3, 2, 1, 0])
    assert main(command(bundle, data)) == 0
    assert main(command(bundle, other)) == 0
    assert main(command(bundle, Path(f"{data}/../data"))) == 0
    folders = sorted((bundle / "reports").glob("eval-folder-data-*"))
    assert len(folders) == 2


# The file itself.

KEY: dict[str, object] = {"graph": "g", "threads": 1}
LINES = [
    JournalEntry(n, np.array([[i, 0], [0, 5]]), {"total": 1.5}, (1,), False, n * 4, {0: i, 1: 5})
    for i, n in enumerate("abc")
]


def kept(path: Path, key: dict[str, object] | None = None) -> Journal:
    return Journal(path, key=key or KEY, classes=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "pictures.jsonl"
    with kept(file) as journal:
        for entry in LINES:
            journal.add(entry)
    return file


def same(first: JournalEntry, second: JournalEntry) -> bool:
    return np.array_equal(first.confusion, second.confusion) and replace(
        first, confusion=second.confusion
    ) == replace(second, counts=tuple(second.counts))


def test_what_was_written_is_read_back(path: Path) -> None:
    journal = kept(path)
    assert all(same(journal.entries[entry.sha256], entry) for entry in LINES)
    assert (len(journal.entries), journal.damaged, journal.differs) == (3, 0, ())


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda text: text[:-30], 2),  # the process died
        (lambda text: text[:-1], 3),  # before the end of the line
        (lambda text: text.replace(b"[1, 1, 5]", b"[1, 1, 6]", 1), 2),
        (lambda text: text.replace(b'"name": "b"', b'"name": "c"'), 2),
        (lambda text: text.replace(b'"b"', b"\xff\0b"), 2),
        (lambda text: text[:200] + b"\0" * 5000 + text[200:], 2),
        (lambda text: b"\0" * 40 + text[40:], 0),
        (lambda text: text[:10], 0),
        (lambda text: text.partition(b"\n")[2], 0),  # lines without the key are nobody's
        (lambda _: b"", 0),
    ],
)
def test_damaged_lines_are_dropped_and_the_rest_is_used(
    path: Path, change: Callable[[bytes], bytes], left: int
) -> None:
    path.write_bytes(change(path.read_bytes()))
    with kept(path) as journal:
        assert len(journal.entries) == left
        for entry in LINES:
            journal.add(entry)
    healed = kept(path)
    assert len(healed.entries) == 3
    assert healed.damaged == 0


def test_a_line_of_the_wrong_form_is_dropped(path: Path) -> None:
    good = path.read_bytes()
    wrong: tuple[dict[str, object], ...] = (
        {"counts": 3},
        {"confusion": [[9, 9, 1]]},
        {"numbers": [1]},
        {"timings_ms": None, "sha256": ["x"]},
    )
    for bad in wrong:
        path.write_bytes(good + checked_line(LINES[0].to_json() | bad))
        journal = kept(path)
        assert (len(journal.entries), journal.damaged) == (3, 1)


@pytest.mark.parametrize("content", [b"my notes\n", b'{"name": "a"}\n', b"\xff\xfe", b"[1]"])
def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pictures.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"not a journal of edge-ovss eval.*overwritten"):
        kept(tmp_path / "pictures.jsonl")
    assert (tmp_path / "pictures.jsonl").read_bytes() == content


def test_a_folder_in_the_way_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        kept(tmp_path)
    with pytest.raises(OutputError), Journal(tmp_path, key=KEY, classes=2, fresh=True):
        pass


def test_the_key_decides_whole(path: Path) -> None:
    keys: list[dict[str, object]] = [{**KEY, "threads": 2}, {**KEY, "new": 1}, {"graph": "g"}]
    for key in keys:
        assert kept(path, key).entries == {}
        assert kept(path, key).differs
    with pytest.raises(InputError, match="belongs to another run: it differs in graph"):
        kept(path, {**KEY, "graph": "h"})


def test_two_processes_may_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "pictures.jsonl"
    with kept(path) as first:
        first.add(LINES[0])
        with kept(path) as second:
            assert len(second.entries) == 1
            second.add(LINES[1])
            first.add(LINES[2])
            second.add(LINES[2])
    both = kept(path)
    assert (len(both.entries), both.damaged) == (3, 0)


def test_a_run_of_other_data_does_not_empty_the_file_under_another(path: Path) -> None:
    with kept(path) as first:
        with kept(path, {**KEY, "threads": 2}) as second:
            second.add(LINES[0])
        first.add(LINES[1])
    left = kept(path, {**KEY, "threads": 2})
    assert (len(left.entries), left.damaged) == (1, 0)


def test_a_full_disk_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with kept(path) as journal, Path("/dev/full").open("ab", buffering=0) as full:
        monkeypatch.setattr(journal, "_stream", full)
        with pytest.raises(OutputError, match="the disk is full"):
            journal.add(LINES[0])


def test_a_copied_folder_of_results_goes_on(bundle: Path, data: Path, tmp_path: Path) -> None:
    score(bundle, data, tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert score(bundle, data, tmp_path / "copy").reused == 2
