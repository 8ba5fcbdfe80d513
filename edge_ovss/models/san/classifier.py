"""The text side: an open_clip text tower, the learned background, and the classifier they make."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.models.spec import Clip


class OpenVocabularyClassifier(nn.Module):
    """Text tower and background embedding (`ov_classifier.`).

    It has the attributes that `edge_ovss.models.text` reads of an open_clip CLIP.

    Args:
        clip: An open_clip CLIP; everything but its image tower is taken over.
    """

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.context_length = clip.context_length
        self.transformer = clip.transformer
        self.token_embedding = clip.token_embedding
        self.ln_final = clip.ln_final
        self.positional_embedding = clip.positional_embedding
        self.text_projection = clip.text_projection
        self.logit_scale = clip.logit_scale
        size = clip.text_projection.shape[1]
        self.bg_embed = nn.Parameter(size**-0.5 * torch.randn(1, size))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Build the classifier of a vocabulary.

        Args:
            embeddings: float [T, P, D], unit norm.

        Returns:
            float [T + 1, D]: unit vectors times the temperature, the background last.
        """
        categories = F.normalize(embeddings.mean(1), dim=-1)
        rows = F.normalize(torch.cat([categories, self.bg_embed]), dim=-1)
        result: Tensor = rows * self.logit_scale.exp()
        return result
