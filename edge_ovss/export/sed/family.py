"""How SED is exported, and the published order of operations that it is held against."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.export.family import FamilyExport
from edge_ovss.export.rejection import Rejection
from edge_ovss.export.sed.frozen import FrozenSed
from edge_ovss.models.families import Model
from edge_ovss.models.sed.model import published_rejection
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


def _freeze(
    model: Model,
    *,
    embeddings: TextEmbeddings,
    vocabulary: Vocabulary,
    rejection: Rejection,
    size: tuple[int, int],
    outputs: tuple[str, ...],
    answer: str,
) -> nn.Module:
    del answer  # there is only one
    return FrozenSed(
        model,
        embeddings=embeddings,
        vocabulary=vocabulary,
        rejection=rejection,
        size=size,
        outputs=outputs,
    )


def _published_scores(
    model: Model,
    embeddings: TextEmbeddings,
    frame: Tensor,
    *,
    size: tuple[int, int],
    topk: int | None,
) -> Tensor:
    picture = model.spec.picture
    image = frame.permute(2, 0, 1)[None].float()
    mean, std = torch.tensor(picture.mean), torch.tensor(picture.std)
    image = (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
    if topk is None:
        scores = model(image, embeddings)[0].sigmoid()
    else:
        scores, _ = published_rejection(model, image, embeddings, topk=topk)
    resized = F.interpolate(
        scores[None], size=frame.shape[:2], mode="bilinear", align_corners=False
    )
    return resized[0]


EXPORT = FamilyExport(
    freeze=_freeze,
    published_scores=_published_scores,
    embedding_size=lambda model: int(model.clip_model.text_projection.shape[1]),
    default_rejection=Rejection("slots"),
)
