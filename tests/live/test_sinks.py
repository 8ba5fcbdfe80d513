"""Views ask for changes, and frames know their age."""

from __future__ import annotations

from edge_ovss.live.sinks import Settings, asked_settings


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
