"""What `tune` tries: sizes, slots, precisions on GPUs, and the commands it recommends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.errors import UsageError
from edge_ovss.models.catalogue import entry_of
from edge_ovss.tune.candidate import Candidate
from edge_ovss.tune.choices import Asked, Machine, model_space, read_size
from edge_ovss.tune.commands import commands_of
from edge_ovss.tune.measuring import making, runner, worker
from edge_ovss.tune.measuring.process import CandidateError
from edge_ovss.tune.measuring.scoring import first_images
from edge_ovss.tune.rows import Rung
from edge_ovss.tune.space import measured_slots, smaller_sizes
from edge_ovss.tune.subject import LabeledData, Subject

SED = entry_of("sed-tiny")
CPU = Machine(("onnxruntime", "openvino"), cores=8)


class StandIn:
    """A worker in this process; what it is asked is up to the test."""

    def __enter__(self) -> Any:  # noqa: ANN401 (of a subclass)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def manifest(make_bundle: Callable[..., Path]) -> Manifest:
    """Of 64 x 96 inside the network."""
    found = Bundle.open(make_bundle()).manifest
    return replace(found, rejection=Rejection("slots", topk=8, slots=(52, 52, 52)))


@pytest.mark.parametrize(
    ("height", "width", "sizes"),
    [
        (416, 544, ("384x512", "352x448", "320x416", "288x384", "256x320", "224x288")),
        (768, 768, ("704x704", "640x640", "576x576", "512x512", "448x448", "384x384")),
        (544, 416, ("512x384", "448x352", "416x320", "384x288", "320x256", "288x224")),
        (64, 96, ("32x64",)),
        (32, 32, ()),
    ],
)
def test_sizes_are_multiples_of_32_down_to_half_and_keep_the_aspect(
    height: int, width: int, sizes: tuple[str, ...]
) -> None:
    assert smaller_sizes(height, width) == sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [("256", "256x320"), ("320x416", "320x416"), ("32", "32x32"), ("416", "416x544")],
)
def test_one_number_is_the_shorter_side(text: str, size: str) -> None:
    assert read_size(text, 416, 544) == size
    assert read_size(text, 544, 416) == (text if "x" in text else "x".join(size.split("x")[::-1]))


@pytest.mark.parametrize("text", ["100", "0", "-32", "32x", "32x33", "a", "999999999", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        read_size(text, 416, 544)


def test_slots_follow_from_the_counts_of_images(manifest: Manifest) -> None:
    assert measured_slots((30, 20, 25), (52, 52, 52), least=8) == "30,25,25"
    assert measured_slots((5, 4, 3), (52, 52, 52), least=8) == "8,8,8"
    assert measured_slots((52, 52, 52), (52, 52, 52), least=8) is None
    space = model_space(SED, manifest, (60, 50, 50), Asked(), CPU)
    assert space.levels["slots"] == ("60,60,60",)  # too few: what certainly suffices


def test_everything_is_tried_with_labels_and_images(manifest: Manifest) -> None:
    levels = model_space(SED, manifest, (30, 20, 20), Asked(), CPU).levels
    assert {axis: list(values) for axis, values in levels.items()} == {
        "size": ["32x64"],
        "reject": ["dynamic", "none"],
        "slots": ["30,20,20"],
        "template-rank": ["auto"],
        "precision": ["fp16", "int8"],
        "backend": ["openvino"],
        "threads": ["4"],
    }


def test_without_labels_only_what_keeps_them_is_tried(manifest: Manifest) -> None:
    asked = Asked({"size": ["32"]}, has_labels=False, has_images=False)
    levels = model_space(SED, manifest, None, asked, CPU).levels
    assert {axis: list(values) for axis, values in levels.items()} == {
        "reject": ["dynamic"],
        "backend": ["openvino"],
        "threads": ["4"],
        "size": ["32x64"],
    }


def test_a_gpu_is_tried_together_with_the_precisions_that_it_computes_in(
    manifest: Manifest,
) -> None:
    machine = Machine(("onnxruntime", "tensorrt", "openvino"))
    space = model_space(SED, manifest, None, Asked(), machine)
    pairs = [dict(candidate.settings) for candidate in space.singles()][-2:]
    assert pairs == [
        {"precision": "fp16", "backend": "tensorrt"},
        {"precision": "int8", "backend": "tensorrt"},
    ]
    on_gpu, plain = Candidate(pairs[1]), Candidate({"precision": "int8"})
    assert (on_gpu.target(None), plain.target(None)) == ("tensorrt", "cpu")
    assert on_gpu.made_key(None) != plain.made_key(None)
    # Where the default export runs on that GPU, so does what names no backend.
    assert plain.target("tensorrt") == "tensorrt"
    for name in ("onnxruntime-cuda", "onnxruntime-rtx", "tensorrt-rtx"):
        assert plain.target(name) == "tensorrt"
    assert plain.target("openvino-bf16") == plain.target("native") == "cpu"
    assert on_gpu.made_key(None) == plain.made_key("tensorrt")


def test_videos_are_tried_as_streams(manifest: Manifest) -> None:
    levels = model_space(SED, manifest, None, Asked(is_video=True), CPU).levels
    assert (levels["keyframe"], levels["stabilize"]) == (("2", "3"), ("150",))


def test_the_engine_of_a_candidate_is_built_for_the_frames(
    make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, built = make_bundle(), []

    def build(bundle: Bundle, backend: str, options: Any) -> None:  # noqa: ANN401 (BuildOptions)
        built.append((bundle.path, backend, str(options.frames)))

    monkeypatch.setattr("edge_ovss.engines.build.build_engine", build)
    making.build_for("openvino", place, [(24, 32)])
    making.build_for("", place, [(24, 32)])
    assert built == []
    making.build_for("tensorrt", place, [(24, 32), (24, 32)])
    making.build_for("tensorrt", place, [(24, 32), (30, 20)])
    assert built == [
        (place, "tensorrt", "24x32"),
        (place, "tensorrt", "24x20…30x32 (best 30x32)"),
    ]


@pytest.mark.parametrize(
    ("usual", "settings", "builds"),
    [
        ("tensorrt", {}, True),
        ("tensorrt", {"backend": "onnxruntime"}, False),
        ("onnxruntime", {"backend": "tensorrt"}, True),
        ("onnxruntime", {}, False),
        (None, {}, False),
    ],
)
def test_what_is_there_needs_no_process_but_for_an_engine(
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    usual: str | None,
    settings: dict[str, str],
    builds: bool,
) -> None:
    candidate = Candidate(settings)
    subject = Subject(model="sed-tiny", vocab="camvid", backend=usual)
    built, orders = [], []
    monkeypatch.setattr(
        "edge_ovss.engines.build.build_engine", lambda _, name, __: built.append(name)
    )

    class Here(StandIn):
        """It makes bundles."""

        def ask(self, what: str, **order: Any) -> dict[str, object]:  # noqa: ANN401
            orders.append(what)
            return worker.Runner().make(order)

    monkeypatch.setattr(runner, "Worker", Here)
    given = runner.ProcessRunner(subject, tmp_path, [np.zeros((24, 32, 3), np.uint8)], fps=None)
    place = make_bundle(f"bundles/{candidate.made_key(usual)}.ovss")
    assert given.make(candidate) == place
    assert orders == ["make"] * builds
    assert built == ["tensorrt"] * builds


@pytest.mark.parametrize(
    ("deaths", "ended", "opened"),
    [
        (0, [], 1),
        (1, [], 2),  # the default export ended, and is opened again
        (2, ["Its process ended."], 3),  # it does so whenever this candidate runs
    ],
)
def test_a_candidate_is_measured_again_where_the_default_export_ended(
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deaths: int,
    ended: list[str],
    opened: int,
) -> None:
    left = [deaths]
    bases: list[Any] = []

    class Fragile(StandIn):
        """A worker; the default export's ends at its first frame, as often as it shall."""

        def __init__(self) -> None:
            self.is_base, self.alive = False, True

        def close(self) -> None:
            self.alive = False

        def ask(self, what: str, **order: Any) -> dict[str, Any]:  # noqa: ANN401
            if what == "open" and not order["settings"]:
                self.is_base = True
                bases.append(self)
            if what == "run" and self.is_base and left[0]:
                left[0] -= 1
                self.alive = False
            if not self.alive:
                raise CandidateError("Its process ended.")  # noqa: EM101 (as `Worker` says it)
            answers: dict[str, dict[str, Any]] = {"run": {"ms": [1.0]}, "peak": {"peak_mib": 1.0}}
            return answers.get(what, {"backend": "x"})

    monkeypatch.setattr(runner, "Worker", Fragile)
    subject = Subject(bundles=(str(make_bundle("a.ovss")),))
    given = runner.ProcessRunner(subject, tmp_path, [np.zeros((24, 32, 3), np.uint8)], fps=None)
    found = [given.measure(Candidate({"threads": "1"}), Rung(0, 0, 4)) for _ in range(2)]
    assert [row["error"] for row in found if "error" in row] == ended
    assert found[1]["ms"] == [1.0] * 4  # the one after it is not to suffer
    assert len(bases) == opened


