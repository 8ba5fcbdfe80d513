"""One rule says what a text list is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_ovss._text_list import decode_text, list_entries, read_text_list
from edge_ovss.errors import InputError, VocabularyError


def entries(content: bytes, *, blank_lines: bool = False) -> list[tuple[int, str]]:
    text = decode_text(content, "'x'")
    return [(line.number, line.text) for line in list_entries(text, blank_lines=blank_lines)]


@pytest.mark.parametrize(
    "content",
    [
        b"road\ncar \n",
        b"road\r\ncar \r\n",
        b"road\rcar \r",
        b"road\rcar ",
        b"\xef\xbb\xbfroad\ncar ",
        b"\xef\xbb\xbf\xef\xbb\xbfroad\n\xef\xbb\xbfcar ",
        b"road\ncar \n\n \n# end\n\n",
    ],
    ids=["lf", "crlf", "cr", "no end", "mark", "joined files", "blank at the end"],
)
def test_how_lines_end_and_files_begin_does_not_matter(content: bytes) -> None:
    assert entries(content) == [(1, "road"), (2, "car ")]


def test_comments_count_as_lines_but_not_as_entries() -> None:
    assert entries(b"# of\nroad\n  # a\t\n\t#b\n c# \n") == [(2, "road"), (5, " c# ")]
    assert entries(b"") == entries(b"\n\n") == entries(b"# only\n\n") == []


@pytest.mark.parametrize("char", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_character_that_ends_a_line_for_some_is_refused(char: str) -> None:
    with pytest.raises(InputError, match=f"Line 2 has the character U.{ord(char):04X}"):
        entries(f"# {char}\nroad{char}car\n".encode())


@pytest.mark.parametrize("char", ["\t", "\xa0", "\u2003", "\x1f", "\u200b"])
def test_other_white_space_belongs_to_an_entry(char: str) -> None:
    assert entries(f"road{char}car\n".encode()) == [(1, f"road{char}car")]


@pytest.mark.parametrize(
    ("content", "blank", "kept"),
    [
        (b"a\n\nb", 2, [(1, "a"), (3, "b")]),
        (b"\na", 1, [(2, "a")]),
        (b"a\r\rb", 2, [(1, "a"), (3, "b")]),
        (b"# of\n\nb", 2, [(3, "b")]),
        (b"a\n \t\nb", 2, [(1, "a"), (3, "b")]),
    ],
)
def test_a_blank_line_before_an_entry_is_refused_or_skipped(
    content: bytes, blank: int, kept: list[tuple[int, str]]
) -> None:
    with pytest.raises(InputError, match=f"Line {blank} is blank, but entries follow"):
        entries(content)
    assert entries(content, blank_lines=True) == kept


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("road".encode("utf-16"), "the mark of UTF-16"),
        (b"\xfe\xff\0r", "the mark of UTF-16"),
        ("road".encode("utf-32"), "the mark of UTF-32"),
        ("road".encode("utf-16-le"), "byte 1 is zero"),
        ("straße".encode("latin-1"), "byte 4 cannot be decoded"),
        (b"\x89PNG", "byte 0 cannot be decoded"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"list\.txt' is not UTF-8 text.*{reason}") as caught:
        read_text_list(tmp_path / "list.txt", blank_lines=True, error=VocabularyError)
    assert caught.value.hint == "Save the file as UTF-8."


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_text_list(tmp_path / "none.txt", blank_lines=True)
    with pytest.raises(InputError, match="not a regular file"):
        read_text_list(tmp_path, blank_lines=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        read_text_list(tmp_path / "pipe", blank_lines=True)
    (tmp_path / "large").write_bytes(b"a\n" * 2**19 + b"b")
    assert len(read_text_list(tmp_path / "large", blank_lines=True)) == 2**19 + 1
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_text_list(tmp_path / "large", blank_lines=True, limit=2**20)


def test_the_message_of_a_blank_line_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a\n\nb\n")
    with pytest.raises(InputError, match=r"list\.txt': Line 2 is blank") as caught:
        read_text_list(tmp_path / "list.txt", blank_lines=False)
    assert "Remove the line" in str(caught.value.hint)
