"""Vocabularies as users bring them: JSON, command lines, sizes, damage, words that read alike."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy
import pytest

from edge_ovss.cli import main
from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary import Category, TextEmbeddings, Vocabulary, builtin_names, lint
from edge_ovss.vocabulary.alikes import refuse_alikes
from edge_ovss.vocabulary.words import check_name, split_synonyms


def _json(folder: Path, document: object) -> Path:
    path = folder / "list.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _refused(spec: str | Path) -> str:
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.load(spec)
    return str(caught.value)


@pytest.mark.parametrize(
    ("document", "synonyms"),
    [
        (["road", "car, auto", "bed "], [("road",), ("car", "auto"), ("bed ",)]),
        (["a; b, c"], [("a", "b, c")]),
        ([["road"], ["car", "auto, mobile"]], [("road",), ("car", "auto, mobile")]),
        ({"1": "car", "0": "road"}, [("road",), ("car",)]),
        ({str(i): f"n{i}" for i in range(12)}, [(f"n{i}",) for i in range(12)]),
        ([{"name": "road"}, {"name": "car, auto"}], [("road",), ("car", "auto")]),
        (
            [{"id": 0, "name": "road", "isthing": 0}, {"name": "car", "id": 1}],
            [("road",), ("car",)],
        ),
        ([{"trainId": 0, "name": "road", "supercategory": "flat"}], [("road",)]),
    ],
)
def test_lists_in_json_are_vocabularies(
    tmp_path: Path, document: object, synonyms: list[tuple[str, ...]]
) -> None:
    vocabulary = Vocabulary.load(_json(tmp_path, document))
    assert [each.synonyms for each in vocabulary.categories] == synonyms
    assert vocabulary.name == "list"
    assert len(vocabulary.outputs) == len(synonyms)


def test_a_list_in_json_is_the_published_list() -> None:
    published = Vocabulary.load("ade847")
    assert Vocabulary.from_names(list(published.prompts)).sha256 == published.sha256


def test_a_list_in_json_reads_as_the_same_words_in_text(tmp_path: Path) -> None:
    words = list(Vocabulary.load("ade847").prompts)
    assert Vocabulary.load(_json(tmp_path, words)).sha256 == Vocabulary.load("ade847").sha256


def test_colors_of_a_list_in_json_are_kept(tmp_path: Path) -> None:
    rows = [{"name": "road", "color": [128, 64, 128]}, {"name": "car"}]
    assert Vocabulary.load(_json(tmp_path, rows)).palette[0].tolist() == [128, 64, 128]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "The list is empty"),
        (["road", ["car"]], "The list contains str and list"),
        (["road", 3], "The list contains str and int"),
        ([1, 2], "The list contains int"),
        (["road", None], "The list contains str and NoneType"),
        (["road", " "], "Category 1: It is ' ': empty"),
        ([["road"], []], "Category 1: It has no names"),
        ([["road", 3]], "Category 0: Synonym 1 is 3"),
        (["road", "road"], "Category 1 is 'road', which category 0 is already"),
        ({"0": "road", "2": "car"}, "do not include 1"),
        ({"1": "road", "2": "car"}, "do not include 0"),
        ({"00": "road"}, "do not include 0"),
        ({"0": ["road"], "1": 3}, "The list contains list and int"),
        ([{"name": "road", "id": 7}, {"name": "car", "id": 8}], "have the 'id' 7, 8"),
        ([{"name": "road", "id": 1}, {"name": "car", "id": 0}], "have the 'id' 1, 0"),
        ([{"name": "road", "trainId": 0}, {"name": "void", "trainId": 255}], "'trainId' 0, 255"),
        ([{"name": "road", "id": 0}, {"name": "car"}], "have the 'id' 0"),
        ([{"name": "road", "synonyms": ["way"]}], "The key 'synonyms' is not known"),
        ([{"label": "road"}], "The key 'label' is not known"),
        ([{"id": 0}], "The key 'name' is missing"),
        ([{"name": 3}], "'name' is 3"),
        ([{"name": "road", "color": "red"}], "color of this entry is 'red'"),
        ({"names": ["road"]}, "is missing"),
        ({"road": 0, "car": 1}, "is missing"),
        ("road", "Found str"),
        (3, "Found int"),
        (None, "Found NoneType"),
    ],
)
def test_other_json_is_refused_with_the_forms_that_are_read(
    tmp_path: Path, document: object, message: str
) -> None:
    refused = _refused(_json(tmp_path, document))
    assert message in refused
    assert "list.json" in refused
    assert "Hint: " in refused or "expected" in refused


@pytest.mark.parametrize(
    ("spec", "prompts"),
    [
        ("dog,cat", ("dog", "cat")),
        (" dog ,  cat ", ("dog", "cat")),
        ("dog; puppy, cat", ("dog; puppy", "cat")),
        ("driver's seat, o'clock", ("driver's seat", "o'clock")),
        ("straße,道路", ("straße", "道路")),
    ],
)
def test_lists_on_the_command_line(spec: str, prompts: tuple[str, ...]) -> None:
    assert Vocabulary.load(spec).prompts == prompts


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("road, car,", "Category 2 is ''", "Remove the comma"),
        ("road,", "Category 1 is ''", "a single category needs a file"),
        ("'dog', 'cat'", "begins with a quotation mark", "bare"),
        ('dog, "cat"', "Category 1 is '\"cat\"'", "bare"),
        ("“dog”, cat", "begins with a quotation mark", "bare"),
        ('["dog", "cat"]', "begins with a bracket", ".json file"),
        ("dog\ncat, bird", "line ends", "Give the file"),
        ("dog\r\ncat", "line ends", "road, car"),
        ("ADE150", "There is no vocabulary 'ADE150'", "ade150"),
        ("dog, c\udcfft", "characters that are not text", ""),
        ("x" * 5000, "There is no vocabulary 'xxx", "built-in"),
    ],
)
def test_slips_on_the_command_line_are_named(spec: str, message: str, hint: str) -> None:
    refused = _refused(spec)
    assert message in refused
    assert hint in refused
    assert len(refused) < 600


def test_a_slip_in_a_file_name_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("road\n")
    Path("lists").mkdir()
    Path("lists/street.toml").touch()
    assert "Did you mean 'words.txt'?" in _refused("wrods.txt")
    assert "Did you mean 'words.txt'?" in _refused("words")
    assert "Did you mean 'words.txt'?" in _refused("words.text")
    assert "Did you mean 'lists/street.toml'?" in _refused("lists/street.tml.txt")
    assert "Did you mean" not in _refused("quite-other.txt")


def test_a_bundle_given_as_a_vocabulary_is_led_to_its_words(tmp_path: Path) -> None:
    assert "Hint" not in _refused(tmp_path)
    (tmp_path / "vocabulary.json").touch()
    assert f"Give '{tmp_path / 'vocabulary.json'}'." in _refused(tmp_path)


def test_a_file_name_that_is_no_text_still_makes_a_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "stra\udcdfe.txt"
    try:
        path.write_text("road\n")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    assert Vocabulary.load(path).name == "stra\ufffde"


@pytest.mark.parametrize(
    "content", [b"road\rsidewalk\rcar\rperson\r", b"road\rsidewalk\ncar\r\nperson"]
)
def test_line_ends_of_all_systems_may_be_mixed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.txt").write_bytes(content)
    prompts = ("road", "sidewalk", "car", "person")
    assert Vocabulary.load(tmp_path / "w.txt").prompts == prompts


@pytest.mark.parametrize("char", ["\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_characters_that_may_end_a_line_are_refused(tmp_path: Path, char: str) -> None:
    (tmp_path / "w.txt").write_text(f"sky\nroad{char}car\n", encoding="utf-8")
    assert f"Line 2 has the character U+{ord(char):04X}" in _refused(tmp_path / "w.txt")


@pytest.mark.parametrize(
    ("text", "synonyms"),
    [
        ("a; b", ("a", "b")),
        ("a;b", ("a", "b")),
        ("a;  b", ("a", " b")),
        ("a ;b", ("a ", "b")),
        ("a,  b", ("a", " b")),
    ],
)
def test_a_separator_takes_one_space_and_no_more(text: str, synonyms: tuple[str, ...]) -> None:
    assert split_synonyms(text) == synonyms


@pytest.mark.parametrize("char", ["\x00", "\ud800", "\udbff", "\udc00", "\udffe", "\udfff"])
def test_no_half_character_is_text(char: str) -> None:
    with pytest.raises(VocabularyError, match="not text"):
        check_name(f"a{char}b", "It")


@pytest.mark.parametrize("char", ["\x01", "\ud7ff", "\ue000", "\U0001f6a6"])
def test_the_neighbors_of_half_characters_are_text(char: str) -> None:
    check_name(f"a{char}b", "It")


def _category(index: int, **changes: Any) -> Category:  # noqa: ANN401
    text = f"n{index}"
    values = {"text": text, "synonyms": (text,), "color": (1, 2, 3), "output": 0}
    return Category(**{**values, **changes})


def test_sizes_are_checked_before_the_work() -> None:
    start = time.process_time()
    names = ["n"] * 10**6
    for make in (
        lambda: Vocabulary.from_names(names),
        lambda: Vocabulary.from_names(["a" * (200 * 2**20), "b"]),
        lambda: Vocabulary.from_names(["; ".join(map(str, range(1001)))]),
        lambda: Vocabulary("v", (_category(0),) * 10**6, ("n",)),
        lambda: _category(0, synonyms=("s",) * 1001),
        lambda: _category(0, synonyms=("s" * 10_001,)),
    ):
        with pytest.raises(VocabularyError, match="expected at most"):
            make()
    assert time.process_time() - start < 2


def test_sizes_at_the_limits_are_read() -> None:
    assert len(_category(0, synonyms=tuple(map(str, range(1000)))).synonyms) == 1000
    assert _category(0, synonyms=("s" * 10_000,)).synonyms[0][-1] == "s"
    many = tuple(_category(index) for index in range(2**17))
    assert len(Vocabulary("v", many, ("n",))) == 2**17
    with pytest.raises(VocabularyError, match="131073 categories; expected at most 131072"):
        Vocabulary("v", (*many, _category(-1)), ("n",))


def test_large_lists_in_files_are_refused_soon(tmp_path: Path) -> None:
    start = time.process_time()
    assert "expected at most" in _refused(_json(tmp_path, ["n"] * 10**6))
    assert "larger than" in _refused(_json(tmp_path, ["n" * 2**24]))
    document = Vocabulary.from_names(["road"]).to_json()
    document["categories"] = [{"text": "a", "synonyms": ["a"], "output": 0}] * 200_000
    assert "expected at most" in _refused(_json(tmp_path, document))
    assert time.process_time() - start < 5


def test_numbers_and_half_characters_of_toml_and_json_are_refused(tmp_path: Path) -> None:
    digits = "9" * 5000
    contents = {
        "a.toml": f"[[category]]\ntext = 'road'\ncolor = [{digits}, 0, 0]",
        "b.toml": "[[category]]\ntext = 'road'\ncolor = [1e999, 0, 0]",
        "a.json": f'[{{"name": "road", "id": {digits}}}]',
        "b.json": '["road", "\\ud800"]',
        "c.json": '[{"name": "road", "id": NaN}]',
        "d.json": '{"0": "road", "0": "car"}',
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        refused = _refused(tmp_path / name)
        assert "It is not" in refused or "color" in refused
        assert len(refused) < 600


def test_words_that_read_alike_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("# street\nCar\nroad\ncafé\ncar\ncafe\u0301\n", encoding="utf-8")
    with pytest.raises(VocabularyError) as caught:
        refuse_alikes(Vocabulary.load(path))
    assert str(caught.value).startswith(
        "Line 5 ('car') reads the same to the text tower as line 2 ('Car'); one of them"
    )


@pytest.mark.parametrize("name", builtin_names())
def test_no_built_in_list_has_words_that_read_alike(name: str) -> None:
    refuse_alikes(Vocabulary.load(name))
    assert not [each for each in lint(Vocabulary.load(name)) if each.level == "error"]


def test_stored_words_that_read_alike_still_open() -> None:
    old = Vocabulary.from_names(["Car", "car"])
    assert Vocabulary.from_json(json.loads(json.dumps(old.to_json()))) == old


def test_lint_and_export_refuse_words_that_read_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dup.txt"
    path.write_text("Car\ncar\nroad\n")
    assert main(["vocab", "lint", str(path)]) == 4
    assert "error: category 1 ('car'): reads the same" in capsys.readouterr().out
    for verb in ("export", "encode"):
        out = ["--out", str(tmp_path / "out")]
        given = ["export", "--vocab", str(path)]
        if verb == "encode":
            given = ["vocab", "encode", str(path), "--model", "sed-tiny"]
        assert main([*given, *out]) == 4
        assert "Line 2 ('car') reads the same to the text tower as line 1 ('Car')" in (
            capsys.readouterr().err
        )
    assert not (tmp_path / "out").exists()


def test_export_prints_warnings_of_lint_and_not_its_notes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from edge_ovss.cli.shared.console import Console
    from edge_ovss.cli.shared.vocabulary import checked_vocabulary

    checked_vocabulary("traffic_light, straße, 12: wall", Console(quiet=True))
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert first.startswith("warning: category 0 ('traffic_light'): 'traffic_light' has an under")
    assert second.startswith("warning: category 2 ('12: wall'): '12: wall' begins with a number")
    checked_vocabulary("ade847", Console())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert "more such warnings" in lines[-1]


@pytest.mark.parametrize(
    ("name", "part"),
    [("street", "street"), ("../../etc", ".._.._etc"), ("a b/c", "a_b_c"), ("x" * 99, "x" * 64)],
)
def test_a_vocabulary_cannot_lead_the_bundle_elsewhere(name: str, part: str) -> None:
    from edge_ovss.cli.shared.vocabulary import file_part

    assert file_part(name) == part


def test_words_with_equal_tokens_are_refused_at_export() -> None:
    pytest.importorskip("torch")
    from edge_ovss.models import load_model
    from edge_ovss.models.equal_tokens import refuse_equal_tokens

    spec = load_model("sed-tiny", weights="random").spec
    notes: list[str] = []
    long = "word " * 80
    for first, second in (
        (f"{long}one", f"{long}two"),
        ("cafe\u0301", "café"),
        ("\uff43\uff41\uff52", "car"),
        ("car<end_of_text>a", "car<end_of_text>b"),
    ):
        vocabulary = Vocabulary.from_names([first, "sky", second])
        with pytest.raises(VocabularyError, match=r"Category 2 .* as category 0"):
            refuse_equal_tokens(vocabulary, spec, notes.append)
    short = "word " * 70  # there is room for it in the shortest template alone
    for first, second in ((f"{short}one", f"{short}two"), ("car", "cars"), ("a, b", "a")):
        refuse_equal_tokens(Vocabulary.from_names([first, second]), spec, notes.append)
    assert notes == []


def test_equal_first_synonyms_are_said_of_a_model_that_encodes_no_other() -> None:
    pytest.importorskip("torch")
    from edge_ovss.models import load_model
    from edge_ovss.models.equal_tokens import refuse_equal_tokens

    spec = load_model("san-tiny", weights="random").spec
    notes: list[str] = []
    refuse_equal_tokens(Vocabulary.load("ade847"), spec, notes.append)
    assert len(notes) == 10
    assert notes[0].startswith("category 153 ('screen, silver screen")
    assert "encodes the first synonym alone" in notes[0]


def _mutated(content: bytes, dice: random.Random) -> bytes:
    data = bytearray(content)
    at = dice.randrange(len(data))
    inserts = (
        b"9" * 5000,
        b"\\ud800",
        b"[" * 500,
        b"\0",
        b"\r",
        b'"',
        b"1e999",
        b"NaN",
        b"a" * 70000,
    )
    match dice.randrange(6):
        case 0:
            for _ in range(dice.choice((1, 1, 2, 8))):
                data[dice.randrange(len(data))] = dice.randrange(256)
        case 1:
            del data[at:]
        case 2:
            del data[at : at + dice.randrange(1, 50)]
        case 3:
            data[at:at] = dice.randbytes(dice.randrange(1, 30))
        case 4:
            data[at:at] = dice.choice(inserts)
        case _:
            data[at:at] = data[: dice.randrange(1, 60)]
    return bytes(data)


@pytest.mark.slow
def test_mutated_vocabularies_and_packs_are_read_or_refused(tmp_path: Path) -> None:
    words = Vocabulary.from_names(["road, street", "car; auto", "straße", "bed "])
    sources = {
        "a.json": json.dumps(words.to_json()),
        "b.json": '[["road", "street"], ["car"]]',
        "c.json": '[{"name": "road", "id": 0, "color": [1, 2, 3]}]',
        "d.json": '{"0": "road", "1": "car"}',
        "a.txt": "# street\nroad; street\ncar\nstraße\n",
        "a.toml": 'name = "x"\n[[category]]\nnames = ["a", "b"]\ncolor = [1, 2, 3]\noutput = "o"\n',
    }
    contents = {name: text.encode() for name, text in sources.items()}
    vectors = numpy.eye(4, dtype=numpy.float32)[:, None, :]
    TextEmbeddings(vectors, words.prompts, words.sha256, "t", "x", "y").save(tmp_path / "a.npz")
    contents["a.npz"] = (tmp_path / "a.npz").read_bytes()
    dice = random.Random(14)
    refused = 0
    for number in range(1400):
        name = dice.choice(sorted(contents))
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(_mutated(contents[name], dice))
        start = time.process_time()
        try:
            assert (
                TextEmbeddings.load(path) if name == "a.npz" else lint(Vocabulary.load(path)) or 1
            )
        except VocabularyError as err:
            refused += 1
            assert len(str(err)) < 2000
        assert time.process_time() - start < 5
    assert refused > 900
