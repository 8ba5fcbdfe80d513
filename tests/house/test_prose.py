"""The documents have short sentences and keep to the glossary of CONTRIBUTING.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import PAGES, ROOT, page_name, prose, sentences, words

LONGEST = 35


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_no_sentence_is_longer_than_35_words(page: Path) -> None:
    found = {sentence: words(sentence) for sentence in sentences(page)}
    assert found
    long = {sentence: count for sentence, count in found.items() if count > LONGEST}
    assert not long, "\n".join(f"{count}: {sentence}" for sentence, count in long.items())


def glossary() -> list[str]:
    """What stands under "not" in the glossary."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = text.split("| write | not | meaning |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [row.strip("|").split("|")[1] for row in rows]
    return [term.strip() for cell in cells for term in cell.split(",") if term.strip()]


def test_the_glossary_is_read() -> None:
    assert {"picture", "colour", "held against"} <= set(glossary())


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_glossary_is_kept(page: Path) -> None:
    terms = (f"[{term[0]}{term[0].upper()}]{term[1:]}" for term in glossary())
    pattern = re.compile(rf"\b({'|'.join(terms)})")
    text = re.sub(r"`[^`]*`", "", prose(page))
    assert not [text[m.start() - 30 : m.end() + 10] for m in pattern.finditer(text)]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("One two three. Four five.\n\nSix", [3, 2, 1]),
        ("One `a b c` two, 0.5 of 3.\n", [6]),
        ("One:\n- two three\n- four\n\n| a | b |\n", [1, 2, 1]),
        ("See [the page](a/b c.md) (once). **Twice.**\n", [4, 1]),
        ("# A heading\n\nOne\n```sh\nx y z\n```\ntwo\n", [1, 1]),
    ],
)
def test_how_words_are_counted(tmp_path: Path, text: str, counts: list[int]) -> None:
    page = tmp_path / "a.md"
    page.write_text(text)
    assert [words(sentence) for sentence in sentences(page) if sentence] == counts


BRITISH = re.compile(
    r"(?<![A-Z_])(?:colour|grey|labell|flavour|neighbour|behaviour|licence|centre|normalis|quantis)",
    re.IGNORECASE,
)
# What is stored in files keeps its name; one word is a mistake that is tested.
STORED = {
    '"normalise"',
    '"unlabelled"',
    '"labelled"',
    '"licence"',
    "licence=commercial",
    "licence = commercial",
    "colour = [0, 0, 0]",
    "The key 'colour'",
    "GREY, RGB3",
}


def test_the_sources_are_spelled_the_american_way() -> None:
    found = []
    for folder in ("edge_ovss", "tests", "benchmarks", "calibration", "examples", "runtime"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in {".py", ".h", ".hpp", ".cpp", ".c"} or path == Path(__file__):
                continue
            text = path.read_text(encoding="utf-8")
            for kept in STORED:
                text = text.replace(kept, "")
            found += [
                f"{path.name}: {text[m.start() - 20 : m.end() + 10]!r}"
                for m in BRITISH.finditer(text)
            ]
    assert not found, "\n".join(found)
