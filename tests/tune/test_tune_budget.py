"""Limits of `tune`: known names, and no contradictions."""

from __future__ import annotations

import pytest

from edge_ovss.errors import UsageError
from edge_ovss.metrics.reported import TUNING
from edge_ovss.tune.budget import largest_drop, parse_budget, without_accuracy


@pytest.mark.parametrize(
    "text",
    [
        "p99_ms<=50,p99_ms>=60",
        "p50_ms<50,p50_ms>=50",
        "p50_ms==40,p50_ms==50",
        "p50_ms>=60,p99_ms<=50",
        "miou_drop>=2,miou_drop_high<=1",
        "peak_mib<=0",
        "p99_ms<=-5",
        "miou>=101",
        "overflow_share<0",
        "speedup_p50<0",
        "p50_ms>=50,p99_ms<50",
        "miou>100",
        "overflow_share>1",
        "throughput_fps>=30,mean_ms>=40",
        "mean_ms<=10,throughput_fps<=50",
        "mean_ms>=50,throughput_fps>20",
    ],
)
def test_a_budget_that_nothing_can_meet_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be met") as caught:
        parse_budget(text)
    assert text.split(",", maxsplit=1)[0] in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "p99_ms<=50,miou_drop<=1.0,peak_mib<=800",
        "p99_ms<=50,p99_ms>=50",
        "p50_ms<=40,p99_ms<=50",
        "p99_ms<=50,p50_ms>=40",
        "miou_drop<=0",
        "overflow_share<=0",
        "miou>=40,miou<=100",
        "miou_drop<=-0.5",
        "miou>=100",
        "p50_ms>=50,p50_ms<90,p99_ms<=50",
        "mean_ms<=50,throughput_fps>=20",
        "throughput_fps>=30",
    ],
)
def test_a_budget_that_can_be_met_is_taken(text: str) -> None:
    assert [str(gate) for gate in parse_budget(text)] == [
        part.replace("1.0", "1") for part in text.split(",")
    ]


def test_an_unknown_figure_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="is none of") as caught:
        parse_budget("p99_sm<=50")
    assert all(name in caught.value.message for name in TUNING)
    assert "p99_ms" in str(caught.value.hint)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "p99_ms", "licence=commercial", "p99_ms<=fast", "p99_ms<=50,,miou>=3"),
        *("p99_ms<=50ms", "miou_drop<=1%", "p99_ms=50", "p99_ms<=50;miou>=3", "p99_ms<=nan"),
        *("p99_ms<=inf", "p99_ms>=inf", "peak_mib<=1e999", "miou>-inf"),
    ],
)
def test_a_malformed_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget") as caught:
        parse_budget(text)
    assert caught.value.hint


def test_spaces_do_not_matter_and_a_limit_counts_once() -> None:
    gates = parse_budget(" p99_ms <= 50 ,miou_drop<=1,p99_ms<=50.0 , p99_ms<=60")
    assert [str(gate) for gate in gates] == ["p99_ms<=50", "miou_drop<=1", "p99_ms<=60"]


def test_limits_are_sorted_by_whether_they_need_labels() -> None:
    gates = parse_budget("p99_ms<=50,miou_drop<=1.5,miou_drop_high<=2")
    rest, needs = without_accuracy(gates)
    assert [gate.name for gate in rest] == ["p99_ms"]
    assert [gate.name for gate in needs] == ["miou_drop", "miou_drop_high"]
    assert largest_drop(gates) == 1.5
    assert largest_drop(rest) is None
