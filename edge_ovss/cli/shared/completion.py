"""Completion scripts for shells, made by the optional package shtab."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from edge_ovss._optional import require
from edge_ovss.cli.shared.console import put
from edge_ovss.cli.shared.parser import Parser

SHELLS = ("bash", "zsh", "tcsh")

_FILES = ("FILE", "FILE.npz", "PATH", "SOURCE", "NAME|FILE|LIST", "FILE|URL")
_FOLDERS = ("BUNDLE", "DIR", "DATA")


class PrintCompletion(argparse.Action):
    """Print the completion script for a shell, and exit.

    Args:
        whole: Returns the parser with every verb.
    """

    def __init__(self, *, whole: Callable[[], Parser], **settings: Any) -> None:  # noqa: ANN401
        super().__init__(choices=SHELLS, metavar="SHELL", **settings)
        self._whole = whole

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 (a name of SHELLS)
        option_string: str | None = None,
    ) -> None:
        """Print and exit.

        Raises:
            MissingDependencyError: shtab is not installed.
        """
        shtab = require("shtab", extra="completion")
        whole = self._whole()
        _prepare(whole, shtab.FILE, shtab.DIRECTORY)
        put(shtab.complete(whole, shell=values))
        parser.exit()


def _prepare(parser: Parser, files: object, folders: object) -> None:
    """Show every option, and say which values are files, also in the parsers of verbs."""
    parser.show_all()
    for action in parser._actions:
        if action.metavar in _FILES:
            action.complete = files  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = folders  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _prepare(sub, files, folders)
