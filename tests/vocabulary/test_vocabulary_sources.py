"""Where vocabularies come from: text, TOML, JSON, inline lists, and what is wrong with them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from edge_ovss.errors import MissingDependencyError, VocabularyError
from edge_ovss.vocabulary import Vocabulary


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _refused(path: str | os.PathLike[str]) -> str:
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.load(path)
    return str(caught.value)


def test_inline_list_keeps_order_and_drops_the_space_after_its_commas() -> None:
    vocabulary = Vocabulary.load("road, car,person; pedestrian")
    assert vocabulary.prompts == ("road", "car", "person; pedestrian")
    assert vocabulary.categories[2].synonyms == ("person", "pedestrian")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("road,,car", "Category 1 is ''"),
        ("road,", "Category 1 is ''"),
        (",", "Category 0 is ''"),
        ("road, car, road", "Category 2 is 'road'"),
    ],
)
def test_inline_list_refuses(spec: str, message: str) -> None:
    assert message in _refused(spec)


def test_inline_list_may_be_longer_than_a_file_name() -> None:
    names = [f"a rather long name {index}" for index in range(2000)]
    assert Vocabulary.load(", ".join(names)).prompts == tuple(names)


def test_inline_list_may_hold_a_slash() -> None:
    assert Vocabulary.load("road/path, car").prompts == ("road/path", "car")


@pytest.mark.parametrize("spec", ["ade15", "ADE150", "ade_150"])
def test_unknown_name_suggests_close_ones_and_lists_the_built_ins(spec: str) -> None:
    message = _refused(spec)
    assert f"There is no vocabulary '{spec}'" in message
    assert "pc459" in message
    assert "cityscapes19" in message
    assert "Did you mean ade150" in message


@pytest.mark.parametrize("spec", ["", "road", "zzzz\x00"])
def test_unknown_name_without_anything_close_suggests_nothing(spec: str) -> None:
    message = _refused(spec)
    assert "Did you mean" not in message
    assert "built in are ade150" in message


def test_built_in_name_wins_over_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, "voc20", "something else")
    assert len(Vocabulary.load("voc20")) == 20


def test_file_with_a_comma_in_its_name_is_a_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "road, car.txt", "sky\n")
    assert Vocabulary.load(str(path)).prompts == ("sky",)


def test_text_file_reads_synonyms_comments_and_spaces(tmp_path: Path) -> None:
    content = "# street\nroad\nwindow; windowpane\nwall, fence\n# end\nbed \n\n \n\n"
    vocabulary = Vocabulary.load(_write(tmp_path, "words.txt", content))
    assert vocabulary.name == "words"
    assert vocabulary.prompts == ("road", "window; windowpane", "wall, fence", "bed ")
    assert vocabulary.categories[1].synonyms == ("window", "windowpane")
    assert vocabulary.categories[2].synonyms == ("wall", "fence")


@pytest.mark.parametrize(
    "content",
    [
        b"road\r\ncar\r\n",
        b"road\rcar\r",
        b"road\rcar",
        b"road\r# more\ncar\r\n",
        b"\xef\xbb\xbfroad\ncar",
        b"road\ncar\n\n# end\n\n# of file",
    ],
    ids=["crlf", "cr", "cr, no end", "mixed", "mark", "blank lines after the last category"],
)
def test_text_file_forms_that_mean_the_same(tmp_path: Path, content: bytes) -> None:
    assert Vocabulary.load(_write(tmp_path, "w.txt", content)).prompts == ("road", "car")


def test_text_file_round_trips_the_published_list(tmp_path: Path) -> None:
    published = Vocabulary.load("ade847")
    path = _write(tmp_path, "ade.TXT", "\n".join(published.prompts))
    assert Vocabulary.load(path).sha256 == published.sha256


def test_text_file_keeps_letters_outside_ascii(tmp_path: Path) -> None:
    assert Vocabulary.load(_write(tmp_path, "w.txt", "straße\n道路\u3000x\n")).prompts == (
        "straße",
        "道路\u3000x",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no categories"),
        ("\n\n", "no categories"),
        ("# only\n# comments\n", "no categories"),
        ("road\n\ncar\n", "Line 2 is blank"),
        ("road\n  \t\ncar\n", "Line 2 is blank"),
        ("# words\n\nroad\n", "Line 2 is blank"),
        ("# words\nroad\ncar\nroad\n", "Line 4 is 'road', which line 2 is already"),
        ("road\na; ; b\n", "Line 2: Synonym 1 of 'a; ; b' is ''"),
        ("road\na;\n", "Line 2: Synonym 1"),
        (b"road\ncaf\xe9\n", "not UTF-8 text: byte 8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 text: byte 0"),
        (b"road\ncar\x00\n", "byte 8 is zero"),
        ("\n".join(f"n{i}" for i in range(65536)), "65536 lines; expected at most 65535"),
        ("a" * (2**20 + 1), "larger than 1 MiB"),
    ],
)
def test_text_file_refuses(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = _write(tmp_path, "words.txt", content)
    refused = _refused(path)
    assert message in refused
    assert "words.txt" in refused


@pytest.mark.parametrize("name", ["none.txt", "none.toml", "none.json", "no/folder", "a, b.txt"])
def test_missing_file_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"There is no file '{Path(name)}'" in _refused(name)


def test_path_below_a_file_is_missing(tmp_path: Path) -> None:
    _write(tmp_path, "words.txt", "road")
    assert "There is no file" in _refused(tmp_path / "words.txt" / "more.txt")


@pytest.mark.parametrize("name", ["folder", "folder.txt"])
def test_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "is a folder" in _refused(str(tmp_path / name))


def test_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path, "words.txt", "road")

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert "may not be read" in _refused(path)


def test_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.txt")
    assert "not a regular file" in _refused(tmp_path / "pipe.txt")


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "words.csv", "road")
    assert "ends in '.csv'; expected .txt, .toml or .json" in _refused(str(path))


def test_json_file_is_what_a_bundle_stores(tmp_path: Path) -> None:
    vocabulary = Vocabulary.load("voc20b")
    path = _write(tmp_path, "vocabulary.json", json.dumps(vocabulary.to_json()))
    assert Vocabulary.load(path) == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "The list is empty"),
        ('{"schema": 1}', "is missing"),
    ],
)
def test_json_file_refuses(tmp_path: Path, content: str, message: str) -> None:
    path = _write(tmp_path, "vocabulary.json", content)
    assert message in _refused(path)
    assert "vocabulary.json" in _refused(path)


TOML = """
name = "street"
background = "other"
[[category]]
names = ["window", "window pane"]
color = [1, 2, 3]
[[category]]
text = "car, auto"
output = "vehicle"
[[category]]
text = "truck"
output = "vehicle"
[[category]]
text = "sky"
output = "other"
"""


def test_toml_file_says_everything(tmp_path: Path) -> None:
    vocabulary = Vocabulary.load(_write(tmp_path, "file.toml", TOML))
    assert vocabulary.name == "street"
    assert vocabulary.prompts == ("window, window pane", "car, auto", "truck", "sky")
    assert vocabulary.categories[0].synonyms == ("window", "window pane")
    assert vocabulary.categories[1].synonyms == ("car", "auto")
    assert vocabulary.outputs == ("window, window pane", "vehicle", "other")
    assert vocabulary.display_names == ("window", "vehicle", "other")
    assert vocabulary.output_map == (0, 1, 1, 2)
    assert vocabulary.background == 2
    assert vocabulary.palette[0].tolist() == [1, 2, 3]
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_toml_outputs_fix_the_index_order_and_the_colors(tmp_path: Path) -> None:
    listed = """
    [[output]]
    name = "other"
    color = [0, 0, 0]
    [[output]]
    name = "vehicle"
    [[output]]
    name = "window, window pane"
    """
    vocabulary = Vocabulary.load(_write(tmp_path, "file.toml", TOML + listed))
    assert vocabulary.outputs == ("other", "vehicle", "window, window pane")
    assert vocabulary.output_map == (2, 1, 1, 0)
    assert vocabulary.background == 0
    assert vocabulary.palette[[0, 2]].tolist() == [[0, 0, 0], [1, 2, 3]]


def test_toml_without_a_name_is_named_like_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "garden.toml", '[[category]]\ntext = "tree"')
    assert Vocabulary.load(path).name == "garden"


def test_toml_names_are_used_as_they_are(tmp_path: Path) -> None:
    path = _write(tmp_path, "w.toml", '[[category]]\nnames = ["desk, wooden", "table "]')
    category = Vocabulary.load(path).categories[0]
    assert category.synonyms == ("desk, wooden", "table ")
    assert category.text == "desk, wooden; table "


ROAD = '[[category]]\ntext = "road"\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no categories"),
        ("name =", "not TOML"),
        ("a = " + "[" * 50_000, "not TOML"),
        (ROAD + "[other]\n", "The key 'other' is not known"),
        ("backround = 'x'\n" + ROAD, "Did you mean 'background'?"),
        ("name = 3\n" + ROAD, "name of the vocabulary is 3"),
        ("background = 'sky'\n" + ROAD, "background is 'sky', which is no output"),
        ("background = 1\n" + ROAD, "The background is 1"),
        ("category = 1", "expected tables that begin with [[category]]"),
        ("category = ['road']", "expected tables"),
        ("[category]\ntext = 'road'", "expected tables"),
        ("output = 3\n" + ROAD, "expected tables that begin with [[output]]"),
        (ROAD + "colour = [0, 0, 0]", "Category 0: The key 'colour' is not known"),
        (ROAD + "colour = [0, 0, 0]", "Did you mean 'color'?"),
        (ROAD + "color = [0, 0, 256]", "0 to 255"),
        (ROAD + "color = '#ff0000'", "Category 0: The color of this entry is '#ff0000'"),
        (ROAD + "color = [0.5, 0, 0]", "0 to 255"),
        (ROAD + "names = ['road']", "Category 0: Expected either 'names'"),
        ("[[category]]\ncolor = [0, 0, 0]", "Category 0: Expected either 'names'"),
        ("[[category]]\nnames = []", "Category 0: 'names' is []"),
        ("[[category]]\nnames = 'road'", "'names' is 'road'"),
        ("[[category]]\nnames = ['road', 3]", "Category 0: Synonym 1 is 3"),
        ("[[category]]\nnames = ['road', ' ']", "Category 0: Synonym 1 is ' '"),
        ("[[category]]\ntext = 3", "Category 0: 'text' is 3"),
        (ROAD + "output = 3", "Category 0: The output is 3"),
        (ROAD + ROAD, "Category 1 is 'road', which category 0 is already"),
        (ROAD + "[[output]]\nname = 'rod'", "maps to the output 'road', which is not among"),
        (ROAD + "[[output]]\nname = 'roads'", "Did you mean roads?"),
        (ROAD + "[[output]]\nname = 'road'\n[[output]]\nname = 'sky'", "No category maps to"),
        (ROAD + "[[output]]\nname = 'road'\n[[output]]\nname = 'road'", "Output 1 is 'road'"),
        (ROAD + "[[output]]\ncolor = [0, 0, 0]", "Output 0: 'name' is None"),
        (ROAD + "[[output]]\nname = 'road'\nid = 3", "Output 0: The key 'id' is not known"),
        (
            ROAD + "color = [0, 0, 1]\n[[output]]\nname = 'road'\ncolor = [0, 0, 2]",
            "has [0, 0, 2] already",
        ),
    ],
)
def test_toml_file_refuses(tmp_path: Path, content: str, message: str) -> None:
    path = _write(tmp_path, "words.toml", content)
    refused = _refused(path)
    assert message in refused
    assert "words.toml" in refused


def test_toml_without_a_reader_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(MissingDependencyError, match="edge-ovss"):
        Vocabulary.load(_write(tmp_path, "words.toml", ROAD))
