"""How DeOP is exported, and its published order of operations, to compare with."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from edge_ovss.export.deop.frozen import FrozenDeop
from edge_ovss.export.family import FamilyExport, LoadedModel
from edge_ovss.export.parts.fit_frame import fit_frame, fitted_picture
from edge_ovss.models.deop.model import Deop


def _published_scores(loaded: LoadedModel, frame: Tensor, _: int | None) -> Tensor:
    model: Deop = loaded.model
    image = fit_frame(frame, spec=model.spec, size=loaded.size)
    height, width = image.shape[-2:]
    # To the whole of the fixed size, not only to the next multiple of 32.
    padded = F.pad(image, (0, loaded.size[1] - width, 0, loaded.size[0] - height))
    maps = model.maps(padded, loaded.embeddings)
    scores = model.scores(maps, height=height, width=width)
    if tuple(frame.shape[:2]) == (height, width):
        return scores[0]
    size = (frame.shape[0], frame.shape[1])
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)[0]


EXPORT = FamilyExport(
    name="deop",
    freeze=FrozenDeop,
    published_scores=_published_scores,
    embedding_size=lambda model: int(model.clip_adapter.non_object_embedding.shape[1]),
    scores_at_frame=True,
    picture=fitted_picture,
    averages_templates=True,
    fewest_places=lambda _, places: 1,
)
