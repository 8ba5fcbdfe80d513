"""Export by a recipe: a TOML file whose keys are the options of `edge-ovss export`."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_ovss._strict_parsing import MOST_TOML, DocumentError, parse_toml_table, read_limited
from edge_ovss.cli import build_parser, main
from edge_ovss.errors import EdgeOvssError, InputError, UsageError

USAGE = "usage: from_recipe.py RECIPE.toml [options of edge-ovss export, which win]"


def read_recipe(path: Path) -> list[str]:
    """Return a recipe as arguments of `edge-ovss export`.

    Raises:
        InputError: The file cannot be read or is no TOML.
        UsageError: A key is no option of the verb, or a value is neither text nor a number.
    """
    try:
        text = read_limited(path, limit=MOST_TOML).decode("utf-8-sig")
        recipe = parse_toml_table(text)
    except (OSError, UnicodeDecodeError, DocumentError) as err:
        message = f"Recipe '{path}' cannot be read: {err}"
        raise InputError(message) from err
    arguments: list[str] = []
    for key, value in recipe.items():
        if isinstance(value, bool) and value:
            arguments.append(f"--{key}")
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            arguments.append(f"--{key}={value}")
        else:
            message = f"Recipe '{path}': '{key}' is {value!r}; expected text, a number or true."
            raise UsageError(message)
    return arguments


def run(argv: list[str]) -> int:
    """Read the recipe named first, and export with it and with the options behind it."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else UsageError.status
    try:
        arguments = ["export", *read_recipe(Path(argv[0])), *argv[1:]]
    except EdgeOvssError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.status
    build_parser().parse_args(arguments)  # an unknown key ends here, with the verb's own message
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
