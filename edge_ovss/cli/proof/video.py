"""Run `edge-ovss eval` on videos."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ovss.cli.shared.console import Console
from edge_ovss.cli.shared.stream_options import (
    asks_for_stream,
    read_keyframe,
    refuse_useless_flow,
)
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.evaluate import EvaluationOptions
from edge_ovss.evaluation.video.evaluate import evaluate_video
from edge_ovss.evaluation.video.options import VideoOptions
from edge_ovss.evaluation.video.result import VideoEvaluation
from edge_ovss.motion.dis import DEFAULT_FLOW
from edge_ovss.report.video import losses
from edge_ovss.runtime.segmenter import Segmenter


def video_options(args: argparse.Namespace, dataset: Dataset) -> VideoOptions | None:
    """Return how frames of videos are answered; None where the data set has none.

    Raises:
        UsageError: An option is wrong, or means nothing for images that stand for themselves.
    """
    if dataset.fps is None:
        if asks_for_stream(args) or args.video_queries:
            message = f"Data set '{dataset.name}' has images that stand for themselves, no video."
            hint = "If they follow each other, give their rate, such as --fps 15."
            raise UsageError(message, hint=hint)
        return None
    if args.video_queries:
        if asks_for_stream(args):
            message = "--video-queries sees each video as a whole; --stabilize, --keyframe or "
            message = f"{message}--flow is given too."
            raise UsageError(message, hint="Give one or the other.")
        return VideoOptions(whole_clip=True)
    keyframe = read_keyframe(args)
    if keyframe is None:
        message = "--keyframe async depends on the speed of this machine, so it is not scored."
        raise UsageError(message, hint="Score --keyframe 2 or 3; run async with: edge-ovss run")
    refuse_useless_flow(args)
    return VideoOptions(args.stabilize, keyframe, args.flow or DEFAULT_FLOW)


def score_video(
    args: argparse.Namespace,
    segmenter: Segmenter,
    dataset: Dataset,
    out: Path,
    options: EvaluationOptions,
    video: VideoOptions,
    console: Console,
) -> VideoEvaluation:
    """Score videos with the bundle, or with the published video mode of its model in torch."""
    if not video.whole_clip:
        return evaluate_video(segmenter, dataset, out, options, video, progress=console.progress)
    from edge_ovss.evaluation.video.queries import evaluate_queries

    return evaluate_queries(
        segmenter, dataset, out, options, checkpoint=args.checkpoint, progress=console.progress
    )


def video_text(found: VideoEvaluation) -> str:
    """Return a table of the numbers, frame by frame and as a stream."""
    said = found.video_json()
    changes = found.options.changes
    names = ("frame by frame", "stream") if changes else ("frame by frame",)
    tables = [said["frame_by_frame"], said["stream"]][: len(names)]
    scores = [said["scores_frame_by_frame"], found.evaluation.to_json()["scores"]][: len(names)]
    lines = [
        f"videos          {said['videos']}, {said['fps']:g} frames per second, {said['title']}",
        _row("", names),
        _row("  mIoU", [_shown(one["miou"]) for one in scores]),
    ]
    lines += [_row(f"  {title}", [_shown(t[key]) for t in tables]) for title, key in _ROWS]
    lines += _notes(found, said)
    return "\n".join(lines)


_ROWS = (
    ("VC8 %", "vc8"),
    ("VC8 right %", "vc8_right"),
    ("VC16 %", "vc16"),
    ("VC16 right %", "vc16_right"),
    ("TC %", "tc"),
    ("flicker %", "flicker"),
    ("change %", "change"),
    ("flashes/100", "flashes"),
)


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<16}" + "".join(f"{cell:>16}" for cell in cells)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _notes(found: VideoEvaluation, said: Mapping[str, Any]) -> list[str]:
    stream, change = said["stream"], found.change
    lines = [
        f"  looked at     VC8 {_shown(stream['vc8_area'])} %, VC16 {_shown(stream['vc16_area'])} % "
        "of the pixels: those whose truth stays the same",
        f"  TC of truth   {_shown(said['tc_truth'])}, along the flow {said['measured_along']}",
    ]
    if not found.options.changes:
        return lines
    latency = said["latency_ms"]
    lines += [
        f"  mIoU change   {change.points:+.2f} [{change.low:+.2f}, {change.high:+.2f}] "
        "(95 %, blocks of 8 frames)",
        f"  inferences    {said['inferences']:.1f} % of the frames; labels held {said['held']:.2f} "
        f"% of a key frame; age {said['age_ms']['mean']:.0f} ms, at most "
        f"{said['age_ms']['max']:.0f}",
        *(
            f"  {name:<13} p50 {times['p50']:.1f} ms, p99 {times['p99']:.1f} ms"
            for name, times in ((f"{kind} frames", latency[kind]) for kind in ("key", "other"))
            if times
        ),
        f"  without net   p50 {latency['stream']['p50']:.1f} ms, "
        f"p99 {latency['stream']['p99']:.1f} ms",
    ]
    return [*lines, f"  IoU lost      {losses(found.to_json())}"]


def warn_of_images(found: VideoEvaluation, console: Console) -> None:
    """Say that the frames are no video, if that is so."""
    if found.warning:
        console.warn(found.warning)
