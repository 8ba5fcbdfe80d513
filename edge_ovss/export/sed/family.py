"""How SED is exported, and its published order of operations, to compare with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.family import FamilyExport, LoadedModel
from edge_ovss.export.sed.frozen import FrozenSed
from edge_ovss.export.sed.template_rank import apply_rank, check_rank
from edge_ovss.models.sed.model import published_rejection


def _published_scores(loaded: LoadedModel, frame: Tensor, topk: int | None) -> Tensor:
    model, picture = loaded.model, loaded.model.spec.picture
    image = frame.permute(2, 0, 1)[None].float()
    mean, std = torch.tensor(picture.mean), torch.tensor(picture.std)
    image = (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    image = F.interpolate(image, size=loaded.size, mode="bilinear", align_corners=False)
    if topk is None:
        scores = model(image, loaded.embeddings)[0].sigmoid()
    else:
        scores, _ = published_rejection(model, image, loaded.embeddings, topk=topk)
    resized = F.interpolate(
        scores[None], size=frame.shape[:2], mode="bilinear", align_corners=False
    )
    return resized[0]


def _fewest_places(rejection: Rejection, places: int) -> int:
    """Return as many as the first rejection has slots: it cannot choose more than there are."""
    return places if rejection.slots is None else min(places, rejection.slots[0])


EXPORT = FamilyExport(
    name="sed",
    freeze=FrozenSed,
    published_scores=_published_scores,
    embedding_size=lambda model: int(model.clip_model.text_projection.shape[1]),
    check_rank=check_rank,
    compress=apply_rank,
    fewest_places=_fewest_places,
)
