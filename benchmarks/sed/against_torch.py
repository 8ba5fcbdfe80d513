"""Race SED's bundles against torch and a plain export, all in one run on this machine.

    python -m benchmarks.sed.against_torch --model sed-base --vocab ade150 --survivors 27

All contestants get the same random weights, the same embeddings (`fixture.py`) and the same frame,
take turns, and are told to use the same number of threads. Prints ratios first; writes
`results.json` and `results.svg` into --out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.sed import runtime as sed_runtime
from benchmarks.shared.race import Contestant, Run, race

_SIDE = 2048

# Every contestant's process imports this file: no torch up here, or its memory counts as ours.
CHOICES = ("slots", "dynamic", "none", "openvino", "torch", "compile", "plain")


def choose(name: str) -> Callable[[Path, int], Run]:
    """Return what gets the contestant `name` ready."""
    from benchmarks.sed import contestants as programs

    return {
        "slots": sed_runtime.ours_slots,
        "dynamic": sed_runtime.ours_dynamic,
        "none": sed_runtime.ours_none,
        "openvino": sed_runtime.ours_openvino,
        "torch": programs.torch_eager,
        "compile": programs.torch_compiled,
        "plain": programs.plain_export,
    }[name]


def main() -> None:
    """Prepare, race, report."""
    args = _arguments()
    folder = Path(args.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    names = args.only.split(",")
    _prepare(folder, args, names)
    if args.prepare_only:
        return
    contestants = [Contestant(name, choose(name)) for name in names]
    peak = measured_peak(args.threads)
    race(contestants, folder, repeats=args.repeats, threads=args.threads)
    found = report(contestants, args, peak)
    (folder / "results.json").write_text(json.dumps(found, indent=2))
    (folder / "results.svg").write_text(_plot(found["contestants"]))
    print(table(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sed_runtime.add_arguments(parser, out="out/benchmark")
    parser.add_argument("--only", default=",".join(CHOICES), help="contestants, in order")
    return parser.parse_args()


def _prepare(folder: Path, args: argparse.Namespace, names: list[str]) -> None:
    from benchmarks.sed import contestants as programs
    from benchmarks.shared.fixture import export_once, survivor_pack, write_setting
    from edge_ovss.export import ExportOptions, Rejection
    from edge_ovss.models import load_model
    from edge_ovss.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(args.vocab)
    model = load_model(args.model, weights="random", seed=0)
    if not (folder / "pack.npz").is_file():
        survivor_pack(model, vocabulary, survivors=args.survivors).save(folder / "pack.npz")
    write_setting(folder, model)
    first, second, third = (int(slot) for slot in args.slots.split(","))
    rejections = {
        "slots": Rejection("slots", topk=programs.TOPK, slots=(first, second, third)),
        "dynamic": Rejection("dynamic", topk=programs.TOPK),
        "none": Rejection("none"),
    }
    for mode, rejection in rejections.items():
        wanted = mode in names or (mode == "slots" and "openvino" in names)
        if wanted:
            options = ExportOptions(
                model=args.model,
                weights="random",
                embeddings=folder / "pack.npz",
                rejection=rejection,
            )
            export_once(folder / f"{mode}.ovss", vocabulary, options)
    if "plain" in names:
        print("exporting plain", flush=True)
        programs.export_plain(folder)


def measured_peak(threads: int) -> float:
    """Billions of multiply-adds per second of a large float32 matrix product.

    The better one of torch's and ONNX Runtime's: which library is slow depends on the processor.
    """
    import torch

    torch.set_num_threads(threads)
    a, b = torch.randn(_SIDE, _SIDE), torch.randn(_SIDE, _SIDE)
    runs = (lambda: torch.mm(a, b), _product(a.numpy(), b.numpy(), threads))
    return max(_SIDE**3 / _fastest(run) / 1e9 for run in runs)


def _product(a: NDArray[Any], b: NDArray[Any], threads: int) -> Callable[[], object]:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, a.shape) for name in "xz"]
    weight = onnx.numpy_helper.from_array(b, "y")
    node = helper.make_node("MatMul", ["x", "y"], ["z"])
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda: session.run(None, {"x": a})


def _fastest(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def report(contestants: list[Contestant], args: argparse.Namespace, peak: float) -> dict[str, Any]:
    """Return what was measured, as `results.json` holds it."""
    first = contestants[0]
    rows = []
    for contestant in contestants:
        row: dict[str, Any] = {"name": contestant.name, "failure": contestant.failure}
        if contestant.seconds and contestant.labels is not None and first.labels is not None:
            median = statistics.median(contestant.seconds)
            row |= {
                "median_s": median,
                "min_s": min(contestant.seconds),
                "max_s": max(contestant.seconds),
                "ratio_to_first": median / statistics.median(first.seconds),
                "peak_mib": contestant.peak_mib,
                "survivors": contestant.survivors,
                "labels_equal_to_first": float((contestant.labels == first.labels).mean()),
            }
        rows.append(row)
    return {
        "command": vars(args),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "threads": args.threads},
        "measured_peak_gmac_per_s": peak,
        "load_average": os.getloadavg(),
        "contestants": rows,
    }


def processor() -> str:
    """Name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), "unknown")


def table(found: dict[str, Any]) -> str:
    """Return a report as Markdown, ratios first."""
    lines = ["| | times the first | median s | min..max s | peak MiB | survivors | labels equal |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in found["contestants"]:
        if row["failure"] or "median_s" not in row:
            lines.append(f"| {row['name']} | did not run: {row['failure']} | | | | | |")
            continue
        lines.append(
            f"| {row['name']} | {row['ratio_to_first']:.2f} | {row['median_s']:.3f} | "
            f"{row['min_s']:.3f}..{row['max_s']:.3f} | {row['peak_mib']:.0f} | "
            f"{row['survivors']} | {100 * row['labels_equal_to_first']:.2f} % |"
        )
    lines.append(f"\nmatrix product: {found['measured_peak_gmac_per_s']:.0f} G multiply-adds/s")
    return "\n".join(lines)


def _plot(rows: list[dict[str, Any]]) -> str:
    done = [row for row in rows if "median_s" in row]
    longest = max((row["max_s"] for row in done), default=1.0)
    bars = []
    for index, row in enumerate(done):
        y, width = 20 + 34 * index, 460 * row["median_s"] / longest
        low, high = (130 + 460 * row[key] / longest for key in ("min_s", "max_s"))
        bars.append(
            f'<text x="120" y="{y + 16}" text-anchor="end">{row["name"]}</text>'
            f'<rect x="130" y="{y}" width="{width:.1f}" height="22" fill="#3b7dd8"/>'
            f'<path d="M{low:.1f} {y + 11}H{high:.1f}" stroke="#111" stroke-width="2"/>'
            f'<text x="{high + 8:.1f}" y="{y + 16}">{row["median_s"]:.2f} s</text>'
        )
    height = 30 + 34 * len(done)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{height}" '
        f'font-family="sans-serif" font-size="13"><rect width="700" height="{height}" '
        f'fill="#fff"/>{"".join(bars)}</svg>\n'
    )


if __name__ == "__main__":
    main()
