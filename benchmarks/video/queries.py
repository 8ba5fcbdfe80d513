"""Averaging class logits by query, the online reading of R-SAN's video mode, against the counter.

    python -m benchmarks.video.queries CAMVID [--minutes 15] [--streets 3]

There are no trained weights of SAN here. So a san-tiny is trained for minutes on CamVid's training
images and drawn streets, with one fixed direction for each of CamVid's categories in place of
words, and then answers CamVid's validation sequence and moving streets that it has not seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.clips import clips_of
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.evaluation.video.moments import Shot, shots_of
from edge_ovss.evaluation.video.track import Track
from edge_ovss.frames.images import read_picture
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.video.tracking import mean_iou
from edge_ovss.models.san.build import build_san
from edge_ovss.models.san.model import San
from edge_ovss.runtime.stream.stabilizer import Stabilizer
from edge_ovss.synthetic import STREET_TO_CAMVID, render_street
from edge_ovss.vocabulary.builtin import load_builtin

Frame = NDArray[np.uint8]
SIZE = (192, 256)
SMALL = (48, 64)
BATCH, RATE = 8, 2e-3
LONGEST = 25  # frames of a clip that is seen as a whole; memory grows with it
FIRST_STREET = 2_000_000
SHARES = (0.5, 0.3, 0.1)
"""How much of a frame's own logits goes into the average."""


def main() -> None:
    """Train, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("camvid", type=Path)
    parser.add_argument(
        "--minutes", type=float, default=15.0, metavar="N", help="of the CPU, default 15"
    )
    parser.add_argument("--streets", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="kept here, or read from here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_san("san-tiny")
    words = F.normalize(torch.randn(11, 1, 64), dim=-1)
    if args.weights is not None and args.weights.is_file():
        model.load_state_dict(torch.load(args.weights, weights_only=True))
    else:
        _train(model, words, args.camvid, 60 * args.minutes, args.weights)
    model.eval()
    data = [("CamVid", open_dataset(str(args.camvid), layout="camvid-video"))]
    data += [
        (f"street {seed}", open_dataset(f"synthetic://street?frames=60&fps=15&speed=8&seed={seed}"))
        for seed in range(args.streets)
    ]
    with torch.inference_mode():
        for name, dataset in data:
            _measure(name, dataset, Network(model, words))


def _train(model: San, words: Tensor, camvid: Path, seconds: float, weights: Path | None) -> None:
    """Teach the model the categories by what it would answer; the weights learn all at once."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    losses: list[float] = []
    samples = _samples(camvid)
    start = time.process_time()
    for step, (images, labels) in enumerate(_batches(samples)):
        done = (time.process_time() - start) / seconds
        if done >= 1:
            break
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 50) * (1.02 - done)
        maps = model.maps(_normal(model, images), words)
        masks = F.interpolate(maps.mask_logits, SMALL, mode="bilinear").sigmoid()
        classes = maps.query_logits.softmax(-1)[..., :-1]
        scores = torch.einsum("bqt,bqhw->bthw", classes, masks)
        shares = scores / scores.sum(1, keepdim=True).clamp(min=1e-6)
        target = labels[:, 2::4, 2::4]
        loss = F.nll_loss(shares.clamp(min=1e-6).log(), target, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % 100 == 99:
            loss_now = np.mean(losses[-100:])
            print(f"step {step}: {100 * done:.0f} %, loss {loss_now:.3f}", flush=True)
            if weights is not None:
                torch.save(model.state_dict(), weights)


def _samples(camvid: Path) -> list[tuple[Frame, Frame]]:
    """Images and labels."""
    found = []
    for path in sorted((camvid / "images" / "train").iterdir()):
        labels = read_picture(camvid / "labels" / "train" / f"{path.stem}.png")[..., 0]
        found.append((read_picture(path), labels))
    table = np.full(256, 255, np.uint8)
    names = load_builtin("camvid").outputs
    for street, name in enumerate(STREET_TO_CAMVID):
        table[street] = names.index(name)
    for seed in range(len(found)):
        scene = render_street(FIRST_STREET + seed, 360, 480)
        found.append((scene.image, table[scene.labels]))
    return found


def _batches(samples: Sequence[tuple[Frame, Frame]]) -> Iterator[tuple[Tensor, Tensor]]:
    random = np.random.default_rng(0)
    while True:
        chosen = [samples[i] for i in random.integers(0, len(samples), BATCH)]
        cuts = [_cut(random, labels.shape) for _, labels in chosen]
        flip = 1 - 2 * int(random.integers(0, 2))
        images = np.stack([chosen[i][0][cut][:, ::flip] for i, cut in enumerate(cuts)])
        labels = np.stack([chosen[i][1][cut][:, ::flip] for i, cut in enumerate(cuts)])
        yield torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _cut(random: np.random.Generator, size: tuple[int, ...]) -> tuple[slice, slice]:
    top, left = (
        int(random.integers(0, full - part + 1)) for full, part in zip(size, SIZE, strict=True)
    )
    return slice(top, top + SIZE[0]), slice(left, left + SIZE[1])


def _normal(model: San, images: Tensor) -> Tensor:
    picture = model.spec.picture
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (picture.mean, picture.std))
    return (images.permute(0, 3, 1, 2).float() - mean) / std


