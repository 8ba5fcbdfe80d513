"""Whatever is in a name, a terminal and a JSON document get printable text."""

from __future__ import annotations

import json
import os

import pytest

from edge_ovss._safe_text import file_stem, json_ready, shown, shown_text

NOT_UTF8 = os.fsdecode(b"a\xdf")


@pytest.mark.parametrize(
    ("name", "one_line", "stem"),
    [
        ("street 1.png", "street 1.png", "street 1.png"),
        ("straße 街道 ถนน", "straße 街道 ถนน", "straße 街道 ถนน"),
        (NOT_UTF8, r"a\xdf", "a%DF"),
        ("a\nb\tc", r"a\nb\tc", "a%0Ab%09c"),
        ("\x1b[2Jx", r"\x1b[2Jx", "%1B[2Jx"),
        ("\x7f\x9b", r"\x7f\x9b", "%7F%C2%9B"),
        ("a\u2028b", r"a\u2028b", "a%E2%80%A8b"),
        ("gnp.\u202egpj", r"gnp.\u202egpj", "gnp.%E2%80%AEgpj"),
        ("\ud800", r"\ud800", "%ED%A0%80"),
        ("", "", ""),
    ],
)
def test_names(name: str, one_line: str, stem: str) -> None:
    assert shown(name) == one_line
    assert file_stem(name) == stem
    for text in (shown(name), file_stem(name)):
        assert text.encode("utf-8").decode() == text
        assert text.isprintable()


def test_messages_keep_their_lines_and_nothing_else() -> None:
    assert (
        shown_text("one\n\ttwo \x1b[31m\r\x07" + NOT_UTF8) == "one\n\ttwo \\x1b[31m\\r\\x07a\\xdf"
    )


def test_a_document_holds_no_lone_surrogates() -> None:
    document = {NOT_UTF8: [NOT_UTF8, {"a": (1, None, True, 0.5, "ß\n")}]}
    ready = json_ready(document)
    assert ready == {"a\\xdf": ["a\\xdf", {"a": [1, None, True, 0.5, "ß\n"]}]}
    assert json.dumps(ready, ensure_ascii=False).encode("utf-8")
    assert json_ready({"a": "\ud83d"}) == {"a": "\\ud83d"}
