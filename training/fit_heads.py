"""Fourth step: fit the three rejection heads of a trained sed-tiny to large vocabularies.

    python training/fit_heads.py --camvid FOLDER --checkpoint training/runs/all/last.pt \
        --out training/runs/heads.pt

The heads see detached features, so nothing else changes, and the features of each picture are
computed once. The result is read by `evaluate.py` and `export_weights.py`.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import losses
import numpy as np
import torch
from data import CamVid, Sample, Streets
from evaluate import to_input
from network import Trainee, load_start
from torch import Tensor, nn
from torch.nn import functional as F
from train_sed_tiny import word_table
from vocabularies import Offer, Offers, joint_labels

logger = logging.getLogger("fit_heads")

_STRIDES = (32, 16, 8)
_PICTURES_PER_STEP = 2


@dataclass(frozen=True)
class Seen:
    """What the heads see of one picture.

    Attributes:
        offer: Its words.
        features: Inputs of the three heads, float16 [T, C, h, w] each.
        shares: Shares of the labels on the same grids, float32 [1, LABELS, h, w] each.
    """

    offer: Offer
    features: tuple[Tensor, ...]
    shares: tuple[Tensor, ...]


@torch.inference_mode()
def look(trainee: Trainee, sample: Sample, offer: Offer, table: Tensor) -> Seen:
    """Run the model without rejection; `table` float32 [T, P, D] embeds the offer's words."""
    model, decoder = trainee.model, trainee.model.transformer
    stages, dense = model.encode_picture(to_input(model, sample.image))
    cost = model.cost_map(dense, table)
    guidance, cost_guidance = decoder.guide(stages), decoder.guide_cost(cost)
    x = decoder.conv1(cost)
    features = [x.half()]
    for index, layer in enumerate(decoder.layers[:2]):
        x = layer(x, guidance[index], cost_guidance[index])
        features.append(x.half())
    picture = model.spec.picture
    labels = cv2.resize(
        sample.labels, (picture.width, picture.height), interpolation=cv2.INTER_NEAREST
    )
    joint = joint_labels(replace(sample, labels=labels.astype(np.uint8)))
    fine = losses.block_shares(joint[None], stride=4)
    shares = tuple(F.avg_pool2d(fine, stride // 4) for stride in _STRIDES)
    return Seen(offer, tuple(features), shares)


def look_at_all(trainee: Trainee, samples: list[Sample], random: np.random.Generator) -> list[Seen]:
    """Every picture once, each with a vocabulary of its own."""
    offers, table, seen = Offers(random), word_table(trainee), []
    for index, sample in enumerate(samples):
        offer = offers.draw(fewest=120, most=134)
        seen.append(look(trainee, sample, offer, torch.stack([table[w] for w in offer.words])))
        if index % 8 == 7:
            logger.info("%d of %d pictures", index + 1, len(samples))
    return seen


def fit(head: nn.Conv2d, seen: list[Seen], level: int, args: argparse.Namespace) -> None:
    """Minimise `losses.head_loss` of one head in place."""
    head.requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=args.rate, weight_decay=0)
    random = np.random.default_rng(args.seed + level)
    mean = 0.0
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.rate * (1 - step / args.steps)
        loss = torch.zeros(())
        for index in random.integers(len(seen), size=_PICTURES_PER_STEP):
            one = seen[index]
            logits = head(one.features[level].float())[None, :, 0]
            loss = loss + losses.head_loss(
                logits, one.shares[level], one.offer, elsewhere=args.elsewhere, flat=args.flat
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
    logger.info("head %d: loss %.4f", level, mean / _PICTURES_PER_STEP)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camvid", type=Path, required=True, help="folder of CamVid")
    parser.add_argument("--checkpoint", type=Path, required=True, help="of train_sed_tiny.py")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--pictures", type=int, default=64, help="half CamVid, half procedural")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rate", type=float, default=2e-2)
    parser.add_argument("--elsewhere", type=float, default=0.2, help="see losses.head_loss")
    parser.add_argument("--flat", type=float, default=0.02, help="see losses.head_loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Fit the heads and write the model."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    torch.set_num_threads(args.threads)
    random = np.random.default_rng(args.seed)
    trainee = Trainee().eval()
    load_start(trainee, args.checkpoint)
    camvid, half = CamVid(args.camvid, "train"), args.pictures // 2
    streets = Streets(0, half)
    samples = [camvid[int(i)] for i in random.choice(len(camvid), half, replace=False)]
    samples += [streets[i] for i in range(half)]
    seen = look_at_all(trainee, samples, random)
    for level, head in enumerate(trainee.model.transformer.rejection_heads):
        fit(head, seen, level, args)
    torch.save({"average": trainee.state_dict()}, args.out)


if __name__ == "__main__":
    main()