@dataclass
class Network:
    """The model with its words."""

    model: San
    words: Tensor

    def maps(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Class logits [1, Q, T + 1], and masks [1, Q, H, W] between 0 and 1."""
        image = _normal(self.model, torch.from_numpy(frame)[None])
        maps = self.model.maps(image, self.words)
        masks = self.model.masks(maps.mask_logits, height=frame.shape[0], width=frame.shape[1])
        return maps.query_logits, masks.sigmoid()

    def by_clip(self, frames: Sequence[Frame]) -> list[Frame]:
        """Labels of all frames, in the published video mode."""
        labels: list[Frame] = []
        for first in range(0, len(frames), LONGEST):
            clip = torch.from_numpy(np.stack(frames[first : first + LONGEST]))
            scores = self.model.segment_clip(_normal(self.model, clip), self.words)
            labels += list(scores.argmax(1).numpy().astype(np.uint8))
        return labels


def _answer(logits: Tensor, masks: Tensor) -> Frame:
    """Labels, uint8 [H, W]."""
    scores = torch.einsum("bqt,bqhw->bthw", logits.softmax(-1)[..., :-1], masks)
    labels: Frame = scores[0].argmax(0).numpy().astype(np.uint8)
    return labels


def _measure(name: str, dataset: Dataset, network: Network) -> None:
    alignment = align(dataset, load_builtin("camvid"))
    ways: dict[str, Track] = {}
    for clip in clips_of(dataset):
        shots = list(shots_of(clip, dataset, alignment))
        for way, labels in _ways(network, shots).items():
            track = ways.setdefault(way, Track(len(alignment.names)))
            track.begin()
            _score(track, shots, labels, alignment)
    for way, track in ways.items():
        miou = mean_iou(np.sum([m for clip in track.confusions for m in clip], axis=0))
        found = track.result()
        print(
            f"{name:<9} {way:<34} mIoU {100 * miou:5.2f}, flicker {found.flicker:.2f} %, "
            f"VC8 {100 * found.vc[8].steady:.1f}",
            flush=True,
        )


def _score(
    track: Track, shots: Sequence[Shot], labels: Sequence[Any], alignment: Alignment
) -> None:
    for shot, one in zip(shots, labels, strict=True):
        found = alignment.map_prediction(one)
        matrix = count_confusion(shot.moment.truth, found, classes=alignment.classes)
        track.add(shot.moment, found, matrix)


def _ways(network: Network, shots: Sequence[Shot]) -> dict[str, list[Any]]:
    """Answer the frames of a video in every way."""
    found: dict[str, list[Any]] = {"frame by frame": []}
    found |= {f"logits averaged, {share} of the new": [] for share in SHARES}
    kept: list[Tensor | None] = [None] * len(SHARES)
    for shot in shots:
        logits, masks = network.maps(shot.frame)
        found["frame by frame"].append(_answer(logits, masks))
        for number, share in enumerate(SHARES):
            old = kept[number]
            mixed = logits if old is None else old + share * (logits - old)
            kept[number] = mixed
            found[f"logits averaged, {share} of the new"].append(_answer(mixed, masks))
    found[f"clips of {LONGEST} frames, as published"] = network.by_clip(
        [shot.frame for shot in shots]
    )
    for way in ("frame by frame", f"logits averaged, {SHARES[1]} of the new"):
        found[f"{way}, counter"] = _held(shots, found[way])
    return found


def _held(shots: Sequence[Shot], labels: Sequence[Any]) -> list[Any]:
    stabilizer, left = Stabilizer(), iter(labels)
    return [
        stabilizer.step(shot.frame, lambda _: next(left), time_s=shot.time_s).labels
        for shot in shots
    ]


if __name__ == "__main__":
    main()
