"""Which slots an export gets where none are asked for, and when it says that they are a guess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from edge_ovss.bundle.rejection import DEFAULT_SLOTS, Rejection
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.models.catalogue import CATALOGUE
from edge_ovss.vocabulary import Vocabulary

MEASURED = (40, 40, 40)
SIX = (6, 6, 6)


@pytest.mark.parametrize(
    ("options", "categories", "slots", "guessed"),
    [
        ({}, 150, MEASURED, False),
        # A longer list keeps more classes; for the longest nothing was measured.
        ({"weights": "embedded"}, 151, (48, 48, 48), False),
        ({"weights": "embedded"}, 171, (48, 48, 48), False),
        ({"weights": "embedded"}, 172, (60, 60, 60), False),
        ({"weights": "embedded"}, 847, (72, 68, 68), False),
        ({"weights": "embedded"}, 848, DEFAULT_SLOTS, True),
        # Fewer words than slots: nothing can overflow.
        ({}, 41, MEASURED, False),
        ({}, 40, MEASURED, False),
        ({}, 20, (20, 20, 20), False),
        ({}, 1, (1, 1, 1), False),
        # Other weights, other models.
        ({"weights": "random"}, 150, DEFAULT_SLOTS, True),
        ({"checkpoint": "own.pth"}, 150, DEFAULT_SLOTS, True),
        ({"model": "sed-base", "weights": "random"}, 150, DEFAULT_SLOTS, True),
        ({"model": "sed-large", "checkpoint": "own.pth"}, 33, (33, 33, 32), True),
        ({"model": "sed-large", "checkpoint": "own.pth"}, 32, (32, 32, 32), False),
        ({"model": "sed-base", "rejection": Rejection(topk=40)}, 150, (64, 48, 40), True),
        # Asked for, or measured now.
        ({"model": "sed-base", "rejection": Rejection(slots=(8, 8, 8))}, 150, (8, 8, 8), False),
        ({"model": "sed-base", "slots_from": "images"}, 150, DEFAULT_SLOTS, False),
        ({"model": "sed-base", "rejection": Rejection("dynamic")}, 150, None, False),
        ({"model": "sed-base", "rejection": Rejection("none")}, 150, None, False),
        ({"model": "san-base", "weights": "random"}, 150, None, False),
    ],
)
def test_default_slots(
    options: dict[str, Any], categories: int, slots: tuple[int, ...] | None, guessed: bool
) -> None:
    chosen = ExportOptions(**options)
    assert chosen.fit_rejection(categories).slots == slots
    assert chosen.guesses_slots(categories) is guessed


def test_measured_slots_belong_to_models_with_weights_in_the_package() -> None:
    for entry in CATALOGUE:
        assert set(entry.slots) <= set(entry.models)
        for rows in entry.slots.values():
            for most, slots in rows.items():
                assert Rejection(slots=slots).fit(most).slots == slots


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "said"), [(None, True), (SIX, False)])
def test_export_says_once_what_to_add(
    tmp_path: Path, slots: tuple[int, int, int] | None, said: bool
) -> None:
    names = [f"thing {number}" for number in range(7 if slots else 33)]
    rejection = Rejection(topk=2, slots=slots)
    options = ExportOptions(weights="random", size=(96, 128), rejection=rejection)
    notes: list[str] = []
    export_bundle(Vocabulary.from_names(names), tmp_path / "a.ovss", options, note=notes.append)
    lines = [note for note in notes if "--slots auto --calibration DIR" in note]
    assert len(lines) == (1 if said else 0)
    if said:
        assert lines[0].startswith("slots 33,33,32 are not measured for this model")
