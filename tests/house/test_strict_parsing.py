"""JSON and TOML are read strictly: what comes out can be printed, compared and written again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edge_ovss._strict_parsing import (
    DEEPEST,
    LONGEST_NUMBER,
    DocumentError,
    parse_json,
    parse_toml_table,
    read_json,
)
from edge_ovss.bundle.json_fields import Fields
from edge_ovss.calibration.recipe import Recipe
from edge_ovss.cli import main
from edge_ovss.errors import BundleError, InputError, VocabularyError
from edge_ovss.vocabulary import Vocabulary

REFUSED: dict[str, tuple[bytes | str, str]] = {
    "integer of 400 digits": ("[" + "1" * 400 + "]", "64 bits"),
    "integer of 5000 digits": ("-" + "9" * 5000, "64 bits"),
    "2^64": (str(2**64), "64 bits"),
    "below -2^63": (str(-(2**63) - 1), "64 bits"),
    "float of many digits": ("0." + "1" * LONGEST_NUMBER, "digits"),
    "float of 400 digits": ("1" * 400 + ".5", "digits"),
    "too large": ('{"a": 1e309}', "too large"),
    "NaN": ("[NaN]", "NaN"),
    "Infinity": ('{"a": Infinity}', "Infinity"),
    "-Infinity": ("-Infinity", "-Infinity"),
    "high surrogate": ('["\\ud800"]', "half a character"),
    "low surrogate": ('{"a": {"b": "x\\udfff"}}', "half a character"),
    "surrogate in a key": ('{"\\udabc": 1}', "half a character"),
    "twice": ('{"a": 1, "b": 2, "a": 1}', "'a' occurs twice"),
    "twice inside": ('[{"b": {"c": 1, "c": 2}}]', "'c' occurs twice"),
    "deep list": ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested"),
    "deep object": ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), "nested"),
    "deeper than Python goes": ("[" * 200_000, "nested"),
    "not UTF-8": (b'"\xff"', "byte 1 is not UTF-8"),
    "surrogate in bytes": (b'"\xed\xa0\x80"', "not UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "not UTF-8"),
    "empty": ("", "Expecting value"),
    "two values": ("{} {}", "Extra data"),
    "single quotes": ("{'a': 1}", "line 1 column 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_strict_json_is_refused(case: str) -> None:
    data, words = REFUSED[case]
    with pytest.raises(DocumentError, match=words) as caught:
        parse_json(data)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (f"[{2**64 - 1}, {-(2**63)}]", [2**64 - 1, -(2**63)]),
        ('"\\ud83d\\ude00"', "😀"),
        ("[1.7976931348623157e308, 1e-400, -0.0]", [1.7976931348623157e308, 0.0, -0.0]),
        ("0." + "1" * (LONGEST_NUMBER - 2), 0.1111111111111111),
        ('{"a": {"a": 1}}', {"a": {"a": 1}}),
        ("null", None),
    ],
)
def test_json_is_read(data: bytes | str, value: object) -> None:
    assert parse_json(data) == value


@pytest.mark.parametrize("form", ["[{}]", '{{"a": {}}}'])
def test_just_as_deep_as_is_allowed_is_read(form: str) -> None:
    text = "1"
    for _ in range(DEEPEST):
        text = form.format(text)
    assert parse_json(text) == json.loads(text)


def test_a_document_has_a_largest_size() -> None:
    assert parse_json('"' + "a" * 98 + '"', limit=100) == "a" * 98
    with pytest.raises(DocumentError, match="more than 100 bytes"):
        parse_json('"' + "a" * 99 + '"', limit=100)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(DocumentError, match="not a regular file"):
            read_json(path)
    with pytest.raises(DocumentError, match="zero byte"):
        read_json(tmp_path / "a\0b")
    with pytest.raises(OSError, match="too long"):
        read_json(tmp_path / ("n" * 300))


TOML_REFUSED = {
    "integer of 5000 digits": ("a = " + "1" * 5000, "64 bits"),
    "integer of 400 digits": ("a = " + "1" * 400, "64 bits"),
    "hexadecimal without end": ("a = 0x" + "f" * 5000, "64 bits"),
    "binary in a list": ("a = [1, 0b1" + "0" * 64 + "]", "64 bits"),
    "nan": ("a = nan", "not a number"),
    "inf": ("[t]\na = [-inf]", "not a number"),
    "1e999": ("a = 1e999", "not a number"),
    "deep": ("a = " + "[" * 5000, "nested"),
    "deep enough": ("a = " + "[" * DEEPEST + "]" * DEEPEST, "nested"),
    "long key": (".".join("a" * 100_000) + " = 1", "parts"),
    "long header": ("x = 1\n[" + " . ".join(['"a b"'] * 20_000) + "]", "line 2"),
    "long key inside": ("x = {" + ".".join(["'a'"] * 20_000) + " = 1}", "parts"),
    "twice": ("a = 1\na = 2", "overwrite"),
    "half a character": ('a = "\\ud800"', "scalar"),
    "too long": ("#" * (1 << 20) + "#", "more than"),
}


@pytest.mark.parametrize("case", TOML_REFUSED)
def test_what_is_no_strict_toml_is_refused_soon(case: str) -> None:
    text, words = TOML_REFUSED[case]
    start = time.monotonic()
    with pytest.raises(DocumentError, match=words) as caught:
        parse_toml_table(text)
    assert time.monotonic() - start < 5
    assert len(str(caught.value)) < 200


def test_toml_is_read() -> None:
    dots = "." * 90
    text = f'a = "{dots}"\nb = """\n{dots}\n"""\n' + ".".join("c" * 64) + " = 1\n[d]\nx = 1.5"
    table = parse_toml_table(text)
    assert (table["a"], table["b"], table["d"]) == (dots, dots + "\n", {"x": 1.5})


HOSTILE = ["1" * 5000, "NaN", '"\\ud800"', "[" * 90 + "]" * 90, '{"k": 1, "k": 1}']


@pytest.mark.parametrize("value", HOSTILE)
def test_every_reader_uses_the_strict_one(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"schema": 1, "kind": "recipe", "model": {value}, "excluded": []}}')
    with pytest.raises(InputError, match="not a recipe"):
        Recipe.load(path)
    path.write_text(f'{{"schema": 1, "name": {value}, "outputs": [], "categories": []}}')
    with pytest.raises(VocabularyError, match="not JSON"):
        Vocabulary.load(path)
    assert main(["vocab", "show", str(path)]) == 4
    assert "Traceback" not in capsys.readouterr().err


def test_a_number_in_toml_that_python_cannot_print_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[[category]]\nnames = ["road"]\ncolor = [0x' + "f" * 5000 + ", 1, 2]\n")
    with pytest.raises(VocabularyError, match="64 bits"):
        Vocabulary.load(path)


NO_NUMBERS = {
    "400 digits": 10**400,
    "5000 digits": 10**5000,
    "nan": float("nan"),
    "inf": float("inf"),
    "true": True,
    "text": "1",
    "null": None,
}


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_fields_refuse_numbers_that_no_float_holds(case: str) -> None:
    value: Any = NO_NUMBERS[case]
    fields = Fields({"a": value, "b": [1, value, 3]})
    for read, key in ((fields.number, "a"), (fields.triple, "b"), (fields.integer, "a")):
        with pytest.raises(Exception, match=f"'{key}' in manifest.json is") as caught:
            read(key)
        assert len(caught.value.args[0]) < 200
    with pytest.raises(Exception, match="a list of integers"):
        fields.integers("b")


def test_fields_hold_integers_as_large_as_the_library_does() -> None:
    fields = Fields({"a": 2**63 - 1, "b": [0, 2**63 - 1], "c": 2**63, "d": [2**63]})
    assert fields.integer("a") == 2**63 - 1
    assert fields.integers("b") == (0, 2**63 - 1)
    for read, key in ((fields.integer, "c"), (fields.integers, "d")):
        with pytest.raises(Exception, match="expected"):
            read(key)


@pytest.mark.parametrize(("value", "fits"), [(1, False), (2, True), (5, True), (6, False)])
def test_optional_integers_keep_to_their_limits_too(value: int, fits: bool) -> None:
    fields = Fields({"a": value, "none": None})
    assert fields.optional_integer("none", minimum=2) is None
    assert fields.optional_integer("absent", minimum=2) is None
    if fits:
        assert fields.optional_integer("a", minimum=2, maximum=5) == value
        return
    with pytest.raises(BundleError, match="at least 2 and at most 5"):
        fields.optional_integer("a", minimum=2, maximum=5)
