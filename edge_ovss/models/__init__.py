"""Models in torch: SED, and what other families share with it."""

from edge_ovss.models.registry import list_models, load_model
from edge_ovss.models.spec import ModelSpec, PictureSpec, WeightsOrigin

__all__ = ["ModelSpec", "PictureSpec", "WeightsOrigin", "list_models", "load_model"]
