"""Measure sed-tiny: mIoU on CamVid val and on procedural scenes, words offered, rejection.

    python training/evaluate.py --camvid FOLDER [--checkpoint training/runs/sed/last.pt]

Without a checkpoint the embedded weights are measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from data import (
    CAMVID_CLASSES,
    FIRST_HELD_OUT_SEED,
    IGNORE,
    CamVid,
    Sample,
    Streets,
    street_to_camvid,
)
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.models import load_model
from edge_ovss.models.sed import Sed, published_rejection
from edge_ovss.synthetic import STREET_TO_ADE, STREET_TO_CAMVID
from edge_ovss.vocabulary import Vocabulary

Confusion = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """Words that are offered, and the CamVid class of each (255: of none).

    Attributes:
        names: T prompts.
        answer: uint8 [T].
    """

    names: tuple[str, ...]
    answer: npt.NDArray[np.uint8]


def camvid_words(replaced: dict[str, str] | None = None) -> Words:
    """The eleven words of CamVid, some of them replaced by others of the same meaning."""
    names = tuple((replaced or {}).get(name, name) for name in CAMVID_CLASSES)
    return Words(names, np.arange(len(names), dtype=np.uint8))


def ade_words() -> Words:
    """All 150 words of ade150; those that name a street category count for its CamVid class."""
    vocabulary = Vocabulary.load("ade150")
    known = dict(zip(STREET_TO_ADE, STREET_TO_CAMVID, strict=True))
    names = tuple(category.text for category in vocabulary.categories)
    answer = [
        CAMVID_CLASSES.index(known[name.strip()]) if name.strip() in known else IGNORE
        for name in names
    ]
    return Words(names, np.asarray(answer, np.uint8))


def ade_subset() -> Words:
    """Only the words of ade150 that name a street category: what `ade_words` is held against."""
    words = ade_words()
    kept = [i for i, answer in enumerate(words.answer) if answer != IGNORE]
    return Words(tuple(words.names[i] for i in kept), words.answer[kept])


def to_input(model: Sed, image: npt.NDArray[np.uint8]) -> Tensor:
    """Resize and normalize a picture, uint8 [H, W, 3], to float32 [1, 3, h, w]."""
    picture = model.spec.picture
    resized = cv2.resize(image, (picture.width, picture.height), interpolation=cv2.INTER_LINEAR)
    tensor = torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (picture.mean, picture.std))
    return (tensor - mean) / std


def answer_picture(
    model: Sed, image: npt.NDArray[np.uint8], embeddings: Tensor, *, topk: int | None
) -> tuple[npt.NDArray[np.int64], int]:
    """Label map [H, W] over the T words, and how many words survived the first rejection."""
    tensor = to_input(model, image)
    if topk is None:
        scores, survivors = model(tensor, embeddings)[0].sigmoid(), len(embeddings)
    else:
        scores, alive = published_rejection(model, tensor, embeddings, topk=topk)
        survivors = len(alive[0])
    size = image.shape[:2]
    full = F.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)[0]
    return full.argmax(0).numpy(), survivors


@torch.inference_mode()
def measure(
    model: Sed, samples: Sequence[Sample], words: Words, *, topk: int | None = None
) -> dict[str, object]:
    """IoU per CamVid class, their mean, pixel accuracy, and mean survivors."""
    model.eval()
    embeddings = torch.from_numpy(model.encode_text(Vocabulary.from_names(words.names)).array)
    count = len(CAMVID_CLASSES)
    # A word that names no class takes the last column: wrong wherever it is the answer.
    column = np.where(words.answer == IGNORE, count, words.answer).astype(np.int64)
    table, confusion, survivors = street_to_camvid(), np.zeros((count, count + 1), np.int64), 0
    for sample in samples:
        labels, alive = answer_picture(model, sample.image, embeddings, topk=topk)
        truth = sample.labels if sample.camvid else table[sample.labels]
        known = truth != IGNORE
        pairs = truth[known].astype(np.int64) * (count + 1) + column[labels[known]]
        confusion += np.bincount(pairs, minlength=count * (count + 1)).reshape(confusion.shape)
        survivors += alive
    return {**_scores(confusion), "survivors": round(survivors / max(len(samples), 1), 2)}


def _scores(confusion: Confusion) -> dict[str, object]:
    hits = np.diagonal(confusion).astype(np.float64)
    union = confusion.sum(1) + confusion[:, :-1].sum(0) - hits
    iou = hits / np.maximum(union, 1)
    each = {name: round(float(v), 4) for name, v in zip(CAMVID_CLASSES, iou, strict=True)}
    accuracy = float(hits.sum() / max(confusion.sum(), 1))
    return {"miou": round(float(iou.mean()), 4), "accuracy": round(accuracy, 4), "iou": each}


def load_checkpoint(path: Path) -> Sed:
    """A model with the averaged weights of a training checkpoint."""
    from network import Trainee

    trainee = Trainee()
    trainee.load_state_dict(torch.load(path, weights_only=True)["average"])
    return trainee.model.eval()


Case = tuple[str, Sequence[Sample], Words, "int | None"]


def cases(val: Sequence[Sample], scenes: Sequence[Sample], few: Sequence[Sample]) -> list[Case]:
    """Every number of the model card: name, pictures, words, k.

    Args:
        val: CamVid val.
        scenes: Procedural scenes.
        few: Those of them that all 150 words of ade150 are measured on, which takes long.
    """
    unseen = {"car": "automobile"}
    seen = {"pavement": "sidewalk", "pedestrian": "person", "sign symbol": "signboard"}
    return [
        ("camvid val", val, camvid_words(), None),
        ("street", scenes, camvid_words(), None),
        ("street, the 16 words of ade150 that occur", few, ade_subset(), None),
        ("street, ade150", few, ade_words(), None),
        ("street, ade150, k=8", few, ade_words(), 8),
        ("street, automobile and pedestrian", scenes, camvid_words(unseen), None),
        ("street, car and person", scenes, camvid_words(seen), None),
        ("camvid val, automobile and pedestrian", val, camvid_words(unseen), None),
        ("camvid val, ade150, k=8", val, ade_words(), 8),
    ]


def main() -> None:
    """Print one line of JSON per case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camvid", type=Path, required=True, help="folder of CamVid")
    parser.add_argument("--checkpoint", type=Path, help="of training (default: embedded weights)")
    parser.add_argument("--scenes", type=int, default=100, help="procedural scenes")
    parser.add_argument("--few", type=int, default=30, help="scenes for all of ade150")
    parser.add_argument("--limit", type=int, help="use only so many val pictures")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_checkpoint(args.checkpoint) if args.checkpoint else load_model("sed-tiny")
    val = CamVid(args.camvid, "val").samples[: args.limit]
    streets = Streets(FIRST_HELD_OUT_SEED, args.scenes)
    scenes = [streets[index] for index in range(len(streets))]
    for name, samples, words, topk in cases(val, scenes, scenes[: args.few]):
        result = measure(model, samples, words, topk=topk)
        print(json.dumps({"case": name, "pictures": len(samples), **result}), flush=True)


if __name__ == "__main__":
    main()
