"""CPU time that the live page takes to encode a frame, by size: the whole cost of its viewers."""

from __future__ import annotations

import argparse
import time

import cv2

from edge_ovss.live.page.message import View, encode_view
from edge_ovss.synthetic import render_street

SIZES = ((480, 640), (720, 1280), (1080, 1920))


def measure(height: int, width: int, rounds: int) -> tuple[float, View]:
    """Return milliseconds of CPU per frame, and what is sent."""
    scene = render_street(3, height, width)
    view = encode_view(scene.image, scene.labels)
    start = time.process_time()
    for _ in range(rounds):
        encode_view(scene.image, scene.labels)
    return 1e3 * (time.process_time() - start) / rounds, view


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="frames of each size (default 50)")
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    print(f"{'frame':>12}  {'CPU ms':>7}  {'image KiB':>9}  {'labels KiB':>10}")
    for height, width in SIZES:
        milliseconds, view = measure(height, width, rounds)
        image, labels = len(view.image) / 1024, len(view.labels) / 1024
        print(f"{width:>5} x {height:<4}  {milliseconds:7.1f}  {image:9.0f}  {labels:10.0f}")


if __name__ == "__main__":
    main()
