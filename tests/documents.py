"""The documents of the repository, cut into prose and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / f"{folder}/README.md" for folder in ("benchmarks", "calibration", "examples")),
    *(ROOT / f"{folder}/README.md" for folder in ("export", "runtime")),
]

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_SENTENCE = re.compile(r"(?<=[.!?])[)*\"']*\s+(?=[\W_]*[A-Z0-9`])")


@dataclass(frozen=True)
class Code:
    """A fenced block: its language and its lines, without the indentation of a list."""

    page: Path
    language: str
    text: str


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_blocks(page: Path, *languages: str) -> list[Code]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    blocks = [
        Code(page, language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, text in found
    ]
    return [block for block in blocks if block.language in languages]


def prose(page: Path) -> str:
    """The page without code blocks, tables, headings and targets of links."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    lines = (line for line in text.splitlines() if not re.match(r"\s*(\||#+ )", line))
    return _LINK.sub(r"\1", "\n".join(lines))


def sentences(page: Path) -> Iterator[str]:
    for block in _BLOCK.split(prose(page)):
        yield from _SENTENCE.split(" ".join(block.split()))


def words(sentence: str) -> int:
    """How many words a sentence has; code in backquotes is one."""
    plain = re.sub(r"`[^`]*`", "code", sentence)
    return sum(any(char.isalnum() for char in word) for word in plain.split())


def commands(block: Code) -> Iterator[str]:
    """The commands of a shell block, each on one line, without the `$ ` of a session."""
    lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    yield from (line.strip() for line in lines if line.strip())
