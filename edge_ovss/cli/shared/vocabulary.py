"""Load a vocabulary for a verb, and warn of what looks wrong with it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.cli.shared.console import Console
from edge_ovss.metrics.label_comparison import ties_text
from edge_ovss.metrics.license_terms import use_of
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.alikes import refuse_alikes
from edge_ovss.vocabulary.linting import fresh_warnings
from edge_ovss.vocabulary.words import short

_MOST_WARNINGS = 10
_UNSAFE = re.compile(r"[^\w.-]+")


def checked_vocabulary(spec: str, console: Console, *, background: str | None = None) -> Vocabulary:
    """Load a vocabulary, print lint's warnings, and refuse class names that read alike.

    Raises:
        VocabularyError: It cannot be loaded, or two of its outputs could not be told apart.
    """
    vocabulary = Vocabulary.load(spec, background=background)
    refuse_alikes(vocabulary)
    warn_of_words(vocabulary, console)
    return vocabulary


def warn_of_words(
    vocabulary: Vocabulary, console: Console, *, known: Collection[str] = frozenset()
) -> None:
    """Print lint's warnings of all categories but those whose text is known."""
    findings = fresh_warnings(vocabulary, known)
    for finding in findings[:_MOST_WARNINGS]:
        console.warn(f"category {finding.index} ({short(finding.text)}): {finding.message}")
    more = len(findings) - _MOST_WARNINGS
    if more > 0:
        console.warn(f"{more} more such warnings; see them all with: edge-ovss vocab lint")


def file_part(name: str) -> str:
    """Return the part of a vocabulary's name that may stand in a file name."""
    return _UNSAFE.sub("_", name)[:64]


def warn_of_use(manifest: Manifest, console: Console) -> list[str]:
    """Warn of licenses of a bundle that forbid commercial use; return the warnings."""
    use = use_of(manifest.licenses)
    if not use.barred:
        if use.unknown:
            console.note(f"license unknown of {', '.join(use.unknown)}; see edge-ovss inspect")
        return []
    said = "; ".join(f"{part}: {text}" for part, text in use.barred.items())
    text = f"the bundle is not for commercial use ({said})"
    console.warn(text)
    return [text]


def warn_of_ties(manifest: Manifest, console: Console) -> list[str]:
    """Warn of classes that the model of a bundle cannot tell apart; return the warnings."""
    ties: Any = manifest.parity.get("ties")
    if not ties:
        return []
    text = ties_text(ties)
    console.warn(text)
    return [text]
