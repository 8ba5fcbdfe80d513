"""Open-vocabulary segmentation models in torch, and what their families share.

`catalogue` lists them without torch or numpy; the other names below are imported when they are
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ovss._lazy import lazy_names
from edge_ovss.models.catalogue import list_models

if TYPE_CHECKING:
    from edge_ovss.models.registry import load_model
    from edge_ovss.models.spec import ModelSpec, PictureSpec, WeightsOrigin

__all__ = ["ModelSpec", "PictureSpec", "WeightsOrigin", "list_models", "load_model"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ModelSpec": "edge_ovss.models.spec",
        "PictureSpec": "edge_ovss.models.spec",
        "WeightsOrigin": "edge_ovss.models.spec",
        "load_model": "edge_ovss.models.registry",
    },
)
