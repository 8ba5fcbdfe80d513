"""Build an engine of a bundle for TensorRT or TensorRT for RTX, and check its output."""

from __future__ import annotations

import argparse

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.runtime_options import add_bundle_argument
from edge_ovss.engines.build import BuildOptions, Built, build_engine
from edge_ovss.errors import UsageError
from edge_ovss.runtime.trt.commands import rebuild_command
from edge_ovss.runtime.trt.engine_key import Flags
from edge_ovss.runtime.trt.engine_record import Proof
from edge_ovss.runtime.trt.frame_sizes import parse_range
from edge_ovss.runtime.trt.gpu import parse_capabilities
from edge_ovss.runtime.trt.variants import FLAVOURS

EXAMPLES = (
    "edge-ovss build city.ovss --backend tensorrt",
    "edge-ovss build city.ovss --backend tensorrt-rtx --compute-capability 8.6,8.9",
    "edge-ovss build city.ovss --backend tensorrt --min 360x480 --max 1080x1920",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    parser.add_argument("--backend", required=True, metavar="NAME", help=" or ".join(FLAVOURS))
    sizes = parser.add_argument_group("frame sizes (height x width)")
    sizes.add_argument(
        "--size", metavar="HxW", help="the only size (default that of the reference frame)"
    )
    sizes.add_argument("--min", metavar="HxW", help="smallest size of a range")
    sizes.add_argument(
        "--opt", metavar="HxW", help="size the engine is tuned for (default the largest)"
    )
    sizes.add_argument("--max", metavar="HxW", help="largest size of a range")
    parser.add_argument(
        "--compute-capability",
        metavar="LIST",
        help="such as 8.6,8.9,12.0; tensorrt-rtx only (default this GPU, or these three)",
    )
    parser.add_argument(
        "--workspace",
        type=int,
        metavar="MIB",
        help="scratch memory for the build (default on a Jetson: half of what is free)",
    )
    parser.add_argument("--optimization-level", type=int, metavar="N", help="0 to 5 (default 3)")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 where FP32 is asked for")
    parser.add_argument(
        "--timing-cache", action="store_true", help="keep timings in the bundle (tensorrt only)"
    )
    parser.add_argument("--overwrite", action="store_true", help="build again if it is there")
    parser.add_argument("--dla", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--require-faster", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace, console: Console) -> int:
    """Build, and print where the engine is and whether its output was checked."""
    refuse_unsupported(args)
    bundle = Bundle.open(args.bundle)
    options = read_options(args, bundle)
    built = build_engine(bundle, args.backend, options, note=console.note)
    report(args, console, bundle, built)
    return 0


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
        flags=Flags(level, workspace, args.tf32),
        timing_cache=args.timing_cache,
        overwrite=args.overwrite,
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
