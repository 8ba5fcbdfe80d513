"""Batches of CamVid and procedural pictures, drawn while the step before is computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from data import Augmentation, CamVid, Sample, Streets
from paste import cut_poles, paste
from torch import Tensor
from vocabularies import joint_labels


class Batches:
    """CamVid and procedural pictures, augmented, in a fixed proportion.

    Args:
        camvid: CamVid's training split.
        streets: Procedural scenes.
        augmentation: What is done to each picture.
        random: Where the draws come from.
        real: Share of a batch that is of CamVid.
        pasted: Share of CamVid pictures that get more poles (`paste`).
    """

    def __init__(
        self,
        *,
        camvid: CamVid,
        streets: Streets,
        augmentation: Augmentation,
        random: np.random.Generator,
        real: float = 0.5,
        pasted: float = 0.0,
    ) -> None:
        self.camvid, self.streets, self.real = camvid, streets, real
        self.augmentation, self.random = augmentation, random
        self.pasted, self.poles = pasted, cut_poles(camvid.samples) if pasted else []
        self._worker = ThreadPoolExecutor(1)
        self._next: Future[tuple[Tensor, Tensor]] | None = None

    def next(self, count: int) -> tuple[Tensor, Tensor]:
        """What `draw` gives; the batch after it is drawn in the background."""
        ready = self._next or self._worker.submit(self.draw, count)
        batch = ready.result()
        self._next = self._worker.submit(self.draw, count)
        return batch

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Pictures, uint8 [B, H, W, 3], and labels in the joint numbering, int64 [B, H, W]."""
        real = round(count * self.real)
        sources: list[CamVid | Streets] = [self.camvid] * real + [self.streets] * (count - real)
        order = self.random.permutation(len(sources))
        samples = [self._one(sources[place]) for place in order]
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        return images, torch.stack([joint_labels(sample) for sample in samples])

    def _one(self, source: CamVid | Streets) -> Sample:
        sample = source[int(self.random.integers(len(source)))]
        if sample.camvid and self.random.random() < self.pasted:
            sample = paste(sample, self.poles, self.random)
        return self.augmentation(sample, self.random)
