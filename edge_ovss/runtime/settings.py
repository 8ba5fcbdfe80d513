"""Change what a bundle says, where its graph stays as it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edge_ovss._files import write_json
from edge_ovss.bundle.reader import MANIFEST, Bundle
from edge_ovss.bundle.unknown import Given, UnknownInfo
from edge_ovss.bundle.words.state import only_writer
from edge_ovss.errors import UsageError
from edge_ovss.runtime.segmenter import choose_unknown


def set_unknown(bundle: Bundle | str | os.PathLike[str], given: Given) -> UnknownInfo:
    """Write thresholds of "unknown" into a bundle, as its new default.

    Only the manifest is written, whole or not at all. Graph and reference answer stay: the answer
    holds what is compared, so that the selftest knows what is right with any thresholds. Engines
    stay usable too.

    Args:
        bundle: The bundle.
        given: As for `Segmenter.open`.

    Returns:
        The new thresholds.

    Raises:
        BundleError: The bundle is damaged.
        UsageError: A threshold is wrong, or the graph takes none.
        InputError: The file of thresholds cannot be used.
        OutputError: The manifest cannot be written; it is then unchanged.
    """
    path = bundle.path if isinstance(bundle, Bundle) else Path(bundle).expanduser().absolute()
    if not path.is_dir():
        Bundle.open(path)  # says what is wrong
    with only_writer(path):
        return _set_unknown(Bundle.open(path), given)


def _set_unknown(opened: Bundle, given: Given) -> UnknownInfo:
    chosen = choose_unknown(opened, given)
    if chosen is None:  # "off" is right for a graph without thresholds, and there is nothing to set
        message = f"Bundle '{opened.path.name}' was exported before labels could be unknown."
        raise UsageError(message, hint="Export it again.")
    manifest = replace(opened.manifest, unknown=chosen)
    write_json(opened.file(MANIFEST), manifest.to_json())
    return chosen
