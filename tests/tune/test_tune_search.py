"""The search on a device that is made up: what it finds, how often it measures, how it resumes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pretended_runner import PretendedRunner

from edge_ovss.tune.budget import parse_budget
from edge_ovss.tune.candidate import Candidate
from edge_ovss.tune.journal import RunJournal
from edge_ovss.tune.measuring.process import CandidateError
from edge_ovss.tune.outcome import Outcome, text_of
from edge_ovss.tune.ranking import recommend
from edge_ovss.tune.rows import Row, Rung
from edge_ovss.tune.search import Clock, Search, rungs_for
from edge_ovss.tune.space import Space, combinations
from edge_ovss.tune.subject import LabeledData, Subject

SPACE = Space(
    {
        "size": ["384x512", "320x416", "288x384", "224x288"],
        "precision": ["fp16", "int8"],
        "backend": ["openvino", "openvino-bf16"],
        "threads": ["1"],
    }
)
EFFECTS: dict[str, tuple[float, float] | str] = {
    "size 384x512": (0.85, 0.1),
    "size 320x416": (0.6, 0.5),
    "size 288x384": (0.5, 1.6),
    "size 224x288": (0.3, 6.0),
    "precision fp16": (1.8, 0.0),
    "precision int8": (0.9, 0.3),
    "backend openvino": (0.75, 0.0),
    "backend openvino-bf16": (0.45, 0.1),
    "threads 1": (1.7, 0.0),
}
SUBJECT = Subject(model="sed-tiny", vocab="camvid", data=LabeledData("labeled/"))


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


def search(
    folder: Path,
    runner: PretendedRunner,
    *,
    budget: str | None = "miou_drop<=1.0",
    images: int = 101,
    clock: Clock | None = None,
    space: Space = SPACE,
) -> Outcome:
    lines: list[str] = []
    gates = parse_budget(budget)
    with RunJournal(folder / "journal.jsonl", {}) as journal:
        found = Search(runner, journal, rungs_for(images), gates, clock or Clock(), lines.append)
        found.default()
        found.run(space)
    rest: dict[str, Any] = {"gates": gates, "unchecked": (), "subject": SUBJECT}
    return Outcome.of(found.rows, found.last, complete=found.complete, **rest)


def recommended(outcome: Outcome) -> dict[str, str]:
    assert outcome.recommended is not None
    return dict(outcome.recommended.candidate.settings)


def test_the_fastest_combination_within_the_budget_is_found(tmp_path: Path) -> None:
    runner = PretendedRunner(EFFECTS)
    found = search(tmp_path, runner)
    best = found.recommended
    assert best is not None
    # INT8 on top of it would take 0.9 x, and is worth it: more than a tie.
    assert recommended(found) == {
        "size": "320x416",
        "precision": "int8",
        "backend": "openvino-bf16",
    }
    assert best.ratio == pytest.approx(0.6 * 0.45 * 0.9)
    assert found.numbers(best)["speedup_p50"] == pytest.approx(1 / 0.243)
    assert found.numbers(best)["p50_ms"] == pytest.approx(0.243 * found.base_ms)
    assert best.rung == found.last + 1  # of the play-off


def test_few_candidates_reach_all_images(tmp_path: Path) -> None:
    runner = PretendedRunner(EFFECTS)
    search(tmp_path, runner)
    by_rung = [sum(rung == number for _, rung in runner.measured) for number in range(3)]
    assert by_rung[0] > 20
    assert by_rung[1] <= 10
    assert by_rung[2] <= 12
    assert len(set(runner.measured)) == len(runner.measured)  # nothing is measured twice


@pytest.mark.parametrize("seed", range(12))
def test_runs_with_noise_recommend_the_same(tmp_path: Path, seed: int) -> None:
    runner = PretendedRunner(EFFECTS | {"precision int8": (0.98, 0.3)}, noise=0.04, seed=seed)
    assert recommended(search(tmp_path, runner)) == {
        "size": "320x416",
        "backend": "openvino-bf16",
    }


def test_a_candidate_that_fails_is_a_row(tmp_path: Path) -> None:
    effects = {**EFFECTS, "backend openvino-bf16": "Memory ran out.", "size 320x416": "refused"}
    found = search(tmp_path, PretendedRunner(effects))
    failed = {row.candidate.title: row.error for row in found.rows if row.error}
    assert failed["openvino-bf16"] == "Memory ran out."
    assert "failed: refused" in text_of(found)
    assert recommended(found)["backend"] == "openvino"


@pytest.mark.parametrize("after", [0, 1, 2, 7, 15, 25, 33, 38])
def test_a_run_that_is_stopped_goes_on(tmp_path: Path, after: int) -> None:
    whole = PretendedRunner(EFFECTS)
    (tmp_path / "whole").mkdir()
    expected = search(tmp_path / "whole", whole)
    first = PretendedRunner(EFFECTS, ends_after=after)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, first)
    second = PretendedRunner(EFFECTS)
    found = search(tmp_path, second)
    assert [*first.measured, *second.measured] == whole.measured
    assert recommended(found) == recommended(expected)


def test_the_time_limit_counts_all_runs_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    now = [0.0]

    class Slow(PretendedRunner):
        def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
            now[0] += 10.0
            return super().measure(candidate, rung)

    first = search(tmp_path, Slow(EFFECTS), clock=Clock(55.0, now=lambda: now[0]))
    assert not first.complete
    with RunJournal(tmp_path / "journal.jsonl", {}) as journal:
        assert sum(row["seconds"] for row in journal.rows) == 60.0
    late = PretendedRunner(EFFECTS)
    again = search(tmp_path, late, clock=Clock(55.0, spent_s=60.0, now=lambda: now[0]))
    assert late.measured == []
    assert not again.complete
    assert search(tmp_path, late, clock=Clock(None, spent_s=60.0)).complete


def test_where_time_is_short_something_was_still_measured_on_all_images(tmp_path: Path) -> None:
    now = [0.0]

    class Slow(PretendedRunner):
        def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
            now[0] += 10.0
            return super().measure(candidate, rung)

    runner = Slow(EFFECTS)
    found = search(tmp_path, runner, clock=Clock(200.0, now=lambda: now[0]))
    assert not found.complete
    assert found.recommended is not None
    assert found.recommended.rung >= found.last
    assert found.recommended.ratio < 0.5
    by_rung = [sum(rung == number for _, rung in runner.measured) for number in range(3)]
    assert min(by_rung) >= 3
    assert sum(by_rung) == 20  # the time is used to its end
    later = Slow(EFFECTS)
    search(tmp_path, later, clock=Clock(300.0, spent_s=200.0, now=lambda: now[0] - 200.0))
    assert len(later.measured) == 10
    assert {rung for _, rung in later.measured} == {0, 1, 2}


def test_another_order_of_the_same_settings_still_reads_the_journal(tmp_path: Path) -> None:
    search(tmp_path, PretendedRunner(EFFECTS))
    levels = {axis: SPACE.levels[axis] for axis in reversed(list(SPACE.levels))}
    new = Space({"answer": ["other"], **levels})
    late = PretendedRunner(EFFECTS)
    found = search(tmp_path, late, space=new, clock=Clock(1.0, spent_s=2.0))
    assert (late.measured, found.complete) == ([], False)
    assert recommended(found)["backend"] == "openvino-bf16"


def test_a_default_export_that_failed_is_tried_again_whatever_the_time(tmp_path: Path) -> None:
    class Failing(PretendedRunner):
        def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
            return {"error": "Memory ran out."}

    said: list[str] = []

    def start(runner: PretendedRunner, clock: Clock) -> Row:
        with RunJournal(tmp_path / "journal.jsonl", {}) as journal:
            return Search(runner, journal, rungs_for(101), (), clock, said.append).default()

    assert start(Failing(EFFECTS), Clock()).error == "Memory ran out."
    second = PretendedRunner(EFFECTS)
    assert start(second, Clock(1.0, spent_s=2.0)).error is None
    assert start(second, Clock(1.0, spent_s=2.0)).error is None
    assert second.measured == [("default export", 2)]


def test_of_equal_times_the_one_that_departs_least_is_recommended() -> None:
    def row(lost: float, ms: float, **settings: str) -> Row:
        change = {"points": -lost, "low": -lost, "high": -lost}
        times = {"cycle": 1, "ms": [ms], "base_ms": [100.0]}
        return Row(Candidate(settings), 2, {**times, "miou_change": change})

    rows = [
        row(0.0, 50.0, size="320x416", threads="1"),
        row(0.5, 51.0, size="320x416"),
        row(0.2, 52.4, backend="openvino"),
        row(0.0, 52.6, threads="1"),  # beyond a tie
    ]
    best = recommend(rows, [each.numbers(100.0) for each in rows], parse_budget("miou_drop<=1"))
    assert best is rows[2]


def test_where_nothing_meets_the_budget_the_front_shows_it(tmp_path: Path) -> None:
    found = search(tmp_path, PretendedRunner(EFFECTS), budget="speedup_p50>=30,miou_drop<=1")
    assert found.recommended is None
    closest = found.closest()
    assert closest is not None
    assert sum(not verdict.passed for verdict in closest[1]) == 1
    assert "nothing meets the budget" in text_of(found)
    assert found.to_json()["recommended"] is None


def test_a_machine_that_is_busy_is_said(tmp_path: Path) -> None:
    class Busy(PretendedRunner):
        def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
            found = super().measure(candidate, rung)
            return found if candidate.settings else {**found, "ms": [1.2 * t for t in found["ms"]]}

    for runner, noisy in ((Busy(EFFECTS), True), (PretendedRunner(EFFECTS), False)):
        (folder := tmp_path / str(noisy)).mkdir()
        found = search(folder, runner)
        assert (found.is_noisy, "the machine was busy" in text_of(found)) == (noisy, noisy)
        assert found.to_json()["noisy"] is noisy


def test_limits_on_memory_and_time_count(tmp_path: Path) -> None:
    effects = {**EFFECTS, "max-miou-drop 0.2": (1.1, -0.1)}
    found = search(tmp_path, PretendedRunner(effects), budget="peak_mib<=100,miou_drop<=0.2")
    assert recommended(found)["backend"] == "openvino-bf16"
    found = search(tmp_path, PretendedRunner(EFFECTS), budget="p50_ms<=1000,peak_mib>=190")
    assert found.recommended is not None
    assert found.numbers(found.recommended)["peak_mib"] >= 190  # type: ignore[operator]


def test_int8_that_loses_too_much_is_tried_with_blocks_in_float(tmp_path: Path) -> None:
    effects = {**EFFECTS, "precision int8": (0.5, 4.0), "max-miou-drop 1": (1.2, -3.5)}
    runner = PretendedRunner(effects)
    found = search(tmp_path, runner)
    assert recommended(found) == {
        "size": "384x512",
        "precision": "int8",
        "max-miou-drop": "1",
        "backend": "openvino-bf16",
    }


def test_without_labels_the_fastest_exact_setting_is_recommended(tmp_path: Path) -> None:
    exact = Space({axis: SPACE.levels[axis] for axis in ("backend", "threads")})
    found = search(tmp_path, PretendedRunner(EFFECTS), budget=None, images=0, space=exact)
    assert recommended(found) == {"backend": "openvino-bf16"}
    assert all(row.drop is None for row in found.rows)
    assert found.front[0] is found.recommended


def test_a_stream_is_compared_by_whole_cycles(tmp_path: Path) -> None:
    effects: dict[str, tuple[float, float] | str] = {"keyframe 2": (0.5, 0.2)}
    found = search(tmp_path, PretendedRunner(effects), space=Space({"keyframe": ["2"]}))
    assert recommended(found) == {"keyframe": "2"}
    assert found.recommended is not None
    assert found.recommended.ratio == pytest.approx(0.5)


def test_the_keys_of_candidates_are_the_same_in_every_run() -> None:
    one = Candidate({"threads": "1", "size": "320x416"})
    other = Candidate({"size": "320x416", "threads": "1"})
    assert one == other
    assert one.key == other.key
    assert one.made_key(None) == Candidate({"size": "320x416"}).made_key(None)
    assert one.key == "19e3bca5fce9"


def test_a_setting_that_gains_less_than_a_tie_is_not_combined(tmp_path: Path) -> None:
    runner = PretendedRunner(EFFECTS | {"precision int8": (0.94, 0.3)})
    found = search(tmp_path, runner)
    combined = [row.candidate.settings for row in found.rows if len(row.candidate.settings) > 1]
    assert combined
    assert not [settings for settings in combined if "precision" in settings]


def test_the_time_of_a_candidate_is_the_median_of_its_measurements() -> None:
    def row(rung: int, ms: float) -> Row:
        found = {"ms": [ms, ms, 3 * ms], "base_ms": [100.0] * 3, "cycle": 1, "miou_change": None}
        return Row(Candidate({"size": "320x416"}), rung, found)

    rows = {(one.candidate, one.rung): one for one in (row(0, 50.0), row(1, 60.0), row(2, 90.0))}
    rest: dict[str, Any] = {"gates": (), "unchecked": (), "subject": SUBJECT, "complete": True}
    (found,) = Outcome.of(rows, 2, **rest).rows
    assert found.rung == 2
    assert found.ratio == pytest.approx(0.6)
    numbers = found.numbers(200.0)
    assert numbers["p50_ms"] == pytest.approx(120.0)
    assert numbers["p99_ms"] == pytest.approx(3 * 120.0)
    assert "earlier" not in found.to_json()


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        # 0.45 x is enough, and loses less than any smaller size.
        ("speedup_p50>=2", {"backend": "openvino-bf16"}),
        # 0.38 x is needed: the largest size with which it comes to that.
        ("speedup_p50>=2.5", {"backend": "openvino-bf16", "size": "384x512"}),
        ("speedup_p50>=4.2", {"backend": "openvino-bf16", "size": "288x384"}),
        # With a limit on accuracy the fastest is wanted.
        ("speedup_p50>=2,miou_drop<=0.7", {"backend": "openvino-bf16", "size": "320x416"}),
    ],
)
def test_without_a_limit_on_accuracy_the_most_accurate_is_recommended(
    tmp_path: Path, budget: str, expected: dict[str, str]
) -> None:
    effects = {"precision int8": (0.98, 0.3), "size 384x512": (0.85, 0.2)}
    runner = PretendedRunner(EFFECTS | effects)
    assert recommended(search(tmp_path, runner, budget=budget)) == expected


class Dull(PretendedRunner):
    """Settings that gain alone, but nothing together with others."""

    def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        found = super().measure(candidate, rung)
        extra = [axis for axis in ("answer", "reject") if axis in candidate.settings]
        if len(candidate.settings) == 1 or "ms" not in found:
            return found
        return {**found, "ms": [time / 0.9 ** len(extra) for time in found["ms"]]}


@pytest.mark.parametrize("seed", range(6))
def test_a_setting_that_gains_nothing_beside_the_others_is_not_recommended(
    tmp_path: Path, seed: int
) -> None:
    # More combinations with both of them than are tried: the one without is not among these.
    sizes = {"384x512": 0.85, "320x416": 0.84, "288x384": 0.83, "224x288": 0.82}
    effects: dict[str, tuple[float, float] | str] = {
        **{f"size {size}": (ratio, 0.0) for size, ratio in sizes.items()},
        "backend openvino": (0.46, 0.0),
        "backend openvino-bf16": (0.45, 0.0),
        "reject none": (0.9, 0.0),
        "answer other": (0.9, 0.0),
    }
    levels = {
        "size": list(sizes),
        "backend": ["openvino", "openvino-bf16"],
        "reject": ["none"],
        "answer": ["other"],
    }
    found = search(tmp_path, Dull(effects, noise=0.02, seed=seed), space=Space(levels))
    assert set(recommended(found)) == {"size", "backend"}


MOODY: dict[str, tuple[float, float] | str] = {
    **EFFECTS,
    "precision int8": (0.88, 0.3),
    "reject none": (0.88, 0.0),
}
MOODY_SPACE = Space({**SPACE.levels, "reject": ["none"]})


class Moody(PretendedRunner):
    """A device whose speed changes between measurements, and not for all settings alike.

    INT8 and no rejection gain 2 % beside other settings: less than a tie.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(MOODY, noise=0.02, seed=seed)

    def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        found = super().measure(candidate, rung)
        chosen = candidate.settings
        if not chosen or "ms" not in found:
            return found
        gains = sum((chosen.get("precision") == "int8", "reject" in chosen))
        dull = (0.98 / 0.88) ** gains if len(chosen) > 1 else 1.0
        mood = 1.0 if rung.number > 2 else 1 + 0.24 * self.random.random()
        return {**found, "ms": [time * dull * mood for time in found["ms"]]}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_close_is_decided_in_the_same_minute(tmp_path: Path, seed: int) -> None:
    runner = Moody(seed)
    found = search(tmp_path, runner, space=MOODY_SPACE)
    assert recommended(found) == {"size": "320x416", "backend": "openvino-bf16"}
    best = found.recommended
    assert best is not None
    assert best.ratio == pytest.approx(0.27, rel=0.02)  # by the play-off alone
    again = Moody(seed + 100)
    assert recommended(search(tmp_path, again, space=MOODY_SPACE)) == recommended(found)
    assert again.measured == []  # a play-off that was had is not had again


