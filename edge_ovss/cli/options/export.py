"""Freeze a vocabulary into a model and write a bundle that runs without torch."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from edge_ovss.cli.options.parts.tower import add_tower_weights
from edge_ovss.cli.shared.parser import Parser
from edge_ovss.cli.shared.precision_options import RARE, add_precision_arguments
from edge_ovss.cli.shared.runtime_options import UNKNOWN_FORMS
from edge_ovss.models.catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    EXAMPLE_MODEL,
    PUBLISHED,
    FamilyEntry,
    list_models,
)

EXAMPLES = (
    "edge-ovss export --vocab ade150",
    'edge-ovss export --open 64 --vocab "road, car, person" --out open.ovss',
    f'edge-ovss export --vocab "road, car, person" --model {EXAMPLE_MODEL} --checkpoint model.pth',
    f"edge-ovss export --config export/configs/{DEFAULT_MODEL}-cpu.toml --out tiny.ovss",
)


def add_arguments(parser: Parser) -> None:
    """Declare the options of `edge-ovss export`."""
    parser.add_config()
    _add_model_arguments(parser.add_argument_group("model"))
    _add_graph_arguments(parser.add_argument_group("graph"))
    add_precision_arguments(parser, ("fp32", "fp16", "int8"), default="fp32")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", help="bundle to write (default MODEL-VOCAB.ovss)")
    output.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    rare = ("--embeddings", "--topk", "--spare-slots", "--small-slots", "--outputs")
    parser.hide(*rare, "--template-rank", "--answer", "--count", "--method", *RARE)


def _add_model_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--vocab",
        required=True,
        metavar="NAME|FILE|LIST",
        help="a built-in vocabulary (edge-ovss vocab list), a .txt, .toml or .json file, or class "
        "names such as 'road, car'",
    )
    group.add_argument(
        "--background",
        metavar="LIST|FILE|NAME",
        help="words for everything else, such as 'sky, building, tree': pixels that show them are "
        "unknown",
    )
    group.add_argument(
        "--model", metavar="NAME", help=f"{', '.join(list_models())} (default {DEFAULT_MODEL})"
    )
    group.add_argument("--checkpoint", metavar="FILE|URL", help="published checkpoint of the model")
    group.add_argument(
        "--weights",
        choices=("random", "embedded", "clip"),
        help="instead of a checkpoint; clip downloads the CLIP towers, the decoder stays random",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of random weights and of the choice of images (default 0)",
    )
    group.add_argument(
        "--embeddings",
        metavar="FILE",
        help="embedding pack (edge-ovss vocab encode) instead of the text tower",
    )


def _add_graph_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size",
        metavar="HxW",
        help="image size inside the network, height x width, multiples of 32",
    )
    group.add_argument(
        "--open",
        dest="open_places",
        type=int,
        metavar="N",
        help="keep the words out of the graph: they are changed on the device later, up to N of "
        "them (edge-ovss words)",
    )
    group.add_argument(
        "--with-text-tower",
        action="store_true",
        help="put the text tower into the bundle of --open, so that the device encodes new words",
    )
    add_tower_weights(group)
    group.add_argument(
        "--reject",
        choices=("slots", "dynamic", "none"),
        help="how classes that are not in the image are dropped (default slots; only none for "
        f"{_models(entry for entry in CATALOGUE if not entry.rejects)})",
    )
    group.add_argument(
        "--topk",
        type=int,
        metavar="K",
        help="a class stays if it is among the K best anywhere (default 8, as published)",
    )
    group.add_argument(
        "--slots",
        metavar="N,N,N|auto",
        help=f"slots after each rejection (default {_measured_slots()}, else 64,48,32); auto "
        "measures them on --calibration",
    )
    group.add_argument(
        "--for",
        dest="made_for",
        choices=("cpu", "gpu"),
        default="cpu",
        help="what the graph is cut for: for a CPU wide tensors come in pieces that stay in its "
        "caches, which a GPU is slow at; the labels are the same (default cpu)",
    )
    group.add_argument(
        "--spare-slots",
        metavar="N,N,N|all",
        help="add a second graph with more slots, for run --on-overflow rerun",
    )
    group.add_argument(
        "--small-slots",
        metavar="N,N,N|none",
        help="slots of the second graph of --open, which runs while each word has a slot in it "
        "(default 20,20,20, or the words of the export and a few more)",
    )
    group.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="images for --slots auto and --precision: a folder, a list file, a video, or "
        "synthetic://street?count=300",
    )
    group.add_argument(
        "--outputs",
        default="labels",
        metavar="LIST",
        help="labels[,scores][,confidence] (default labels)",
    )
    group.add_argument(
        "--template-rank",
        metavar="N|auto",
        help="compress the prompt templates to N channels (lossy, measured on --calibration); for "
        f"{_models(entry for entry in CATALOGUE if entry.compresses)}",
    )
    group.add_argument(
        "--answer",
        choices=tuple(dict.fromkeys(answer for entry in CATALOGUE for answer in entry.answers)),
        default=PUBLISHED,
        help=f"how labels are made from masks (default {PUBLISHED}); {_answers()}",
    )
    group.add_argument(
        "--unknown",
        metavar="off|auto|T|FILE",
        help=f"when a pixel is labeled unknown, which is changed later by set and run: "
        f"{UNKNOWN_FORMS} (default for a list of your own: auto for "
        f"{_measured_unknown()}, and the background if it has one; for a built-in list off)",
    )


def _models(entries: Iterable[FamilyEntry]) -> str:
    return ", ".join(model for entry in entries for model in entry.models)


def _measured_slots() -> str:
    """List the default slots that were measured, for vocabularies of the smallest kind."""
    rows = [(model, min(each.items())) for e in CATALOGUE for model, each in e.slots.items()]
    return ", ".join(
        f"{','.join(map(str, slots))} for {model} and up to {most} classes"
        for model, (most, slots) in rows
    )


def _measured_unknown() -> str:
    return ", ".join(model for entry in CATALOGUE for model in entry.unknown.auto)


def _answers() -> str:
    """List the ways to make labels of the families that have more than one."""
    return "; ".join(
        f"{answer}: {about} ({_models([entry])})"
        for entry in CATALOGUE
        for answer, about in entry.answers.items()
        if len(entry.answers) > 1 and answer != PUBLISHED
    )
