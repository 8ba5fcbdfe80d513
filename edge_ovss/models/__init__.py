"""Models in torch: SED, and what other families share with it."""

from edge_ovss.models.registry import WeightsOrigin, list_models, load_model
from edge_ovss.models.spec import ModelSpec, PictureSpec

__all__ = ["ModelSpec", "PictureSpec", "WeightsOrigin", "list_models", "load_model"]
