"""Thresholds of "unknown" when words come back: as they were, but for what was set since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from edge_ovss.bundle.unknown import (
    OFF,
    Given,
    Target,
    UnknownInfo,
    for_other_words,
    for_words_before,
)

BEFORE, AFTER = ("road", "car", "person"), ("car", "sky")


def target(names: Sequence[str], given: Given, background: int | None = None) -> Target:
    made = Target(UnknownInfo(auto=0.25), names, "", "sed-tiny", background)
    return replace(made, info=made.choose(given))


@pytest.mark.parametrize("given", [OFF, "auto", 0.3, {"road": 0.3, "car": 0.4, "person": 0.5}])
@pytest.mark.parametrize("background", [None, 1])
def test_nothing_was_set_since(given: Given, background: int | None) -> None:
    before = target(BEFORE, given, background)
    after = target(AFTER, OFF)
    now = replace(after, info=for_other_words(before, replace(after, info=before.info)))
    assert for_words_before(now, before) == before.info


@pytest.mark.parametrize(
    ("given", "since", "found"),
    [
        (OFF, 0.5, (0.5,)),
        (0.3, OFF, (0.0,)),
        (0.3, "auto", (0.25,)),
        (0.3, {"car": 0.7, "sky": 0.6}, (0.25, 0.7, 0.25)),
        ({"road": 0.3, "car": 0.4, "person": 0.5}, 0.5, (0.5,)),
        ({"road": 0.3, "car": 0.4, "person": 0.5}, {"car": 0.7, "sky": 0.6}, (0.3, 0.7, 0.5)),
        ({"road": 0.3, "car": 0.4, "person": 0.5}, {"car": 0.4, "sky": 0.6}, (0.3, 0.4, 0.5)),
    ],
    ids=str,
)
def test_what_was_set_since_is_kept(given: Given, since: Given, found: tuple[float, ...]) -> None:
    info = for_words_before(target(AFTER, since), target(BEFORE, given))
    assert info.thresholds == pytest.approx(found)