def test_a_candidate_that_fails_by_itself_is_not_measured_again(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, str]] = []

    class Failing(StandIn):
        """A worker; everything but the default export ends when it is opened."""

        def ask(self, what: str, **order: Any) -> dict[str, Any]:  # noqa: ANN401
            if what == "open":
                opened.append(order["settings"])
                if order["settings"]:
                    raise CandidateError("Memory ran out.")  # noqa: EM101 (as `Worker` says it)
            return {"peak_mib": 1.0}

    monkeypatch.setattr(runner, "Worker", Failing)
    subject = Subject(bundles=(str(make_bundle("a.ovss")),))
    given = runner.ProcessRunner(subject, tmp_path, [np.zeros((24, 32, 3), np.uint8)], fps=None)
    assert given.measure(Candidate({"threads": "1"}), Rung(0, 0, 4)) == {"error": "Memory ran out."}
    assert opened == [{}, {"threads": "1"}]


def _asked_workers(monkeypatch: pytest.MonkeyPatch, dies: str | None) -> list[tuple[str, int]]:
    """Let workers answer in this process; return who segmented how many frames, in order."""
    turns: list[tuple[str, int]] = []

    class Asked(StandIn):
        """A worker that knows the threads of its candidate; that of the default export is ""."""

        def __init__(self) -> None:
            self.name, self.alive = "", True

        def ask(self, what: str, **order: Any) -> dict[str, Any]:  # noqa: ANN401
            if what == "open":
                self.name = order["settings"].get("threads", "")
            if what == "run":
                turns.append((self.name, order["count"]))
                self.alive = self.name != dies
            if not self.alive:
                raise CandidateError("Its process ended.")  # noqa: EM101 (as `Worker` says it)
            return {"ms": [1.0] * order["count"]} if what == "run" else {"peak_mib": 1.0}

    monkeypatch.setattr(runner, "Worker", Asked)
    return turns


