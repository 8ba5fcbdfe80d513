"""Run `edge-ovss bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss._files import make_folder, write_json
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.runtime_options import check_threads
from edge_ovss.evaluation.benchmark import Benchmark, BenchmarkOptions, benchmark
from edge_ovss.evaluation.gates import (
    check_gates,
    license_value,
    parse_gates,
    require_known,
    require_passed,
)
from edge_ovss.evaluation.latency import BenchOptions
from edge_ovss.metrics.reported import BENCHMARK


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, print, and check the gates."""
    check_threads(args)
    gates = parse_gates(args.gate)
    require_known(gates, BENCHMARK)
    found = benchmark(
        args.bundle, _options(args), repeat=lambda times: console.progress(times, "cold start")
    )
    bundle = Bundle.open(args.bundle, verify=False)
    verdicts = check_gates(gates, {**found.numbers, **license_value(bundle)})
    document = {**found.document, "gates": [verdict.to_json() for verdict in verdicts]}
    path = _write(args, found.backend, document)
    text = [_text(found), *(verdict.text for verdict in verdicts), f"file  {path}"]
    console.result("\n".join(text), document)
    if found.warning:
        console.warn(found.warning)
    require_passed(verdicts)
    console.note(next_step("report", args.bundle))
    return 0


def _options(args: argparse.Namespace) -> BenchmarkOptions:
    count = 50 if args.count is None and args.duration is None else args.count
    return BenchmarkOptions(
        backend=args.backend,
        threads=args.threads,
        source=args.source,
        run=BenchOptions(args.warmup, count, args.duration),
        cold_starts=args.cold_starts,
        against=args.against,
        checkpoint=args.checkpoint,
        embeddings=args.embeddings,
        unknown=args.unknown,
        auto_build=args.auto_build,
    )


def _write(args: argparse.Namespace, backend: str, document: dict[str, object]) -> Path:
    default = Path(args.bundle) / "reports" / f"bench-{backend}.json"
    path = Path(args.out) if args.out else default
    make_folder(path.parent)
    write_json(path, document)
    return path


def _text(found: Benchmark) -> str:
    """Return a table with one line per measured program and stage."""
    numbers = found.numbers
    lines = [f"{'milliseconds':<44} {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8}"]
    for latency in found.latencies:
        for stage, times in latency.summary().items():
            name = latency.name if stage == "total" else f"  {stage}"
            row = " ".join(f"{times[key]:8.2f}" for key in ("p50", "p90", "p99", "max"))
            lines.append(f"{name:<44.44} {row}")
        lines.append(f"  {latency.throughput_fps:.2f} frames/s over {latency.frames} frames")
    if numbers["speedup_p50"] is not None:
        lines.append(
            f"{found.latencies[1].name} takes {numbers['speedup_p50']:.2f} x as long (p50)"
        )
    if numbers["cold_start_s"] is not None:
        lines.append(f"cold start   {numbers['cold_start_s']:.2f} s to the first label")
    if numbers["peak_mib"] is not None:
        lines.append(f"peak memory  {numbers['peak_mib']:.0f} MiB")
    return "\n".join(lines)
