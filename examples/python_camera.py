"""Segment what a camera sees, frame by frame, without torch.

python examples/python_camera.py city.ovss /dev/video0
python examples/python_camera.py city.ovss 'synthetic://street?count=4' --save out
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss import Segmenter
from edge_ovss.frames.images import write_picture
from edge_ovss.frames.sources import open_source
from edge_ovss.runtime.overlay import draw_overlay


def main() -> None:
    """Print the largest classes of every frame; save overlays if asked to."""
    parser = argparse.ArgumentParser(description="Segment what a camera sees.")
    parser.add_argument("bundle", help="folder that edge-ovss export wrote")
    parser.add_argument("source", help="/dev/video0, a video, a folder, synthetic://street")
    parser.add_argument("--save", type=Path, help="folder for overlays")
    args = parser.parse_args()
    with Segmenter.open(args.bundle) as segmenter:
        for frame in open_source(args.source):
            result = segmenter.segment(frame.image)
            largest = list({**result.shares(), "unknown": result.unknown}.items())
            largest.sort(key=lambda pair: pair[1], reverse=True)
            shares = [f"{name} {100 * share:.0f} %" for name, share in largest[:3]]
            print(f"{frame.name}: {', '.join(shares)} in {result.timings['total']:.0f} ms")
            if args.save:
                args.save.mkdir(parents=True, exist_ok=True)
                overlay = draw_overlay(frame.image, result, segmenter.palette)
                write_picture(args.save / f"{frame.name}.png", overlay)


if __name__ == "__main__":
    main()
