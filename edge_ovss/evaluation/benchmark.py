"""Benchmark a bundle on this device: latency, memory and cold start, optionally against a rival."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from edge_ovss._addresses import shown_address
from edge_ovss._machine import machine_facts, package_versions
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.bundle.unknown import Given
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.cold_start import ColdStart, measure_cold_start, peak_memory_mib
from edge_ovss.evaluation.latency import BenchOptions, FrameArray, Latency, Subject, measure_latency
from edge_ovss.evaluation.tegrastats import Watch
from edge_ovss.frames.sources import open_source
from edge_ovss.metrics.reported import BENCHMARK
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.trt.engine_store import plan_hashes

Repeat = Callable[[range], Iterable[int]]

MOST_FRAMES = 16
TORCH = "torch"
"""Numbers of a benchmark that a gate may use."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options of a benchmark.

    Attributes:
        backend: A registered name, or "auto".
        threads: CPU threads; None for the default.
        source: Source of frames, used in turn; at most `MOST_FRAMES` are read.
        run: Warm-up, and number of frames or seconds.
        cold_starts: Number of processes started to measure the cold start.
        against: "torch" or another bundle, run interleaved with the first; None for neither.
        checkpoint: Checkpoint of the model, for "torch".
        embeddings: Embedding pack, for "torch".
        unknown: When a label of the first is "unknown", as for `Segmenter.open`; the other has its
            own thresholds, so that a bundle can be compared with itself.
        auto_build: Build missing engines, as for `Segmenter.open`; before the clock starts.
    """

    backend: str = "auto"
    threads: int | None = None
    source: str = "synthetic://street?count=4"
    run: BenchOptions = field(default_factory=BenchOptions)
    cold_starts: int = 1
    against: str | None = None
    checkpoint: str | None = None
    embeddings: str | None = None
    unknown: Given | None = None
    auto_build: bool = False

    def __post_init__(self) -> None:
        if self.cold_starts < 0:
            message = f"--cold-starts is {self.cold_starts}; expected 0 or more."
            raise UsageError(message)
        if self.against != TORCH and (self.checkpoint or self.embeddings):
            message = "Options --checkpoint and --embeddings need --against torch."
            raise UsageError(message)


@dataclass(frozen=True)
class Benchmark:
    """Measurements of a bundle.

    Attributes:
        latencies: Latency of the bundle, then of the rival if there is one.
        cold_starts: One entry per process.
        numbers: Values of all `BENCHMARK`; None if not measured.
        precision: Precision of the bundle, such as "int8".
        backend: The backend that ran it.
        document: Everything as a JSON object, without gates.
    """

    latencies: tuple[Latency, ...]
    cold_starts: tuple[ColdStart, ...]
    numbers: Mapping[str, float | None]
    precision: str
    backend: str
    document: Mapping[str, object]

    @property
    def warning(self) -> str | None:
        """A warning if a lower precision is not faster on this device, else None."""
        factor = self.numbers["speedup_p50"]
        if self.precision == "fp32" or factor is None or factor > 1:
            return None
        return (
            f"{self.precision} is not faster here than {self.latencies[1].name} "
            f"({factor:.2f} x): it only costs accuracy. "
            'To make that a failure: --gate "speedup_p50>1".'
        )


def benchmark(
    bundle: str | Path, options: BenchmarkOptions | None = None, *, repeat: Repeat = iter
) -> Benchmark:
    """Measure how long a bundle takes from frame bytes to labels.

    Args:
        bundle: The folder.
        options: The options; the defaults take a few seconds.
        repeat: Wraps the range of cold starts, for instance to show progress.

    Raises:
        UsageError: The options contradict each other.
        BundleError: The bundle cannot be read.
        InputError: The source has no frames.
        ArtifactError: The graph or a cold start fails.
    """
    asked = options or BenchmarkOptions()
    frames = _read_frames(asked.source)
    with ExitStack() as stack, Watch() as watch:
        segmenter = stack.enter_context(
            Segmenter.open(
                bundle,
                backend=asked.backend,
                threads=asked.threads,
                unknown=asked.unknown,
                auto_build=asked.auto_build,
            )
        )
        subjects = [_subject(segmenter), *_rival(asked, segmenter, stack)]
        if asked.auto_build:  # which a warm-up of 0 frames would leave to the first measured one
            sizes = {frame.shape: frame for frame in frames}
            for subject in subjects:
                for frame in sizes.values():
                    subject.run(frame)
        latencies = measure_latency(subjects, frames, asked.run)
    starts = tuple(_measure_cold_starts(bundle, asked, frames[0], repeat))
    numbers = _collect(latencies, starts)
    document = _describe(asked, segmenter, latencies, starts, frames[0])
    return Benchmark(
        latencies=latencies,
        cold_starts=starts,
        numbers=numbers,
        precision=segmenter.bundle.manifest.precision,
        backend=segmenter.backend,
        document=document | {"tegrastats": watch.summary(), "numbers": numbers},
    )


def _read_frames(source: str) -> list[FrameArray]:
    # Read before the clock starts: a camera's frame is in memory as well.
    return [frame.image for frame in islice(open_source(source), MOST_FRAMES)]


def _subject(segmenter: Segmenter) -> Subject:
    manifest = segmenter.bundle.manifest
    name = f"{segmenter.bundle.path.name} {manifest.precision} {segmenter.backend}"
    return Subject(name, lambda frame: segmenter.segment(frame).timings)


def _rival(options: BenchmarkOptions, segmenter: Segmenter, stack: ExitStack) -> Iterator[Subject]:
    if options.against is None:
        return
    if options.against != TORCH:
        other = Segmenter.open(
            options.against,
            backend=options.backend,
            threads=options.threads,
            auto_build=options.auto_build,
        )
        yield _subject(stack.enter_context(other))
        return
    from edge_ovss.parity.torch_reference import TorchReference  # torch is needed only here

    reference = TorchReference.open(
        segmenter.bundle,
        checkpoint=options.checkpoint,
        embeddings=options.embeddings,
        threads=options.threads,
    )
    yield Subject(TORCH, lambda frame: reference.segment(frame).timings)


def _measure_cold_starts(
    bundle: str | Path, options: BenchmarkOptions, frame: FrameArray, repeat: Repeat
) -> Iterator[ColdStart]:
    size = (frame.shape[0], frame.shape[1])
    for _ in repeat(range(options.cold_starts)):
        yield measure_cold_start(
            bundle, size=size, backend=options.backend, threads=options.threads
        )


def _collect(latencies: Sequence[Latency], starts: Sequence[ColdStart]) -> dict[str, float | None]:
    """Return the values of all `BENCHMARK`; None for what was not measured."""
    numbers: dict[str, float | None] = dict.fromkeys(BENCHMARK)
    summary = latencies[0].summary()
    for key in ("mean", "p50", "p90", "p99", "max"):
        numbers[f"{key}_ms"] = summary["total"][key]
    for stage in ("infer", "device"):
        if stage in summary:
            numbers[f"{stage}_p50_ms"] = summary[stage]["p50"]
    numbers["throughput_fps"] = latencies[0].throughput_fps
    # A fresh process holds nothing else; without one, this process is the best estimate.
    peaks = [start.peak_mib for start in starts if start.peak_mib is not None]
    numbers["peak_mib"] = max(peaks) if peaks else peak_memory_mib()
    if starts:
        numbers["cold_start_s"] = statistics.median(start.seconds for start in starts)
    if len(latencies) > 1:
        numbers["speedup_p50"] = latencies[1].summary()["total"]["p50"] / summary["total"]["p50"]
    return numbers


def _describe(
    options: BenchmarkOptions,
    segmenter: Segmenter,
    latencies: Sequence[Latency],
    starts: Sequence[ColdStart],
    frame: FrameArray,
) -> dict[str, object]:
    return {
        "kind": "bench",
        "bundle": segmenter.bundle.path.name,
        "graph_sha256": answer_hash(segmenter.bundle),
        "precision": segmenter.bundle.manifest.precision,
        "backend": segmenter.backend,
        "engines": plan_hashes(segmenter.bundle, segmenter.backend),
        "threads": options.threads,
        "source": shown_address(options.source),
        "frame": {"height": frame.shape[0], "width": frame.shape[1]},
        "warmup": options.run.warmup,
        "subjects": [latency.to_json() for latency in latencies],
        "cold_starts": [start.to_json() for start in starts],
        "environment": {"machine": machine_facts(), "packages": package_versions()},
    }
