"""Find the best bundle for this device by measuring: accuracy, time, memory and size.

Candidates are real bundles, run in turns with the default export. A run that was stopped goes on
when it is started again. With bundles instead of a model, no torch is needed.
"""

from __future__ import annotations

from edge_ovss.cli.shared.data_options import RARE, add_data_arguments
from edge_ovss.cli.shared.parser import Parser
from edge_ovss.metrics.reported import TUNING
from edge_ovss.models.catalogue import DEFAULT_MODEL, EXAMPLE_MODEL, list_models
from edge_ovss.runtime.backends import AUTO, backend_names

EXAMPLES = (
    f"edge-ovss tune {DEFAULT_MODEL} --vocab camvid --data labeled/ --layout camvid \\\n"
    '      --calibration images/ --budget "p99_ms<=50,miou_drop<=1.0,peak_mib<=800"',
    f"edge-ovss tune model.pth --model {EXAMPLE_MODEL} --vocab ade150 --data ADE20K/ \\\n"
    "      --layout ade150 --limit 200 --time-limit 120",
    "edge-ovss tune city.ovss city-int8-cpu.ovss --data labeled/ --layout folder",
)

MODEL_OPTIONS = (
    "vocab",
    "background",
    "model",
    "weights",
    "embeddings",
    "calibration",
    "count",
    "sizes",
    "slots",
    "reject",
    "template_ranks",
    "answers",
    "precisions",
)
"""Options that mean nothing for bundles, which are made already."""


def add_arguments(parser: Parser) -> None:
    """Declare the options of `edge-ovss tune`."""
    parser.add_argument(
        "subjects",
        nargs="+",
        metavar="MODEL|CHECKPOINT|BUNDLE",
        help=f"{', '.join(list_models())}; a checkpoint, with --model; or one or more bundles, of "
        "which the first is compared with",
    )
    parser.add_config()
    _add_model_arguments(parser)
    add_data_arguments(parser, positional=False)
    parser.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help="the labeled images are videos of N frames per second",
    )
    _add_space_arguments(parser)
    _add_run_arguments(parser)
    parser.hide(*RARE, "--embeddings", "--weights", "--source")


def _add_model_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--vocab", metavar="NAME|FILE|LIST", help="the classes, as for export")
    group.add_argument("--background", metavar="LIST|FILE|NAME", help="as for export")
    group.add_argument("--model", metavar="NAME", help="the model of a checkpoint")
    group.add_argument("--weights", choices=("random", "embedded", "clip"), help="as for export")
    group.add_argument("--embeddings", metavar="FILE", help="embedding pack, as for export")
    group.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="images without labels, for INT8, FP16 and template ranks; none of --data",
    )
    group.add_argument("--count", type=int, metavar="N", help="use N images of --calibration")


def _add_space_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("what is tried (each a list with commas)")
    for option, metavar, text in (
        (
            "--sizes",
            "LIST",
            "sizes inside the network, such as 256 (the shorter side) or 320x416 (default the "
            "multiples of 32 from half of the model's size)",
        ),
        ("--reject", "LIST", "slots, dynamic, none (default all that the model has)"),
        ("--template-ranks", "LIST", "numbers, auto, none (default auto, where the model can)"),
        ("--answers", "LIST", "ways to make labels (default all of the model)"),
        ("--precisions", "LIST", "fp32, fp16, int8 (default all, with --calibration)"),
        (
            "--backends",
            "LIST",
            f"{', '.join(name for name in backend_names() if name != AUTO)} (default all that "
            "run here); the first runs the default export",
        ),
        ("--threads", "LIST", "CPU threads (default all cores, and half of them)"),
        ("--keyframe", "LIST", "for videos: the network sees every N-th frame (default 1,2,3)"),
        (
            "--stabilize",
            "LIST",
            "for videos: milliseconds that labels are held or off (default 150)",
        ),
    ):
        group.add_argument(option, metavar=metavar, help=text)
    group.add_argument(
        "--slots",
        action="append",
        metavar="N,N,N|default",
        help="slots after each rejection (default the fewest that the labeled images need); "
        "repeatable",
    )


def _add_run_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument(
        "--budget",
        metavar="LIST",
        help=f"limits on {', '.join(TUNING)} (default miou_drop<=1.0, with --data)",
    )
    group.add_argument(
        "--time-limit",
        type=float,
        default=20.0,
        metavar="MIN",
        help="minutes of measuring, over all runs that are continued (default 20)",
    )
    group.add_argument(
        "--source", metavar="SOURCE", help="frames to time (default the first labeled images)"
    )
    group.add_argument(
        "--out", metavar="DIR", help="journal, bundles and results (default tune-NAME)"
    )
    group.add_argument(
        "--fresh", action="store_true", help="start over instead of continuing a stopped run"
    )
