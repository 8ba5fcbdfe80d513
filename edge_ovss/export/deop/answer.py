"""From masks and classes to labels, as published."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from edge_ovss.export.parts.answer_bands import AnswerBands, BandedAnswer
from edge_ovss.export.parts.answer_tiles import AnswerTiles

_MASK_STEP = 4
# Up to so many categories for one query the masks are added up before the resize to the frame.
# That resize is of T planes then, not of Q; but the sum, which is of all pixels, is of the image's
# and not of the frame's, and a frame is often larger.
_CATEGORIES_PER_QUERY = 2


class DeopAnswer(AnswerTiles):
    """Mask logits are resized to the image; their sigmoids' sum is resized to the frame.

    Args:
        size: (height, width) inside the network.
        queries: Q.
        categories: T.
        scores: Whether to keep the scores of all categories.
        bands: How many, one after the other.
    """

    def __init__(
        self, *, size: tuple[int, int], queries: int, categories: int, scores: bool, bands: int
    ) -> None:
        grid = (size[0] // _MASK_STEP, size[1] // _MASK_STEP)
        super().__init__(size=size, grid=grid, scores=scores, bands=bands)
        self.sums_first = categories <= _CATEGORIES_PER_QUERY * queries
        planes = categories if self.sums_first else queries
        self.frame_bytes = AnswerBands.pixel_bytes(
            planes=planes, categories=categories, bands=bands
        )

    def forward(self, masks: Tensor, classes: Tensor, *, height: int, width: int) -> BandedAnswer:
        """Find the best category of every pixel.

        Args:
            masks: Mask logits, float32 [Q, h, w].
            classes: Class probabilities without "no class", float32 [T, Q].
            height: Height of the frame.
            width: Width of the frame.
        """
        add = partial(_add, classes=classes)
        if self.sums_first:
            return self.answer(
                masks, height=height, width=width, between=lambda x: add(x.sigmoid()), finish=_same
            )
        return self.answer(masks, height=height, width=width, between=_sigmoid, finish=add)


def _add(masks: Tensor, *, classes: Tensor) -> Tensor:
    """Mask probabilities float [..., Q, n] → scores float [..., T, n]."""
    return classes @ masks


def _sigmoid(masks: Tensor) -> Tensor:
    return masks.sigmoid()


def _same(scores: Tensor) -> Tensor:
    return scores
