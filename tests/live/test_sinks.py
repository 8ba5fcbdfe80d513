"""Views ask for changes, and frames know their age."""

from __future__ import annotations

import pytest

from edge_ovss.errors import OutputError
from edge_ovss.live.sinks import Settings, asked_settings, close_all


class Asking:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def settings(self) -> Settings:
        return self._settings


def test_what_a_view_leaves_open_stays() -> None:
    before = Settings(alpha=0.5, paused=True)
    assert before.updated(Settings(alpha=0.2)) == Settings(alpha=0.2, paused=True)
    assert before.updated(Settings(paused=False)) == Settings(alpha=0.5, paused=False)


def test_the_later_view_wins_and_silent_ones_do_not_matter() -> None:
    sinks = [Asking(Settings(alpha=0.1, unknown=0.3)), object(), Asking(Settings(alpha=0.9))]
    assert asked_settings(sinks) == Settings(alpha=0.9, unknown=0.3)


class Closing:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.closed = error, 0

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def test_all_are_closed_whatever_happens_and_the_first_error_is_raised() -> None:
    # A library under a view has errors of its own, and the others still have files to finish.
    views = [Closing(RuntimeError("first")), Closing(OutputError("second")), Closing()]
    with pytest.raises(RuntimeError, match="first"):
        close_all(views)
    with pytest.raises(OutputError, match="before"):
        close_all(views, OutputError("before"))
    close_all(views[2:])
    assert [view.closed for view in views] == [2, 2, 3]
