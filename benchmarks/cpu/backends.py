"""Time bundles on CPU backends in one interleaved run, each with its label agreement.

    python -m benchmarks.cpu.backends PICTURES city.ovss@onnxruntime city.ovss@openvino-bf16

Every frame goes through every contestant in turn, so that what else the machine does falls on all
alike. Ratios are medians over the frames of first contestant's time by this one's; agreement is the
share of labels equal to the first contestant's.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from edge_ovss.frames.sources import open_source
from edge_ovss.runtime import Segmenter


def main() -> None:
    """Print one line by contestant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="a folder, or synthetic://street?count=8")
    parser.add_argument("contestants", nargs="+", metavar="BUNDLE@BACKEND")
    parser.add_argument("--count", type=int, default=12, help="frames (default 12)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with ExitStack() as stack:
        segmenters = {
            name: stack.enter_context(_open(name, args.threads)) for name in args.contestants
        }
        frames = [
            frame.image
            for _, frame in zip(range(args.count), open_source(args.source), strict=False)
        ]
        for segmenter in segmenters.values():
            segmenter.segment(frames[0])
        times, equal = _race(segmenters, frames)
    _print(args.contestants, times, equal)


def _open(name: str, threads: int) -> Segmenter:
    bundle, _, backend = name.rpartition("@")
    return Segmenter.open(bundle, backend=backend, threads=threads)


def _race(
    segmenters: dict[str, Segmenter], frames: list[NDArray[np.uint8]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return milliseconds and shares of equal labels, float [contestants, frames] both."""
    times, equal = np.zeros((2, len(segmenters), len(frames)))
    for column, frame in enumerate(frames):
        first = None
        for row, segmenter in enumerate(segmenters.values()):
            start = time.perf_counter()
            labels = segmenter.segment(frame).labels
            times[row, column] = 1e3 * (time.perf_counter() - start)
            first = labels if first is None else first
            equal[row, column] = np.mean(labels == first)
    return times, equal


def _print(names: list[str], times: NDArray[np.float64], equal: NDArray[np.float64]) -> None:
    print("median ms  least ms     ratio  agreement % (mean, worst)")
    for row, name in enumerate(names):
        ratio = np.median(times[0] / times[row])
        numbers = (np.median(times[row]), times[row].min(), ratio)
        shares = f"{100 * equal[row].mean():9.3f}  {100 * equal[row].min():9.3f}"
        print("  ".join(f"{number:8.2f}" for number in numbers) + f"  {shares}  {name}")


if __name__ == "__main__":
    main()
