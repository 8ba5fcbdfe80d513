"""Why nodes stay in a higher precision, in words."""

from __future__ import annotations

from collections.abc import Mapping

ISLANDS: Mapping[str, str] = {
    "norm": "sums of squares over a whole layer overflow in FP16",
    "softmax": "exponentials and their sum",
    "linear attention": "sums over categories and the division by them",
    "normalise": "a division by a norm or a sum",
    "reduce": "long sums lose digits in FP16",
    "answer": "rankings, votes, counts, labels, and the heads that they are made from",
    "frame": "camera bytes, their resize, and integers that are held as floats",
    "range": "values above 32768 on the calibration images: half of what overflows",
    "constant": "a constant that FP16 cannot hold",
    "unknown": "an operator that is not known to be safe in FP16",
}
"""Why a node stays in FP32 where the rest is FP16."""

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
