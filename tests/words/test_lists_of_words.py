"""Lists of words as they are typed: one word, a list, a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ovss.errors import VocabularyError
from edge_ovss.words.editing import read_words


@pytest.mark.parametrize(
    "word", ["sky", "St. Bernard", "U.S. flag", "size 1.5", "no. 5 bus; tram", " lift truck ", "🚗"]
)
def test_one_word_needs_no_comma(word: str) -> None:
    assert read_words(word).prompts == (word.strip(),)


def test_a_folder_of_that_name_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "car").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_words("car").prompts == ("car",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "The list of words is empty"),
        (" \t\n", "The list of words is empty"),
        ("words.txt", "There is no file 'words.txt'"),
        ("words.text", "There is no vocabulary 'words.text'"),
        ("lists/words", "There is no file 'lists/words'"),
        ("road,", "Category 1 is ''"),
        ("; road", "Synonym 0 of '; road' is ''"),
        ("road, car, road", "'road', which category 0 is already"),
        ("road, ROAD", "reads the same"),
        ("traffic light, Traffic\tlight", "reads the same"),
        ("café, cafe\u0301", "reads the same"),
        ("boy\u2019s bike, boy's bike", "reads the same"),
    ],
    ids=ascii,
)
def test_what_is_no_list_of_words_is_refused(given: str, said: str) -> None:
    with pytest.raises(VocabularyError) as caught:
        read_words(given)
    assert said in caught.value.message
