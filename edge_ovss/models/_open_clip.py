"""The one place that imports open_clip.

open_clip imports torchvision, and torchvision registers shape rules for its compiled operators
`nms` and `qnms` while it is imported. Where those compiled operators do not load (a CPU wheel of
torch beside another build of torchvision; a Jetson with a torch of its own) that import dies with
"operator torchvision::nms does not exist". Nothing here uses them, so their schemas are declared
first, without an implementation, and the import goes through.
"""

from __future__ import annotations

from types import ModuleType

import torch

from edge_ovss._optional import require

_SCHEMAS = ("nms", "qnms")
# A torch.library.Library drops its declarations when it is collected, so it is kept.
_declared: list[torch.library.Library] = []


def import_open_clip() -> ModuleType:
    """Return the module open_clip, importing it even where torchvision's operators do not load.

    Raises:
        MissingDependencyError: open_clip is not installed.
    """
    _declare_missing_schemas()
    return require("open_clip", extra="export")


def _declare_missing_schemas() -> None:
    if _declared:
        return
    _load_compiled_operators()
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


def _load_compiled_operators() -> None:
    # Where the compiled operators do load they must come first: they cannot be declared twice.
    try:
        __import__("torchvision.extension")
    except (ImportError, RuntimeError, OSError, AttributeError):
        return
