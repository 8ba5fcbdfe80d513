"""Lint: what looks like a slip is reported and nothing is mended."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge_ovss.cli import main
from edge_ovss.vocabulary import Category, Vocabulary, builtin_names, lint
from edge_ovss.vocabulary.alikes import reading, refuse_alikes


def _messages(*names: str) -> list[tuple[str, int, str]]:
    return [(each.level, each.index, each.message) for each in lint(Vocabulary.from_names(names))]


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ("bed ", "note", "begins or ends with white space"),
        (" bed", "note", "begins or ends with white space"),
        ("bed\t", "note", "begins or ends with white space"),
        ("sports  ball", "note", "white space other than single spaces"),
        ("sports\u00a0ball", "note", "white space other than single spaces"),
        ("a , b", "note", "'a ' begins or ends"),
        ("window,windowpane", "warning", "comma without a space"),
        ("window,", "warning", "comma without a space"),
        ("x" * 71, "warning", "has 71 characters"),
        ("traffic_light", "warning", "underscore"),
        ("12: wall", "warning", "begins with a number"),
        ("12", "warning", "begins with a number"),
        ("zero\u200bwidth", "warning", "invisible"),
        ("straße", "note", "outside ASCII"),
        ("a, b, A", "warning", "the synonym 'a' occurs twice"),
    ],
)
def test_lint_reports(text: str, level: str, message: str) -> None:
    (finding,) = [each for each in _messages("road", text) if message in each[2]]
    assert finding[:2] == (level, 1)


@pytest.mark.parametrize("text", ["traffic light", "x" * 70, "3.5 inch disk", "747 jet", "a; b"])
def test_lint_leaves_good_names_alone(text: str) -> None:
    assert _messages("road", text) == []


def test_lint_names_categories_that_differ_in_form_only() -> None:
    assert _messages("Road", "car", "road ")[-1] == (
        "error",
        2,
        "reads the same to the text tower as category 0 ('Road'); "
        "one of them can never be predicted.",
    )


ALIKE = [
    ("Car", "car"),
    ("café", "cafe\u0301"),
    ("traffic  light", "traffic\tlight"),
    ("traffic-light", "traffic - light"),
    ("driver\u2019s seat", "driver's seat"),
    ("car, auto", "auto; Car"),
    ("car, Car", "CAR"),
]
APART = [
    ("car", "cars"),
    ("straße", "strasse"),
    ("cafe", "café"),
    ("traffic light", "traffic-light"),
    ("car, auto", "car"),
    ("car, car, auto", "car, auto, auto"),
    ("traffic_light", "traffic light"),
]


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_names_that_the_text_tower_reads_alike_are_an_error(first: str, second: str) -> None:
    errors = [each for each in lint(Vocabulary.from_names([first, "sky", second]))]
    (finding,) = [each for each in errors if each.level == "error"]
    assert (finding.index, finding.text) == (2, second)
    assert f"category 0 ({first!r})" in finding.message


@pytest.mark.parametrize(("first", "second"), APART)
def test_names_that_the_text_tower_tells_apart_are_no_error(first: str, second: str) -> None:
    findings = lint(Vocabulary.from_names([first, second]))
    assert [each for each in findings if each.level == "error"] == []


def test_what_html_and_the_tokenizer_do_to_a_name() -> None:
    assert reading("Salt &amp;amp; pepper") == ("salt", "&", "pepper")
    assert reading("Men's 12mm T_shirt!?") == ("men", "'s", "1", "2", "mm", "t", "_", "shirt", "!?")
    assert reading(" \u201cFL\u00dc\u00df\u201d\n") == ('"', "fl\u00fc\u00df", '"')


def test_names_of_one_output_may_read_alike() -> None:
    categories = tuple(Category(text, (text,), (1, 2, 3), 0) for text in ("Car", "car"))
    vocabulary = Vocabulary("vehicles", categories, ("vehicle",))
    (finding,) = lint(vocabulary)
    refuse_alikes(vocabulary)
    assert finding.level == "warning"
    assert "both are one output" in finding.message


def test_many_synonyms_take_no_time() -> None:
    names = [f"thing {index} {'x' * 20}" for index in range(1000)]
    start = time.process_time()
    assert len(lint(Vocabulary.from_names(["; ".join([*names[1:], names[1].upper()])]))) == 1
    assert time.process_time() - start < 0.5


def test_lint_names_a_synonym_of_two_categories_once() -> None:
    assert _messages("blind, screen", "sky", "door, Screen") == [
        ("warning", 2, "the synonym 'screen' is also in category 0 ('blind, screen')."),
    ]


def test_lint_names_outputs_that_look_alike() -> None:
    base = Vocabulary.from_names(["road", "car"])
    first, second = base.categories
    same = replace(base, categories=(first, replace(second, color=first.color)))
    (finding,) = lint(same)
    assert (finding.level, finding.index, finding.text) == ("note", 1, "car")
    assert "also that of output 0" in finding.message


def test_lint_of_the_published_lists() -> None:
    counts = {name: len(lint(Vocabulary.load(name))) for name in builtin_names()}
    assert counts.pop("ade847") >= 41  # synonyms that two categories share
    assert counts.pop("ade150") == 1  # "bed "
    assert counts.pop("ade150-d2") == 7  # "window ", and six shared synonyms
    assert set(counts.values()) == {0}


def test_findings_come_in_the_order_of_the_categories() -> None:
    indices = [each.index for each in lint(Vocabulary.load("ade847"))]
    assert indices == sorted(indices)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("road, car, person", "every pixel is labeled with one of its 3 words"),
        ("one.txt", "every pixel is labeled with its only word"),
        ("voc20b", None),
    ],
)
def test_lint_says_that_a_list_has_no_background(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: str,
    said: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("road\n", encoding="utf-8")
    assert main(["vocab", "lint", spec, "--strict", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["findings"] == []
    assert main(["vocab", "lint", spec]) == 0
    shown = capsys.readouterr().out
    if said is None:
        assert document["notes"] == []
        assert "background" not in shown
    else:
        assert said in document["notes"][0]
        assert f"note: {document['notes'][0]}" in shown
        assert "--unknown" in shown
