"""The words of a command: loaded, and what looks like a slip in them said, before torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge_ovss.cli.shared.console import Console

if TYPE_CHECKING:
    from edge_ovss.vocabulary import Vocabulary

MOST_WARNINGS = 10
_UNSAFE = re.compile(r"[^\w.-]+")


def checked_vocabulary(spec: str, console: Console) -> Vocabulary:
    """Load a vocabulary, warn of what lint warns of, and refuse words that read alike.

    Raises:
        VocabularyError: It cannot be loaded, or two of its outputs could not be told apart.
    """
    from edge_ovss.vocabulary import Vocabulary, lint
    from edge_ovss.vocabulary.alikes import refuse_alikes
    from edge_ovss.vocabulary.words import short

    vocabulary = Vocabulary.load(spec)
    refuse_alikes(vocabulary)
    findings = [finding for finding in lint(vocabulary) if finding.level == "warning"]
    for finding in findings[:MOST_WARNINGS]:
        console.warn(f"category {finding.index} ({short(finding.text)}): {finding.message}")
    more = len(findings) - MOST_WARNINGS
    if more > 0:
        console.warn(f"{more} more about these words; see them all with: edge-ovss vocab lint")
    return vocabulary


def file_part(name: str) -> str:
    """Return what of a vocabulary's name may stand in the name of a file."""
    return _UNSAFE.sub("_", name)[:64]
