"""Measure how long a bundle takes for a frame: bytes in, labels out, on this device."""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ovss.cli._console import Console
from edge_ovss.errors import UsageError

if TYPE_CHECKING:
    from edge_ovss.evaluation.cold_start import ColdStart
    from edge_ovss.evaluation.latency import BenchOptions, Frame, Latency, Subject
    from edge_ovss.runtime.segmenter import Segmenter

SUMMARY = "measure latency, memory and cold start of a bundle"

_MOST_FRAMES = 16
NUMBERS = (
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
    "infer_p50_ms",
    "device_p50_ms",
    "throughput_fps",
    "peak_mib",
    "cold_start_s",
    "speedup_p50",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that edge-ovss export wrote")
    parser.add_argument(
        "--source",
        default="synthetic://street?count=4",
        metavar="SOURCE",
        help="frames to use in turn (default synthetic://street?count=4, 360x480)",
    )
    parser.add_argument("--backend", default="auto", metavar="NAME", help="default auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default all)")
    parser.add_argument("--warmup", type=int, default=5, metavar="N", help="default 5 frames")
    parser.add_argument("--count", type=int, metavar="N", help="frames to measure (default 50)")
    parser.add_argument("--duration", type=float, metavar="S", help="seconds, instead of a count")
    parser.add_argument("--cold-starts", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--against",
        metavar="torch|BUNDLE",
        help="run this too, interleaved, and print the ratio",
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="for --against torch")
    parser.add_argument("--embeddings", metavar="FILE", help="for --against torch")
    parser.add_argument("--gate", metavar="LIST", help='for example "p99_ms<=50,peak_mib<=800"')
    parser.add_argument("--out", metavar="FILE", help="default BUNDLE/reports/bench-BACKEND.json")


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, print, and hold the gates."""
    from edge_ovss.evaluation.gates import check_gates, parse_gates, require_known, require_passed
    from edge_ovss.evaluation.latency import measure_latency
    from edge_ovss.evaluation.tegrastats import Watch
    from edge_ovss.runtime.segmenter import Segmenter

    gates = parse_gates(args.gate)
    require_known(gates, NUMBERS)
    options, frames = _options(args), _frames(args.source)
    with ExitStack() as stack, Watch() as watch:
        segmenter = stack.enter_context(
            Segmenter.open(args.bundle, backend=args.backend, threads=args.threads)
        )
        subjects = [_subject(segmenter), *_rival(args, segmenter, stack)]
        found = measure_latency(subjects, frames, options)
    starts = _cold_starts(args, frames[0], console)
    numbers = _collect(found, starts)
    verdicts = check_gates(gates, numbers)
    document = _document(args, segmenter, found, starts, frames) | {
        "tegrastats": watch.summary(),
        "numbers": numbers,
        "gates": [verdict.to_json() for verdict in verdicts],
    }
    path = _write(args, segmenter, document)
    text = [_text(found, numbers), *(verdict.text for verdict in verdicts), f"file  {path}"]
    console.result("\n".join(text), document)
    _warn_if_slower(console, segmenter, found, numbers)
    require_passed(verdicts)
    console.note(f"Next: edge-ovss report {args.bundle}")
    return 0


def _options(args: argparse.Namespace) -> BenchOptions:
    from edge_ovss.evaluation.latency import BenchOptions

    if args.cold_starts < 0:
        message = f"Option --cold-starts is {args.cold_starts}; expected 0 or more."
        raise UsageError(message)
    if args.against != "torch" and (args.checkpoint or args.embeddings):
        message = "Options --checkpoint and --embeddings go with --against torch."
        raise UsageError(message)
    count = 50 if args.count is None and args.duration is None else args.count
    return BenchOptions(args.warmup, count, args.duration)


def _frames(source: str) -> list[Frame]:
    from edge_ovss.runtime.sources import open_source

    # Read before the clock starts: a camera's frame is in memory too.
    return [frame.image for frame in islice(open_source(source), _MOST_FRAMES)]


def _subject(segmenter: Segmenter) -> Subject:
    from edge_ovss.evaluation.latency import Subject

    manifest = segmenter.bundle.manifest
    name = f"{segmenter.bundle.path.name} {manifest.precision} {segmenter.backend}"
    return Subject(name, lambda frame: segmenter.segment(frame).timings)


def _rival(args: argparse.Namespace, segmenter: Segmenter, stack: ExitStack) -> list[Subject]:
    from edge_ovss.evaluation.latency import Subject
    from edge_ovss.runtime.segmenter import Segmenter as Other

    if args.against is None:
        return []
    if args.against != "torch":
        other = Other.open(args.against, backend=args.backend, threads=args.threads)
        return [_subject(stack.enter_context(other))]
    from edge_ovss.evaluation.torch_side import TorchReference

    reference = TorchReference.open(
        segmenter.bundle,
        checkpoint=args.checkpoint,
        embeddings=args.embeddings,
        threads=args.threads,
    )
    return [Subject("torch", lambda frame: reference.segment(frame).timings)]


def _cold_starts(args: argparse.Namespace, frame: Frame, console: Console) -> list[ColdStart]:
    from edge_ovss.evaluation.cold_start import measure_cold_start

    size = (frame.shape[0], frame.shape[1])
    return [
        measure_cold_start(args.bundle, size=size, backend=args.backend, threads=args.threads)
        for _ in console.progress(range(args.cold_starts), "cold start")
    ]


def _collect(found: tuple[Latency, ...], starts: list[ColdStart]) -> dict[str, float | None]:
    """Return the numbers that a gate may name; None for what was not measured."""
    from edge_ovss.evaluation.cold_start import peak_memory_mib

    numbers: dict[str, float | None] = dict.fromkeys(NUMBERS)
    summary = found[0].summary()
    for key in ("mean", "p50", "p90", "p99", "max"):
        numbers[f"{key}_ms"] = summary["total"][key]
    for stage in ("infer", "device"):
        if stage in summary:
            numbers[f"{stage}_p50_ms"] = summary[stage]["p50"]
    numbers["throughput_fps"] = found[0].throughput_fps
    # A fresh process holds nothing else; without one, this process is the best there is.
    peaks = [start.peak_mib for start in starts if start.peak_mib is not None]
    numbers["peak_mib"] = max(peaks) if peaks else peak_memory_mib()
    if starts:
        numbers["cold_start_s"] = statistics.median(start.seconds for start in starts)
    if len(found) > 1:
        numbers["speedup_p50"] = found[1].summary()["total"]["p50"] / summary["total"]["p50"]
    return numbers


def _document(
    args: argparse.Namespace,
    segmenter: Segmenter,
    found: tuple[Latency, ...],
    starts: list[ColdStart],
    frames: list[Frame],
) -> dict[str, Any]:
    from edge_ovss.evaluation.provenance import graph_hash
    from edge_ovss.runtime.environment import machine_facts, package_versions

    manifest = segmenter.bundle.manifest
    return {
        "kind": "bench",
        "bundle": segmenter.bundle.path.name,
        "graph_sha256": graph_hash(segmenter.bundle),
        "precision": manifest.precision,
        "backend": segmenter.backend,
        "threads": args.threads,
        "source": args.source,
        "frame": {"height": frames[0].shape[0], "width": frames[0].shape[1]},
        "warmup": args.warmup,
        "subjects": [latency.to_json() for latency in found],
        "cold_starts": [start.to_json() for start in starts],
        "environment": {"machine": machine_facts(), "packages": package_versions()},
    }


def _write(args: argparse.Namespace, segmenter: Segmenter, document: dict[str, Any]) -> Path:
    from edge_ovss.runtime.writing import make_folder, write_json

    default = segmenter.bundle.path / "reports" / f"bench-{segmenter.backend}.json"
    path = Path(args.out) if args.out else default
    make_folder(path.parent)
    write_json(path, document)
    return path


def _warn_if_slower(
    console: Console,
    segmenter: Segmenter,
    found: tuple[Latency, ...],
    numbers: dict[str, float | None],
) -> None:
    """Say so where less precision buys nothing on this device."""
    precision, factor = segmenter.bundle.manifest.precision, numbers["speedup_p50"]
    if precision == "fp32" or factor is None or factor > 1:
        return
    console.warn(
        f"{precision} is not faster here than {found[1].name} ({factor:.2f} x): it only costs "
        'accuracy. To make that a failure: --gate "speedup_p50>1".'
    )


def _text(found: tuple[Latency, ...], numbers: dict[str, float | None]) -> str:
    """Return a table with one line per subject and stage."""
    lines = [f"{'milliseconds':<44} {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8}"]
    for latency in found:
        for stage, times in latency.summary().items():
            name = latency.name if stage == "total" else f"  {stage}"
            row = " ".join(f"{times[key]:8.2f}" for key in ("p50", "p90", "p99", "max"))
            lines.append(f"{name:<44.44} {row}")
        lines.append(f"  {latency.throughput_fps:.2f} frames/s over {latency.frames} frames")
    if numbers["speedup_p50"] is not None:
        lines.append(f"{found[1].name} takes {numbers['speedup_p50']:.2f} x as long (p50)")
    if numbers["cold_start_s"] is not None:
        lines.append(f"cold start   {numbers['cold_start_s']:.2f} s to the first label")
    if numbers["peak_mib"] is not None:
        lines.append(f"peak memory  {numbers['peak_mib']:.0f} MiB")
    return "\n".join(lines)
