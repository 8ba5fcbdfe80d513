"""Third step: train sed-tiny on CamVid and procedural streets with sampled vocabularies.

    python training/train_sed_tiny.py --camvid FOLDER --text training/runs/text.pt \
        --out training/runs/sed --minutes 60

See training/README.md for the stages that made the embedded weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import losses
import numpy as np
import torch
from batches import Batches
from data import FIRST_HELD_OUT_SEED, Augmentation, CamVid, Streets, street_to_camvid
from evaluate import camvid_words, measure
from network import (
    Average,
    Trainee,
    embed_words,
    freeze_text_tower,
    load_start,
    load_text_tower,
)
from torch import Tensor, nn
from vocabularies import CAMVIDS, STREETS, Offer, Offers
from words import SYNONYMS, distractors

from edge_ovss.models.sed import SedMaps
from edge_ovss.synthetic import STREET_TO_ADE

logger = logging.getLogger("train_sed_tiny")

# Most absent words that the dense features are held against; they cost next to nothing there.
MANY = 160


@dataclass(frozen=True)
class Recipe:
    """What one stage of training does; see the options of the same names."""

    height: int
    width: int
    batch: int
    scales: tuple[float, float]
    rate: float
    minutes: float
    steps: int
    words: tuple[int, int]
    room: int
    plain: float
    align: float
    dice: float
    boundary: float
    fine: bool
    part: str
    bf16: bool


@dataclass(frozen=True)
class Worded:
    """An offer with the embeddings of its words, float32 [T, P, D]."""

    offer: Offer
    table: Tensor


class Trainer:
    """One stage of training.

    Args:
        trainee: Model and plain head.
        recipe: The stage.
        device: "cpu" or "cuda".
    """

    def __init__(self, trainee: Trainee, recipe: Recipe, device: str) -> None:
        self.trainee, self.recipe, self.device = trainee, recipe, device
        _freeze_other_parts(trainee, recipe.part)
        self.parameters = [p for p in trainee.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(_groups(self.parameters), lr=recipe.rate)
        self.average = Average(trainee, keep=0.998)
        self.step, self.elapsed = 0, 0.0
        picture = trainee.model.spec.picture
        self.mean, self.std = (
            torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (picture.mean, picture.std)
        )
        table = torch.from_numpy(street_to_camvid()[:STREETS].astype(np.int64))
        self.table = nn.functional.one_hot(table, CAMVIDS).T.float().to(device)

    def progress(self) -> float:
        """Share of the stage that is done, by steps or by minutes, whichever is further."""
        by_time = self.elapsed / 60 / self.recipe.minutes
        return min(max(self.step / self.recipe.steps, by_time), 1.0)

    def learn(self, images: Tensor, labels: Tensor, offer: Worded, many: Worded) -> float:
        """One step; `many` is a second, larger offer that only the dense features are held to."""
        started = time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * _rate(self.progress())
        image = images.to(self.device).permute(0, 3, 1, 2).float()
        image = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        loss = self._loss(image, labels.to(self.device), offer, many)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.average.update(self.trainee, self.step)
        self.step += 1
        self.elapsed += time.monotonic() - started
        return loss.item()

    def _loss(self, image: Tensor, labels: Tensor, offer: Worded, many: Worded) -> Tensor:
        recipe, shares = self.recipe, losses.block_shares(labels, stride=4)
        fine = losses.block_shares(labels, stride=2) if recipe.fine else shares
        decode, plain = recipe.part != "trunk", recipe.plain > 0
        with torch.autocast(self.device, torch.bfloat16, enabled=recipe.bf16):
            outputs = self.trainee(image, offer.table, decode=decode, plain=plain).float()
        loss = torch.zeros((), device=self.device)
        if outputs.maps is not None:
            loss = loss + self._decoder_loss(outputs.maps, shares, fine, offer.offer)
        if outputs.plain is not None:
            few = losses.plain_shares(shares, self.table)
            loss = loss + recipe.plain * losses.plain_loss(outputs.plain, few)
        if recipe.align:
            words = nn.functional.normalize(many.table.mean(1), dim=-1)
            coarse = nn.functional.avg_pool2d(shares, 8)
            aligned = losses.alignment_loss(outputs.dense, words, coarse, many.offer)
            loss = loss + recipe.align * aligned
        return loss

    def _decoder_loss(self, maps: SedMaps, shares: Tensor, fine: Tensor, offer: Offer) -> Tensor:
        """Losses of the decoder; `fine` are shares at the stride at which labels are compared."""
        recipe, logits = self.recipe, maps.logits
        if recipe.fine:  # as at inference, where scores are resized and not labels
            logits = nn.functional.interpolate(
                logits, size=fine.shape[-2:], mode="bilinear", align_corners=False
            )
        loss = losses.rejection_loss(maps, shares, offer)
        loss = loss + losses.segmentation_loss(logits, fine, offer, boundary=recipe.boundary)
        if recipe.dice:
            loss = loss + recipe.dice * losses.overlap_loss(logits, fine, offer)
        return loss

    def save(self, path: Path) -> None:
        """Write everything that resuming needs, without a moment where no whole file is there."""
        averaged = dict(self.trainee.state_dict())
        averaged.update(self.average.values)
        state = {
            "trainee": self.trainee.state_dict(),
            "average": averaged,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> None:
        """Go on where `save` left off."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.trainee.load_state_dict(state["trainee"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in self.average.values:
            self.average.values[name].copy_(state["average"][name])
        self.step, self.elapsed = state["step"], state["elapsed"]


