"""What the verbs say of words that the model of a bundle cannot tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_ovss.cli.shared.console import Console

if TYPE_CHECKING:
    from edge_ovss.bundle.manifest import Manifest


def warn_of_ties(manifest: Manifest, console: Console) -> list[str]:
    """Warn of the ties that the export found; return the warnings, one or none."""
    from edge_ovss.metrics.label_comparison import ties_text

    ties: Any = manifest.parity.get("ties")
    if not ties:
        return []
    text = ties_text(ties)
    console.warn(text)
    return [text]
