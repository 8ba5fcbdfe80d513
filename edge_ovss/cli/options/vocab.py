"""List, show and check vocabularies, and encode one into an embedding pack."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss.cli.options.parts.tower import add_tower_weights
from edge_ovss.cli.shared.parser import Parser, add_console_arguments
from edge_ovss.models.catalogue import EXAMPLE_MODEL, list_models

EXAMPLES = (
    "edge-ovss vocab show ade150",
    "edge-ovss vocab lint my-classes.txt --strict",
    f"edge-ovss vocab encode my-classes.txt --model {EXAMPLE_MODEL} --checkpoint model.pth \\\n"
    "      --out my-classes.npz",
    f"edge-ovss vocab tower --model {EXAMPLE_MODEL} --checkpoint model.pth --out base.tower",
)
_MODELS = f"one of {', '.join(list_models())}"
_SPEC = 'a built-in name, a .txt, .toml or .json file, or a list such as "road, car, person"'


def add_arguments(parser: Parser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "list", "the built-in vocabularies")
    show = _action(actions, "show", "the categories, outputs and colors of one")
    _add_vocabulary(show)
    check = _action(actions, "lint", "likely mistakes in one")
    check.epilog = "Exit status 4 if export would refuse the vocabulary."
    _add_vocabulary(check)
    check.add_argument("--strict", action="store_true", help="exit with 6 if there are findings")
    check.add_argument(
        "--model",
        metavar="NAME",
        help=f"also find class names that this model cannot tell apart (needs torch); {_MODELS}",
    )
    check.add_argument("--checkpoint", metavar="PATH", help="weights of the model")
    encode = _action(actions, "encode", "write its text embeddings to a file")
    _add_vocabulary(encode)
    _add_weights(encode, "model whose text tower is used")
    encode.add_argument(
        "--tower", type=Path, metavar="DIR", help="a text tower (vocab tower) instead: no torch"
    )
    encode.add_argument("--out", required=True, type=Path, metavar="FILE.npz", help="pack to write")
    tower = _action(actions, "tower", "write the text tower, which then runs without torch")
    _add_weights(tower, "model whose text tower is written")
    add_tower_weights(tower)
    tower.add_argument(
        "--vocab",
        metavar="NAME|FILE|LIST",
        help="with --tower-weights: measure the error on these words (default cityscapes19)",
    )
    tower.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    tower.add_argument("--overwrite", action="store_true", help="replace a tower that is there")


def _add_vocabulary(parser: Parser) -> None:
    parser.add_argument("vocabulary", metavar="NAME_OR_PATH", help=_SPEC)
    parser.add_argument(
        "--background", metavar="LIST|FILE|NAME", help="words for everything else, as in export"
    )


def _add_weights(parser: Parser, about: str) -> None:
    parser.add_argument("--model", metavar="NAME", help=f"{about}, {_MODELS}")
    parser.add_argument("--checkpoint", metavar="PATH", help="weights of the model")
    parser.add_argument(
        "--weights", choices=["random", "clip"], help="random, or downloaded CLIP weights"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of --weights random (default 0)"
    )


def _action(
    actions: argparse._SubParsersAction[Parser],
    name: str,
    summary: str,
) -> Parser:
    parser = actions.add_parser(name, help=summary, description=f"Print {summary}.")
    if name == "encode":
        parser.description = "Encode a vocabulary and write its text embeddings to a file."
    if name == "tower":
        parser.description = "Write a model's text tower as ONNX, with its tokenizer."
    add_console_arguments(parser, again=True)
    return parser
