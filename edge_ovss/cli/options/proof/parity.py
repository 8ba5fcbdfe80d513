"""Compare bundles with the torch model they came from: tensors, labels, IoU, first difference.

Several bundles (precisions of one model) and several backends are compared in one run. Without a
data set, drawn streets with exact labels are used.
"""

from __future__ import annotations

from edge_ovss.cli.shared.data_options import RARE, add_data_arguments, add_protocol_argument
from edge_ovss.cli.shared.parser import Parser
from edge_ovss.cli.shared.runtime_options import add_runtime_arguments, add_unknown_argument
from edge_ovss.metrics.reported import PARITY

EXAMPLES = (
    "edge-ovss parity city.ovss --checkpoint model.pth",
    "edge-ovss parity city.ovss city-int8-cpu.ovss --data ADE20K/ --layout ade150 --limit 50",
    'edge-ovss parity city.ovss --backend onnxruntime,openvino --gate "label_agreement>=0.995"',
)


def add_arguments(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "bundles", nargs="+", metavar="BUNDLE", help="one or more, such as its precisions"
    )
    add_data_arguments(parser, positional=False)
    parser.add_argument(
        "--pictures", metavar="SOURCE", help="images without labels, instead of --data"
    )
    add_runtime_arguments(parser, several=True)
    add_unknown_argument(parser)
    parser.add_argument("--checkpoint", metavar="FILE", help="checkpoint the bundle was made from")
    parser.add_argument(
        "--embeddings", metavar="FILE", help="embedding pack the bundle was made from"
    )
    add_protocol_argument(parser)
    parser.add_argument(
        "--gate",
        metavar="LIST",
        help=f"conditions on {', '.join(PARITY)}; licence=commercial",
    )
    parser.add_argument(
        "--no-bisect", action="store_true", help="do not search for the first differing layer"
    )
    parser.add_argument(
        "--examples", type=int, default=4, metavar="N", help="worst frames to save (default 4)"
    )
    parser.add_argument("--out", metavar="DIR", help="results (default BUNDLE/reports/parity)")
    parser.hide(*RARE)
