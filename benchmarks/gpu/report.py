"""What a race on a GPU found: as JSON, and as a Markdown table with ratios first."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.gpu.runtime import RTX_WORDS
from benchmarks.sed.against_torch import processor
from benchmarks.shared.race import TIME_WAS_UP, Contestant
from edge_ovss._machine import nvidia_gpus, onnxruntime_providers, package_versions
from edge_ovss._optional import require
from edge_ovss.evaluation.latency import summarize
from edge_ovss.runtime.trt.gpu import local_gpu

TITLES = {
    "cuda-fp32": "our bundle FP32, `onnxruntime-cuda`",
    "cuda-fp16": "our bundle FP16, `onnxruntime-cuda`",
    "queued-fp32": "the same FP32 without a CUDA graph",
    "queued-fp16": "the same FP16 without a CUDA graph",
    "cpp-fp32": "our bundle FP32, C++ library, `onnxruntime-cuda`",
    "cpp-fp16": "our bundle FP16, C++ library, `onnxruntime-cuda`",
    "trt-fp32": "our bundle FP32, `tensorrt`",
    "trt-fp16": "our bundle FP16, `tensorrt`",
    "rtx-fp16": "our bundle FP16, `tensorrt-rtx`",
    "plugin-fp16": "our bundle FP16, plug-in of ONNX Runtime for TensorRT for RTX",
    "torch-fp32": "torch, eager, FP32 without TF32",
    "torch-half": "torch, eager, {half}",
    "torch-compiled": "torch, compiled, {half}",
    "torch-compiled-fp32": "torch, compiled, FP32 without TF32",
    "cpu-fp32": "our bundle FP32, `onnxruntime`",
    "cpu-fp16": "our bundle FP16, `onnxruntime`",
}
# The ratios: how many times as fast as these.
RIVALS = ("torch-half", "torch-compiled")
REFERENCE = "torch-fp32"


def used_mib() -> float | None:
    """Return the memory in use on the first GPU by all programs, or None where it is not known."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return float(done.stdout.strip())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def report(contestants: list[Contestant], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return all that was measured, as `results.json` holds it."""
    half = "FP16" if args.device == "cuda" else "BF16 on the CPU"
    p50 = {each.name: _times(each)["p50"] for each in contestants if _ran(each)}
    reference = next(each for each in contestants if each.name == REFERENCE)
    said = folder / RTX_WORDS
    return {
        "command": vars(args),
        "machine": machine(args.threads),
        "versions": versions(),
        "torch_half": half,
        "contestants": [
            {**_row(each, reference, p50, half), **_says(folder / f"{each.name}.says")}
            for each in contestants
        ],
        "tensorrt_rtx": said.read_text().splitlines() if said.is_file() else [],
    }


def machine(threads: int) -> dict[str, Any]:
    """Return the GPU and its driver, None and [] without one, and the processor."""
    gpu = local_gpu()
    return {
        "gpu": None if gpu is None else gpu.name,
        "capability": None if gpu is None else gpu.capability,
        "driver": None if gpu is None else gpu.system,
        "gpus": nvidia_gpus(),
        "processor": processor(),
        "threads": threads,
        "load_average": os.getloadavg(),
    }


def versions() -> dict[str, Any]:
    """Return the versions of the libraries that were raced, and of the CUDA behind torch."""
    import torch

    packages = ("onnxruntime", "torch", "tensorrt_rtx_bindings", "numpy")
    return {
        **{name: package_versions()[name] for name in packages},
        # Of two packages of this module, the one that is imported.
        "onnxruntime": getattr(require("onnxruntime", extra="onnxruntime"), "__version__", None),
        "torch_cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "onnxruntime_providers": onnxruntime_providers(),
    }


def _says(path: Path) -> dict[str, str]:
    return {"runs_as": path.read_text()} if path.is_file() else {}


def _ran(contestant: Contestant) -> bool:
    return contestant.failure is None and bool(contestant.seconds)


def _times(contestant: Contestant) -> dict[str, float]:
    return summarize([1e3 * seconds for seconds in contestant.seconds])


def _row(
    given: Contestant, reference: Contestant, p50: dict[str, float], half: str
) -> dict[str, Any]:
    row = {"name": given.name, "title": TITLES[given.name].format(half=half)}
    if not _ran(given):
        return {**row, "not_run": given.failure or "no repetition was counted"}
    times = _times(given)
    return {
        **row,
        **{f"{name}_ms": times[name] for name in ("p50", "p99", "max", "mean")},
        "frames": len(given.seconds),
        "times_as_fast_as": {name: p50[name] / times["p50"] for name in RIVALS if name in p50},
        **_agreement(given, reference),
        "device_mib": given.device_mib,
        "host_peak_mib": given.peak_mib,
    }


def _agreement(given: Contestant, reference: Contestant) -> dict[str, Any]:
    """Return shares in [0, 1] of equal labels and, where any are rejected, of common survivors."""
    if given.labels is None or reference.labels is None:
        return {"labels_equal": None, "survivors": None, "survivors_equal": None}
    ours, theirs = set(given.survivors), set(reference.survivors)
    return {
        "labels_equal": float((given.labels == reference.labels).mean()),
        "survivors": len(ours) if theirs else None,
        "survivors_equal": len(ours & theirs) / len(ours | theirs) if theirs else None,
    }


def table(found: dict[str, Any]) -> str:
    """Return the report as Markdown, ratios first."""
    lines = [f"{_heading(found)}\n"]
    lines.append(
        "| | torch eager / this | torch compiled / this | p50 ms | p99 ms | "
        "labels equal | survivors, in common | GPU MiB |"
    )
    lines.append("|" + "---|" * 8)
    rows = found["contestants"]
    lines += [_line(row) for row in rows if row.get("not_run") != TIME_WAS_UP]
    late = [row["title"] for row in rows if row.get("not_run") == TIME_WAS_UP]
    lines += out_of_time(late)
    if found["tensorrt_rtx"]:
        lines += ["\nTensorRT for RTX says:\n", *(f"    {word}" for word in found["tensorrt_rtx"])]
    return "\n".join(lines)


def out_of_time(titles: list[str]) -> list[str]:
    """Return the line under a table that names what was left out; [] if nothing was."""
    return [f"\nNot run, for the time was up: {'; '.join(titles)}."] if titles else []


def _heading(found: dict[str, Any]) -> str:
    facts, library = found["machine"], found["versions"]
    gpu = "no GPU" if facts["gpu"] is None else f"{facts['gpu']} ({facts['driver']})"
    return (
        f"{gpu}; ONNX Runtime {library['onnxruntime']}, torch {library['torch']}, "
        f"CUDA {library['torch_cuda']}, cuDNN {library['cudnn']}, "
        f"TensorRT for RTX {library['tensorrt_rtx_bindings']}; {facts['processor']}, "
        f"{facts['threads']} threads; {found['command']['repeats']} repetitions"
    )


def _line(row: dict[str, Any]) -> str:
    if "not_run" in row:
        return f"| {row['title']} | not run: {row['not_run']} " + "| " * 6 + "|"
    ratios = (row["times_as_fast_as"].get(name) for name in RIVALS)
    title = row["title"] + (f" ({row['runs_as']})" if "runs_as" in row else "")
    cells = [title, *(_number(ratio, ".2f") for ratio in ratios)]
    cells += [f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", _percent(row["labels_equal"])]
    common = _percent(row["survivors_equal"])
    cells.append("" if row["survivors"] is None else f"{row['survivors']}, {common}")
    return "| " + " | ".join([*cells, _number(row["device_mib"], ".0f")]) + " |"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
