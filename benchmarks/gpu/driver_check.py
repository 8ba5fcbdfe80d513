r"""Our own GPU code on the real driver: allocations, copies, events, graphs, memory, one session.

    python -m benchmarks.gpu.driver_check            # exit status 0 if all that could run is right
    python -m benchmarks.gpu.driver_check BUNDLE --out checks.json

Every check is a line: passed, FAILED with the reason, or not run with the reason. With a bundle,
`onnxruntime-cuda` segments frames of several sizes, and its labels are held against the CPU's.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_ovss.errors import MissingDependencyError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.cuda.buffers import DeviceBuffers
from edge_ovss.runtime.cuda.driver import require_driver
from edge_ovss.runtime.cuda.memory import DeviceMemory, memory_ways, open_memory
from edge_ovss.runtime.trt.gpu import local_gpu
from edge_ovss.synthetic import render_street

_MIB = 1 << 20
Check = Callable[[], dict[str, Any]]


def main() -> int:
    """Run all checks; write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", help="run it on the GPU and on the CPU")
    parser.add_argument("--out", help="write the checks as JSON")
    args = parser.parse_args()
    checks: dict[str, Check] = {"gpu": _gpu}
    for way in memory_ways():
        checks[f"memory by {way}"] = partial(_memory, way)
        checks[f"graph by {way}"] = partial(_graph, way)
        checks[f"buffers by {way}"] = partial(_buffers, way)
    checks["too much memory"] = _too_much
    if args.bundle:
        checks["labels"] = lambda: _labels(args.bundle)
    rows = [_row(name, check) for name, check in checks.items()]
    if args.out:
        Path(args.out).write_text(json.dumps(rows, indent=1))
    return int(any(row["verdict"] == "FAILED" for row in rows))


def _row(name: str, check: Check) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        row = {"check": name, "verdict": "passed", **check()}
    except MissingDependencyError as err:
        row = {"check": name, "verdict": "not run", "why": f"{err.message} {err.hint}"}
    except Exception as err:  # every check has its line
        trace = traceback.format_exc().splitlines()[-6:]
        row = {"check": name, "verdict": "FAILED", "why": f"{type(err).__name__}: {err}"}
        row["trace"] = trace
    row["seconds"] = round(time.perf_counter() - start, 2)
    print(json.dumps(row), flush=True)
    return row


def _gpu() -> dict[str, Any]:
    require_driver("This check")
    gpu = local_gpu()
    assert gpu is not None
    return {"name": gpu.name, "capability": gpu.capability, "system": gpu.system}


def _memory(way: str) -> dict[str, Any]:
    """A block goes to the device and comes back; what was allocated is free again."""
    memory = open_memory(way)
    size = 64 * _MIB
    sent = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    with memory.current():
        stream = memory.create_stream()
        there, back = memory.allocate_pinned(size), memory.allocate_pinned(size)
        pointer = memory.allocate(size)
        there[:] = sent
        events = [memory.driver.create_event() for _ in range(2)]
        memory.driver.record(events[0], stream)
        memory.upload(pointer, there, stream)
        memory.download(back, pointer, stream)
        memory.driver.record(events[1], stream)
        memory.synchronize(stream)
        passed = memory.driver.elapsed_ms(*events)
        assert np.array_equal(back, sent), "what came back is not what was sent"
        for event in events:
            memory.driver.free_event(event)
        memory.free(pointer)
        memory.free_pinned(there)
        memory.free_pinned(back)
        memory.free_stream(stream)
    assert passed > 0, passed
    return {"copies_ms": round(passed, 3), "gb_per_s": round(2 * size / passed / 1e6, 2)}


def _graph(way: str) -> dict[str, Any]:
    """Two copies are captured and replayed on other data."""
    memory = open_memory(way)
    with memory.current():
        stream, size = memory.create_stream(), _MIB
        host, back = memory.allocate_pinned(size), memory.allocate_pinned(size)
        pointer = memory.allocate(size)
        memory.driver.begin_capture(stream)
        memory.upload(pointer, host, stream)
        memory.download(back, pointer, stream)
        graph = memory.driver.end_capture(stream)
        for value in (3, 7):
            host[:], back[:] = value, 0
            memory.driver.launch(graph, stream)
            memory.synchronize(stream)
            assert (back == value).all(), f"the graph gave {set(back.tolist())} for {value}"
        memory.driver.free_graph(graph)
        memory.free(pointer)
        memory.free_pinned(host)
        memory.free_pinned(back)
        memory.free_stream(stream)
    return {}


def _buffers(way: str) -> dict[str, Any]:
    memory = open_memory(way)
    with memory.current():
        buffers = DeviceBuffers(memory)
        array = np.arange(12, dtype=np.float32).reshape(3, 4)
        place = buffers.add_input("in", array)
        # The same place on the device is read back as the output.
        buffers.outputs["out"] = place
        buffers.start({"in": array}, kept=frozenset())
        answer, passed = buffers.finish()
        assert np.array_equal(answer["out"], array)
        buffers.outputs.clear()
        buffers.close()
    return {"ms": round(passed, 4)}


def _too_much() -> dict[str, Any]:
    """More than any GPU has is refused with our own words."""
    memory: DeviceMemory = open_memory("ctypes")
    with memory.current():
        try:
            memory.allocate(1 << 50)
        except Exception as err:
            message = str(err)
            assert "no memory left" in message, message
            return {"said": message}
    message = "a petabyte was given"
    raise AssertionError(message)


def _labels(path: str) -> dict[str, Any]:
    """Frames of one size, then of others, on the GPU and on the CPU."""
    sizes = [(360, 480)] * 3 + [(480, 640), (360, 480), (301, 417)]
    frames = [
        render_street(seed=seed, height=size[0], width=size[1]).image
        for seed, size in enumerate(sizes)
    ]
    with Segmenter.open(path, backend="onnxruntime") as theirs:
        expected = [theirs.segment(frame) for frame in frames]
    found: dict[str, Any] = {"equal": [], "alive": [], "total_ms": [], "device_ms": []}
    with Segmenter.open(path, backend="onnxruntime-cuda") as ours:
        backend: Any = ours._backend
        for position, (frame, answer) in enumerate(zip(frames, expected, strict=True)):
            result = ours.segment(frame)
            if position == 2:
                found["first_size"] = backend.graph_refused or "a CUDA graph"
            found["equal"].append(round(float((result.labels == answer.labels).mean()), 6))
            found["alive"].append(result.alive.tolist() == answer.alive.tolist())
            found["total_ms"].append(round(result.timings["total"], 2))
            found["device_ms"].append(round(result.timings["device"], 3))
        found["several_sizes"] = backend.graph_refused
        again = [ours.segment(frames[0]).labels for _ in range(5)]
        found["same_every_time"] = all(np.array_equal(again[0], each) for each in again)
    assert min(found["equal"]) > 0.99, found
    assert found["same_every_time"], found
    return found


if __name__ == "__main__":
    raise SystemExit(main())
