"""The race against peers: ratios are of one heat, and whoever cannot run is a row."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import ArtifactError, MissingDependencyError

TOP = Path(__file__).parents[2]
WORDS = "road, sidewalk, building, sky, tree, car, person, grass, fence, bus, pole, signboard"
STREET = "synthetic://street?count=2&seed=1000000&size=90x120"
RAN = (
    *("slots", "slots-openvino", "int8", "torch-fp32"),
    *("plain-onnxruntime", "plain-openvino", "closed-onnxruntime"),
)
MISSING = ("nncf", "modelopt-int8")
OPTIONS = (
    *("--model", "sed-tiny", "--size", "96", "128", "--survivors", "9", "--slots", "10,10,10"),
    *("--calibration", "synthetic://street?count=2&seed=2000000&size=90x120"),
    *("--calibration-count", "2", "--checked", "1", "--repeats", "2", "--threads", "1"),
    *("--set", STREET, "--python", "modelopt=/nowhere/python", "--step-minutes", "5"),
    *("--only", ",".join((*RAN, *MISSING))),
)

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module of benchmarks.peers."""
    monkeypatch.syspath_prepend(str(TOP))
    return lambda name: importlib.import_module(f"benchmarks.peers.{name}")


def contestant(name: str, seconds: list[float], failure: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, seconds=seconds, failure=failure, peak_mib=100.0, survivors=[3]
    )


def test_the_first_one_is_in_every_heat_and_is_not_raced_against_itself(load: Load) -> None:
    roster = load("roster")
    entries = roster.chosen("plain-openvino,plain-openvino-bf16,plain-onnxruntime,torch-fp32")
    assert entries[0].name == roster.FIRST
    groups = [[e.name for e in group] for group in roster.heats(entries, together=2)]
    assert groups == [
        ["torch-fp32"],
        ["plain-onnxruntime", "plain-openvino"],
        ["plain-openvino-bf16"],
    ]
    assert roster.heats(roster.chosen("slots"), together=2) == [[]]


def test_names_that_nobody_has_are_refused(load: Load) -> None:
    with pytest.raises(SystemExit, match="'torch-int4'; expected any of: slots, dynamic"):
        load("roster").chosen("torch-int4")


def test_every_contestant_can_be_named_and_all_its_steps_are_known(load: Load) -> None:
    roster, making = load("roster"), load("making")
    assert len({entry.name for entry in roster.ROSTER}) == len(roster.ROSTER)
    steps = making.steps_for(roster.ROSTER, making.ENGINES)
    assert set(steps) == set(making.STEPS)
    assert steps.index("slots") < steps.index("int8") < steps.index("engine-int8-gpu")
    assert making.steps_for([roster.find("torch-fp32")]) == ["setting"]


def test_ratios_are_of_one_heat(load: Load) -> None:
    report = load("report")
    slow = report.Heat({"slots": contestant("slots", [2.0, 2.2, 1.8])})
    slow.rows["nncf"] = contestant("nncf", [8.0, 8.0, 8.0])
    fast = report.Heat({"slots": contestant("slots", [1.0, 1.0, 1.0])})
    fast.rows["plain-openvino"] = contestant("plain-openvino", [3.0, 9.0, 3.0])
    roster = load("roster")
    entries = roster.chosen("nncf,plain-openvino")
    found = report.report(entries, [slow, fast], {}, {"threads": 1, "repeats": 3})
    rows = {row["name"]: row for row in found["contestants"]}
    assert rows["nncf"]["ratio"] == pytest.approx(4)
    assert rows["plain-openvino"]["ratio"] == pytest.approx(3)
    assert rows["slots"]["repeats"] == 6
    assert list(found["speedups"].values()) == [pytest.approx(3), pytest.approx(4)]


def test_one_that_did_not_run_is_a_row_with_its_message(load: Load) -> None:
    report, roster = load("report"), load("roster")
    rows = {"slots": contestant("slots", [1.0])}
    rows["nncf"] = contestant("nncf", [], "not made: no | package\nfor it")
    heat = report.Heat(rows)
    found = report.report(roster.chosen("nncf"), [heat], {}, {"threads": 1, "repeats": 3})
    line = next(line for line in report.table(found).splitlines() if "NNCF" in line)
    assert "did not run: not made: no / package for it" in line
    assert line.count("|") == report.table(found).splitlines()[2].count("|")
    assert list(found["speedups"].values()) == [None, None]


