"""Vocabularies of training steps: which words are offered, and what each of them covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from data import CAMVID_CLASSES, Sample
from torch import Tensor
from words import PARENTS, RELATED, SYNONYMS, distractors

from edge_ovss.synthetic import STREET_CLASSES, STREET_TO_ADE, STREET_TO_CAMVID

STREETS, CAMVIDS = len(STREET_CLASSES), len(CAMVID_CLASSES)
# Labels of both data sets in one numbering: street labels first, then CamVid's.
LABELS = STREETS + CAMVIDS


@dataclass(frozen=True)
class Offer:
    """The words of one step.

    Attributes:
        words: T prompts.
        covers: float32 [T, LABELS], 1 where the word names the label.
        unsure: float32 [T, LABELS], 1 where it may name a part of the label (CamVid counts buses
            as cars): no loss there.
    """

    words: tuple[str, ...]
    covers: Tensor
    unsure: Tensor

    def to(self, device: str) -> Offer:
        """The same words, with what they cover on another device."""
        return Offer(self.words, self.covers.to(device), self.unsure.to(device))


class Offers:
    """Draws vocabularies.

    Args:
        random: Where the draws come from.
    """

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.absent = distractors()

    def draw(self, *, fewest: int, most: int) -> Offer:
        """Draw one word for each category (now and then not all), then `fewest`…`most` absent.

        Few absent words are as likely as many: their number is even on a logarithmic scale.
        Either every street category has a word of its own, or the small ones are left to their
        relatives, as in CamVid.
        """
        coarse = self.random.random() < 0.4
        named = [n for n in STREET_CLASSES if not (coarse and n in PARENTS)]
        if self.random.random() < 0.15:
            gone = self.random.choice(len(named), 2, replace=False)
            named = [name for index, name in enumerate(named) if index not in gone]
        words = [self._synonym(name) for name in named]
        low, high = np.log([fewest + 1, most + 2])
        count = int(np.exp(self.random.uniform(low, high))) - 1
        near = [w for w in RELATED if self.random.random() < count / 3 / len(RELATED)]
        far = self.random.choice(len(self.absent), count, replace=False)
        absent = list(dict.fromkeys([*near, *(self.absent[i] for i in far)]))[:count]
        return make_offer([*words, *absent], [*named, *(None for _ in absent)])

    def _synonym(self, name: str) -> str:
        # The first word is the one of the usual vocabularies: half of the draws.
        synonyms = SYNONYMS[name]
        if self.random.random() < 0.5:
            return STREET_TO_ADE[STREET_CLASSES.index(name)]
        return synonyms[int(self.random.integers(len(synonyms)))]


def joint_labels(sample: Sample) -> Tensor:
    """Labels of a picture in the joint numbering, int64 [H, W]; 255 stays."""
    labels = torch.from_numpy(sample.labels.astype(np.int64))
    return torch.where(labels == 255, 255, labels + (STREETS if sample.camvid else 0))


def make_offer(words: Sequence[str], named: Sequence[str | None]) -> Offer:
    """Say what each word covers.

    Args:
        words: T prompts.
        named: For each its street category, None for words that are absent.
    """
    covers, unsure = torch.zeros(len(words), LABELS), torch.zeros(len(words), LABELS)
    offered = {name for name in named if name is not None}
    for row, name in enumerate(named):
        if name is None:
            continue
        for label in _labels_of(name, offered):
            covers[row, label] = 1
        own = CAMVID_CLASSES.index(STREET_TO_CAMVID[STREET_CLASSES.index(name)])
        if PARENTS.get(name) in offered:
            unsure[row, STREETS + own] = 1
        else:
            covers[row, STREETS + own] = 1
    return Offer(tuple(words), covers, unsure)


def _labels_of(name: str, offered: set[str]) -> list[int]:
    """Street labels of a category and of the relatives that nobody else names."""
    orphans = [c for c, parent in PARENTS.items() if parent == name and c not in offered]
    return [STREET_CLASSES.index(each) for each in (name, *orphans)]
