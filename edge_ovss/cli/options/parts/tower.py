"""The option of the verbs that write a text tower."""

from __future__ import annotations

import argparse


def add_tower_weights(group: argparse._ActionsContainer) -> None:
    """Declare --tower-weights."""
    group.add_argument(
        "--tower-weights",
        choices=("fp32", "fp16", "int8"),
        help="round the text tower's large weights: half the bytes, or a quarter; the error of its "
        "embeddings is measured and recorded (default fp32)",
    )
