"""Calibration images: an explicit list, sorted, distinct, counted, hashed and recorded."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._addresses import shown_address
from edge_ovss._progress import Progress
from edge_ovss.calibration.warnings import caution
from edge_ovss.errors import InputError
from edge_ovss.frames import source_kinds
from edge_ovss.frames.image_lists import read_list
from edge_ovss.frames.images import picture_hash
from edge_ovss.frames.source_kinds import SourceKind, source_kind
from edge_ovss.frames.sources import Frame, is_video, open_source, picture_frame
from edge_ovss.frames.video.chosen_frames import VideoFrames

RECOMMENDED = 300
"""With fewer images, calibration warns."""

_SHOWN = 5


@dataclass(frozen=True)
class CalibrationPictures:
    """Images that ranges are measured on.

    Attributes:
        source: The source as the user gave it.
        frames: The images in order; each is read again whenever it is needed.
        hashes: sha256 of the size and the pixels of each.
        found: Number of images in the source.
        duplicates: Number of images with the same pixels as an earlier one; they are left out.
        seed: Seed of the selection, where fewer were asked for than there are.
        promised: Number of frames that a video should have, if fewer could be read.
    """

    source: str
    frames: tuple[Frame, ...]
    hashes: tuple[str, ...]
    found: int
    duplicates: int
    seed: int
    promised: int | None = None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images, uint8 [H, W, 3] RGB."""
        for frame in self.frames:
            # Not `frame.image`, which would keep every image in memory.
            yield frame.read()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def sha256(self) -> str:
        """The hash of the pixels of all images, in order; names and paths do not count."""
        return hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Return the record for a manifest, with names and without folders, which are private."""
        promised = {} if self.promised is None else {"promised": self.promised}
        return {
            "source": _public(self.source),
            "sha256": self.sha256,
            "count": len(self.frames),
            "found": self.found,
            **promised,
            "duplicates": self.duplicates,
            "seed": self.seed,
            "names": _public_names(frame.name for frame in self.frames),
            "hashes": list(self.hashes),
        }


def collect_pictures(
    source: str, *, count: int | None = None, seed: int = 0, progress: Progress | None = None
) -> CalibrationPictures:
    """Read every image of a source once, and keep the distinct ones.

    No image is kept in memory, and no frame of a video.

    Args:
        source: A folder, a list file (.txt, one path per line, relative to the file), a video, a
            single image, or synthetic://street?count=300.
        count: Take this many, chosen by `seed`; None for all.
        seed: Seed of the selection.
        progress: Wraps the frames, with a label.

    Raises:
        UsageError: The source is live, or of an unknown kind.
        InputError: The source has no or too few images, only images of a single color, or is a
            video that is cut off.
        PictureError: An image cannot be read; the message has its path.
    """
    found = _open(source)
    chosen = [found[place] for place in _choose(len(found), source, count, seed)]
    kept: dict[str, Frame] = {}
    flat = 0
    for frame in progress(chosen, "image") if progress else chosen:
        image = frame.read()
        kept.setdefault(picture_hash(image), frame)
        flat += int(image.min()) == int(image.max())
    if flat == len(chosen):
        message = f"All {flat} calibration images of '{source}' have a single color."
        raise InputError(message, hint="Give images like those of the camera.")
    return CalibrationPictures(
        source=source,
        frames=tuple(kept.values()),
        hashes=tuple(kept),
        found=len(found),
        duplicates=len(chosen) - len(kept),
        seed=seed,
        promised=_broken_promise(found, source),
    )


def refuse_live(source: str) -> None:
    """Check that a source ends and can be read twice.

    Raises:
        UsageError: It is a camera or a stream.
    """
    source_kinds.refuse_live(source, "Calibration images")


def refuse_overlap(pictures: CalibrationPictures, validation: dict[str, str]) -> None:
    """Check that no calibration image is in the validation set.

    Args:
        pictures: Calibration images.
        validation: Names of the validation images by `picture_hash`.

    Raises:
        InputError: Some are; the message names them.
    """
    both = [
        f"{frame.name} = {validation[sha]}"
        for frame, sha in zip(pictures.frames, pictures.hashes, strict=True)
        if sha in validation
    ]
    if both:
        message = (
            f"{len(both)} calibration images are also in the validation set: "
            f"{', '.join(both[:_SHOWN])}."
        )
        hint = "Give disjoint sets: on its own calibration images, a graph looks better than it is."
        raise InputError(message, hint=hint)


def _open(source: str) -> list[Frame] | VideoFrames:
    refuse_live(source)
    kind, path = source_kind(source), Path(source).expanduser()
    if is_video(path, kind):
        return VideoFrames.count(path)
    if kind is SourceKind.LIST:
        # By the path as written: the same name may be in several folders.
        return sorted((picture_frame(f, n) for n, f in read_list(path)), key=lambda x: x.name)
    return sorted(open_source(source), key=lambda frame: frame.name)


def _broken_promise(found: list[Frame] | VideoFrames, source: str) -> int | None:
    """Return how many frames a video should have, and warn, if that is more than could be read."""
    if not isinstance(found, VideoFrames) or found.shortfall is None:
        return None
    caution(found.shortfall.error(Path(source)).message)
    return found.shortfall.expected


def _choose(found: int, source: str, count: int | None, seed: int) -> Iterable[int]:
    if count is None or count == found:
        return range(found)
    if count < 1 or count > found:
        message = f"{count} images of '{source}' were asked for; it has {found}."
        raise InputError(message, hint="Ask for fewer, at least one, or give more images.")
    return sorted(random.Random(seed).sample(range(found), count))


def _public(source: str) -> str:
    return shown_address(source) if "://" in source else Path(source).absolute().name


def _public_names(names: Iterable[str]) -> list[str]:
    """Return file names without folders; equal names are numbered, in order."""
    public: dict[str, None] = {}
    for name in names:
        bare = unique = Path(name).name
        number = 1
        while unique in public:
            number += 1
            unique = f"{bare} ({number})"
        public[unique] = None
    return list(public)
