"""List, show and check vocabularies, and encode one into an embedding pack."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss.cli.shared.parser import Parser, add_console_arguments
from edge_ovss.models.catalogue import EXAMPLE_MODEL, list_models

EXAMPLES = (
    "edge-ovss vocab show ade150",
    "edge-ovss vocab lint my-classes.txt --strict",
    f"edge-ovss vocab encode my-classes.txt --model {EXAMPLE_MODEL} --checkpoint model.pth \\\n"
    "      --out my-classes.npz",
)
_MODELS = f"one of {', '.join(list_models())}"
_SPEC = 'a built-in name, a .txt, .toml or .json file, or a list such as "road, car, person"'


def add_arguments(parser: Parser) -> None:
    """Add the four actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "list", "the built-in vocabularies")
    show = _action(actions, "show", "the categories, outputs and colors of one")
    show.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    check = _action(actions, "lint", "likely mistakes in one")
    check.epilog = "Exit status 4 if export would refuse the vocabulary."
    check.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    check.add_argument("--strict", action="store_true", help="exit with 6 if there are findings")
    check.add_argument(
        "--model",
        metavar="NAME",
        help=f"also find class names that this model cannot tell apart (needs torch); {_MODELS}",
    )
    check.add_argument("--checkpoint", metavar="PATH", help="weights of the model")
    encode = _action(actions, "encode", "write its text embeddings to a file")
    encode.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    encode.add_argument(
        "--model", required=True, metavar="NAME", help=f"model whose text tower is used, {_MODELS}"
    )
    encode.add_argument("--checkpoint", metavar="PATH", help="weights of the model")
    encode.add_argument(
        "--weights", choices=["random", "clip"], help="random, or downloaded CLIP weights"
    )
    encode.add_argument(
        "--seed", type=int, metavar="N", help="seed of --weights random (default 0)"
    )
    encode.add_argument("--out", required=True, type=Path, metavar="FILE.npz", help="pack to write")


def _action(
    actions: argparse._SubParsersAction[Parser],
    name: str,
    summary: str,
) -> Parser:
    parser = actions.add_parser(name, help=summary, description=f"Print {summary}.")
    if name == "encode":
        parser.description = "Encode a vocabulary and write its text embeddings to a file."
    add_console_arguments(parser, again=True)
    return parser
