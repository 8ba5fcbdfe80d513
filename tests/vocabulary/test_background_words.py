"""Background words: in a list on the command line, in TOML and in JSON; one output for all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_ovss.cli import main
from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary import Vocabulary

WORDS = ("sky", "building; house", "tree")


def expected() -> Vocabulary:
    return Vocabulary.load("road, car", background=", ".join(WORDS))


def test_all_background_words_are_one_output() -> None:
    found = expected()
    assert found.outputs == ("road", "car", "background")
    assert found.background == 2
    assert found.output_map == (0, 1, 2, 2, 2)
    assert found.prompts[2:] == WORDS
    assert found.categories[3].synonyms == ("building", "house")
    assert found.palette[2].tolist() == [0, 0, 0]
    assert Vocabulary.from_json(found.to_json()) == found


def test_every_form_gives_the_same_words(tmp_path: Path) -> None:
    toml, plain = tmp_path / "street.toml", tmp_path / "street.json"
    background = json.dumps(WORDS)
    tables = '[[category]]\ntext = "road"\n[[category]]\ntext = "car"\n'
    toml.write_text(f"background = {background}\n{tables}")
    plain.write_text(f'{{"categories": ["road", "car"], "background": {background}}}')
    words = tmp_path / "words.txt"
    words.write_text("\n".join(WORDS))
    found = [
        Vocabulary.load(toml),
        Vocabulary.load(plain),
        Vocabulary.load("road, car", background=str(words)),
    ]
    pytest.importorskip("tomllib")
    assert {each.sha256 for each in found} == {expected().sha256}


def test_one_word_and_a_built_in_list_are_background_too() -> None:
    assert Vocabulary.load("road, car", background=" sky ").prompts == ("road", "car", "sky")
    found = Vocabulary.load("lane, kerb", background="camvid")
    assert len(found) == 13
    assert found.outputs == ("lane", "kerb", "background")


def test_a_color_of_a_word_is_not_the_background_s(tmp_path: Path) -> None:
    path = tmp_path / "dark.json"
    path.write_text('[{"name": "road", "color": [0, 0, 0]}, {"name": "car"}]')
    found = Vocabulary.load(path, background="sky")
    assert found.palette[0].tolist() == [0, 0, 0]
    assert len({tuple(color) for color in found.palette.tolist()}) == 3


@pytest.mark.parametrize(
    ("words", "background", "message"),
    [
        ("road, sky", "sky", "Background word 0 is 'sky', which category 1 is already"),
        ("road, car", "sky, tree, sky", "which background word 0 is already|which category"),
        ("road, car", "", "Background word 0 is ''"),
        ("road, car", "sky,,tree", "Category 1 is ''"),
        ("voc20b", "sky", "has a background already, 'background'"),
        ("road, Background", "sky", "has a class 'background'"),
        ("road, car", "nowhere.txt", "There is no file 'nowhere.txt'"),
    ],
)
def test_a_background_that_cannot_be_used_says_why(
    words: str, background: str, message: str
) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load(words, background=background)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", 'background = []\n[[category]]\ntext = "road"', "expected at least one word"),
        ("a.toml", 'background = [3]\n[[category]]\ntext = "road"', "Background word 0 is 3"),
        ("a.toml", 'background = 3\n[[category]]\ntext = "road"', "The background is 3"),
        ("a.json", '{"categories": 5, "background": ["sky"]}', "The categories are 5"),
        ("a.json", '{"categories": ["road"], "background": [""]}', "Background word 0 is ''"),
        ("a.json", '{"categories": [], "background": ["sky"]}', "The list is empty"),
        ("a.json", '{"categories": ["road"], "background": "sky"}', "missing"),
    ],
)
def test_a_file_with_a_wrong_background_says_why(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load(path)


def test_the_verbs_take_background_words(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["road, car", "--background", "sky, tree", "--json"]
    assert main(["vocab", "show", *given]) == 0
    assert json.loads(capsys.readouterr().out)["background"] == 2
    assert main(["vocab", "lint", *given]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