def test_an_engine_that_was_not_built_is_a_row_with_its_message(load: Load, tmp_path: Path) -> None:
    report, making = load("report"), load("making")
    facts = {"bytes": 2**21, "seconds": 3.0, "layers": {"INT8": 2}, "heavy": None, "reformats": 0}
    (tmp_path / "engine-plain.facts.json").write_text(json.dumps(facts))
    made = {"engine-plain": making.Made(3.0, None), "engine-fp16": making.Made(1.0, "no library")}
    rows = report.engine_rows(tmp_path, list(made), made)
    text = "\n".join(report._engine_table(rows))
    assert "| plain | 2.0 | 3.0 | 2 INT8 |  |" in text
    assert "| fp16 | not built: no library |" in text


def test_a_failed_step_takes_those_after_it_along_and_is_tried_again(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = load("making")
    ran: list[str] = []

    def run_step(folder: Path, step: str, *_: object) -> Any:  # noqa: ANN401
        ran.append(step)
        return making.Made(1.0, "no package" if step == "plain" else None)

    monkeypatch.setattr(making, "run_step", run_step)
    for _ in range(2):
        made = making.make_all(tmp_path, ["setting", "plain", "nncf"], minutes=1, python={})
        assert made["nncf"].failure == "'plain' was not made: no package"
    assert ran == ["setting", "plain", "plain"]


def test_without_making_the_reason_of_the_last_time_is_given(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = load("making")

    def run_step(_: Path, step: str, *__: object) -> Any:  # noqa: ANN401
        return making.Made(1.0, "no memory" if step == "plain" else None)

    monkeypatch.setattr(making, "run_step", run_step)
    making.make_all(tmp_path, ["setting", "plain"], minutes=1, python={})
    monkeypatch.setattr(making, "run_step", lambda *_: pytest.fail("a step was made"))
    steps = ["setting", "plain", "nncf", "closed"]
    made = making.make_all(tmp_path, steps, minutes=1, python={}, again=False)
    assert [made[step].failure for step in steps] == [
        None,
        "no memory",
        "'plain' was not made: no memory",
        "nobody has tried to make it yet",
    ]


def test_a_note_about_a_graph_is_in_its_row(load: Load, tmp_path: Path) -> None:
    report, roster, race = load("report"), load("roster"), load("race")
    load("programs").note_path(tmp_path, "nncf-control").write_text("stopped after 2 minutes")
    notes = race._notes(tmp_path, ["nncf", "nncf-control"])
    rows = {name: contestant(name, [1.0]) for name in ("slots", "nncf", "nncf-control")}
    entries = roster.chosen("nncf,nncf-control")
    found = report.report(entries, [report.Heat(rows)], {}, {"threads": 1, "repeats": 1}, notes)
    noted = [row["name"] for row in found["contestants"] if "stopped after" in row["title"]]
    assert noted == ["nncf-control"]


def test_labels_are_kept_until_their_graph_or_images_change(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracy, started = load("accuracy"), []

    class Context:
        def __init__(self) -> None:
            self.answer: str | None = None

        def Pipe(self, *, duplex: bool) -> Any:  # noqa: ANN401
            del duplex
            end = SimpleNamespace(recv=lambda: self.answer, close=lambda: None)
            return end, end

        def Process(self, *, args: Any, **_: object) -> Any:  # noqa: ANN401
            def start() -> None:
                started.append(args[0])
                self.answer = "it broke" if args[0] == "dynamic" else None
                (tmp_path / "answers").mkdir(exist_ok=True)

            return SimpleNamespace(start=start, join=lambda: None)

    monkeypatch.setattr(accuracy, "get_context", lambda _: Context())
    made = load("making").made_path(tmp_path, "slots")
    data = [accuracy.DataSet.parse(STREET)]

    def answer(limit: int | None) -> list[str]:
        started.clear()
        found = accuracy.answer_all(["slots", "dynamic"], tmp_path, data, threads=1, limit=limit)
        assert found == {"slots": None, "dynamic": "it broke"}
        return list(started)

    made.write_text("{}")
    assert answer(None) == ["slots", "dynamic"]
    assert answer(None) == ["dynamic"]
    assert answer(1) == ["slots", "dynamic"]
    made.unlink()
    made.write_text("{}")
    assert answer(1) == ["slots", "dynamic"]


def test_a_process_that_needs_more_memory_says_so() -> None:
    program = (
        "from benchmarks.peers.memory import limit_memory\n"
        "import numpy\n"
        "assert limit_memory(None) > 0.1\n"
        "assert limit_memory(0.5) == 0.5\n"
        "numpy.ones(2**27)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Unable to allocate 1.00 GiB" in done.stderr


def test_a_reason_is_the_first_line_that_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOP))
    reason_of = importlib.import_module("benchmarks.shared.reasons").reason_of
    text = (
        "Exception from src/inference/src/cpp/core.cpp:117:\n"
        "Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257:\n"
        "Failed to allocate 29305168128 bytes of memory\n\n"
    )
    assert reason_of(RuntimeError(text)) == "Failed to allocate 29305168128 bytes of memory"
    assert reason_of(ValueError("one\ntwo")) == "ValueError: one"
    assert reason_of(MissingDependencyError("It needs\n  more.", hint="x")) == "It needs more."
    assert reason_of(MemoryError()) == "MemoryError"


def test_a_step_that_takes_too_long_is_ended(load: Load, tmp_path: Path) -> None:
    making = load("making")
    found = making.run_step(tmp_path, "setting", 0.0001, {})
    assert found.failure == "not made within 0.0001 minutes"
    assert found.seconds < 5


def test_the_reason_of_a_step_is_the_last_line_of_its_log(load: Load, tmp_path: Path) -> None:
    reason, log = load("making")._reason, tmp_path / "log"
    log.write_text("much\nerror: It needs more.\n\n")
    assert reason(log, 1) == "It needs more."
    assert reason(log, -9) == "its process was killed (out of memory?)"
    log.write_text("")
    assert reason(log, 3) == "its process ended with status 3"


def test_a_package_that_is_missing_is_named(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    graphs = load("nncf_graphs")
    for make in (graphs.quantized, graphs.controlled):
        with pytest.raises(MissingDependencyError, match="'nncf'"):
            make(tmp_path)
    modelopt = load("modelopt_graphs")
    with pytest.raises(MissingDependencyError, match=r"'modelopt'.*No module named"):
        modelopt._require_modelopt(_python_without_packages())
    with pytest.raises(MissingDependencyError, match=r"'modelopt'.*nowhere"):
        modelopt._require_modelopt("/nowhere/python")


def _python_without_packages() -> str:
    base = Path(sys.base_prefix) / "bin" / "python3"
    return str(base)


def test_accuracy_control_checks_the_share_of_equal_labels(load: Load) -> None:
    class Compiled:
        def output(self, _: int) -> int:
            return 0

        def __call__(self, images: list[Any]) -> dict[int, Any]:
            return {0: images[0]}

    image = np.zeros((1, 2, 2, 2), np.float32)
    image[0, 1, 0] = 1  # class 1 in the upper row
    pairs = [(image, np.array([[1, 1], [0, 0]])), (image, np.array([[1, 0], [1, 0]]))]
    assert load("nncf_graphs").agreement(Compiled(), pairs) == (0.75, [1.0, 0.5])


def test_accuracy_control_is_content_once_its_time_is_up(load: Load) -> None:
    class Compiled:
        def output(self, _: int) -> int:
            return 0

        def __call__(self, images: list[Any]) -> dict[int, Any]:
            return {0: images[0]}

    pairs = [(np.zeros((1, 2, 1, 2), np.float32), np.array([[1, 0]]))]
    graphs = load("nncf_graphs")
    patient = graphs.BoundedCheck(60)
    assert patient(Compiled(), pairs) == (0.5, [0.5])
    assert patient.note is None
    late = graphs.BoundedCheck(0)
    assert late(Compiled(), iter(pairs)) == (1.0, [1.0])
    assert late.note == "stopped after 0 minutes and 0 checks"


def test_modelopt_has_the_last_word_when_it_fails(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modelopt = load("modelopt_graphs")
    monkeypatch.setattr(modelopt, "_require_modelopt", lambda _: None)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho '  File x' >&2; echo 'ValueError: no' >&2; exit 3\n")
    python.chmod(0o755)
    with pytest.raises(ArtifactError, match="ended with status 3: ValueError: no"):
        modelopt._run(tmp_path, str(python), "autocast", "modelopt-autocast", [])


def test_labels_of_logits_are_those_of_the_highest_resized_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.syspath_prepend(str(TOP))
    labels_of = importlib.import_module("benchmarks.shared.plain").labels_of
    logits = np.random.default_rng(0).standard_normal((7, 5, 6)).astype(np.float32)
    logits[3] = logits[1]  # of two equal ones the first
    scores = 1 / (1 + np.exp(-logits))
    resized = [cv2.resize(each, (16, 11), interpolation=cv2.INTER_LINEAR) for each in scores]
    expected = np.stack(resized).argmax(0)
    assert (expected == 1).any()
    assert np.array_equal(labels_of(logits, 11, 16), expected)


def test_labels_that_are_the_truth_score_1_and_agree(load: Load, tmp_path: Path) -> None:
    accuracy = load("accuracy")
    data = accuracy.DataSet.parse(STREET)
    assert data.title == "street"
    dataset, words = data.open(None), tmp_path / "street.txt"
    words.write_text("\n".join(dataset.classes))
    truth = [sample.raw_labels().astype(np.uint16) for sample in dataset.samples]
    half = [labels.copy() for labels in truth]
    for labels in half:
        labels[::2] = 0
    found = accuracy.score(data, {"right": truth, "wrong": half}, limit=None, vocabulary=str(words))
    assert found["right"] > 0.99
    assert found["wrong"] < 0.9
    assert accuracy.agreement([half], [truth]) < 1
    assert accuracy.agreement([truth], [truth]) == 1
    assert accuracy.agreement([truth], None) is None


def test_layouts_are_named_before_folders(load: Load) -> None:
    parsed = load("accuracy").DataSet.parse("camvid=/data/a=b")
    assert (parsed.layout, parsed.data, parsed.title) == ("camvid", "/data/a=b", "camvid")


def test_graphs_of_other_options_are_not_raced(load: Load, tmp_path: Path) -> None:
    wish = load("wish").Wish("sed-tiny", "voc20", "random", 9, None, (96, 128), "images", 2, 1)
    wish.keep(tmp_path)
    wish.keep(tmp_path)
    assert load("wish").Wish.of(tmp_path) == wish
    other = load("wish").Wish("sed-base", "voc20", "random", 9, None, None, "images", 2, 1)
    with pytest.raises(SystemExit, match="give another --out"):
        other.keep(tmp_path)


def test_all_contestants_are_listed_without_any_package() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.race", "--list"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in (*RAN, *MISSING):
        assert f"\n{name} " in f"\n{done.stdout}"


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The program's table, its report and its rows by name."""
    for module in ("torch", "timm", "onnx", "onnxscript", "onnxruntime", "openvino"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    out = tmp_path_factory.mktemp("peers")
    (out / "few.txt").write_text(WORDS.replace(", ", "\n"))
    command = [sys.executable, "-m", "benchmarks.peers.race", "--vocab", str(out / "few.txt")]
    command += [*OPTIONS, "--out", str(out / "race")]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((out / "race" / "results.json").read_text())
    rows = {row["name"]: row for row in report["contestants"]}
    text = (out / "race" / "results.md").read_text()
    return SimpleNamespace(text=text, said=done.stdout, report=report, rows=rows)


@pytest.mark.slow
def test_a_small_race_measures_time_and_accuracy_of_all_that_run(raced: SimpleNamespace) -> None:
    for name in RAN:
        row = raced.rows[name]
        assert "not_run" not in row, row
        assert 0 < row["min_s"] <= row["median_s"] <= row["max_s"]
        assert row["ratio"] > 0
        assert row["peak_mib"] > 50
    assert raced.rows["slots"]["ratio"] == 1
    assert raced.text.strip() in raced.said


@pytest.mark.slow
def test_exact_contestants_agree_with_torch_and_plain_ones_with_the_plain_export(
    raced: SimpleNamespace,
) -> None:
    accuracy = {name: raced.rows[name].get("accuracy") for name in RAN}
    assert accuracy["torch-fp32"]["equal"] == 1
    assert accuracy["slots"]["equal"] > 0.999
    assert accuracy["plain-openvino"]["equal_unrejected"] > 0.99
    assert accuracy["closed-onnxruntime"] is None
    for name in ("slots", "torch-fp32", "plain-openvino"):
        assert 0 <= accuracy[name]["miou"]["street"] < 1


@pytest.mark.slow
def test_packages_that_are_missing_are_rows_of_a_small_race(raced: SimpleNamespace) -> None:
    assert "'modelopt'" in raced.rows["modelopt-int8"]["not_run"]
    assert "| did not run: not made: This step needs the package 'modelopt'" in raced.text
    if find_spec("nncf") is None:
        assert "'nncf'" in raced.rows["nncf"]["not_run"]
