"""No sentence of the documents is long."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import PAGES, page_name, sentences, words

LONGEST = 35


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_no_sentence_is_longer_than_35_words(page: Path) -> None:
    found = {sentence: words(sentence) for sentence in sentences(page)}
    assert found
    long = {sentence: count for sentence, count in found.items() if count > LONGEST}
    assert not long, "\n".join(f"{count}: {sentence}" for sentence, count in long.items())


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
