"""The journal of `tune`: whole lines only, of one run, for one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ovss.errors import InputError, OutputError
from edge_ovss.tune.journal import RunJournal

RUN = {"model": "a", "sizes": (1, 2)}


def written(path: Path, rows: int) -> bytes:
    with RunJournal(path, RUN) as journal:
        for number in range(rows):
            journal.add({"row": number})
    return path.read_bytes()


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    written(tmp_path / "j", 3)
    with RunJournal(tmp_path / "j", RUN) as journal:
        assert [row["row"] for row in journal.rows] == [0, 1, 2]


def test_a_journal_cut_off_anywhere_keeps_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "j"
    content = written(path, 3)
    ends = [place + 1 for place, byte in enumerate(content) if byte == 10]
    for cut in range(ends[0], len(content)):
        path.write_bytes(content[:cut])
        with RunJournal(path, RUN) as journal:
            # A line that lacks only its end is whole.
            assert len(journal.rows) == sum(end - 1 <= cut for end in ends[1:])
            journal.add({"row": "next"})
        with RunJournal(path, RUN) as journal:
            assert journal.rows[-1]["row"] == "next"


def test_a_changed_line_ends_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(written(path, 3).replace(b'"row": 1', b'"row": 7'))
    with RunJournal(path, RUN) as journal:
        assert [row["row"] for row in journal.rows] == [0]


def test_a_first_line_that_was_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "j"
    head = written(path, 0)
    for cut in range(len(head)):
        path.write_bytes(head[:cut])
        with RunJournal(path, RUN) as journal:
            journal.add({"row": cut})
        assert path.read_bytes().startswith(head)


def test_a_first_line_of_another_run_that_was_cut_off_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "j"
    part = written(path, 0)[:-20]
    path.write_bytes(part)
    other = RunJournal(path, {**RUN, "model": "b"})
    with pytest.raises(InputError, match="not a journal"), other:
        raise AssertionError
    assert path.read_bytes() == part


@pytest.mark.parametrize("content", [b"", b"\0" * 40])
def test_a_file_that_was_never_written_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with RunJournal(tmp_path / "j", RUN) as journal:
        assert journal.rows == []


def test_the_journal_of_a_different_run_is_kept_and_says_what_differs(tmp_path: Path) -> None:
    content = written(tmp_path / "j", 1)
    other = RunJournal(tmp_path / "j", {**RUN, "sizes": (1, 3), "more": 1})
    with pytest.raises(InputError, match="differs in sizes, more"), other:
        raise AssertionError
    assert (tmp_path / "j").read_bytes() == content
    with RunJournal(tmp_path / "j", {**RUN, "sizes": (1, 3)}, fresh=True) as journal:
        assert journal.rows == []


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("my notes\n")
    with pytest.raises(InputError, match="not a journal"), RunJournal(tmp_path / "j", RUN):
        raise AssertionError
    assert (tmp_path / "j").read_text() == "my notes\n"


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with RunJournal(tmp_path / "j", RUN) as journal:
        journal.add({"row": 0})
        with pytest.raises(OutputError, match="Another run"), RunJournal(tmp_path / "j", RUN):
            raise AssertionError
        journal.add({"row": 1})
    with RunJournal(tmp_path / "j", RUN) as journal:
        assert len(journal.rows) == 2
