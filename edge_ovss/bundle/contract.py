"""The graph contract: what goes into the graph of a bundle and what comes out."""

from __future__ import annotations

NARROW_OUTPUTS = 255
"""Up to so many outputs, labels are uint8. Their largest value, 255, names none of them."""

MOST_OUTPUTS = 65535
"""The most outputs. Labels of uint16 number them from 0; their largest value names none."""

UNKNOWN = {"uint8": 255, "uint16": 65535}
"""The label that is reserved for "unknown" or "ignore", by dtype. No output has this number."""


def labels_dtype(outputs: int) -> str:
    """Return the dtype of labels that index so many outputs: "uint8" or "uint16"."""
    return "uint8" if outputs <= NARROW_OUTPUTS else "uint16"
