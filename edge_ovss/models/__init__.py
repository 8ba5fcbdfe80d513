"""Open-vocabulary segmentation models in torch, and what their families share.

`catalogue` lists them without torch or numpy; the other names below are imported when they are
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edge_ovss.models.catalogue import list_models

if TYPE_CHECKING:
    from edge_ovss.models.registry import load_model
    from edge_ovss.models.spec import ModelSpec, PictureSpec, WeightsOrigin

__all__ = ["ModelSpec", "PictureSpec", "WeightsOrigin", "list_models", "load_model"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        message = f"module 'edge_ovss.models' has no attribute '{name}'"
        raise AttributeError(message)
    module = "registry" if name == "load_model" else "spec"
    return getattr(importlib.import_module(f"edge_ovss.models.{module}"), name)
