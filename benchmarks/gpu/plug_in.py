"""The plug-in of ONNX Runtime for TensorRT for RTX, as far as it takes this GPU."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.race import Run
from edge_ovss._optional import require
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.cuda.driver import require_driver

MODULE = "onnxruntime_ep_nv_tensorrt_rtx"


def ready(folder: Path, threads: int, precision: str) -> Run:
    """Open a bundle with the plug-in, for frames of one size.

    Raises:
        EdgeOvssError: There is no GPU or no plug-in, or it refuses this GPU.
    """
    gpu = require_driver("The plug-in").device()
    runtime: Any = require("onnxruntime", extra="onnxruntime")
    with contextlib.redirect_stdout(sys.stderr):
        plug_in: Any = require(MODULE, extra="onnxruntime-rtx")
    name = plug_in.get_ep_name()
    runtime.register_execution_provider_library(name, plug_in.get_library_path())
    devices = [each for each in runtime.get_ep_devices() if each.ep_name == name]
    if not devices:
        message = f"{name} {plug_in.__version__} lists no device: {gpu.name}, {gpu.capability}."
        raise ArtifactError(message)
    frame = np.load(folder / "frame.npy")[None]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_provider_for_devices(devices[:1], {"enable_cuda_graph": "1"})
    path = folder / f"{precision}.ovss" / "model.onnx"
    for side, size in zip(("H", "W"), frame.shape[1:3], strict=True):
        options.add_free_dimension_override_by_name(side, size)
    session = runtime.InferenceSession(str(path), sess_options=options)

    def run() -> tuple[NDArray[Any], list[int]]:
        labels, alive = session.run(["labels", "alive"], {"frame": frame})
        return labels[0], alive.tolist()

    return run
