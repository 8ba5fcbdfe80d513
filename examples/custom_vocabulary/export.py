"""Your own classes, from Python: check the words, freeze them into a bundle, segment.

    python examples/custom_vocabulary/export.py park.ovss

The same on the command line:

    edge-ovss vocab lint examples/custom_vocabulary/park.toml
    edge-ovss export --vocab examples/custom_vocabulary/park.toml --out park.ovss
    edge-ovss run park.ovss 'synthetic://street?count=1'
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_ovss import Segmenter, Vocabulary, export_bundle
from edge_ovss.frames.sources import open_source

WORDS = Path(__file__).with_name("park.toml")


def main(out: str) -> None:
    """Export the park's vocabulary into the embedded model, and segment a drawn street."""
    vocabulary = Vocabulary.load(WORDS)
    export_bundle(vocabulary, out, overwrite=True)
    frame = next(iter(open_source("synthetic://street?seed=7")))
    with Segmenter.open(out) as segmenter:
        result = segmenter.segment(frame.image)
    for name, pixels in zip(result.names, result.pixels(), strict=True):
        print(f"{name:10} {100 * pixels / result.labels.size:5.1f} %")
    # What the background wins is labeled unknown.
    print(f"{'unknown':10} {100 * result.unknown:5.1f} %")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "park.ovss")
