"""More poles than CamVid has: poles of one picture are pasted into others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from data import CAMVID_CLASSES, Image, Sample

_POLE = CAMVID_CLASSES.index("pole")
# Shorter pieces are cut off by what stands before them.
_SHORTEST = 40
# A pole's foot stays about where it was: rows that it may move up or down, as a share of its own.
_SHIFT = 0.1
# Logarithm of how much a pole is made higher at most than it is made wider.
_TALLER = 0.5


@dataclass(frozen=True)
class Piece:
    """A pole that was cut out.

    Attributes:
        image: uint8 [h, w, 3], RGB.
        mask: uint8 [h, w], 1 where the pole is.
        foot: Its lowest row in the picture that it is from.
    """

    image: Image
    mask: Image
    foot: int


def cut_poles(samples: Sequence[Sample]) -> list[Piece]:
    """Every connected pole of CamVid pictures that is high and thin enough."""
    return [piece for sample in samples for piece in _pieces(sample)]


def _pieces(sample: Sample) -> list[Piece]:
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(
        (sample.labels == _POLE).astype(np.uint8), connectivity=8
    )
    found: list[Piece] = []
    for part in range(1, count):
        left, top, width, height = (int(v) for v in boxes[part, :4])
        if height < _SHORTEST or width > height / 3:
            continue
        window = np.s_[top : top + height, left : left + width]
        mask = (parts[window] == part).astype(np.uint8)
        found.append(Piece(sample.image[window].copy(), mask, top + height))
    return found


def paste(sample: Sample, pieces: Sequence[Piece], random: np.random.Generator) -> Sample:
    """Paste one to three poles, mirrored and resized at random, at random columns."""
    image, labels = sample.image.copy(), sample.labels.copy()
    for _ in range(int(random.integers(1, 4))):
        piece = _vary(pieces[int(random.integers(len(pieces)))], random)
        height, width = piece.mask.shape
        top = min(piece.foot, labels.shape[0]) - height
        if top < 0 or width >= labels.shape[1]:
            continue
        left = int(random.integers(0, labels.shape[1] - width))
        window = np.s_[top : top + height, left : left + width]
        # A soft rim, or the cut itself is what is learnt.
        soft = cv2.GaussianBlur(piece.mask.astype(np.float32), (3, 3), 0.6)[..., None]
        image[window] = (soft * piece.image + (1 - soft) * image[window]).astype(np.uint8)
        labels[window][piece.mask == 1] = _POLE
    return Sample(image, labels, sample.camvid)


def _vary(piece: Piece, random: np.random.Generator) -> Piece:
    scale = float(np.exp(random.uniform(np.log(0.6), np.log(1.3))))
    height, width = piece.mask.shape
    # Upper ends in front of trees and houses are what is missed most.
    taller = scale * float(np.exp(random.uniform(0, _TALLER)))
    size = (max(round(width * scale), 2), max(round(height * taller), 8))
    image = cv2.resize(piece.image, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(piece.mask, size, interpolation=cv2.INTER_NEAREST)
    if random.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    light = np.clip(image * np.exp(random.uniform(-0.4, 0.3)), 0, 255)
    foot = piece.foot + round(height * random.uniform(-_SHIFT, _SHIFT))
    return Piece(light.astype(np.uint8), np.ascontiguousarray(mask, np.uint8), foot)
