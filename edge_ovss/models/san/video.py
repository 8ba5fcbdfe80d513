"""R-SAN's published video mode: all frames of a clip share one set of queries. Research, offline.

It needs the whole clip at once, and its memory grows with the number of frames, so it is nothing
for a camera. The image checkpoint is used as it is (branch `video` of github.com/MendelXu/SAN):

1. every frame through both towers, up to the queries after the last block of the side adapter;
2. all queries of all frames into as many clusters as there are queries (k-means);
3. the cluster centers replace the queries of every frame, for masks and attention biases;
4. class logits are averaged over the frames: one distribution for each query and clip.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edge_ovss._optional import require
from edge_ovss.models.padding import pad_to_multiple
from edge_ovss.models.san.model import San, pool_bias
from edge_ovss.models.san.resizing import shrink
from edge_ovss.vocabulary import TextEmbeddings

Cluster = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


def segment_clip(
    model: San,
    frames: Tensor,
    embeddings: TextEmbeddings | Tensor,
    *,
    size: tuple[int, int] | None = None,
    cluster: Cluster | None = None,
) -> Tensor:
    """Segment a clip, in the published order of operations.

    A clip of one frame gives what the model gives for the image: each query is its own cluster, and
    the sum over queries does not depend on their order. (With another `size`, the published mode
    resizes scores, where the published image mode resizes masks.)

    Args:
        model: SAN, in evaluation mode.
        frames: float32 [L, 3, H, W], normalized RGB, one clip.
        embeddings: The text embeddings, or their array as a tensor [T, P, D].
        size: (height, width) of the scores; None for those of the frames.
        cluster: Returns K centers, float32 [K, C], of points, float32 [N, C]; None for k-means as
            published.

    Returns:
        Scores float32 [L, T, height, width]; their argmax is the label.

    Raises:
        MissingDependencyError: scikit-learn is not installed, and no `cluster` is given.
    """
    height, width = frames.shape[-2:]
    image = pad_to_multiple(frames, multiple=model.spec.picture.multiple)
    features = model.clip_visual_extractor(shrink(image, factor=model.clip_scale))
    side = model.side_adapter_network
    patches = side.vit_model.patch_embed(image)
    positions = side.vit_model.positions(height=patches.shape[-2], width=patches.shape[-1])
    queries, patches = side.run_blocks(patches, positions, features)
    shared = _centers(queries, cluster or kmeans)
    mask_logits, bias = side.mask_decoder(shared.expand(len(frames), -1, -1), patches)
    pooled = pool_bias(bias, height=features.height, width=features.width)
    classified = model.clip_rec_head(features.tokens[-1], pooled)
    logits = (classified @ model.classifier(embeddings).t()).mean(0, keepdim=True)
    classes = logits.softmax(-1)[..., :-1].expand(len(frames), -1, -1)
    masks = model.masks(mask_logits, height=height, width=width)
    scores = torch.einsum("bqt,bqhw->bthw", classes, masks.sigmoid())
    if size is not None and size != (height, width):
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    return scores


def _centers(queries: Tensor, cluster: Cluster) -> Tensor:
    """Centers of all queries, float32 [1, Q, C], of queries float32 [L, Q, C]."""
    count = queries.shape[1]
    points = queries.detach().flatten(0, 1).float().cpu().numpy()
    found = torch.from_numpy(np.ascontiguousarray(cluster(points, count)))
    return found[None].to(device=queries.device, dtype=queries.dtype)


def kmeans(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Cluster points as published: k-means++ once, seed 0, up to 300 steps.

    Args:
        points: float32 [N, C].
        count: K.

    Returns:
        Centers, float32 [K, C].

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    library = require("sklearn.cluster", extra="clips")
    found = library.KMeans(n_clusters=count, random_state=0, n_init=1).fit(points)
    centers: NDArray[np.float32] = np.asarray(found.cluster_centers_, np.float32)
    return centers