def test_a_play_off_that_fails_leaves_the_times_of_before(tmp_path: Path) -> None:
    class Failing(PretendedRunner):
        def race(self, candidates: Sequence[Candidate], cycles: int) -> list[dict[str, Any]]:
            raise CandidateError("Memory ran out.")  # noqa: EM101 (as `Worker` says it)

    runner = Failing(EFFECTS)
    found = search(tmp_path, runner)
    assert recommended(found)["backend"] == "openvino-bf16"
    assert found.recommended is not None
    assert found.recommended.rung >= found.last


def test_a_play_off_keeps_to_half_of_the_free_memory(tmp_path: Path) -> None:
    class Small(Moody):
        def __init__(self, free: float) -> None:
            super().__init__(0)
            self.free = free
            self.races: list[int] = []

        def free_mib(self) -> float | None:
            return self.free

        def race(self, candidates: Sequence[Candidate], cycles: int) -> list[dict[str, Any]]:
            self.races.append(len(candidates))
            return super().race(candidates, cycles)

    much, little, none = Small(1e9), Small(250.0), Small(10.0)
    for number, runner in enumerate((much, little, none)):
        (folder := tmp_path / str(number)).mkdir()
        assert recommended(search(folder, runner, space=MOODY_SPACE))["backend"] == "openvino-bf16"
    assert max(much.races) > max(little.races) == 2
    assert none.races == []


