"""Doctor says how much memory is free, and which engines can be built in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ovss.cli import main
from edge_ovss.doctor.memory import BUILD_MIB, survey_memory

SMALLEST, LARGEST = min(BUILD_MIB.values()), max(BUILD_MIB.values())


def machine(root: Path, available_mib: int, swap_mib: int) -> Path:
    (root / "proc").mkdir()
    lines = {
        "MemAvailable": available_mib << 10,
        "SwapTotal": 2 * swap_mib << 10,
        "SwapFree": swap_mib << 10,
    }
    text = "".join(f"{name}: {number} kB\n" for name, number in lines.items())
    (root / "proc/meminfo").write_text(text, encoding="ascii")
    return root


def test_a_machine_with_room_builds_everything(tmp_path: Path) -> None:
    facts = survey_memory(machine(tmp_path, LARGEST, 0))
    assert (facts.free_mib, facts.swap_total_mib, facts.swap_free_mib) == (LARGEST, 0, 0)
    assert set(facts.to_json()["build_fits"].values()) == {True}  # type: ignore[attr-defined]
    assert "does not" not in facts.advice()


def test_swap_counts_as_room(tmp_path: Path) -> None:
    facts = survey_memory(machine(tmp_path, LARGEST - 100, 100))
    assert (facts.swap_total_mib, facts.swap_free_mib) == (200, 100)
    assert facts.fits("350 MB")


def test_a_small_board_is_told_what_to_do(tmp_path: Path) -> None:
    facts = survey_memory(machine(tmp_path, SMALLEST, 0))
    assert facts.fits("10 MB")
    assert not facts.fits("350 MB")
    assert "a bundle of 350 MB does not fit" in facts.advice()
    assert f"about {LARGEST} MiB" in facts.advice()
    assert "add swap" in facts.advice()


def test_a_machine_that_does_not_say_is_no_failure(tmp_path: Path) -> None:
    facts = survey_memory(tmp_path)
    assert facts.free_mib is None
    assert facts.fits("10 MB") is None
    assert "unknown" in facts.advice()


def test_doctor_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "memory for a build" in printed
    assert "free with swap" in printed
