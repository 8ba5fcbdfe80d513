"""What a stream costs without the network, and what it gains with it.

    python -m benchmarks.video.cost
    python -m benchmarks.video.cost --bundle city.ovss

Without a bundle: milliseconds of `Stabilizer` for each frame of a moving street, one thread. With
one: frames per second with every frame, and every second frame, for the network, in turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.stream.stabilizer import Stabilizer
from edge_ovss.runtime.stream_segmenter import StreamOptions, StreamSegmenter
from edge_ovss.synthetic import Drive, MovingStreet

Frame = NDArray[np.uint8]
_FPS = 15


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", metavar="BUNDLE", help="also measure throughput with it")
    parser.add_argument("--frames", type=int, default=60, metavar="N", help="default 60")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    args = parser.parse_args()
    street = MovingStreet(Drive(0, frames=args.frames, fps=_FPS))
    scenes = [street.scene(number) for number in range(len(street))]
    frames = [scene.image for scene in scenes]
    _one_thread()
    for flow in ("dis", "dis:ultrafast", "dis:medium"):
        for every in (1, 2):
            times = [_cost(frames, scenes[0].labels, flow, every) for _ in range(args.rounds)]
            best = np.min(times, axis=0)  # of each frame: what others did to it is left out
            name = f"{flow}, network on 1 of {every}"
            print(f"{name:<34} p50 {np.median(best):.2f} ms, p99 {np.quantile(best, 0.99):.2f} ms")
    if args.bundle:
        _throughput(args.bundle, frames, args.rounds)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _cost(frames: list[Frame], labels: Frame, flow: str, every: int) -> list[float]:
    """Return milliseconds of every frame after the first; the network answers at once."""
    stabilizer, times = Stabilizer(keyframe=every, flow=flow), []
    for number, frame in enumerate(frames):
        start = time.perf_counter()
        stabilizer.step(frame, lambda _: labels, time_s=number / _FPS)
        times.append(1e3 * (time.perf_counter() - start))
    return times[1:]


def _throughput(bundle: str, frames: list[Frame], rounds: int) -> None:
    with Segmenter.open(bundle, threads=1) as segmenter:
        ways: dict[str, Callable[[], float]] = {
            "frame by frame": lambda: _pass_plain(segmenter, frames),
            "--stabilize --keyframe 2": lambda: _pass_stream(segmenter, frames),
        }
        segmenter.segment(frames[0])
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                rates[name].append(len(frames) / way())
        for name, found in rates.items():
            print(f"{name:<34} {np.median(found):.2f} frames per second")
        one, two = rates.values()
        ratio = np.median(np.asarray(two) / np.asarray(one))
        print(f"{'ratio':<34} {ratio:.2f}")


def _pass_plain(segmenter: Segmenter, frames: list[Frame]) -> float:
    start = time.perf_counter()
    for frame in frames:
        segmenter.segment(frame)
    return time.perf_counter() - start


def _pass_stream(segmenter: Segmenter, frames: list[Frame]) -> float:
    start = time.perf_counter()
    with StreamSegmenter(segmenter.segment, StreamOptions(keyframe=2)) as stream:
        for number, frame in enumerate(frames):
            stream.segment(frame, time_s=number / _FPS)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
