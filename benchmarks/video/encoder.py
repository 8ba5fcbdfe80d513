"""SED's image encoder on key frames only: does that beat labels that move along?

    python -m benchmarks.video.encoder BUNDLE DATA [--layout camvid-video] [--every 2]

On frames in between, the encoder's features move along with the image (bilinear, step by step), and
the decoder runs on every frame. Prints mIoU, flicker and what both parts cost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.bundle.reader import Bundle
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.clips import clips_of
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.evaluation.video.moments import shots_of
from edge_ovss.evaluation.video.track import Track
from edge_ovss.export.loading import load_for_export
from edge_ovss.export.options import ExportOptions
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.video.tracking import mean_iou
from edge_ovss.models.sed.model import Sed
from edge_ovss.models.text import as_tensor
from edge_ovss.motion.dis import open_flow
from edge_ovss.parity.torch_reference import TorchReference

Features = Sequence[Tensor]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--layout", default="camvid-video")
    parser.add_argument("--every", type=int, default=2, metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        _measure(Bundle.open(args.bundle), args.data, args.layout, args.every)


def _measure(bundle: Bundle, data: str, layout: str, every: int) -> None:
    manifest, picture = bundle.manifest, bundle.manifest.picture
    size = (picture.height, picture.width)
    options = ExportOptions(model=manifest.model.name, weights="embedded", size=size)
    loaded = load_for_export(bundle.vocabulary, options)
    model = loaded.model
    assert isinstance(model, Sed)
    words = as_tensor(loaded.embeddings, like=torch.zeros(1))
    reference = TorchReference.open(bundle)
    mean, std = (torch.tensor(v)[:, None, None] for v in (picture.mean, picture.std))
    dataset = open_dataset(data, layout=layout)
    alignment = align(dataset, bundle.vocabulary)
    ways = {way: Track(len(alignment.names)) for way in ("every frame", "key frames")}
    spent = {"encoder": 0.0, "decoder": 0.0, "frames": 0.0}
    for clip in clips_of(dataset):
        for track in ways.values():
            track.begin()
        flow, kept = open_flow("dis"), None
        for number, shot in enumerate(shots_of(clip, dataset, alignment)):
            motion = flow.advance(shot.frame)
            image = torch.from_numpy(reference.prepared(shot.frame))
            fresh = _encode(model, (image - mean) / std, spent)
            if kept is None or motion is None or number % every == 0:
                kept = fresh
            else:
                kept = [_moved(one, motion.vectors) for one in kept]
            for track, features in zip(ways.values(), (fresh, kept), strict=True):
                labels = _decode(model, features, words, shot.frame.shape[:2], spent)
                found = alignment.map_prediction(labels)
                truth = shot.moment.truth
                matrix = count_confusion(truth, found, classes=alignment.classes)
                track.add(shot.moment, found, matrix)
    for name, track in ways.items():
        miou = mean_iou(np.sum([m for clip in track.confusions for m in clip], axis=0))
        print(
            f"encoder on {name:<12} mIoU {100 * miou:.2f}, flicker {track.result().flicker:.2f} %"
        )
    encoder, decoder = spent["encoder"] / spent["frames"], spent["decoder"] / spent["frames"] / 2
    share = (encoder / every + decoder) / (encoder + decoder)
    print(f"encoder {1e3 * encoder:.0f} ms, decoder {1e3 * decoder:.0f} ms: {100 * share:.0f} %")


def _encode(model: Sed, image: Tensor, spent: dict[str, float]) -> list[Tensor]:
    start = time.perf_counter()
    features, dense = model.encode_picture(image)
    spent["encoder"] += time.perf_counter() - start
    spent["frames"] += 1
    return [*features, dense]


def _decode(
    model: Sed, features: Features, words: Tensor, size: tuple[int, ...], spent: dict[str, float]
) -> NDArray[np.uint8]:
    start = time.perf_counter()
    decoder = model.transformer
    cost = model.cost_map(features[-1], words)
    guidance, cost_guidance = decoder.guide(list(features[:-1])), decoder.guide_cost(cost)
    x = decoder.conv1(cost)
    for index, layer in enumerate(decoder.layers):
        x = layer(x, guidance[index], cost_guidance[index])
    logits = decoder.head(x)[:, 0][None]
    full = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    spent["decoder"] += time.perf_counter() - start
    return full[0].argmax(0).numpy().astype(np.uint8)


def _moved(features: Tensor, vectors: NDArray[np.int16]) -> Tensor:
    """Features [1, C, h, w] moved along vectors in 1/32 pixel of the frame, bilinear."""
    height, width = features.shape[-2:]
    rows, cols = vectors.shape[:2]
    small = cv2.resize(vectors.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    steps = torch.from_numpy(small) / 32 * torch.tensor([2 / cols, 2 / rows])
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1) + steps
    return F.grid_sample(features, grid[None], padding_mode="border", align_corners=False)


if __name__ == "__main__":
    main()
