"""Streams that are full, closed or not UTF-8 never end in a traceback."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_ovss import cli
from edge_ovss._files import write_json
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.shown_warnings import shown_notes
from edge_ovss.frames.source_notes import note, warn_of_picture

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


def edge_ovss(
    *words: str,
    stdout: int | None = None,
    stderr: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "edge_ovss", *words],
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE if stderr is None else stderr,
        env={**os.environ, **(variables or {})},
        check=False,
        timeout=60,
    )


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        ("vocab", "list"),
        ("vocab", "list", "--json"),
        ("vocab", "show", "camvid"),
        ("--help",),
        ("run", "--help"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_a_full_disk_behind_stdout_is_an_output_error(
    words: tuple[str, ...], unbuffered: str
) -> None:
    with FULL.open("wb") as full:
        done = edge_ovss(*words, stdout=full.fileno(), variables={"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == b"error: Cannot write '/dev/stdout': the disk is full."
    assert b"Traceback" not in done.stderr


@needs_full
def test_a_failure_keeps_its_status_where_nothing_can_be_said() -> None:
    with FULL.open("wb") as full:
        number = full.fileno()
        assert edge_ovss("vocab", "show", "none.txt", stdout=number, stderr=number).returncode == 4
        assert edge_ovss("vocab", "list", stderr=number).returncode == 0
        assert edge_ovss("nonsense", stderr=number).returncode == 2


@pytest.mark.parametrize("words", [("vocab", "show", "ade150"), ("--help",)], ids=" ".join)
def test_a_reader_that_left_is_no_failure(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = edge_ovss(*words, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_what_stdout_cannot_encode_is_escaped(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "s.txt").write_text("straße\n街道\n", encoding="utf-8")
    done = edge_ovss("vocab", "show", str(tmp_path / "s.txt"), variables=variables)
    assert done.returncode == 0
    assert rb"\u8857\u9053" in done.stdout
    done = edge_ovss("vocab", "show", str(tmp_path / "街道.txt"), variables=variables)
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr


def test_codes_for_the_terminal_in_a_path_are_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xdf\x1b[2J.txt")
    done = edge_ovss("vocab", "show", str(tmp_path / name))
    assert done.returncode == 4
    assert rb"\xdf\x1b[2J.txt" in done.stderr
    assert b"\x1b" not in done.stderr


def test_results_are_printable_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"\xdf\x1b")
    Console().result(f"one {name}\ntwo", None)
    assert capsys.readouterr().out == "one \\xdf\\x1b\ntwo\n"
    Console(json=True).result("", {"name": name})
    assert json.loads(capsys.readouterr().out) == {"name": "\\xdf\x1b"}


def test_a_file_of_json_is_utf8(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"straße": os.fsdecode(b"\xdf")})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"straße": "\\xdf"}


def test_notes_are_quiet_when_asked_and_warnings_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with shown_notes(Console()):
        note("two left out")
        for number in (1, 2, 3, 3, 4, 5, 1):
            warn_of_picture(f"picture {number} is dark")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "note: two left out",
        "warning: picture 1 is dark",
        "warning: picture 2 is dark",
        "warning: picture 3 is dark",
        "warning: 2 more images have such warnings",
    ]
    with shown_notes(Console(quiet=True)):
        note("two left out")
        warn_of_picture("picture 1 is dark")
    assert capsys.readouterr().err == "warning: picture 1 is dark\n"


def test_other_warnings_pass() -> None:
    with pytest.warns(DeprecationWarning, match="of others"), shown_notes(Console()):
        warnings.warn("of others", DeprecationWarning, stacklevel=1)


@pytest.mark.parametrize("name", ["a b.ovss", "it's.ovss", "$HOME;x", "*.ovss"])
def test_the_next_step_can_be_pasted_into_a_shell(name: str) -> None:
    line = next_step("run", Path(name), "SOURCE")
    assert shlex.split(line) == ["Next:", "edge-ovss", "run", name, "SOURCE"]
    assert next_step("selftest", "plain.ovss") == "Next: edge-ovss selftest plain.ovss"


def test_every_next_step_is_quoted_by_the_one_function() -> None:
    folder = Path(cli.__file__).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert [name for name, text in texts.items() if "Next: " in text] == ["console.py"]
