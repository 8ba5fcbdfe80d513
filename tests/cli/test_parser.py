"""The command line as a whole: what --help shows, suggests and imports."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_ovss.cli import VERBS, build_parser, main
from edge_ovss.cli.shared.completion import SHELLS
from edge_ovss.cli.shared.parser import Parser

Capture = pytest.CaptureFixture[str]


def options_of(verb: str) -> str:
    return module_of(verb).replace("edge_ovss.cli.", "edge_ovss.cli.options.")


def module_of(verb: str) -> str:
    proof = ("parity", "eval", "bench", "report", "data")
    return f"edge_ovss.cli.{'proof.' if verb in proof else ''}{verb}"


def fails(words: str, capsys: Capture) -> str:
    with pytest.raises(SystemExit) as end:
        main(shlex.split(words))
    assert end.value.code == 2
    return capsys.readouterr().err


def shown(capsys: Capture, *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([*words])
    assert not end.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("exprot --vocab ade150", "unknown verb 'exprot'; did you mean 'export'?"),
        ("slftest a.ovss", "unknown verb 'slftest'; did you mean 'selftest'?"),
        ("frobnicate", "unknown verb 'frobnicate'; expected one of: export, calibrate,"),
        ("vocab lnit a.txt", "unknown action 'lnit'; did you mean 'lint'?"),
        ("data layout", "unknown action 'layout'; did you mean 'layouts'?"),
        ("--verison", "unknown option '--verison'; did you mean '--version'?"),
        ("export --vocb ade150", "unknown option '--vocb'; did you mean '--vocab'?"),
        ("export '--vocb=road, car'", "unknown option '--vocb'; did you mean '--vocab'?"),
        ("export --vocab x --tpok 3", "unknown option '--tpok'; did you mean '--topk'?"),
        ("run a.ovss b -limit 3", "unknown option '-limit'; did you mean '--limit'?"),
        ("vocab lint a.txt --strct", "unknown option '--strct'; did you mean '--strict'?"),
        ("vocab --jsn list", "unknown option '--jsn'; did you mean '--json'?"),
        ("run a.ovss b --zzzzz", "unknown option '--zzzzz'\n"),
        (
            "calibrate a.ovss --target tensort",
            "invalid choice: 'tensort' (choose from 'tensorrt', 'cpu'); did you mean 'tensorrt'?",
        ),
        ("run a.ovss b --on-overflow kep", "did you mean 'keep'?"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(words: str, message: str, capsys: Capture) -> None:
    assert message in fails(words, capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: VERB"),
        ("export", "the following arguments are required: --vocab"),
        ("doctor here", "unrecognized arguments: here"),
        ("run a.ovss b --limit x", "argument --limit: invalid int value: 'x'"),
        ("run a.ovss b --limit", "argument --limit: expected one argument"),
        ("eval a.ovss b --labels-start 7", "invalid choice: 7 (choose from 0, 1)"),
    ],
)
def test_other_mistakes_read_as_argparse_words_them(
    words: str, message: str, capsys: Capture
) -> None:
    printed = fails(words, capsys)
    assert message in printed
    assert "did you mean" not in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run a.ovss b --backend onnxruntim", "Did you mean onnxruntime"),
        ("eval a.ovss . --layout foldr", "Did you mean folder"),
        ("build a.ovss --backend tensort", "expected one of: tensorrt, tensorrt-rtx"),
    ],
)
def test_names_out_of_registries_are_suggested_too(
    words: str, message: str, capsys: Capture, make_bundle: object, tmp_path: Path
) -> None:
    assert callable(make_bundle)
    words = words.replace("a.ovss", str(make_bundle())).replace(" b ", f" {Path(__file__)} ")
    assert main(shlex.split(words)) == 2
    assert message in capsys.readouterr().err


def test_a_negative_number_is_a_value() -> None:
    args = build_parser("run").parse_args(["run", "a.ovss", "b", "--alpha", "-.5"])
    assert args.alpha == -0.5


def test_options_can_still_be_abbreviated() -> None:
    args = build_parser("run").parse_args(["run", "a.ovss", "b", "--lim", "3", "--no-over"])
    assert (args.limit, args.no_overlay) == (3, True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_that_parse(verb: str, capsys: Capture) -> None:
    examples = importlib.import_module(options_of(verb)).EXAMPLES
    text = shown(capsys, verb, "--help")
    assert examples
    for example in examples:
        assert example in text
        program, *words = shlex.split(example.replace("\\\n", " "))
        assert (program, words[0]) == ("edge-ovss", verb)
        assert build_parser(verb).parse_args(words).verb == verb


@pytest.mark.parametrize("verb", ["export", "calibrate", "eval", "parity"])
def test_help_shows_the_common_options_and_help_all_every_one(verb: str, capsys: Capture) -> None:
    common, every = shown(capsys, verb, "--help"), shown(capsys, verb, "--help-all")
    options = {name for action in parser_of(verb)._actions for name in action.option_strings}
    named = {name for name in options if re.search(rf"{name}\b(?!-)", common)}
    assert "--help-all" in named
    assert named < options
    assert {name for name in options if re.search(rf"{name}\b(?!-)", every)} == options
    assert len(common) < len(every)


def test_export_shows_first_what_most_exports_need(capsys: Capture) -> None:
    text = shown(capsys, "export", "--help")
    for name in ("--vocab", "--model", "--checkpoint", "--precision", "--config", "--out"):
        assert f"{name} " in text
    for name in ("--topk", "--template-rank", "--percentile", "--labels-start"):
        assert name not in text
    titles = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert titles == ["options", "model", "graph", "precision", "validation", "output", "examples"]


def parser_of(verb: str) -> Parser:
    (verbs,) = (action for action in build_parser(verb)._actions if action.dest == "verb")
    assert isinstance(verbs.choices, dict)
    found = verbs.choices[verb]
    assert isinstance(found, Parser)
    return found


def help_of(verb: str, option: str) -> str:
    texts = [a.help for a in parser_of(verb)._actions if option in a.option_strings]
    parser = parser_of(verb)
    parser.show_all()
    (text,) = (a.help for a in parser._actions if option in a.option_strings)
    assert texts
    return str(text)


def test_names_are_listed_where_they_are_asked_for() -> None:
    from edge_ovss.datasets.layouts import LAYOUTS
    from edge_ovss.metrics.reported import PROTOCOLS
    from edge_ovss.runtime.backends import backend_names
    from edge_ovss.runtime.trt.variants import FLAVORS

    for verb in ("run", "selftest", "eval", "bench", "parity"):
        assert all(name in help_of(verb, "--backend") for name in backend_names())
    assert all(name in help_of("build", "--backend") for name in FLAVORS)
    for verb in ("eval", "parity", "export", "calibrate"):
        assert all(name in help_of(verb, "--layout") for name in LAYOUTS)
    for verb in ("eval", "parity"):
        assert all(name in help_of(verb, "--protocol") for name in PROTOCOLS)


def test_the_choices_of_a_precision_are_those_of_the_package() -> None:
    from edge_ovss.calibration.histograms import METHODS
    from edge_ovss.calibration.options import BASES, PRECISIONS
    from edge_ovss.calibration.quantize import TARGETS

    choices = {action.dest: action.choices for action in parser_of("calibrate")._actions}
    assert set(choices["target"] or ()) == set(TARGETS)
    assert set(choices["method"] or ()) == set(METHODS)
    assert set(choices["base"] or ()) == set(BASES)
    assert set(choices["precision"] or ()) == set(PRECISIONS)


def test_every_option_and_verb_has_a_help_text() -> None:
    def check(parser: argparse.ArgumentParser) -> Iterator[str]:
        for action in parser._actions:
            hidden = action.dest in ("dla", "require_faster") and parser.prog.endswith("build")
            if not action.help and not isinstance(action, argparse._SubParsersAction):
                yield f"{parser.prog} {action.dest}"
            if action.help == argparse.SUPPRESS and not hidden:
                yield f"{parser.prog} {action.dest} is hidden"
            if isinstance(action, argparse._SubParsersAction):
                for sub in action.choices.values():
                    sub.show_all()
                    yield from check(sub)

    assert list(check(build_parser())) == []


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_imports_neither_numpy_nor_what_a_verb_does(verb: str) -> None:
    words = [verb, "--help"] if verb else ["--help"]
    code = (
        "import sys\n"
        "from edge_ovss.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "print(*sorted(name for name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    names = set(done.stdout.splitlines()[-1].split())
    assert not {"numpy", "cv2", "onnx", "torch"} & names
    assert not {module_of(other) for other in VERBS} & names
    options = {options_of(other) for other in VERBS} & names
    assert options == ({options_of(verb)} if verb else set())


def test_a_missing_completion_package_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 3
    assert "edge-ovss[completion]" in capsys.readouterr().err
    assert "did you mean 'bash'" in fails("--print-completion bsh", capsys)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_script_knows_every_verb_and_option(shell: str, capsys: Capture) -> None:
    pytest.importorskip("shtab", reason="shtab (extra 'completion') is not installed")
    script = shown(capsys, "--print-completion", shell)
    for word in (*VERBS, "template-rank", "labels-start", "lint"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=60)
