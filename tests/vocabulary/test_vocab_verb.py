"""The verb vocab and the examples of docs/vocabularies.md."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy
import pytest

import edge_ovss.cli
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary

GUIDE = Path(__file__).parents[2] / "docs" / "vocabularies.md"


def _run(*args: str) -> int:
    return edge_ovss.cli.main(["vocab", *args])


def test_list_names_every_builtin(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("list") == 0
    out, err = capsys.readouterr()
    assert re.search(r"^voc20b +59 +21  PASCAL VOC 2012", out, re.MULTILINE)
    assert len(out.splitlines()) == 12
    assert "vocab show" in err


@pytest.mark.parametrize("args", [("--json", "list"), ("list", "--json")])
def test_json_works_before_and_after_the_action(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("--quiet", *args) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)["vocabularies"]
    assert [row["categories"] for row in rows] == [150, 150, 847, 59, 459, 459, 20, 59, 171, 11, 19]
    assert rows[7]["outputs"] == 21
    assert err == ""


def test_show_quotes_names_so_that_spaces_are_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "ade150") == 0
    assert "    7  #" in (out := capsys.readouterr().out)
    assert "'bed '" in out


def test_show_says_outputs_synonyms_and_background(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "voc20b") == 0
    out = capsys.readouterr().out
    assert "voc20b: 59 categories, 21 outputs" in out
    assert "background 20 (background)" in out
    assert "   58  #000000      20  'wood'  -> 'background'" in out
    assert _run("show", "car; auto, road") == 0
    assert "'car; auto'  synonyms 'car', 'auto'" in capsys.readouterr().out


def test_show_json_is_a_vocabulary_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "voc20b", "--json") == 0
    path = tmp_path / "vocabulary.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert Vocabulary.load(path) == Vocabulary.load("voc20b")


def test_lint_passes_unless_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("lint", "ade150") == 0
    assert _run("lint", "ade150", "--strict") == 6
    assert capsys.readouterr().out.count("note: category 7 ('bed ')") == 2
    assert _run("lint", "pc59", "--strict") == 0
    assert capsys.readouterr().out.endswith("\npc59: 59 categories, 0 findings\n")


def test_lint_json_lists_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("lint", "--json", "ade150") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(each["level"], each["index"], each["text"]) for each in document["findings"]] == [
        ("note", 7, "bed ")
    ]


@pytest.mark.parametrize("action", ["show", "lint"])
def test_bad_vocabulary_is_status_4_and_no_traceback(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(action, "ade15") == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: There is no vocabulary 'ade15'")
    assert "Did you mean ade150" in err


@pytest.mark.parametrize("args", [(), ("mend",), ("show",), ("encode", "voc20")])
def test_wrong_use_is_status_2(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _run(*args)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


class _Model:
    """Stands in for a model: unit vectors along one axis per category."""

    def encode_text(self, vocabulary: Vocabulary, *, progress: object) -> TextEmbeddings:
        array = numpy.eye(len(vocabulary), dtype=numpy.float32)[:, None, :]
        return TextEmbeddings(array, vocabulary.prompts, vocabulary.sha256, "t", "sed-tiny", "w")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Replace the models, so that encoding needs no torch; returns what was asked for."""
    asked: list[SimpleNamespace] = []

    def load_model(name: str, **named: object) -> _Model:
        asked.append(SimpleNamespace(name=name, **named))
        return _Model()

    monkeypatch.setattr("edge_ovss.models.load_model", load_model, raising=False)
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    return asked


def test_encode_writes_a_pack_that_fits(
    tmp_path: Path, calls: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "voc.npz"
    options = ["--model", "sed-tiny", "--weights", "random", "--seed", "3", "--out", str(out)]
    assert _run("encode", "voc20", *options, "--json") == 0
    TextEmbeddings.load(out).require_match(Vocabulary.load("voc20"))
    assert callable(vars(calls[0]).pop("note"))
    assert vars(calls[0]) == {
        "name": "sed-tiny",
        "checkpoint": None,
        "weights": "random",
        "seed": 3,
    }
    text, err = capsys.readouterr()
    assert json.loads(text)["shape"] == [20, 1, 20]
    assert "export --model sed-tiny --weights random --seed 3 --vocab voc20 --emb" in err


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--seed", "1"], 2, "--seed is given without --weights random"),
        (["--weights", "random", "--checkpoint", "x.pth"], 2, "expected one of them"),
    ],
)
def test_encode_refuses_options_that_contradict(
    tmp_path: Path,
    calls: list[SimpleNamespace],
    options: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "w.npz")
    assert _run("encode", "voc20", "--model", "sed-tiny", "--out", out, *options) == status
    assert message in capsys.readouterr().err
    assert not calls


@pytest.mark.parametrize(("out", "message"), [("", "is a folder"), ("no/w.npz", "is no folder")])
def test_encode_refuses_its_target_before_it_starts(
    tmp_path: Path,
    calls: list[SimpleNamespace],
    out: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run("encode", "voc20", "--model", "sed-tiny", "--out", str(tmp_path / out)) == 4
    assert message in capsys.readouterr().err
    assert not calls


def test_encode_without_torch_is_status_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert _run("encode", "voc20", "--model", "sed-tiny", "--out", str(tmp_path / "w.npz")) == 3
    assert "edge-ovss[export]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def _blocks(kind: str) -> list[tuple[str, str]]:
    """Return (rest of the info line, content) of the guide's blocks of one kind."""
    pattern = rf"^```{kind}(?: (\S+))?\n(.*?)^```$"
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(pattern, text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def _guide_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (*_blocks("text"), *_blocks("toml")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_guide_files")
@pytest.mark.parametrize("content", [content for _, content in _blocks("console")])
def test_commands_of_the_guide_print_what_it_says(
    content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, expected = content.split("\n", 1)
    program, *args = shlex.split(command.removeprefix("$ "))
    assert program == "edge-ovss"
    assert edge_ovss.cli.main(args) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.usefixtures("_guide_files")
def test_python_of_the_guide_runs() -> None:
    blocks = _blocks("python")
    assert len(blocks) == 1
    names: dict[str, object] = {}
    exec(compile(blocks[0][1], str(GUIDE), "exec"), names)
    assert isinstance(names["words"], Vocabulary)


@pytest.mark.usefixtures("_guide_files")
def test_other_commands_of_the_guide_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for _, block in _blocks("sh") for line in block.splitlines()]
    encode = next(line for line in lines if " encode " in line)
    args = edge_ovss.cli.build_parser().parse_args(shlex.split(encode)[1:])
    assert (args.action, args.model, str(args.out)) == ("encode", "sed-base", "street.npz")
    assert len(Vocabulary.load(args.vocabulary)) == 5
