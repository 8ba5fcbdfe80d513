"""Write files with which other programs run a bundle."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.parser import Parser, add_console_arguments

EXAMPLES = (
    "edge-ovss emit triton city.ovss --out triton",
    "edge-ovss emit triton city.ovss --out triton --backend tensorrt",
    "edge-ovss emit deepstream city.ovss --out deepstream --size 720x1280",
    "edge-ovss emit ros2 city.ovss --out ~/ws/src/city_segmenter",
)
# Those of `emit.triton.served`, which needs numpy; a test compares them.
_BACKENDS = ("onnxruntime", "openvino", "tensorrt")


def add_arguments(parser: Parser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_triton(actions)
    _add_ros2(actions)
    _add_deepstream(actions)


def _add_triton(actions: argparse._SubParsersAction[Parser]) -> None:
    summary = "a model repository for Triton Inference Server, with a client"
    triton = _action(actions, "triton", summary, "of the model on the server")
    triton.add_argument(
        "--backend",
        choices=_BACKENDS,
        default=_BACKENDS[0],
        help="of the server (default onnxruntime); tensorrt serves an engine of the bundle",
    )
    triton.add_argument(
        "--engine", metavar="NAME", help="which engine of BUNDLE/engines, if there are several"
    )


def _add_ros2(actions: argparse._SubParsersAction[Parser]) -> None:
    summary = "a ROS 2 package that segments the images of a topic"
    _action(actions, "ros2", summary, "of the package")


def _add_deepstream(actions: argparse._SubParsersAction[Parser]) -> None:
    summary = "a configuration of DeepStream's nvinfer, with graph and parser"
    deepstream = _action(actions, "deepstream", summary, None)
    deepstream.add_argument(
        "--size", metavar="HxW", help="of the frames (default that of the network's own image)"
    )


def _action(
    actions: argparse._SubParsersAction[Parser], action: str, summary: str, named: str | None
) -> Parser:
    parser = actions.add_parser(action, help=summary, description=f"Write {summary}.")
    add_console_arguments(parser, again=True)
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that edge-ovss export wrote")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write; a new one")
    if named is not None:
        parser.add_argument("--name", metavar="NAME", help=f"{named} (default from the bundle's)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what emit wrote there before"
    )
    return parser
