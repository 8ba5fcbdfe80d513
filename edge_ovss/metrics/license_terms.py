"""What the licenses of a bundle allow, judged from their text.

The text of a part begins with the SPDX names of its licenses, or with "none" (there is nothing to
license) or "unknown". Whatever is not known to allow commercial use does not pass for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

COMMERCIAL, NON_COMMERCIAL, UNKNOWN = "commercial", "non-commercial", "unknown"

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


def judge(text: object) -> str:
    """Return what a license allows: "commercial", "non-commercial" or "unknown".

    Args:
        text: Such as "Apache-2.0 (trained by this project)" or "MIT AND CC-BY-4.0".
    """
    if not isinstance(text, str):
        return UNKNOWN
    found = _EXPRESSION.match(text.strip())
    names = re.split(r" (?:AND|OR) ", found[0]) if found else []
    free = [name.lower().rstrip(".") in FREE for name in names]
    if " OR " in (found[2] if found else "") and any(free):
        return COMMERCIAL
    if _BARRED.search(text):
        return NON_COMMERCIAL
    if names[:1] == ["none"] or (free and all(free)):
        return COMMERCIAL
    return UNKNOWN


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
