"""How SAN is exported, and its published order of operations, to compare with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.export.family import FamilyExport, LoadedModel
from edge_ovss.export.parts.fit_frame import fit_frame, fitted_picture
from edge_ovss.export.san.frozen import FrozenSan


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


EXPORT = FamilyExport(
    name="san",
    freeze=FrozenSan,
    published_scores=_published_scores,
    embedding_size=lambda model: int(model.ov_classifier.text_projection.shape[1]),
    scores_at_frame=True,
    picture=fitted_picture,
    averages_templates=True,
    fewest_places=lambda _, places: 1,
)