def test_in_a_play_off_all_take_turns_in_changing_order(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = _asked_workers(monkeypatch, None)
    subject = Subject(bundles=(str(make_bundle("a.ovss")),))
    given = runner.ProcessRunner(subject, tmp_path, [np.zeros((24, 32, 3), np.uint8)], fps=None)
    stream = Candidate({"threads": "2", "keyframe": "3"})
    found = given.race([Candidate({"threads": "1"}), stream], 20)
    assert [(one["cycle"], len(one["ms"]), len(one["base_ms"])) for one in found] == [
        (1, 20, 20),
        (3, 60, 20),
    ]
    assert sorted(turns[:3]) == [("", 2), ("1", 2), ("2", 6)]  # these do not count
    cycles = [tuple(turns[3 + 3 * i : 6 + 3 * i]) for i in range(20)]
    assert {tuple(sorted(cycle)) for cycle in cycles} == {(("", 1), ("1", 1), ("2", 3))}
    assert len(set(cycles)) == 6  # every order occurs


@pytest.mark.parametrize("dies", ["", "1"])
def test_after_a_play_off_that_failed_the_default_export_is_there(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    _asked_workers(monkeypatch, dies)
    subject = Subject(bundles=(str(make_bundle("a.ovss")),))
    given = runner.ProcessRunner(subject, tmp_path, [np.zeros((24, 32, 3), np.uint8)], fps=None)
    with pytest.raises(CandidateError, match="Its process ended"):
        given.race([Candidate({"threads": "1"}), Candidate({"threads": "2"})], 4)
    _asked_workers(monkeypatch, None)
    assert given.measure(Candidate({"threads": "1"}), Rung(0, 0, 4))["ms"] == [1.0] * 4


def test_few_images_are_among_more_and_frames_go_there_and_back() -> None:
    dataset = LabeledData("synthetic://street?count=9").open()

    def names(count: int) -> list[str]:
        return [sample.name for sample in first_images(dataset, count, seed=3).samples]

    for count in range(1, 9):
        assert set(names(count)) < set(names(count + 1))
        assert names(count) == sorted(names(count))
    assert names(9) == [sample.name for sample in dataset.samples]
    assert [worker.there_and_back(turn, 4) for turn in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert [worker.there_and_back(turn, 1) for turn in range(3)] == [0, 0, 0]


def test_the_commands_hold_everything_that_was_measured() -> None:
    data = LabeledData("labeled/", layout="folder", ignore=(7, 255), labels_start=0, limit=9)
    subject = Subject(
        model="sed-base",
        vocab="a b, c",
        background="sky",
        checkpoint="model.pth",
        seed=3,
        calibration="images/",
        count=40,
        data=data,
        threads=2,
    )
    chosen = {"size": "320x416", "slots": "9,8,8", "precision": "int8", "max-miou-drop": "1"}
    make, run = commands_of(Candidate({**chosen, "backend": "openvino", "keyframe": "2"}), subject)
    assert " ".join(make) == (
        "edge-ovss export --vocab a b, c --background sky --model sed-base --checkpoint model.pth "
        "--seed 3 --size 320x416 --slots 9,8,8 --calibration images/ --precision int8 --target cpu "
        "--count 40 --max-miou-drop 1 --validation labeled/ --layout folder --ignore 7,255 "
        "--labels-start 0 --limit 9 --out tuned.ovss"
    )
    assert run[3:] == ["IMAGE", "--backend", "openvino", "--threads", "2", "--keyframe", "2"]
    plain, _ = commands_of(Candidate(), subject)
    assert "--calibration" not in plain  # nothing would read it
    ranked, _ = commands_of(Candidate({"template-rank": "auto"}), subject, 24)
    assert ranked[-4:] == ["--template-rank", "24", "--out", "tuned.ovss"]
    three = commands_of(Candidate({"backend": "tensorrt"}), subject, sizes=[(480, 640)] * 2)
    assert three[1] == [
        *["edge-ovss", "build", "tuned.ovss", "--backend", "tensorrt", "--size", "480x640"]
    ]
    ranged = commands_of(Candidate({"backend": "tensorrt"}), subject, sizes=[(48, 64), (40, 80)])
    assert ranged[1][5:] == ["--min", "40x64", "--max", "48x80"]
    given = replace(subject, bundles=("a.ovss", "b.ovss"))
    assert [words[2] for words in commands_of(Candidate({"bundle": "b.ovss"}), given)] == ["b.ovss"]


def test_a_subject_travels_as_json() -> None:
    subject = Subject(("a.ovss",), data=LabeledData("d", ignore=(1, 2), fps=15.0), threads=2)
    assert Subject.from_json(json.loads(json.dumps(subject.to_json()))) == subject
    assert Subject.from_json(json.loads(json.dumps(Subject().to_json()))) == Subject()
