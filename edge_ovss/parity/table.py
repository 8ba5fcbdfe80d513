"""Comparisons as one Markdown table, such as the one in docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ovss.parity.compare import BackendParity

_HEADERS = (
    "bundle",
    "precision",
    "backend",
    "mIoU torch",
    "mIoU d2-main",
    "mIoU d2-0.6+mmseg",
    "pixel accuracy",
    "change of mIoU [95 %]",
    "labels equal to torch",
    "worst category",
)


def render_table(parities: Sequence[BackendParity]) -> str:
    """Return a Markdown table with one row per comparison; mIoU and accuracies in percent."""
    lines = [_HEADERS, tuple("---" for _ in _HEADERS), *map(_row, parities)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _row(parity: BackendParity) -> tuple[str, ...]:
    before, after = parity.scores()
    change = parity.change()
    return (
        parity.bundle,
        parity.precision,
        parity.backend,
        f"{100 * before.miou(parity.protocol):.2f}{parity.scope}",
        f"{100 * after.miou('d2-main'):.2f}{parity.scope}",
        f"{100 * after.miou('d2-0.6+mmseg'):.2f}{parity.scope}",
        f"{100 * after.pixel_accuracy:.2f}",
        f"{change.points:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
        f"{100 * parity.label_agreement:.3f} %",
        _loser(parity),
    )


def _loser(parity: BackendParity) -> str:
    """Return the category that loses most, with its loss in points."""
    before, after = parity.scores()
    present = [index for index, pixels in enumerate(before.truth_pixels) if pixels]
    worst = min(present, key=lambda index: after.iou[index] - before.iou[index])
    change = 100 * float(after.iou[worst] - before.iou[worst])
    return f"{parity.names[worst].strip()} {change:+.2f}"