def _freeze_other_parts(trainee: Trainee, part: str) -> None:
    """Leave only one part of picture tower and decoder trainable; "all" leaves both."""
    model = trainee.model
    if part == "decoder":
        trainee.plain.requires_grad_(requires_grad=False)
        model.clip_model.requires_grad_(requires_grad=False)
    if part == "trunk":
        model.transformer.requires_grad_(requires_grad=False)


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    """Matrices decay, vectors do not."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.03},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _rate(progress: float) -> float:
    """One cycle: a short linear rise, then half a cosine down to a hundredth."""
    if progress < 0.05:
        return 0.1 + 0.9 * progress / 0.05
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95)) / 2


def word_table(trainee: Trainee) -> dict[str, Tensor]:
    """Embeddings [P, D] of every word that training may offer."""
    words = [word for synonyms in SYNONYMS.values() for word in synonyms]
    words = list(dict.fromkeys([*words, *STREET_TO_ADE, *distractors()]))
    return dict(zip(words, embed_words(trainee.model, words), strict=True))


def train(trainer: Trainer, batches: Batches, *, out: Path, val: CamVid, every: float) -> None:
    """Run the stage to its end; save and measure every `every` minutes."""
    offers = Offers(np.random.default_rng(trainer.step + 1))
    table = word_table(trainer.trainee)

    def words_of(offer: Offer) -> Worded:
        embedded = torch.stack([table[w] for w in offer.words]).to(trainer.device)
        return Worded(offer.to(trainer.device), embedded)

    scenes = Streets(FIRST_HELD_OUT_SEED, 20)
    mean, marked = 0.0, time.monotonic()
    while trainer.progress() < 1:
        started = time.monotonic()
        images, labels = batches.next(trainer.recipe.batch)
        trainer.elapsed += time.monotonic() - started
        fewest, most = trainer.recipe.words
        offer = words_of(offers.draw(fewest=fewest, most=most))
        many = words_of(offers.draw(fewest=MANY // 2, most=MANY))
        # The decoder's work grows with pictures times words.
        kept = max(trainer.recipe.room // len(offer.offer.words), 1)
        loss = trainer.learn(images[:kept], labels[:kept], offer, many)
        mean = loss if mean == 0 else 0.98 * mean + 0.02 * loss
        if trainer.step % 25 == 0:
            seconds = time.monotonic() - started
            text = "step %d, %.0f %%, loss %.3f, %.2f s for the last step"
            logger.info(text, trainer.step, 100 * trainer.progress(), mean, seconds)
        if time.monotonic() - marked > 60 * every or trainer.progress() >= 1:
            trainer.save(out / "last.pt")
            if trainer.recipe.part != "trunk":
                _measure_average(trainer, val, scenes)
            marked = time.monotonic()


def _measure_average(trainer: Trainer, val: CamVid, scenes: Streets) -> None:
    """Log mIoU of the averaged weights on a few pictures."""
    copy = Trainee()
    copy.load_state_dict({n: v.cpu() for n, v in trainer.trainee.state_dict().items()})
    trainer.average.copy_to(copy)
    real = measure(copy.model, val.samples[::4], camvid_words())
    drawn = measure(copy.model, [scenes[i] for i in range(len(scenes))], camvid_words())
    logger.info("CamVid val (every 4th): %s", json.dumps(real))
    logger.info("street (20): %s", json.dumps(drawn))


def _pair(text: str, kind: type[int] | type[float], mark: str) -> tuple[float, float]:
    first, second = text.split(mark)
    return kind(first), kind(second)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camvid", type=Path, required=True, help="folder of CamVid")
    parser.add_argument("--text", type=Path, help="from text_pretrain.py (default: that of --init)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--init", type=Path, help="start from this checkpoint or weights file")
    parser.add_argument("--resume", action="store_true", help="go on with OUT/last.pt")
    parser.add_argument("--size", default="192x256", help="height x width of training pictures")
    parser.add_argument("--scales", default="0.53,1.2", help="magnification of the full picture")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of training")
    parser.add_argument("--steps", type=int, default=1 << 30)
    parser.add_argument("--words", default="3,8", help="fewest,most absent words of a step")
    parser.add_argument("--room", type=int, default=1 << 30, help="most pictures times words")
    parser.add_argument("--jitter", type=float, default=1.0, help="strength of recoloring, 0 to 1")
    parser.add_argument("--plain", type=float, default=0.5, help="weight of the plain head's loss")
    parser.add_argument("--align", type=float, default=0.15, help="of words on dense features")
    parser.add_argument("--dice", type=float, default=0.0, help="weight of the dice loss")
    parser.add_argument(
        "--boundary", type=float, default=0.0, help="extra weight of blocks at boundaries"
    )
    parser.add_argument("--fine", action="store_true", help="compare labels at half of the stride")
    parser.add_argument("--dark", type=float, default=0.0, help="share of darkened pictures")
    parser.add_argument("--thin", type=float, default=0.0, help="share of crops at thin things")
    parser.add_argument("--paste", type=float, default=0.0, help="share of CamVid with more poles")
    parser.add_argument("--part", choices=("all", "trunk", "decoder"), default="all")
    parser.add_argument("--scenes", type=int, default=3000, help="procedural scenes, seeds from 0")
    parser.add_argument("--real", type=float, default=0.5, help="share of CamVid in a batch")
    parser.add_argument("--every", type=float, default=6, help="minutes between checkpoints")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 where it is safe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def start(init: Path | None, text: Path | None) -> Trainee:
    """The model before the first step.

    Raises:
        SystemExit: Neither file holds a text tower.
    """
    if init is None and text is None:
        message = "No text tower: give --text (from text_pretrain.py) or --init."
        raise SystemExit(message)
    trainee = Trainee()
    if init is not None:
        load_start(trainee, init)
    if text is not None:
        load_text_tower(trainee.model, text)
    freeze_text_tower(trainee.model)
    return trainee


def main() -> None:
    """Run one stage."""
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    height, width = (int(v) for v in _pair(args.size, int, "x"))
    few, many = (int(v) for v in _pair(args.words, int, ","))
    recipe = Recipe(
        height=height,
        width=width,
        batch=args.batch,
        scales=_pair(args.scales, float, ","),
        rate=args.rate,
        minutes=args.minutes,
        steps=args.steps,
        words=(few, many),
        room=args.room,
        plain=args.plain,
        align=args.align,
        dice=args.dice,
        boundary=args.boundary,
        fine=args.fine,
        part=args.part,
        bf16=args.bf16,
    )
    trainee = start(args.init, args.text)
    trainee = trainee.to(args.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(trainee, recipe, args.device)
    if args.resume:
        trainer.resume(args.out / "last.pt")
    random = np.random.default_rng(args.seed * 1_000_003 + trainer.step)
    batches = Batches(
        camvid=CamVid(args.camvid, "train"),
        streets=Streets(0, args.scenes),
        augmentation=Augmentation(height, width, recipe.scales, args.jitter, args.dark, args.thin),
        random=random,
        real=args.real,
        pasted=args.paste,
    )
    train(trainer, batches, out=args.out, val=CamVid(args.camvid, "val"), every=args.every)


if __name__ == "__main__":
    main()
