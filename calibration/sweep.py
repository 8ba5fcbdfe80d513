r"""Measure what each precision costs on several labeled sets (tables of docs/precision.md).

    python calibration/sweep.py BUNDLE --calibration CAMVID/images/train --count 64 \
        --set camvid=CAMVID --set 'synthetic://street?count=50&seed=1000000' --limit 50

Every graph is made as `edge-ovss calibrate` makes it, and compared with FP32 on the same images in
ONNX Runtime. `rounded` adds the rounding of an FP16 device, which ONNX Runtime only does in part on
a CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.bundle.reader import Bundle
from edge_ovss.calibration.accuracy import Baseline, Labeled
from edge_ovss.calibration.calibrate import ranges_key
from edge_ovss.calibration.images import CalibrationPictures, collect_pictures, refuse_overlap
from edge_ovss.calibration.int8 import Quantizer
from edge_ovss.calibration.options import CalibrateOptions
from edge_ovss.calibration.ranges import RangeMethod, measure_largest
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.graph.emulate_fp16 import emulate_half
from edge_ovss.graph.fp16 import HalfReport, convert_to_half
from edge_ovss.graph.model import load_graph, save_graph

if TYPE_CHECKING:
    import onnx_ir as ir

COLUMNS = (
    "data",
    "precision",
    "labels equal to FP32 (%)",
    "worst image (%)",
    "mIoU FP32",
    "mIoU",
    "lost",
    "categories that lose most",
)


def main() -> None:
    """Make the graphs, measure each on every set, and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="a float32 bundle")
    parser.add_argument("--calibration", required=True, help="images to measure ranges on")
    parser.add_argument("--count", type=int, help="use so many of them")
    parser.add_argument("--method", default="percentile", help="how INT8 ranges are chosen")
    parser.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="[LAYOUT=]DATA",
        help="labeled data set; repeatable",
    )
    parser.add_argument("--limit", type=int, help="use a random subset of so many images of a set")
    args = parser.parse_args()
    bundle = Bundle.open(args.bundle)
    pictures = collect_pictures(args.calibration, count=args.count)
    with tempfile.TemporaryDirectory() as folder:
        graphs = dict(make_graphs(bundle, pictures, Path(folder), RangeMethod(args.method)))
        print("| " + " | ".join(COLUMNS) + " |")
        print("|---|---|---:|---:|---:|---:|---:|---|", flush=True)
        for spec in args.set:
            judge_set(bundle, graphs, pictures, spec, args.limit)


def make_graphs(
    bundle: Bundle, pictures: CalibrationPictures, folder: Path, method: RangeMethod
) -> Iterator[tuple[str, Path]]:
    """Yield (precision, ONNX file)."""
    model = load_graph(bundle.graph_path)
    half = model.clone()
    report = convert_to_half(half, measure_largest(model, pictures, key=None))
    yield "fp16", save(half, folder / "fp16")
    yield "fp16, rounded", save(rounded(model.clone(), report), folder / "rounded")
    key = ranges_key(bundle, pictures)
    for target, base in (("tensorrt", "fp16"), ("cpu", "fp32")):
        options = CalibrateOptions("int8", "", target=target, base=base, method=method)
        maker = Quantizer.measure(model, options, pictures, key=key, note=say)
        blocks = tuple(maker.candidates.blocks)
        made, report_int8 = maker.make(blocks, base=base)
        yield f"int8 ({target}) on {base}", save(made, folder / target)
        if report_int8 is not None:
            plain, _ = maker.make(blocks, base="fp32")
            plain = rounded(plain, report_int8)
            yield f"int8 ({target}) on {base}, rounded", save(plain, folder / "both")


def rounded(model: ir.Model, report: HalfReport) -> ir.Model:
    """Return the float32 graph that rounds as an FP16 device does."""
    emulate_half(model, report)
    return model


def save(model: ir.Model, folder: Path) -> Path:
    """Write a graph into a folder of its own."""
    folder.mkdir()
    save_graph(model, folder / "model.onnx", data="model.onnx.data")
    return folder / "model.onnx"


def judge_set(
    bundle: Bundle,
    graphs: dict[str, Path],
    pictures: CalibrationPictures,
    spec: str,
    limit: int | None,
) -> None:
    """Print one row per graph for one labeled set."""
    layout, _, data = ("", "", spec) if "://" in spec else spec.partition("=")
    dataset = open_dataset(data, layout=layout or None).take(limit)
    labeled = Labeled.read(dataset, bundle.vocabulary)
    refuse_overlap(pictures, labeled.hashes())
    baseline = Baseline.measure_labeled(bundle.graph_path, labeled)
    for name, path in graphs.items():
        judged, base = baseline.compare(path), baseline.accuracy
        losers = judged.losers(base)
        worst = ", ".join(f"{which} {lost:.2f}" for which, lost in list(losers.items())[:3])
        print(
            f"| {dataset.title} | {name} | {100 * judged.agreement:.2f} | "
            f"{100 * judged.worst_agreement:.2f} | {base.miou:.2f} | {judged.miou:.2f} | "
            f"{judged.drop_from(base):.2f} | {worst} |",
            flush=True,
        )


def say(text: str) -> None:
    """Print a note."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
