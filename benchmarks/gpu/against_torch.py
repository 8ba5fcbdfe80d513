r"""Race bundles on a GPU against torch in half precision, eager and compiled, all in one run.

    python -m benchmarks.gpu.against_torch --model sed-base --vocab ade150 --out out/gpu
    python -m benchmarks.gpu.against_torch --model san-base --vocab ade150 --out out/gpu-san

All contestants get the same weights, the same embeddings and the same frame, take turns, and live
in a process of their own. A time runs from the frame in host memory to the labels in host memory,
so the GPU has finished when it ends. Labels are held against torch in float32, which always runs.
TensorRT for RTX is tried once; what it says is kept. What cannot run here has a row that says why.
Prints ratios first; writes `results.json` into --out. "GPU MiB" is by how much the memory in use
grew while a contestant started and warmed up, CUDA's own share included; none of them gives any
back, so it is its peak, if nobody else uses the GPU. Of 50 repetitions, p99 is the slowest.

`--device cpu` runs the torch contestants on the CPU (in bfloat16 instead of float16) and adds our
bundles in ONNX Runtime on the CPU: it shows that the program works, and nothing else.

A GPU without a network: fetch the wheels where there is one, for the Python that is over there,
copy the folder, and install from it. Only one of onnxruntime and onnxruntime-gpu may be installed.

    pip download --dest wheels --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux2014_x86_64 'onnxruntime-gpu[cuda,cudnn]' opencv-python
    pip uninstall --yes onnxruntime                                        # over there
    pip install --no-index --find-links wheels 'onnxruntime-gpu[cuda,cudnn]' opencv-python
"""

from __future__ import annotations

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path

from benchmarks.gpu import report as gpu_report
from benchmarks.gpu import runtime as gpu_runtime
from benchmarks.shared.race import Contestant, Run, race

# Every contestant's process imports this file: no torch up here, or ours would carry it.
ON_GPU = (
    # In order of importance: where the time is up, the last ones are left out.
    *("torch-fp32", "cuda-fp32", "torch-half", "cuda-fp16", "trt-fp16", "torch-compiled"),
    *("cpp-fp16", "rtx-fp16", "plugin-fp16", "cpp-fp32", "trt-fp32", "torch-compiled-fp32"),
    *("queued-fp16", "queued-fp32"),
)
ON_CPU = ("cpu-fp32", "cpu-fp16")


def main() -> None:
    """Prepare, race, report."""
    args = _arguments()
    until = None if args.limit is None else time.monotonic() + args.limit
    folder, names = Path(args.out).resolve(), _names(args)
    folder.mkdir(parents=True, exist_ok=True)
    _prepare(folder, args, half=any(name.endswith("fp16") for name in names))
    if args.prepare_only:
        return
    contestants = [Contestant(name, partial(prepared, name, args.device)) for name in names]
    race(
        contestants,
        folder,
        repeats=args.repeats,
        threads=args.threads,
        warmups=args.warmups,
        device_mib=gpu_report.used_mib,
        patience=args.patience,
        until=until,
    )
    found = gpu_report.report(contestants, folder, args)
    (folder / "results.json").write_text(json.dumps(found, indent=2))
    print(gpu_report.table(found))


def prepared(name: str, device: str, folder: Path, threads: int) -> Run:
    """Get the contestant `name` ready, in its own process."""
    if name.startswith("torch"):
        from benchmarks.gpu import contestants as gpu_torch

        return gpu_torch.ready(name, device, folder, threads)
    return gpu_runtime.ready(name, folder, threads)


def _names(args: argparse.Namespace) -> list[str]:
    default = ON_GPU if args.device == "cuda" else (*ON_GPU, *ON_CPU)
    names = args.only.split(",") if args.only else list(default)
    unknown = [name for name in names if name not in gpu_report.TITLES]
    if unknown:
        message = f"--only has '{unknown[0]}'; expected some of: {', '.join(gpu_report.TITLES)}."
        raise SystemExit(message)
    reference = gpu_report.REFERENCE
    return names if reference in names else [*names, reference]


def _prepare(folder: Path, args: argparse.Namespace, *, half: bool) -> None:
    from benchmarks.gpu import fixture as gpu_fixture

    gpu_fixture.prepare(
        folder,
        gpu_fixture.Wish(
            model=args.model,
            vocabulary=args.vocab,
            weights=args.weights,
            survivors=args.survivors,
            slots=args.slots,
            size=args.size,
            frame=args.frame,
            calibration=args.calibration,
            made_for=args.made_for,
        ),
        half=half,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sed-base", help="sed-base, san-base, sed-tiny…")
    parser.add_argument("--vocab", default="ade150", help="built-in name or file")
    parser.add_argument("--out", default="out/gpu", help="folder of this model and vocabulary")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="of torch")
    parser.add_argument("--only", help=f"out of {','.join((*ON_GPU, *ON_CPU))}, in order")
    parser.add_argument("--repeats", type=int, default=50, help="counted, of each (default 50)")
    parser.add_argument("--warmups", type=int, default=5, help="not counted (default 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--patience", type=float, help="seconds to get ready, of each contestant")
    parser.add_argument("--limit", type=float, help="seconds of all; what is left out has a row")
    parser.add_argument("--for", dest="made_for", choices=("cpu", "gpu"), default="gpu")
    parser.add_argument("--prepare-only", action="store_true", help="write bundles, race later")
    _add_bundle_arguments(parser)
    return parser.parse_args()


def _add_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--weights", choices=("random", "embedded"), default="random")
    add("--survivors", type=int, default=27, help="of SED with random weights (default 27)")
    add("--slots", default="32,32,32", help="of SED (default 32,32,32)")
    add("--size", type=int, nargs=2, help="height width inside (default: the model's)")
    add("--frame", type=int, nargs=2, default=(480, 640), help="height width (default 480 640)")
    pictures = "synthetic://street?count=8&seed=2000000&size=480x640"
    add("--calibration", default=pictures, help="pictures to look for large values on")


if __name__ == "__main__":
    main()
