"""Pictures to train on: CamVid from a folder, procedural streets from seeds, and augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_ovss.errors import InputError
from edge_ovss.synthetic import STREET_CLASSES, STREET_TO_CAMVID, render_street

CAMVID_CLASSES: tuple[str, ...] = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
# A pole comes first and is looked for twice as often: it is found least.
_THIN = tuple(CAMVID_CLASSES.index(name) for name in ("pole", "sign symbol", "pedestrian"))
IGNORE = 255
HEIGHT, WIDTH = 360, 480
# Seeds from here on are for measuring only.
FIRST_HELD_OUT_SEED = 1_000_000

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A picture with labels.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        labels: uint8 [H, W], index into `STREET_CLASSES` or `CAMVID_CLASSES`, 255 to ignore.
        camvid: True if the labels are indices into `CAMVID_CLASSES`.
    """

    image: Image
    labels: Image
    camvid: bool


class CamVid:
    """A split of CamVid: `images/SPLIT/*.jpg|png` and `labels/SPLIT/*.png`, kept in memory.

    Args:
        root: Folder with `images` and `labels`.
        split: "train" or "val".

    Raises:
        InputError: The folder has no pictures, or a picture has no labels.
    """

    def __init__(self, root: Path, split: str) -> None:
        paths = sorted((root / "images" / split).glob("*.*"))
        if not paths:
            message = f"Folder '{root / 'images' / split}' holds no pictures; expected CamVid's."
            raise InputError(message, hint="Give the CamVid folder with --camvid.")
        self.samples = [_read(path, root / "labels" / split / f"{path.stem}.png") for path in paths]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def _read(picture: Path, answer: Path) -> Sample:
    image = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    labels = cv2.imread(str(answer), cv2.IMREAD_GRAYSCALE)
    if image is None or labels is None:
        message = f"Picture '{picture}' or its labels '{answer}' cannot be read."
        raise InputError(message)
    rgb = np.ascontiguousarray(image[..., ::-1], np.uint8)
    return Sample(rgb, labels.astype(np.uint8), camvid=True)


class Streets:
    """Procedural scenes of consecutive seeds, drawn when first asked for and then kept.

    Args:
        first: First seed.
        count: How many.
    """

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index not in self._kept:
            scene = render_street(self.first + index, HEIGHT, WIDTH)
            self._kept[index] = Sample(scene.image, scene.labels, camvid=False)
        return self._kept[index]


def street_to_camvid() -> Image:
    """Look-up table from street labels to CamVid labels, uint8 [256]."""
    table = np.full(256, IGNORE, np.uint8)
    for index in range(len(STREET_CLASSES)):
        table[index] = CAMVID_CLASSES.index(STREET_TO_CAMVID[index])
    return table


@dataclass(frozen=True)
class Augmentation:
    """What is done to a picture before training on it.

    Attributes:
        height: Rows of the result.
        width: Columns of the result.
        scales: Smallest and largest magnification of the full picture before the crop.
        jitter: Strength of recoloring, 0 (none) to 1.
        dark: Share of pictures that are darkened, as at dusk.
        thin: Share of CamVid crops that are laid around a pole, a sign or a pedestrian.
    """

    height: int
    width: int
    scales: tuple[float, float]
    jitter: float = 1.0
    dark: float = 0.0
    thin: float = 0.0

    def __call__(self, sample: Sample, random: np.random.Generator) -> Sample:
        """Crop, scale, flip and recolor at random."""
        image, labels = self._crop(sample, random)
        if random.random() < 0.5:
            image, labels = image[:, ::-1], labels[:, ::-1]
        image = _recolor(image, random, self.jitter)
        if random.random() < self.dark:
            image = _darken(image, random)
        return Sample(image, np.ascontiguousarray(labels), sample.camvid)

    def _crop(self, sample: Sample, random: np.random.Generator) -> tuple[Image, Image]:
        full_height, full_width = sample.labels.shape
        low, high = np.log(self.scales[0]), np.log(self.scales[1])
        scale = float(np.exp(random.uniform(low, high)))
        stretch = float(np.exp(random.uniform(-0.12, 0.12)))
        rows = min(round(self.height / scale), full_height)
        cols = min(round(self.width / scale * stretch), full_width)
        top = int(random.integers(0, full_height - rows + 1))
        left = int(random.integers(0, full_width - cols + 1))
        if sample.camvid and random.random() < self.thin:
            top, left = _around_thin(sample.labels, (rows, cols), (top, left), random)
        window = np.s_[top : top + rows, left : left + cols]
        size = (self.width, self.height)
        smooth = cv2.INTER_AREA if rows > self.height else cv2.INTER_LINEAR
        image = cv2.resize(sample.image[window], size, interpolation=smooth)
        labels = cv2.resize(sample.labels[window], size, interpolation=cv2.INTER_NEAREST)
        return image.astype(np.uint8), labels.astype(np.uint8)


def _around_thin(
    labels: Image, size: tuple[int, int], else_at: tuple[int, int], random: np.random.Generator
) -> tuple[int, int]:
    """Top and left of a window that holds a thin thing, or `else_at` where there is none."""
    present = [label for label in _THIN if (labels == label).any()]
    if not present:
        return else_at
    weights = np.asarray([2.0 if label == _THIN[0] else 1.0 for label in present])
    label = random.choice(present, p=weights / weights.sum())
    places = np.argwhere(labels == label)
    place = places[int(random.integers(len(places)))]
    corner = [
        int(np.clip(at - random.integers(0, length), 0, full - length))
        for at, length, full in zip(place, size, labels.shape, strict=True)
    ]
    return corner[0], corner[1]


def _recolor(image: Image, random: np.random.Generator, jitter: float) -> Image:
    """Change brightness, contrast, gamma, color balance and saturation; sometimes blur."""
    ramp = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(jitter * random.uniform(-0.35, 0.35))
    gain = np.exp(jitter * (random.uniform(-0.3, 0.3) + random.uniform(-0.08, 0.08, 3)))
    shift = 0.5 + jitter * random.uniform(-0.1, 0.1)
    curve = np.clip((ramp**gamma - 0.5) * gain + shift, 0, 1) * 255
    table = curve.astype(np.uint8).reshape(1, 256, 3)
    result = cv2.LUT(np.ascontiguousarray(image), table)
    if random.random() < 0.5 * jitter:
        gray = cv2.cvtColor(cv2.cvtColor(result, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        part = random.uniform(0.4, 1.4)
        result = cv2.addWeighted(result, part, gray, 1 - part, 0)
    if random.random() < 0.25 * jitter:
        result = cv2.GaussianBlur(result, (3, 3), 0)
    jittered: npt.NDArray[np.uint8] = result.astype(np.uint8)
    return jittered


def _darken(image: Image, random: np.random.Generator) -> Image:
    """Take away light, lift the noise that a camera then amplifies, and tint it."""
    light = np.exp(random.uniform(-1.4, -0.3)) * np.exp(random.uniform(-0.1, 0.1, 3))
    gamma = random.uniform(0.8, 1.3)
    noise = random.normal(0, random.uniform(0, 8), image.shape)
    dim = 255 * (image / 255.0) ** gamma * light + noise
    darkened: npt.NDArray[np.uint8] = np.clip(dim, 0, 255).astype(np.uint8)
    return darkened
