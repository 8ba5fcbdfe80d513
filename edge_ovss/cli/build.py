"""Run `edge-ovss build`."""

from __future__ import annotations

import argparse
import re

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.inspect_engine import fusion_text
from edge_ovss.cli.options.build import OPTIMIZED
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.engines.build import BuildOptions, Built, build_engine
from edge_ovss.engines.compatible import parse_compatible
from edge_ovss.engines.optimize import Optimized, optimize_graphs
from edge_ovss.errors import UsageError
from edge_ovss.runtime.trt.commands import rebuild_command
from edge_ovss.runtime.trt.engine_key import Flags
from edge_ovss.runtime.trt.engine_record import Proof
from edge_ovss.runtime.trt.frame_sizes import parse_range
from edge_ovss.runtime.trt.gpu import parse_capabilities

# Options that `--backend onnxruntime` does not take, with their defaults.
_ENGINES_ONLY: dict[str, object] = {
    **dict.fromkeys(("size", "min", "opt", "max", "compute_capability", "workspace")),
    **dict.fromkeys(("optimization_level", "compatible", "pin_timings")),
    **dict.fromkeys(("tf32", "timing_cache"), False),
    "allow_float": 0.0,
}


def run(args: argparse.Namespace, console: Console) -> int:
    """Build, and print where the engine is and whether its output was checked."""
    refuse_unsupported(args)
    if args.backend == OPTIMIZED:
        return optimize(args, console)
    bundle = Bundle.open(args.bundle)
    options = read_options(args, bundle)
    built = build_engine(bundle, args.backend, options, note=console.note)
    report(args, console, bundle, built)
    return 0


def optimize(args: argparse.Namespace, console: Console) -> int:
    """Keep the optimized graphs, and print where they are.

    Raises:
        UsageError: An option is given that only engines have.
    """
    given = [name for name, default in _ENGINES_ONLY.items() if getattr(args, name) != default]
    if given:
        option = "--" + given[0].replace("_", "-")
        message = f"{option} is for engines, and --backend {OPTIMIZED} has none."
        raise UsageError(message, hint=f"Leave out {option}.")
    bundle = Bundle.open(args.bundle)
    found = optimize_graphs(bundle, overwrite=args.overwrite, note=console.note)
    document = {"graphs": [_optimized_json(one) for one in found]}
    console.result("\n".join(map(_optimized_text, found)), document)
    console.note(next_step("run", args.bundle, "SOURCE", "--backend", OPTIMIZED))
    return 0


def _optimized_text(one: Optimized) -> str:
    state = "already there (--overwrite makes it again)" if one.reused else "written"
    rows = {
        "graph": str(one.graph.folder),
        "state": state,
        "for": f"ONNX Runtime {one.graph.key.library}, {one.graph.key.processor}",
        "size": f"{one.graph.size / 2**20:.1f} MiB",
        "time": f"{one.seconds:.1f} s",
        "answer": "every output of the reference frame is equal",
    }
    return "\n".join(f"{name:<9} {value}" for name, value in rows.items())


def _optimized_json(one: Optimized) -> dict[str, object]:
    return {
        "folder": str(one.graph.folder),
        "reused": one.reused,
        "seconds": round(one.seconds, 3),
        "bytes": one.graph.size,
        **one.graph.to_json(),
    }


def refuse_unsupported(args: argparse.Namespace) -> None:
    """Refuse options that are often asked for and would not help.

    Raises:
        UsageError: --dla or --require-faster is given.
    """
    if args.dla:
        message = (
            "--dla is not supported: a DLA runs neither layer normalization nor attention nor "
            "GELU, so every block would run on the GPU; TensorRT 10.8 to 11.3 has no DLA at all."
        )
        raise UsageError(message, hint="Leave out --dla.")
    if args.require_faster:
        message = (
            "--require-faster cannot be checked by a build: to compare two engines, time both on "
            "the device in one run."
        )
        hint = 'Build both bundles, then: edge-ovss bench A --against B --gate "speedup_p50>1".'
        raise UsageError(message, hint=hint)


def read_options(args: argparse.Namespace, bundle: Bundle) -> BuildOptions:
    """Return the options of the build.

    Raises:
        UsageError: One is malformed or out of range, or two contradict each other.
    """
    level, workspace = args.optimization_level, args.workspace
    if level is not None and not 0 <= level <= 5:
        message = f"--optimization-level is {level}; expected 0 to 5."
        raise UsageError(message)
    if workspace is not None and workspace < 1:
        message = f"--workspace is {workspace}; expected at least 1 MiB."
        raise UsageError(message)
    pinned = args.pin_timings
    if pinned is not None and re.fullmatch("[0-9a-fA-F]{64}", pinned) is None:
        message = f"--pin-timings is '{pinned}'; expected a sha256, 64 digits of 0-9 and a-f."
        raise UsageError(message, hint="build.json of the build to repeat has it: timings.after.")
    if not 0 <= args.allow_float <= 100:  # NaN is not
        message = f"--allow-float is {args.allow_float:g}; expected a percentage of 0 to 100."
        raise UsageError(message)
    height, width = bundle.reference().labels.shape
    frames = parse_range(
        size=args.size,
        smallest=args.min,
        best=args.opt,
        largest=args.max,
        default=(height, width),
    )
    wanted = args.compute_capability
    return BuildOptions(
        frames=frames,
        capabilities=None if wanted is None else parse_capabilities(wanted),
        flags=Flags(level, workspace, args.tf32, parse_compatible(args.compatible)),
        timing_cache=args.timing_cache,
        pinned_timings=args.pin_timings,
        overwrite=args.overwrite,
        allow_float=args.allow_float,
    )


def report(args: argparse.Namespace, console: Console, bundle: Bundle, built: Built) -> None:
    """Print what was built."""
    record = built.engine.record
    proof = record.proof
    seconds = ", ".join(f"{step} {value} s" for step, value in record.seconds.items())
    layers = ", ".join(f"{count} {kind}" for kind, count in record.layers.items())
    bundle_labels = "" if record.labels != "int32" else " (int32 in the engine, cast back here)"
    rows = {
        "engine": str(built.engine.folder),
        "state": "already there (--overwrite builds it again)" if built.reused else "built",
        "for": ", ".join(record.key.surroundings.capabilities),
        "library": f"{record.key.surroundings.backend} {record.key.surroundings.library}",
        "frames": f"{record.key.frames}{bundle_labels}",
        "plan": f"{record.size / 2**20:.1f} MiB, sha256 {record.sha256[:12]}…",
        "layers": layers,
        "fused": fusion_text(record.inspection),
        "time": seconds,
        "answer": _proof_text(proof),
    }
    text = "\n".join(f"{name:<9} {value}" for name, value in rows.items())
    document = {"folder": str(built.engine.folder), "reused": built.reused, **record.to_json()}
    console.result(text, document)
    for warning in record.warnings[:5]:
        console.note(f"note from the builder: {warning}")
    if proof.state == "passed":
        console.note(next_step("run", args.bundle, "SOURCE", "--backend", args.backend))
    else:
        command = rebuild_command(bundle, record.key, overwrite=False)
        console.note(f"Next, on the device, to check the output: {command}")


def _proof_text(proof: Proof) -> str:
    if proof.agreement is None:
        return f"not compared: {proof.reason}"
    equal = f"{100 * proof.agreement:.4f} % of the labels equal those of the {proof.against}"
    left_out = f", {100 * proof.undecided:.4f} % are undecided" if proof.undecided else ""
    return f"{proof.state}: {equal}{left_out}"
