"""What the documents tell a reader to type is right: commands, options, paths and Python."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import PAGES, ROOT, Code, code_blocks, commands, page_name

from edge_ovss.cli import build_parser

SHELL = ("sh", "bash", "console")
# Python blocks that run as they stand, with a frame and a bundle of the name they use.
RUN = {
    ("README.md", 0): "sed-tiny-ade150.ovss",
    ("docs/five-minutes.md", 0): "street.ovss",
    ("docs/sed-tiny.md", 0): None,
}


def all_commands(*programs: str) -> list[tuple[str, list[str]]]:
    """Every command of these programs in every page, as (page, words)."""
    found = []
    for page in PAGES:
        for block in code_blocks(page, *SHELL):
            for line in commands(block):
                words = shlex.split(line, comments=True)
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    del words[0]
                if words and Path(words[0]).name in programs:
                    found.append((page_name(page), words))
    return found


def python_blocks() -> list[tuple[str, int, Code]]:
    return [
        (page_name(page), number, block)
        for page in PAGES
        for number, block in enumerate(code_blocks(page, "python"))
    ]


def case_name(value: object) -> str:
    return " ".join(value)[:60] if isinstance(value, list) else str(value)[:30]


VERBS = all_commands("edge-ovss")
PROGRAMS = all_commands("python", "python3")
BLOCKS = python_blocks()


def test_blocks_are_found() -> None:
    assert len(VERBS) > 40
    assert len(PROGRAMS) > 10
    assert len(BLOCKS) > 5
    assert set(RUN) <= {(page, number) for page, number, _ in BLOCKS}


@pytest.mark.parametrize(("page", "words"), VERBS, ids=case_name)
def test_commands_of_the_documents_are_parsed(
    page: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where a configuration of export/ is found
    if words[-2:-1] == [">"]:
        words = words[:-2]
    if "--print-completion" in words:
        pytest.importorskip("shtab")
    try:
        args = build_parser().parse_args(words[1:])
    except SystemExit as end:
        assert end.code == 0, f"{page}: {shlex.join(words)}"
    else:
        assert args.verb == words[1]


def sources_beside(program: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in program.parent.glob("*.py"))


@pytest.mark.parametrize(("page", "words"), PROGRAMS, ids=case_name)
def test_programs_of_the_documents_are_there_with_their_options(
    page: str, words: list[str]
) -> None:
    if words[1].startswith("-"):
        return  # python -m venv, python -c
    program = ROOT / words[1]
    assert program.is_file(), page
    text = sources_beside(program)
    for word in words[2:]:
        option = word.partition("=")[0]
        assert not word.startswith("--") or f'"{option}"' in text, f"{page}: {option}"


@pytest.mark.parametrize(("page", "words"), all_commands("make"), ids=case_name)
def test_targets_of_make_are_there(page: str, words: list[str]) -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    targets = [word for word in words[1:] if "=" not in word]
    assert set(targets) <= set(phony[1].split()), page


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_extras_of_the_documents_are_those_of_the_package(page: Path) -> None:
    named = re.findall(r"edge-ovss\[([\w,-]+)\]", page.read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^([\w-]+) = \[", project.split("optional-dependencies]")[1], re.M))
    assert {extra for names in named for extra in names.split(",")} <= extras


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
SOURCES = ("*.py", "*.cpp", "*.sh", "Makefile")
# Options of other programs.
FOREIGN = {"--system-site-packages", "--preset"}


def known_options() -> set[str]:
    folders = ("edge_ovss", "benchmarks", "calibration", "training", "export", "runtime")
    paths = [path for folder in folders for kind in SOURCES for path in (ROOT / folder).rglob(kind)]
    return {name for path in paths for name in OPTION.findall(path.read_text(encoding="utf-8"))}


def test_every_option_that_a_document_names_exists() -> None:
    known = known_options() | FOREIGN
    for page in PAGES:
        named = {
            option
            for code in re.findall(r"`([^`\n]*)`", page.read_text(encoding="utf-8"))
            for option in OPTION.findall(code)
        }
        assert named <= known, f"{page_name(page)}: {sorted(named - known)}"


PATH = re.compile(
    r"(?:edge_ovss|tests|docs|benchmarks|export|calibration|runtime|examples|training)/[\w./-]+"
)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_path_that_a_document_names_is_there(page: Path) -> None:
    for code in re.findall(r"`([^`\n]*)`", page.read_text(encoding="utf-8")):
        for path in PATH.findall(code):
            if re.search(r"(^|[\W_])[A-Z]{4}", path) or code.startswith(("…", "out/", "build/")):
                continue  # NAME stands for something
            assert (ROOT / path).exists(), f"{page_name(page)}: {path}"


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS, ids=case_name)
def test_python_of_the_documents_compiles(page: str, number: int, block: Code) -> None:
    assert compile(block.text, f"{page} #{number}", "exec")


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS, ids=case_name)
def test_names_and_keywords_of_the_documents_exist(page: str, number: int, block: Code) -> None:
    """What is imported of the package is there, and takes the keywords that it is given."""
    pytest.importorskip("torch")
    tree = ast.parse(block.text)
    names: dict[str, Any] = {}
    for module, name in imported(tree):
        names[name] = getattr(importlib.import_module(module), name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            function = names.get(node.func.id)
            given = {keyword.arg for keyword in node.keywords if keyword.arg}
            if function is not None and given:
                assert given <= set(inspect.signature(function).parameters), f"{page} #{number}"


@pytest.mark.parametrize("key", RUN, ids=str)
def test_cheap_python_of_the_documents_runs(
    key: tuple[str, int],
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxruntime")
    text = next(block.text for page, number, block in BLOCKS if (page, number) == key)
    if RUN[key]:
        make_bundle(RUN[key])
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"frame": np.zeros((8, 9, 3), np.uint8), "x": 3, "y": 2}
    exec(compile(text, str(key), "exec"), namespace)
    if "print(" in text:
        assert capsys.readouterr().out.startswith("thing")
    elif RUN[key]:
        assert namespace["result"].labels.shape == (8, 9)
