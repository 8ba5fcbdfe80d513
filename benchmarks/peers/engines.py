"""Engines of TensorRT for RTX, built without a GPU: size, build time, layers by precision."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.programs import graph_path
from edge_ovss.engines import build_worker
from edge_ovss.engines.build_request import BuildRequest
from edge_ovss.engines.inspection import summarize
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.trt.variants import FLAVORS, load_library

CAPABILITY = "8.6"
BACKEND = "tensorrt-rtx"
BUNDLES = ("slots", "fp16", "int8-gpu")


def build(folder: Path, *, graph: str) -> None:
    """Build an engine of a bundle or a plain graph; keep what it became in `*.facts.json`.

    Raises:
        EdgeOvssError: The library is missing, or refuses.
    """
    facts = _of_bundle(folder, graph) if graph in BUNDLES else _of_graph(folder, graph)
    (folder / f"engine-{graph}.facts.json").write_text(json.dumps(facts, indent=2))


def _of_bundle(folder: Path, name: str) -> dict[str, Any]:
    height, width = np.load(folder / "frame.npy").shape[:2]
    bundle = folder / f"{name}.ovss"
    command = [sys.executable, "-m", "edge_ovss", "build", str(bundle), "--backend", BACKEND]
    command += ["--size", f"{height}x{width}", "--compute-capability", CAPABILITY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        raise ArtifactError((lines or ["no reason was given"])[0].removeprefix("error: "))
    records = (bundle / "engines").glob("*/build.json")
    record = json.loads(max(records, key=lambda path: path.stat().st_mtime).read_text())
    seconds = sum(record["seconds"].values())
    return _facts(record["plan"]["bytes"], seconds, record.get("inspection") or {})


def _of_graph(folder: Path, name: str) -> dict[str, Any]:
    """Build a graph with fixed sizes, with the worker's own steps around it."""
    library: Any = load_library(FLAVORS[BACKEND])
    reporter = build_worker.Reporter()
    logger = build_worker.make_logger(library, reporter)
    builder = library.Builder(logger)
    flags = 1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    request = _request(library.__name__, graph_path(folder, name))
    start = time.monotonic()
    try:
        build_worker.parse(library, network, logger, request, reporter)
    except build_worker.BuildFailed as err:
        raise ArtifactError("; ".join(err.lines) or "the graph cannot be read") from err
    plan = builder.build_serialized_network(network, _config(library, builder))
    if plan is None:
        raise ArtifactError("; ".join(reporter.errors) or "no engine was built")
    seconds = time.monotonic() - start
    layers, source = build_worker.read_layers(library, logger, bytes(plan), request, reporter)
    asked = build_worker.asked_precisions(network)
    return _facts(plan.nbytes, seconds, summarize(layers, asked, source=source))


def _config(library: Any, builder: Any) -> Any:  # noqa: ANN401 (classes of a module)
    config = builder.create_builder_config()
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    config.clear_flag(library.BuilderFlag.TF32)
    config.num_compute_capabilities = 1
    capability = getattr(library.ComputeCapability, f"SM{CAPABILITY.replace('.', '')}")
    config.set_compute_capability(capability, 0)
    return config


def _request(module: str, graph: Path) -> BuildRequest:
    return BuildRequest(
        module=module,
        graph=str(graph),
        plan="",
        input="",
        frames=(),
        fixed={},
        capabilities=(CAPABILITY,),
        widen_labels=False,
        optimization_level=None,
        workspace_mib=None,
        tf32=False,
        timing_cache=None,
    )


def _facts(size: int, seconds: float, inspection: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the size in bytes, the seconds, and the numbers of layers by precision."""
    wanted = ("layers", "heavy", "reformats")
    return {"bytes": size, "seconds": seconds, **{key: inspection.get(key) for key in wanted}}
