"""Run `edge-ovss emit`."""

from __future__ import annotations

import argparse
import shlex

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.shared.console import Console
from edge_ovss.emit.deepstream.package_folder import CONFIG, emit_deepstream
from edge_ovss.emit.ros2.package_folder import emit_ros2
from edge_ovss.emit.triton.repository import CLIENT, REPOSITORY, TritonOptions, emit_triton
from edge_ovss.runtime.trt.frame_sizes import parse_size


def run(args: argparse.Namespace, console: Console) -> int:
    """Run one action and return the exit status."""
    return {"triton": _triton, "ros2": _ros2, "deepstream": _deepstream}[args.action](args, console)


def _triton(args: argparse.Namespace, console: Console) -> int:
    bundle = Bundle.open(args.bundle)
    options = TritonOptions(args.backend, args.name, args.engine, args.overwrite)
    emitted = emit_triton(bundle, args.out, options)
    served = emitted.served
    rows = {
        "folder": str(emitted.out),
        "model": f"{served.name}, backend {served.backend}; {served.note}",
        "graph": str(emitted.record["graph_sha256"]),
        "state": "written; not run on a Triton server here",
    }
    document = {"out": str(emitted.out), "served_as": served.name, "backend": served.backend}
    text = "\n".join(f"{name:<6} {value}" for name, value in rows.items())
    console.result(text, {**document, **emitted.record})
    if not emitted.proved:
        console.warn("the output of this engine was never compared: run selftest on its device")
    repository = shlex.quote(f"--model-repository={emitted.out / REPOSITORY}")
    program = shlex.quote(str(emitted.out / CLIENT))
    console.note(f"Next: tritonserver {repository}, then: python {program} IMAGE")
    return 0


def _ros2(args: argparse.Namespace, console: Console) -> int:
    bundle = Bundle.open(args.bundle)
    emitted = emit_ros2(bundle, args.out, name=args.name, overwrite=args.overwrite)
    rows = {
        "folder": str(emitted.out),
        "package": emitted.package,
        "graph": str(emitted.record["graph_sha256"]),
        "state": "written; not run on ROS 2 here",
    }
    text = "\n".join(f"{name:<7} {value}" for name, value in rows.items())
    document = {"out": str(emitted.out), "package": emitted.package, **emitted.record}
    console.result(text, document)
    console.note(f"Next, in the workspace: colcon build --packages-select {emitted.package}")
    return 0


def _deepstream(args: argparse.Namespace, console: Console) -> int:
    bundle = Bundle.open(args.bundle)
    size = None if args.size is None else parse_size(args.size, option="--size")
    emitted = emit_deepstream(bundle, args.out, size=size, overwrite=args.overwrite)
    height, width = emitted.size
    rows = {
        "folder": str(emitted.out),
        "frames": f"{height}x{width} (height x width)",
        "graph": str(emitted.record["graph_sha256"]),
        "state": "written; not run on DeepStream here",
    }
    text = "\n".join(f"{name:<6} {value}" for name, value in rows.items())
    document = {"out": str(emitted.out), "height": height, "width": width, **emitted.record}
    console.result(text, document)
    parser = shlex.quote(str(emitted.out / "parser"))
    console.note(f"Next, where DeepStream is: make -C {parser}, then nvinfer with {CONFIG}")
    return 0
