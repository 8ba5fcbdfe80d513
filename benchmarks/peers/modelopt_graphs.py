"""The plain export in half precision and INT8 by NVIDIA's ModelOpt, through its command line.

ModelOpt wants older versions of onnx and ONNX Runtime than the rest, so it may be in an environment
of its own (`--python modelopt=PROGRAM`); its graphs run in the same ONNX Runtime as all others.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.calibration import read_images
from benchmarks.peers.programs import graph_path
from edge_ovss.errors import ArtifactError, MissingDependencyError


def autocast(folder: Path, *, python: str) -> None:
    """Write the graph of AutoCast in FP16, with inputs and outputs in FP32."""
    data = _write_inputs(folder, "autocast", read_images(folder)[0])
    words = ["-t", "fp16", "--keep_io_types", "--providers", "cpu", "--calibration_data", str(data)]
    _run(folder, python, "autocast", "modelopt-autocast", words)


def int8(folder: Path, *, python: str, rest: str = "fp32") -> None:
    """Write the graph in INT8, the rest of it in `rest`: "fp32", or "fp16" for engines."""
    data = _write_inputs(folder, "int8", np.concatenate(read_images(folder)))
    words = ["--quantize_mode", "int8", "--calibration_eps", "cpu", "--high_precision_dtype", rest]
    words += ["--calibration_data_path", str(data)]
    step = "modelopt-int8" if rest == "fp32" else f"modelopt-int8-{rest}"
    _run(folder, python, "quantization", step, words)


def _write_inputs(folder: Path, name: str, images: NDArray[np.float32]) -> Path:
    path = folder / f"calibration-{name}.npz"
    arrays: dict[str, Any] = {input_name(folder): images}
    np.savez(path, **arrays)
    return path


def input_name(folder: Path) -> str:
    """Return the name of the input of the plain export."""
    import onnx

    model = onnx.load(str(graph_path(folder, "plain")), load_external_data=False)
    name: str = model.graph.input[0].name
    return name


def _run(folder: Path, python: str, module: str, step: str, words: list[str]) -> None:
    _require_modelopt(python)
    command = [python, "-m", f"modelopt.onnx.{module}"]
    command += ["--onnx_path", str(graph_path(folder, "plain"))]
    command += ["--output_path", str(graph_path(folder, step)), *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(done.stderr)
    if done.returncode != 0 or not graph_path(folder, step).is_file():
        message = f"ModelOpt ended with status {done.returncode}: {_last_words(done.stderr)}"
        raise ArtifactError(message)


def _last_words(text: str) -> str:
    """Return the line with the error of a program: the last one that is not indented."""
    lines = [line for line in text.splitlines() if line.strip() and not line[0].isspace()]
    return lines[-1].strip() if lines else "without a word"


def _require_modelopt(python: str) -> None:
    """Refuse an environment without the package.

    Raises:
        MissingDependencyError: It cannot be imported; with the last line of what Python says.
    """
    command = [python, "-c", "import modelopt.onnx"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except OSError as err:
        said = [str(err)]
    if said:
        message = f"This step needs the package 'modelopt', which cannot be imported: {said[0]}."
        raise MissingDependencyError(message, hint="See benchmarks/README.md.")
