"""Say which kinds of operators a bundle's time goes to, in ONNX Runtime and in OpenVINO.

    python -m benchmarks.cpu.operators tiny.ovss@onnxruntime tiny-int8.ovss@openvino-bf16

Every operator counts with its least time over the repetitions, so that what else the machine does
falls out. The frame is a drawn street; the first repetition is not counted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_ovss.runtime import Bundle
from edge_ovss.runtime.backends.ort import open_session
from edge_ovss.synthetic import render_street

# What both runtimes call what; the rest is "other".
KINDS = {
    "matrix products": ("MatMul", "Gemm", "FullyConnected"),
    "convolutions": ("Conv", "Deconvolution", "GroupConvolution"),
    "norms": ("Normalization", "MVN", "RMS", "ReduceMean"),
    "quantize": ("QuantizeLinear", "FakeQuantize"),
    "GELU": ("Gelu",),
    "sums and other arithmetic": ("Add", "Mul", "Sub", "Div", "Elu", "Relu", "Eltwise", "Subgraph"),
    "layouts": ("Transpose", "Reorder"),
    "cutting and joining": ("Slice", "Concat", "Split", "Gather"),
}

Times = dict[tuple[str, str], float]
Inputs = dict[str, NDArray[Any]]


def main() -> None:
    """Print one table: kinds down, contestants across."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contestants", nargs="+", metavar="BUNDLE@BACKEND")
    parser.add_argument("--size", default="480x360", help="of the frame, width x height")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    frame = render_street(seed=7, height=height, width=width).image[None]
    columns = {}
    for name in args.contestants:
        bundle, _, backend = name.rpartition("@")
        opened = Bundle.open(bundle)
        inputs = opened.manifest.contract.feed(frame)
        look = _onnxruntime if backend == "onnxruntime" else _openvino
        columns[name] = look(opened.graph_path, inputs, args.repeats, args.threads, backend)
    _print({name: _by_kind(times) for name, times in columns.items()})


def _onnxruntime(path: Path, inputs: Inputs, repeats: int, threads: int, _: str) -> Times:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "profile"
        session = open_session(onnxruntime, path, threads=threads, profile=prefix)
        for _run in range(repeats + 1):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event["name"].endswith("_kernel_time"):
            times[event["name"], event["args"]["op_name"]].append(event["dur"] / 1e3)
    return {key: min(values[1:]) for key, values in times.items()}


def _openvino(path: Path, inputs: Inputs, repeats: int, threads: int, backend: str) -> Times:
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if backend.endswith("bf16") else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "PERF_COUNT": True,
    }
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    best: Times = {}
    for repeat in range(repeats + 1):
        request.infer(inputs)
        for item in request.get_profiling_info() if repeat else ():
            key, taken = (item.node_name, item.node_type), item.real_time.total_seconds() * 1e3
            best[key] = min(taken, best.get(key, taken))
    return best


def _by_kind(times: Times) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for (_, operator), taken in times.items():
        found[_kind(operator)] += taken
    return found


def _kind(operator: str) -> str:
    # "MatMulIntegerToFloat", "QLinearConv", "ReorderInput": the longest known name in it counts.
    known = [
        (len(word), kind) for kind, words in KINDS.items() for word in words if word in operator
    ]
    return max(known)[1] if known else "other"


def _print(columns: dict[str, dict[str, float]]) -> None:
    print("| milliseconds | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for kind in (*KINDS, "other"):
        print(f"| {kind} | " + " | ".join(f"{c[kind]:.1f}" for c in columns.values()) + " |")
    totals: list[Any] = [sum(column.values()) for column in columns.values()]
    print("| all | " + " | ".join(f"{total:.1f}" for total in totals) + " |")


if __name__ == "__main__":
    main()
