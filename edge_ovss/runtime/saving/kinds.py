"""The files that `run --save` can write for a frame."""

from __future__ import annotations

LABELS, OVERLAY, FACTS = "labels", "overlay", "facts"
COLOR, RLE, GEOJSON, LABELME = "color", "rle", "geojson", "labelme"
SCORES, CONFIDENCE, IMAGE = "scores", "confidence", "image"

SUFFIXES = {
    IMAGE: ".image.png",
    LABELS: ".labels.png",
    OVERLAY: ".overlay.png",
    COLOR: ".color.png",
    RLE: ".rle.json",
    GEOJSON: ".geojson",
    LABELME: ".labelme.json",
    SCORES: ".scores.npz",
    CONFIDENCE: ".confidence.png",
    FACTS: ".json",
}
"""What each kind adds to the name of a frame; the facts come last, when all else is written."""

DEFAULT = (LABELS, OVERLAY, FACTS)
"""What is saved of images and recordings if nothing is asked for; of cameras it is nothing."""
