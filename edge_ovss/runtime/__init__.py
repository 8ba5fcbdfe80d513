"""Run a bundle: frames in, label maps out. Needs numpy and the library of one backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ovss._lazy import lazy_names

if TYPE_CHECKING:
    from edge_ovss.bundle.reader import Bundle
    from edge_ovss.runtime.result import Result
    from edge_ovss.runtime.segmenter import Segmenter
    from edge_ovss.runtime.settings import set_unknown

__all__ = ["Bundle", "Result", "Segmenter", "set_unknown"]

# The command line reads the names of backends here, and its --help does not wait for numpy.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Bundle": "edge_ovss.bundle.reader",
        "Result": "edge_ovss.runtime.result",
        "Segmenter": "edge_ovss.runtime.segmenter",
        "set_unknown": "edge_ovss.runtime.settings",
    },
)
