"""Why nodes stay in a higher precision, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

ISLANDS: Mapping[str, str] = {
    "norm": "sums of squares over a whole layer overflow in FP16",
    "softmax": "exponentials and their sum",
    "linear attention": "sums over categories and the division by them",
    "normalise": "a division by a norm or a sum",
    "reduce": "long sums lose digits in FP16",
    "answer": "rankings, votes, counts, labels, and the heads that they are made from",
    "frame": "camera bytes, their resize, and integers that are held as floats",
    "range": "values above 32768 on the calibration images: half of what overflows",
    "family": "the model needs it: rounding there changes labels on some images and not on others",
    "accuracy": "FP16 changed too many labels on the calibration images",
    "constant": "a constant that FP16 cannot hold",
    "unknown": "an operator that is not known to be safe in FP16",
}
"""Why a node stays in FP32 where the rest is FP16. The keys are written into bundles."""

NOT_INT8: Mapping[str, str] = {
    "depthwise": "one filter per channel: no useful INT8 kernel, and the most sensitive",
    "stem": "reads the image itself",
    "transposed": "inaccurate and slow in INT8 (TensorRT #1699)",
    "head": "makes scores: on an INT8 grid they tie",
    "similarity": "compares the image with the text: 256 levels are too few",
    "attention": "a product of two activations, inside attention",
    "small": "fewer than 16 channels: nothing to gain",
    "zero range": "is always 0 on the calibration images",
    "budget": "went back to float to keep the loss within the budget",
    "recipe": "the recipe excludes it",
}
"""Why a product stays in float where others are INT8."""


def kept_in_float(facts: object) -> Iterator[tuple[str, str]]:
    """Yield a title and a text for every reason why a part of a graph has a higher precision.

    Args:
        facts: The section "precision" of a manifest, as read.
    """
    if not isinstance(facts, dict):
        return
    islands, excluded = facts.get("islands"), facts.get("excluded")
    if isinstance(islands, dict):
        for reason, nodes in islands.items():
            count = _many(len(nodes) if isinstance(nodes, list) else 1, "node")
            yield f"in FP32: {reason}", f"{count}: {ISLANDS.get(reason, reason)}"
    if isinstance(excluded, dict):
        for reason, number in sorted(Counter(map(str, excluded.values())).items()):
            count = _many(number, "product")
            yield f"not INT8: {reason}", f"{count}: {NOT_INT8.get(reason, reason)}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
