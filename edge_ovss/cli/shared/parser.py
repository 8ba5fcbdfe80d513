"""The argument parser of every verb: suggestions, examples, --help-all and --config."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from edge_ovss.cli.shared.config_file import config_arguments
from edge_ovss.cli.shared.console import say

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

N = TypeVar("N")

_NUMBER = re.compile(r"-\.?\d")


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests corrections for mistyped options and values."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (those of argparse)
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)
        self._given: list[str] = []
        self._rare: dict[argparse.Action, str | None] = {}
        self._prefix = ""

    def show_examples(self, examples: Sequence[str]) -> None:
        """Show commands at the end of the help."""
        lines = [f"  {line}" for line in examples]
        self.epilog = "\n".join(["examples:" if len(lines) > 1 else "example:", *lines])

    def add_config(self) -> None:
        """Add --config, which reads options from a file."""
        self.add_argument(
            "--config",
            metavar="FILE",
            help="TOML file whose keys are option names; options given here win",
        )

    def hide(self, *options: str) -> None:
        """Leave options out of --help; --help-all, which this adds, shows them too."""
        for option in options:
            action = self._option_string_actions[option]
            self._rare[action] = action.help
            action.help = argparse.SUPPRESS
        self.add_argument("--help-all", nargs=0, action=_HelpAll, help="show every option")

    def show_all(self) -> None:
        """Put the options that `hide` left out back into the help."""
        for action, text in self._rare.items():
            action.help = text

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: N | None = None
    ) -> tuple[N | argparse.Namespace, list[str]]:
        """Parse as argparse does, with the options of a --config file before those given.

        Raises:
            SystemExit: For wrong arguments (status 2), and after --help.
            InputError: The --config file cannot be read.
            UsageError: It has something that is not an option.
        """
        self._given = given = sys.argv[1:] if args is None else list(args)
        if "--config" in self._option_string_actions and any(map(_may_be_config, given)):
            given = self._with_config(given)
        parsed, rest = super().parse_known_args(given, namespace)
        if self._mistyped():
            self.error("")
        return parsed, rest

    def error(self, message: str) -> NoReturn:
        """Print usage and the message, and exit; a mistyped option goes first."""
        if words := self._mistyped():
            names = [name for name in self._option_string_actions if name.startswith("--")]
            message = f"unknown option '{words[0]}'{_suggestion(words[0], names)}"
        super().error(f"{self._prefix}{message}")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Check a value with choices; also called by argparse for the names of verbs."""
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        meant = _suggestion(str(value), names)
        if isinstance(action, argparse._SubParsersAction):
            meant = meant or f"; expected one of: {', '.join(names)}"
            kind = str(action.metavar).lower()
            raise argparse.ArgumentError(None, f"unknown {kind} '{value}'{meant}")
        known = ", ".join(map(repr, action.choices))
        text = f"invalid choice: {value!r} (choose from {known}){meant}"
        raise argparse.ArgumentError(action, text)

    def _with_config(self, given: list[str]) -> list[str]:
        """Put the arguments of the file that --config names before those of the command line."""
        with self._nothing_required():
            asked, _ = super().parse_known_args(given)
            if asked.config is None or self._mistyped():
                return given
            options = {
                name: action
                for name, action in self._option_string_actions.items()
                if name not in ("-h", "--help", "--help-all", "--config")
            }
            # A repeatable option would add to the values in the file instead of replacing them.
            taken = [name for name, action in options.items() if _is_repeated(action, asked)]
            path = Path(asked.config)
            arguments = config_arguments(path, options, taken)
            self._prefix = f"config '{path}': "
            super().parse_known_args(arguments)  # errors in these values name the file
            self._prefix = ""
        return [*arguments, *given]

    @contextmanager
    def _nothing_required(self) -> Iterator[None]:
        required = [action for action in self._actions if action.required]
        for action in required:
            action.required = False
        try:
            yield
        finally:
            for action in required:
                action.required = True

    def _mistyped(self) -> list[str]:
        """Return the words that look like options but are not options of this parser."""
        words = takewhile(lambda word: word != "--", self._given)
        if self._subparsers is not None:  # the rest belongs to the verb
            words = takewhile(lambda word: word.startswith("-"), words)
        heads = [word.partition("=")[0] for word in words if _looks_like_option(word)]
        known = self._option_string_actions
        return [head for head in heads if not any(name.startswith(head) for name in known)]

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Print, and do not hide that the help could not be written."""
        if file is None or file is sys.stderr:
            say(message.rstrip("\n"))
        else:
            file.write(message)


class _HelpAll(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if isinstance(parser, Parser):
            parser.show_all()
        parser.print_help()
        parser.exit()


def _is_repeated(action: argparse.Action, asked: argparse.Namespace) -> bool:
    """Whether an option that may be given repeatedly was given."""
    is_append = isinstance(action, argparse._AppendAction)
    return is_append and bool(getattr(asked, action.dest))


def _may_be_config(word: str) -> bool:
    """Whether argparse may read a word as --config, which can be abbreviated."""
    head = word.partition("=")[0]
    return len(head) > 2 and "--config".startswith(head)


def _suggestion(word: str, names: Sequence[str]) -> str:
    """Return "; did you mean ...?", or "" where no name is close."""
    plain = {name.lstrip("-"): name for name in names}
    word = word.lstrip("-")
    close = get_close_matches(word, plain, n=3, cutoff=0.65)
    # Of equally close ones, swapped letters are the likelier slip.
    close.sort(key=lambda name: sorted(name) != sorted(word))
    return f"; did you mean '{plain[close[0]]}'?" if close else ""


def _looks_like_option(word: str) -> bool:
    is_value = _NUMBER.match(word) or " " in word.partition("=")[0]
    return word.startswith("-") and len(word) > 2 and not is_value


def add_console_arguments(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add --json and --quiet.

    Args:
        parser: Of a verb, or of an action of one.
        again: Whether the verb before it has them too; values given there are kept.
    """
    default = argparse.SUPPRESS if again else False
    for name, text in (
        ("--json", "print one JSON document on stdout"),
        ("--quiet", "print no progress and no notes"),
    ):
        parser.add_argument(name, action="store_true", default=default, help=text)
