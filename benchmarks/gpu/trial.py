r"""Which options of ONNX Runtime's CUDA provider help: one graph, several sessions, in turn.

    python -m benchmarks.gpu.trial BUNDLE --out trial.json

Each row is a session, all but the first with I/O binding on device buffers. `onnxruntime-cuda` asks
for one size, a graph and heuristic convolutions; the others change one thing. A session that is
refused is a row with the library's words.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.report import used_mib
from edge_ovss.runtime import Bundle
from edge_ovss.runtime.backends.ort import dtype_name, open_session
from edge_ovss.runtime.backends.ort_cuda import CudaBackend
from edge_ovss.synthetic import render_street

_BASE = {"use_tf32": "0"}
_GRAPH = {**_BASE, "enable_cuda_graph": "1"}
# Options of the provider, and whether the frame's size is fixed.
TRIALS: dict[str, tuple[dict[str, str], bool]] = {
    "as before: arrays in host memory": (_BASE, False),
    "any size, bound": (_BASE, False),
    "any size, graph": (_GRAPH, False),
    "one size, bound": (_BASE, True),
    "one size, graph": (_GRAPH, True),
    "one size, graph, NHWC": ({**_GRAPH, "prefer_nhwc": "1"}, True),
    "one size, graph, tight arena": (
        {**_GRAPH, "arena_extend_strategy": "kSameAsRequested"},
        True,
    ),
    "one size, graph, TF32": ({"enable_cuda_graph": "1"}, True),
    "one size, graph, heuristic convolutions": (
        {**_GRAPH, "cudnn_conv_algo_search": "HEURISTIC"},
        True,
    ),
}


def main() -> None:
    """Open one session after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    bundle, end = Bundle.open(args.bundle), time.monotonic() + args.seconds
    frame = render_street(seed=7, height=480, width=640).image[None]
    rows: list[dict[str, Any]] = []
    expected: Any = None
    for name in TRIALS:
        row: dict[str, Any] = {"trial": name}
        if time.monotonic() > end:
            row["not_run"] = "the time was up"
        else:
            try:
                labels, more = _try(bundle, name, frame)
                expected = labels if expected is None else expected
                row |= {**more, "equal": float((labels == expected).mean())}
            except Exception as err:  # every trial has its row
                row["not_run"] = str(err)[:500]
        rows.append(row)
        print(json.dumps(row), flush=True)
        Path(args.out).write_text(json.dumps(rows, indent=1))


def _try(bundle: Bundle, name: str, frame: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    import onnxruntime

    options, fixed = TRIALS[name]
    before, start = used_mib(), time.perf_counter()
    session = open_session(
        onnxruntime,
        bundle.graph_path,
        threads=len(os.sched_getaffinity(0)),
        providers=CudaBackend.providers,
        settings=options,
        sizes={"H": frame.shape[1], "W": frame.shape[2]} if fixed else None,
    )
    if CudaBackend.providers[0] not in session.get_providers():
        message = "the CUDA provider does not load"
        raise RuntimeError(message)
    loaded = time.perf_counter() - start
    inputs = bundle.manifest.contract.feed(frame)
    names = [each.name for each in session.get_outputs()]
    if name.startswith("as before"):

        def run() -> Any:  # noqa: ANN401
            return session.run(names, inputs)[names.index("labels")]

    else:
        values = {
            k: onnxruntime.OrtValue.ortvalue_from_numpy(v, "cuda", 0) for k, v in inputs.items()
        }
        sides = {"H": frame.shape[1], "W": frame.shape[2]}
        binding = session.io_binding()
        outputs = {}
        for key, value in values.items():
            binding.bind_ortvalue_input(key, value)
        for each in session.get_outputs():
            kind = np.dtype(dtype_name(each.type)).type
            shape = [sides.get(side, side) for side in each.shape]
            outputs[each.name] = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                shape, kind, "cuda", 0
            )
            binding.bind_ortvalue_output(each.name, outputs[each.name])

        def run() -> Any:  # noqa: ANN401
            values["frame"].update_inplace(frame)
            session.run_with_iobinding(binding)
            return outputs["labels"].numpy()

    start = time.perf_counter()
    labels = run()
    first = time.perf_counter() - start
    for _ in range(8):
        run()
    times = []
    for _ in range(50):
        start = time.perf_counter()
        labels = run()
        times.append(1e3 * (time.perf_counter() - start))
    after = used_mib()
    times.sort()
    return np.array(labels), {
        "load_s": round(loaded, 2),
        "first_s": round(first, 2),
        "p50_ms": round(statistics.median(times), 3),
        "p99_ms": round(times[-1], 3),
        "mib": None if before is None or after is None else after - before,
    }


if __name__ == "__main__":
    main()
