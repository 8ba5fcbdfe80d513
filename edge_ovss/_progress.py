"""How long work reports to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")

Note = Callable[[str], None]
"""Takes one line about the step that begins."""

CountProgress = Callable[[int, int], None]
"""Takes how many items are done, and of how many."""


class Progress(Protocol):
    """Wraps the items that a loop works on, to show how far it is."""

    def __call__(self, items: Iterable[Item], label: str, /) -> Iterable[Item]:
        """Return the same items in the same order; `label` names one of them."""
        ...


def silent(_: str) -> None:
    """Take a note and say nothing."""
