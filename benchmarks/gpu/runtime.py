"""Our bundles on every backend that a GPU may have, and on the CPU.

No torch is imported: memory and threads are the runtime's alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu import native
from benchmarks.sed.runtime import bundle
from benchmarks.shared.race import Run
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.cuda.driver import require_driver
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.trt.variants import FLAVORS, load_library

RTX = "tensorrt-rtx"
RTX_WORDS = f"{RTX}.txt"
ENGINES = {"trt": "tensorrt", "rtx": RTX}
BACKENDS = {
    "cuda": "onnxruntime-cuda",
    "queued": "onnxruntime-cuda",
    "plugin": "onnxruntime-rtx",
    "cpu": "onnxruntime",
}
# In the list of TensorRT for RTX, and the nearest to the data-center GPUs that are not.
_NEAREST = "8.0"


def ready(name: str, folder: Path, threads: int) -> Run:
    """Get a bundle ready by the contestant's name, such as "cuda-fp16"."""
    kind, precision = name.split("-")
    if kind in ENGINES:
        return _engine(ENGINES[kind], folder, threads, precision)
    if kind == "cpp":
        return native.ready(folder, threads, precision)
    if kind == "queued":
        os.environ["EDGE_OVSS_CUDA_GRAPHS"] = "0"
    opened: list[Segmenter] = []
    run = bundle(folder, threads, precision, BACKENDS[kind], survivors, opened)
    return run if kind == "cpu" else _telling(run, opened[0], folder / f"{name}.says")


def _telling(run: Run, segmenter: Segmenter, path: Path) -> Run:
    """Write down after the first frame whether frames run as a CUDA graph."""

    def told() -> tuple[NDArray[Any], list[int]]:
        answer = run()
        if not path.exists():
            backend: Any = segmenter._backend
            refused = backend.graph_refused
            path.write_text("a CUDA graph" if refused is None else f"no CUDA graph: {refused}")
        return answer

    path.unlink(missing_ok=True)
    return told


def survivors(result: Result) -> list[int]:
    """Ids of the categories that are left after the last rejection."""
    return [int(number) for number in result.alive]


def _engine(backend: str, folder: Path, threads: int, precision: str) -> Run:
    """Build an engine for this GPU and open it.

    Raises:
        EdgeOvssError: There is no GPU or no library, or an engine is refused.
    """
    said = folder / f"{backend}.txt"
    said.unlink(missing_ok=True)
    require_driver(f"Backend '{backend}'")
    load_library(FLAVORS[backend])
    words = _build(backend, folder, precision)
    if words is None:
        return bundle(folder, threads, precision, backend, survivors)
    said.write_text(words)
    if backend == RTX:
        # Written first: a library that meets a GPU it does not know may end this process.
        said.write_text(f"{words}\n{_ask_library(folder, precision)}")
    # Above the error stand the steps of the build.
    lines = [line for line in words.splitlines() if line.startswith("error: ")]
    raise ArtifactError((lines or [words])[0].removeprefix("error: "))


def _build(backend: str, folder: Path, precision: str, *options: str) -> str | None:
    """Run `edge-ovss build`; return what it says if it fails."""
    height, width = np.load(folder / "frame.npy").shape[:2]
    path = str(folder / f"{precision}.ovss")
    words = ["build", path, "--backend", backend, "--size", f"{height}x{width}", *options]
    command = [sys.executable, "-m", "edge_ovss", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = done.stderr.strip() or f"edge-ovss build ended with status {done.returncode}"
    return said.replace(str(folder), "OUT")


def _ask_library(folder: Path, precision: str) -> str:
    """Return what the library itself says to an engine for the nearest GPU in its list."""
    refusal = _build(RTX, folder, precision, "--compute-capability", _NEAREST)
    if refusal is not None:
        return f"An engine for {_NEAREST}: {refusal}"
    plans = (folder / f"{precision}.ovss" / "engines").glob("*/model.plan")
    plan = max(plans, key=lambda path: path.stat().st_mtime).read_bytes()
    return f"An engine for {_NEAREST}, loaded here: {load(load_library(FLAVORS[RTX]), plan)}"


def load(library: Any, plan: bytes) -> str:  # noqa: ANN401 (the module, or a pretended one)
    """Load a plan with the bare library; return what it says, and whether it takes it."""
    lines: list[str] = []

    def log(self: object, severity: Any, msg: str) -> None:  # noqa: ANN401
        del self
        lines.append(f"{severity.name} {msg}")

    runtime = library.Runtime(type("Log", (library.ILogger,), {"log": log})())
    validity, reasons = runtime.get_engine_validity(plan)
    taken = runtime.deserialize_cuda_engine(plan) is not None
    verdict = "taken" if taken else "refused"
    serious = [line for line in lines if not line.startswith(("INFO", "VERBOSE"))]
    return "; ".join([f"{validity.name}, reasons {int(reasons):#x}, {verdict}", *serious[:8]])
