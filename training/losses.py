"""What training minimises: per-category binary cross-entropy, and helpers of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from vocabularies import CAMVIDS, LABELS, STREETS, Offer

from edge_ovss.models.sed import SedMaps

# Weight of a pixel by its label: rare and thin things count more.
# In the order of STREET_CLASSES, then of CAMVID_CLASSES.
_STREET_WEIGHTS = (0.8, 0.8, 0.8, 1.1, 1.1, 1.0, 1.2, 1.6, 1.6, 1.6, 1.6, 1.0, 1.1, 1.1, 1.6, 1.6)
_CAMVID_WEIGHTS = (0.8, 0.8, 6.0, 0.8, 1.1, 1.0, 2.0, 1.4, 1.1, 2.2, 2.0)

# Share of a picture from which on a category occurs in it, for the dense features.
_LITTLE = 0.002
# Share of a picture at which a category counts half as present, for the rejection heads.
_TRACE = 0.0002
# A thing that fills this part of a block is all that the block is about, for the rejection heads.
_FILLS = 0.1
# Weight of squared similarities with absent words, and of what words of the picture lack.
_SPREAD = 15.0
# Similarity that a word has everywhere in a picture where it occurs; the likest of 120 absent
# words has 0.24 and the right one 0.6.
_CONTEXT = 0.22


def label_weights() -> Tensor:
    """Weights of all labels, float32 [LABELS]."""
    return torch.tensor((*_STREET_WEIGHTS, *_CAMVID_WEIGHTS))


def block_shares(labels: Tensor, *, stride: int) -> Tensor:
    """Share of every label in every block of pixels.

    Args:
        labels: int64 [B, H, W]; labels of `LABELS` and above count as nothing.
        stride: Divides H and W.

    Returns:
        float32 [B, LABELS, H/stride, W/stride].
    """
    count, height, width = labels.shape
    rows, cols = height // stride, width // stride
    row = torch.arange(height, device=labels.device) // stride
    col = torch.arange(width, device=labels.device) // stride
    picture = torch.arange(count, device=labels.device).view(-1, 1, 1)
    block = (picture * rows + row[:, None]) * cols + col
    # Counting is far quicker than averaging one map per label.
    index = block * (LABELS + 1) + labels.clamp_max(LABELS)
    counts = torch.bincount(index.flatten(), minlength=count * rows * cols * (LABELS + 1))
    shares = counts.view(count, rows, cols, LABELS + 1)[..., :LABELS].float() / stride**2
    return shares.permute(0, 3, 1, 2).contiguous()


def edges(shares: Tensor) -> Tensor:
    """Return how mixed the surroundings of every block are: 0 inside of things, 1 at most.

    Args:
        shares: float32 [B, LABELS, h, w].

    Returns:
        float32 [B, 1, h, w].
    """
    around = F.avg_pool2d(shares, 3, stride=1, padding=1, count_include_pad=False)
    known = around.sum(1, keepdim=True).clamp_min(1e-6)
    return 1 - around.amax(1, keepdim=True) / known


def segmentation_loss(
    logits: Tensor, shares: Tensor, offer: Offer, *, boundary: float = 0.0
) -> Tensor:
    """Binary cross-entropy of every category plus cross-entropy between them.

    Args:
        logits: float32 [B, T, h, w].
        shares: float32 [B, LABELS, h, w].
        offer: The T words.
        boundary: How much more blocks count whose surroundings are mixed (`edges`).
    """
    weights = label_weights().to(shares.device)
    target = torch.einsum("tl,blhw->bthw", offer.covers, shares)
    known = shares.sum(1, keepdim=True)
    sure = known - torch.einsum("tl,blhw->bthw", offer.unsure, shares)
    pixel = torch.einsum("l,blhw->bhw", weights, shares)[:, None]
    if boundary:
        pixel = pixel * (1 + boundary * edges(shares))
    binary = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = (binary * pixel * (sure > 0.5) * (known > 0.5)).sum() / pixel.sum().clamp_min(1)
    masked = logits.masked_fill(sure < known - 0.5, -30.0)
    shared = target * pixel
    between = -(shared * masked.log_softmax(1)).sum() / shared.sum().clamp_min(1)
    return 0.5 * total + between


def overlap_loss(logits: Tensor, shares: Tensor, offer: Offer) -> Tensor:
    """Dice loss of the categories that occur in a picture (arguments as above)."""
    target = torch.einsum("tl,blhw->bthw", offer.covers, shares)
    sure = shares.sum(1, keepdim=True) - torch.einsum("tl,blhw->bthw", offer.unsure, shares)
    answer = logits.softmax(1) * (sure > 0.5)
    both = (answer * target).sum((2, 3))
    size = answer.sum((2, 3)) + target.sum((2, 3))
    occurs = (target.sum((2, 3)) > 1).float()
    # Thin things count more here too.
    occurs = occurs * (offer.covers * label_weights().to(shares.device)).amax(1)
    return ((1 - (2 * both + 1) / (size + 1)) * occurs).sum() / occurs.sum().clamp_min(1)


def rejection_loss(maps: SedMaps, fine: Tensor, offer: Offer) -> Tensor:
    """Sum of `head_loss` of the three rejection heads.

    Args:
        maps: What the decoder said.
        fine: Shares at stride 4, float32 [B, LABELS, h, w].
        offer: The T words.
    """
    total = torch.zeros((), device=fine.device)
    for factor, logits in zip((8, 4, 2), maps.auxiliary, strict=True):
        total = total + head_loss(logits, F.avg_pool2d(fine, factor), offer)
    return total


def head_loss(
    logits: Tensor, shares: Tensor, offer: Offer, *, elsewhere: float = 0.2, flat: float = 0.0
) -> Tensor:
    """Binary cross-entropy of a rejection head: does the category occur in the block?

    A thin thing fills little of a block and must not be rejected, so shares count ten times.
    A category that is elsewhere in the picture comes second: then the places of the top k that no
    category of the block needs go to the same few categories everywhere, and few survive. So they
    do where the logits of absent words are flat.

    Args:
        logits: float32 [B, T, h, w].
        shares: float32 [B, LABELS, h, w].
        offer: The T words.
        elsewhere: Target for a category that is in the picture, but not in the block; half of it
            where the category covers 0.02 % of the picture.
        flat: Weight of the variance over the picture of absent words' logits.
    """
    target = torch.einsum("tl,blhw->bthw", offer.covers, shares)
    unsure = torch.einsum("tl,blhw->bthw", offer.unsure, shares)
    present = target.mean((2, 3))
    second = elsewhere * present / (present + _TRACE)
    target = torch.maximum((target / _FILLS).clamp_max(1), second[..., None, None])
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = (each * (unsure < 0.05) * (1 + 3 * target)).mean()
    absent = (present + unsure.mean((2, 3))) == 0
    variance = logits.var((2, 3), correction=0)
    return loss + flat * (variance * absent).sum() / absent.sum().clamp_min(1)


def alignment_loss(dense: Tensor, words: Tensor, shares: Tensor, offer: Offer) -> Tensor:
    """Cross-entropy over words of the dense picture features themselves, at stride 32.

    Squared similarities with words that are not in the picture are added: cross-entropy is content
    once an absent word is well below the right one, but rejection wants it low everywhere, or
    other absent words fill the top k of every part of the picture. For the same reason a word that
    occurs elsewhere in the picture is held above the absent ones: rejection then fills the top k
    with what the picture shows, not with what is like it.

    Args:
        dense: float32 [B, D, h, w], not normalized.
        words: float32 [T, D], unit norm.
        shares: float32 [B, LABELS, h, w].
        offer: The T words.
    """
    likeness = torch.einsum("bdhw,td->bthw", F.normalize(dense, dim=1), words)
    present = shares.mean((2, 3))
    absent = torch.einsum("tl,bl->bt", offer.covers + offer.unsure, present) == 0
    spread = (likeness.square().mean((2, 3)) * absent).sum() / absent.sum().clamp_min(1)
    occurs = torch.einsum("tl,bl->bt", offer.covers, present) > _LITTLE
    lacks = (_CONTEXT - likeness).clamp_min(0).square().mean((2, 3))
    spread = spread + (lacks * occurs).sum() / occurs.sum().clamp_min(1)
    logits = likeness / 0.07
    weights = label_weights().to(shares.device).view(1, -1, 1, 1)
    target = torch.einsum("tl,blhw->bthw", offer.covers, shares * weights)
    unsure = torch.einsum("tl,blhw->bthw", offer.unsure, shares)
    logits = logits.masked_fill(unsure > 0.2, -30.0)
    right = -(target * logits.log_softmax(1)).sum() / target.sum().clamp_min(1)
    return right + _SPREAD * spread


def plain_shares(shares: Tensor, street_to_camvid: Tensor) -> Tensor:
    """Shares of the eleven CamVid classes, whichever data set a picture is from.

    Args:
        shares: float32 [B, LABELS, h, w].
        street_to_camvid: float32 [CAMVIDS, STREETS].
    """
    result = shares[:, STREETS : STREETS + CAMVIDS]
    return result + torch.einsum("cs,bshw->bchw", street_to_camvid, shares[:, :STREETS])


def plain_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of a plain head over the eleven CamVid classes, [B, 11, h, w]."""
    weights = label_weights()[STREETS:].to(shares.device).view(1, -1, 1, 1)
    weighted = shares * weights
    return -(weighted * logits.log_softmax(1)).sum() / weighted.sum().clamp_min(1)
