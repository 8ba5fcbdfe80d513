"""A frame fitted into the network's input with its aspect ratio kept: in torch, and for export."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.export.parts.sampling import fit_matrix, fitted_size
from edge_ovss.models.spec import ModelSpec, PictureSpec


class FitFrame(nn.Module):
    """Normalize, resize with the aspect kept, and pad with zeros at the right and the bottom.

    Args:
        picture: The image specification.
        size: (height, width) inside the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, picture: PictureSpec, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(picture.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(picture.std).view(1, 3, 1, 1))

    def forward(self, frame: Tensor) -> Tensor:
        """Map uint8 [1, H, W, 3] to float32 [1, 3, height, width]."""
        height, width = frame.shape[1], frame.shape[2]
        fitted_height, fitted_width = fitted_size(height, width, size=self.size)
        rows = fit_matrix(self.size[0], source=height, fitted=fitted_height)
        columns = fit_matrix(self.size[1], source=width, fitted=fitted_width)
        # Zero is the mean color: padding by zero rows of the matrices pads after normalization.
        x = (frame.to(torch.float32).permute(0, 3, 1, 2) - self.mean) / self.std
        return rows @ x @ columns.t()


def fit_frame(frame: Tensor, *, spec: ModelSpec, size: tuple[int, int]) -> Tensor:
    """Normalize and resize a frame as published; padding is left to the model.

    Args:
        frame: uint8 [H, W, 3] RGB.
        spec: Facts about the model.
        size: (height, width) inside the network, which the frame is fitted into.

    Returns:
        float32 [1, 3, fitted height, fitted width].
    """
    mean, std = torch.tensor(spec.picture.mean), torch.tensor(spec.picture.std)
    image = ((frame.float() - mean) / std).permute(2, 0, 1)[None]
    fitted = fitted_size(frame.shape[0], frame.shape[1], size=size)
    if fitted == tuple(frame.shape[:2]):
        return image
    return F.interpolate(image, fitted, mode="bilinear", align_corners=False, antialias=True)


def fitted_picture(_: ModelSpec) -> dict[str, Any]:
    """Return the fields of the manifest's `picture` that tell how a frame is fitted."""
    return {
        "antialias": True,
        "fit": {
            "rule": "side * min(height / H, width / W), halves rounded up, at least 1",
            "pad": "zeros at the right and the bottom, after normalization",
        },
    }
