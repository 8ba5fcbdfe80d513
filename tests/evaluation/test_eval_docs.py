"""docs/evaluation.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_ovss.bundle.tolerances import LIMITS
from edge_ovss.datasets.layouts import LAYOUTS
from edge_ovss.metrics.reported import BENCHMARK, EVALUATION, PARITY, PROTOCOLS, VIDEO

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def row(first: str) -> str:
    found = re.findall(rf"^\| {re.escape(first)} \|.*$", TEXT, re.MULTILINE)
    assert len(found) == 1, first
    return str(found[0])


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_described(name: str) -> None:
    assert row(f"`{name}`")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_described(name: str) -> None:
    assert row(f"mIoU, `{name}`")


@pytest.mark.parametrize("name", LIMITS)
def test_the_tolerances_are_those_of_the_code(name: str) -> None:
    limit = LIMITS[name].torch
    cells = [cell.strip() for cell in row(name).strip("|").split("|")]
    assert float(cells[1]) == limit.label_agreement
    assert float(cells[2]) == limit.score_error
    assert cells[3] == ("yes" if limit.same_survivors else "no")


@pytest.mark.parametrize(
    ("verb", "numbers"),
    [("eval", EVALUATION), ("parity", PARITY), ("bench", BENCHMARK)],
)
def test_the_numbers_of_gates_are_those_of_the_code(verb: str, numbers: tuple[str, ...]) -> None:
    assert tuple(re.findall(r"`(\w+)`", row(f"`{verb}`")))[1:] == numbers


def test_the_numbers_of_gates_on_videos_are_those_of_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "video.md"
    part = page.read_text(encoding="utf-8").split("`--gate` takes ")[1].split("\n\n")[0]
    assert tuple(re.findall(r"`(\w+)`", part)) == VIDEO
