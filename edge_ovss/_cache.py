"""Where this package keeps what can be made again: text embeddings, ranges, checkpoints."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """Return the folder of all caches, or None where `EDGE_OVSS_CACHE` is set to nothing.

    `EDGE_OVSS_CACHE` names it; without that it is `edge-ovss` in `XDG_CACHE_HOME` or `~/.cache`.
    """
    chosen = os.environ.get("EDGE_OVSS_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "edge-ovss"
