"""Read the fields of a JSON document, with errors that name the field, and write them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import NoReturn, TypeGuard

from edge_ovss.errors import BundleError

_EXPORT_AGAIN = "The bundle is damaged or was not written by edge-ovss; export it again."


_LARGEST = 2**63 - 1  # what the C++ library holds


@dataclass(frozen=True)
class Fields:
    """An object of a JSON document and the dotted name under which it stands there.

    Every method raises BundleError when the field is missing or of another type; an `optional_`
    method takes null, and a field that is not there, for None.
    """

    values: Mapping[str, object]
    where: str = ""

    def _name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Raise the error for a field that is not what it should be."""
        name = self._name(key)
        if key not in self.values:
            message = f"manifest.json has no '{name}'; expected {expected}."
        else:
            given = _shown(self.values[key])
            message = f"'{name}' in manifest.json is {given}; expected {expected}."
        raise BundleError(message, hint=_EXPORT_AGAIN)

    def text(self, key: str) -> str:
        """Return a string."""
        value = self.values.get(key)
        if not isinstance(value, str):
            self.refuse(key, "a string")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a string or None."""
        return None if self.values.get(key) is None else self.text(key)

    def integer(self, key: str, *, minimum: int = 0, maximum: int = _LARGEST) -> int:
        """Return an integer from `minimum` to `maximum`."""
        value = self.values.get(key)
        if type(value) is not int or not minimum <= value <= maximum:
            most = "" if maximum == _LARGEST else f" and at most {maximum}"
            self.refuse(key, f"an integer of at least {minimum}{most}")
        return value

    def optional_integer(
        self, key: str, *, minimum: int = 0, maximum: int = _LARGEST
    ) -> int | None:
        """Return an integer or None."""
        if self.values.get(key) is None:
            return None
        return self.integer(key, minimum=minimum, maximum=maximum)

    def number(self, key: str) -> float:
        """Return a finite number."""
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(key, "a number")
        if not is_finite(value):
            self.refuse(key, "a finite number")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """Return a finite number or None."""
        return None if self.values.get(key) is None else self.number(key)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self.values.get(key)
        if not isinstance(value, bool):
            self.refuse(key, "true or false")
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return one of `choices`."""
        value = self.values.get(key)
        if not isinstance(value, str) or value not in choices:
            self.refuse(key, "one of " + ", ".join(f"'{choice}'" for choice in choices))
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, "a list of strings")
        return tuple(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a list of integers that are not below 0."""
        value = self.values.get(key)
        if not isinstance(value, list) or not all(
            type(item) is int and 0 <= item <= _LARGEST for item in value
        ):
            self.refuse(key, "a list of integers of at least 0")
        return tuple(value)

    def triple(self, key: str) -> tuple[float, float, float]:
        """Return a list of three finite numbers."""
        value = self.values.get(key)
        if not isinstance(value, list) or len(value) != 3 or not all(map(is_finite, value)):
            self.refuse(key, "a list of three finite numbers")
        return float(value[0]), float(value[1]), float(value[2])

    def mapping(self, key: str) -> Mapping[str, object]:
        """Return an object of any content; {} where it is not there."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, "an object")
        return value

    def section(self, key: str) -> Fields:
        """Return an object that must be there, to read its fields in turn."""
        if key not in self.values:
            self.refuse(key, "an object")
        return Fields(self.mapping(key), self._name(key))

    def optional_section(self, key: str) -> Fields | None:
        """Return an object to read its fields in turn, or None."""
        return None if self.values.get(key) is None else self.section(key)


HIDDEN = {"hidden": True}
NULL = {"null": True}


def as_json(section: object) -> dict[str, object]:
    """Return a dataclass as a JSON object, its fields in order.

    A field whose default is None is left out where it is None, others are null then. Metadata of a
    field may rename it ("key"), leave it out always (`HIDDEN`), or write null always (`NULL`).
    """
    assert is_dataclass(section)
    found = {}
    for each in fields(section):
        value, facts = getattr(section, each.name), each.metadata
        absent = value is None and each.default is None and not facts.get("null")
        if not absent and not facts.get("hidden"):
            found[facts.get("key", each.name)] = _plain(value)
    return found


def _plain(value: object) -> object:
    if is_dataclass(value):
        return as_json(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def is_finite(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number that a float can hold: no flag, no NaN, no infinity."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max


def _shown(value: object) -> str:
    """Return a value for a message; Python writes no integer of more than 4300 digits."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}…"