def test_the_lines_never_count_more_than_is_expected(tmp_path: Path) -> None:
    lines: list[str] = []
    threads = [str(count) for count in range(1, 12)]
    effects = EFFECTS | {f"threads {count}": (0.9, 0.0) for count in threads}
    with RunJournal(tmp_path / "journal.jsonl", {}) as journal:
        gates, runner = parse_budget("miou_drop<=9"), PretendedRunner(effects)
        found = Search(runner, journal, rungs_for(101), gates, Clock(), lines.append)
        found.default()
        found.run(Space({"size": SPACE.levels["size"], "threads": threads}))
    found_in = [re.search(r", (\d+) of (\d+); .* left", line) for line in lines]
    counts = [(int(count[1]), int(count[2])) for count in found_in if count is not None]
    assert len(counts) > 20
    assert [pair for pair in counts if pair[0] > pair[1]] == []


def test_a_candidate_without_one_setting_has_no_other_that_needs_it() -> None:
    int8 = {"precision": "int8", "max-miou-drop": "1"}
    on_cpu = Candidate({**int8, "backend": "openvino"})
    assert [dict(each.settings) for each in on_cpu.simpler()] == [
        {"backend": "openvino"},
        {"precision": "int8", "backend": "openvino"},
        int8,
    ]
    on_gpu = Candidate({"size": "320x416", **int8, "backend": "tensorrt"})
    assert dict(list(on_gpu.simpler())[-1].settings) == {"size": "320x416"}


def test_combinations_that_lose_least_at_their_speed_come_first_without_a_limit() -> None:
    def row(settings: dict[str, str], ratio: float, drop: float) -> Row:
        found = {"ms": [100 * ratio], "base_ms": [100.0], "cycle": 1, "peak_mib": 1.0}
        change = {"points": -drop, "low": -drop, "high": -drop}
        return Row(Candidate(settings), 0, {**found, "bundle_mib": 1.0, "miou_change": change})

    sizes = {"288x384": (0.5, 3.0), "320x416": (0.6, 2.0), "384x512": (0.8, 0.1)}
    rows = [
        row({}, 1.0, 0.0),
        *(row({"size": size}, *effect) for size, effect in sizes.items()),
        row({"backend": "openvino"}, 0.7, 0.0),
        row({"backend": "openvino-bf16"}, 0.5, 0.0),
    ]
    found = [dict(one.settings) for one in combinations(rows, limit=None, most=3)]
    assert found == [{"size": size, "backend": "openvino-bf16"} for size in sizes]
