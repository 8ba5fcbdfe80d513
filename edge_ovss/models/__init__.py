"""Open-vocabulary segmentation models in torch, and what their families share.

`catalogue` lists them without torch, which is imported when one of the names below is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edge_ovss.models.catalogue import list_models
from edge_ovss.models.spec import ModelSpec, PictureSpec, WeightsOrigin

if TYPE_CHECKING:
    from edge_ovss.models.registry import load_model

__all__ = ["ModelSpec", "PictureSpec", "WeightsOrigin", "list_models", "load_model"]


def __getattr__(name: str) -> object:
    """Import `load_model`, and torch with it, when it is first used (PEP 562)."""
    if name != "load_model":
        message = f"module 'edge_ovss.models' has no attribute '{name}'"
        raise AttributeError(message)
    return importlib.import_module("edge_ovss.models.registry").load_model
