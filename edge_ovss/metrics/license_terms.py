"""What the licenses of a bundle allow, judged from their text.

The text of a part begins with the SPDX names of its licenses, or with "none" (there is nothing to
license) or "unknown"; a note in parentheses or after a colon may follow. Whatever is not known to
allow commercial use does not pass for it, such as names with other conditions behind them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

COMMERCIAL, NON_COMMERCIAL, UNKNOWN = "commercial", "non-commercial", "unknown"
NOTHING = "none"
"""The text of a part of which there is nothing to license."""

# What a bundle is made of, and so what must be known of it.
PARTS = ("code", "weights", "text_encoder", "training_data")

_FREE_TEXT = """
0BSD AFL-3.0 Apache-2.0 BSD BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear BSL-1.0 CC-BY-2.0 CC-BY-2.5
CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 EPL-2.0 GPL-2.0-only GPL-2.0-or-later
GPL-3.0-only GPL-3.0-or-later ISC LGPL-2.1-only LGPL-3.0-only LGPL-3.0-or-later MIT MPL-2.0 NCSA
ODC-By-1.0 PDDL-1.0 PostgreSQL Unlicense WTFPL Zlib
"""
FREE = frozenset(_FREE_TEXT.lower().split())
"""SPDX names, in small letters, of licenses that allow commercial use."""

_BARRED = re.compile(
    r"\bBY[- ]NC\b|non-?commercial|not for commercial|no commercial"
    r"|research[- ](?:use|only|purposes?)|for research|academic use",
    re.IGNORECASE,
)
_EXPRESSION = re.compile(r"([\w.+-]+)((?: (?:AND|OR) [\w.+-]+)*)")
_EXCEPTION = r"(?: WITH [\w.+-]+)?"
_NOTE = re.compile(rf"{_EXCEPTION}(?: licen[cs]e)?[.]?\s*(?:\(.*\)|:.*)?", re.I | re.S)


def judge(text: object) -> str:
    """Return what a license allows: "commercial", "non-commercial" or "unknown".

    Args:
        text: Such as "Apache-2.0 (trained by this project)" or "MIT AND CC-BY-4.0".
    """
    if not isinstance(text, str):
        return UNKNOWN
    text = text.strip()
    found = _EXPRESSION.match(text)
    names, note = (found[0], text[found.end() :]) if found else ("", text)
    plain = _NOTE.fullmatch(note) is not None and not _BARRED.search(note)
    if plain and (names == NOTHING or any(map(_is_free, names.split(" OR ")))):
        return COMMERCIAL
    return NON_COMMERCIAL if _BARRED.search(text) else UNKNOWN


def _is_free(names: str) -> bool:
    """Return whether all of "MIT AND CC-BY-4.0" allow commercial use."""
    return all(name.lower().rstrip(".") in FREE for name in names.split(" AND "))


@dataclass(frozen=True)
class LicenseUse:
    """What all licenses of a bundle allow together.

    Attributes:
        status: "commercial", "non-commercial" or "unknown".
        barred: License by part, of the parts that are not for commercial use.
        unknown: License by part, of the parts of which that is not known.
    """

    status: str
    barred: Mapping[str, str]
    unknown: Mapping[str, str]

    def __str__(self) -> str:
        if self.status == COMMERCIAL:
            return COMMERCIAL
        unknown = f"unknown of {', '.join(self.unknown)}" if self.unknown else ""
        if self.status == UNKNOWN:
            return unknown
        said = [f"{part} is '{text}'" for part, text in self.barred.items()]
        return f"{self.status}: {'; '.join(filter(None, (*said, unknown)))}"

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        parts = {"non_commercial": list(self.barred), "unknown": list(self.unknown)}
        return {"use": self.status, **parts}


def use_of(licenses: Mapping[str, object]) -> LicenseUse:
    """Return what the licenses of a bundle allow; a part without a license is unknown."""
    texts = {part: licenses.get(part, UNKNOWN) for part in (*PARTS, *licenses)}
    found = {part: judge(text) for part, text in texts.items()}
    barred, unknown = (
        {part: str(text) for part, text in texts.items() if found[part] == status}
        for status in (NON_COMMERCIAL, UNKNOWN)
    )
    status = NON_COMMERCIAL if barred else UNKNOWN if unknown else COMMERCIAL
    return LicenseUse(status, barred, unknown)
