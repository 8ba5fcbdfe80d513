"""How SAN is exported, and its published order of operations, to compare with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.export.family import FamilyExport, LoadedModel
from edge_ovss.export.parts.sampling import fitted_size
from edge_ovss.export.san.frozen import FrozenSan
from edge_ovss.models.spec import ModelSpec


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


def _published_scores(loaded: LoadedModel, frame: Tensor, _: int | None) -> Tensor:
    model, size = loaded.model, loaded.size
    image = fit_frame(frame, spec=model.spec, size=size)
    height, width = image.shape[-2:]
    # To the whole of the fixed size, not only to the next multiple of 32.
    padded = F.pad(image, (0, size[1] - width, 0, size[0] - height))
    maps = model.maps(padded, loaded.embeddings)
    masks = model.masks(maps.mask_logits, height=height, width=width)
    frame_size = tuple(frame.shape[:2])
    if frame_size != (height, width):
        masks = F.interpolate(masks, frame_size, mode="bilinear", align_corners=False)
    classes = maps.query_logits[0].softmax(-1)[:, :-1]
    return torch.einsum("qt,qhw->thw", classes, masks[0].sigmoid())


def _picture(_: ModelSpec) -> dict[str, Any]:
    return {
        "antialias": True,
        "fit": {
            "rule": "side * min(height / H, width / W), halves rounded up, at least 1",
            "pad": "zeros at the right and the bottom, after normalisation",
        },
    }


EXPORT = FamilyExport(
    name="san",
    freeze=FrozenSan,
    published_scores=_published_scores,
    embedding_size=lambda model: int(model.ov_classifier.text_projection.shape[1]),
    scores_at_frame=True,
    picture=_picture,
)
