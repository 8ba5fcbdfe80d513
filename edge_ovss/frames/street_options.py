"""Read the options of `synthetic://street`, of stills and of a street that moves."""

from __future__ import annotations

from edge_ovss.errors import UsageError

STILLS = {"count": "1", "seed": "0", "size": "360x480"}
"""What stills have, with the values that are taken where it is not given."""
# Python converts no more than 4300.
_DIGITS = 4000


def read_whole(key: str, text: str, *, minimum: int, most: int | None = None) -> int:
    """Return a whole number.

    Raises:
        UsageError: It is none, or out of range.
    """
    if not _is_whole(text) or int(text) < minimum:
        raise wrong(text, key=key, expected=f"a whole number of at least {minimum}")
    if most is not None and int(text) > most:
        raise wrong(text, key=key, expected=f"at most {most}")
    return int(text)


def read_size(text: str) -> tuple[int, int]:
    """Return height and width.

    Raises:
        UsageError: It is no size.
    """
    height, _, width = text.partition("x")
    if not all(_is_whole(side) and int(side) for side in (height, width)):
        raise wrong(text, key="size", expected="height x width, such as 360x480")
    return int(height), int(width)


def wrong(text: str, *, key: str, expected: str) -> UsageError:
    """Return the error of an option."""
    message = f"Option '{key}' of synthetic://street is '{text}'; expected {expected}."
    return UsageError(message)


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
