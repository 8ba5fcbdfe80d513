"""A stand-in for a text tower, that waits where a test wants it to."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from open_words import WIDTH

from edge_ovss.bundle.reader import Bundle
from edge_ovss.live.page import word_desk
from edge_ovss.vocabulary import Vocabulary


class PretendedTower:
    """Takes the place of `with_encoded`: it waits before its last prompt until it may go on.

    Attributes:
        begun: Set when the first prompt is encoded.
        go_on: The others are encoded once it is set, as it is at first.
        failure: Raised instead of an answer.
    """

    def __init__(self) -> None:
        self.go_on, self.begun = threading.Event(), threading.Event()
        self.go_on.set()
        self.failure: Exception | None = None

    @classmethod
    def on_the_desk(cls, monkeypatch: pytest.MonkeyPatch) -> PretendedTower:
        """Return one that encodes what is typed into the page."""
        made = cls()
        monkeypatch.setattr(word_desk, "with_encoded", made)
        monkeypatch.setattr(word_desk, "find_tower", lambda bundle: bundle.path)
        return made

    def __call__(
        self,
        bundle: Bundle,
        words: Vocabulary,
        source: Any,  # noqa: ANN401
        *,
        progress: Any,  # noqa: ANN401
    ) -> Bundle:
        progress(1, 2)
        self.begun.set()
        assert self.go_on.wait(10)
        if self.failure is not None:
            raise self.failure
        progress(2, 2)
        return bundle.with_words(words, np.zeros((len(words), 1, WIDTH), np.float32))
