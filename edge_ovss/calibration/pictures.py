"""Calibration pictures: an explicit list, sorted, distinct, counted, hashed and recorded."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError, PictureError
from edge_ovss.runtime.pictures import read_picture
from edge_ovss.runtime.sources import Frame, open_source

RECOMMENDED = 300
"""Fewer pictures than this are warned about."""

_LIST_SUFFIXES = (".txt", ".lst")
_SHOWN = 5

Progress = Callable[[Iterable[Frame], str], Iterable[Frame]]


@dataclass(frozen=True)
class CalibrationPictures:
    """Pictures that ranges are measured on.

    Attributes:
        source: What the user gave.
        frames: The pictures in order; each is read again whenever it is needed.
        hashes: sha256 of size and pixels of each.
        found: How many the source had.
        duplicates: How many of them showed what another one shows; they are left out.
        seed: Of the choice, where fewer were asked for than there are.
    """

    source: str
    frames: tuple[Frame, ...]
    hashes: tuple[str, ...]
    found: int
    duplicates: int
    seed: int

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures, uint8 [H, W, 3] RGB."""
        for frame in self.frames:
            # Not `frame.image`, which would keep every picture in memory.
            yield frame.read()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def sha256(self) -> str:
        """The hash of the list: of what the pictures show, not of their names or places."""
        return hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Return the record for a manifest; names only, folders are nobody's business."""
        return {
            "source": _public(self.source),
            "sha256": self.sha256,
            "count": len(self.frames),
            "found": self.found,
            "duplicates": self.duplicates,
            "seed": self.seed,
            "names": [frame.name for frame in self.frames],
        }


def picture_hash(image: NDArray[np.uint8]) -> str:
    """Return the sha256 of the size and the pixels of a frame, uint8 [H, W, 3]."""
    digest = hashlib.sha256(f"{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def collect_pictures(
    source: str, *, count: int | None = None, seed: int = 0, progress: Progress | None = None
) -> CalibrationPictures:
    """Read every picture of a source once, and keep the distinct ones.

    Args:
        source: A folder, a list file (.txt, one path per line, relative to the file), a video, a
            picture, or synthetic://street?count=300.
        count: Take this many, chosen by `seed`; None for all.
        seed: Of the choice.
        progress: Wraps the frames, with a label.

    Raises:
        InputError: The source has no or too few pictures, or nothing but single-coloured ones.
        PictureError: A picture cannot be read; with its path.
    """
    frames = sorted(_open(source), key=lambda frame: frame.name)
    chosen = _choose(frames, source, count, seed)
    kept: dict[str, Frame] = {}
    flat = 0
    for frame in progress(chosen, "picture") if progress else chosen:
        image = frame.read()
        kept.setdefault(picture_hash(image), frame)
        flat += int(image.min()) == int(image.max())
    if flat == len(chosen):
        message = f"All {flat} calibration pictures of '{source}' have a single colour."
        raise InputError(message, hint="Give pictures such as the camera will see.")
    return CalibrationPictures(
        source=source,
        frames=tuple(kept.values()),
        hashes=tuple(kept),
        found=len(frames),
        duplicates=len(chosen) - len(kept),
        seed=seed,
    )


def refuse_overlap(pictures: CalibrationPictures, validation: dict[str, str]) -> None:
    """Check that no calibration picture is in the validation set.

    Args:
        pictures: Calibration pictures.
        validation: Name by `picture_hash` of the validation pictures.

    Raises:
        InputError: Some are; with their names.
    """
    both = [
        f"{frame.name} = {validation[sha]}"
        for frame, sha in zip(pictures.frames, pictures.hashes, strict=True)
        if sha in validation
    ]
    if both:
        message = (
            f"{len(both)} calibration pictures are in the validation set too: "
            f"{', '.join(both[:_SHOWN])}."
        )
        hint = "A loss measured on calibration pictures is no measurement; give disjoint sets."
        raise InputError(message, hint=hint)


def _open(source: str) -> list[Frame]:
    path = Path(source).expanduser()
    if "://" not in source and path.suffix.lower() in _LIST_SUFFIXES and path.is_file():
        return _listed(path)
    # A video's frames are held in memory: they cannot be asked for twice.
    return list(open_source(source))


def _listed(path: Path) -> list[Frame]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        message = f"The list of pictures '{path}' cannot be read: {err}."
        raise InputError(message, hint="Expected a text file, one path per line.") from err
    names = [line.strip() for line in lines]
    files = [path.parent / name for name in _kept(names)]
    if not files:
        message = f"The list of pictures '{path}' is empty."
        raise InputError(message, hint="Expected one path per line, relative to the list.")
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        message = f"{len(missing)} pictures of '{path}' are not there: {missing[0]}."
        raise PictureError(message, hint="Paths are relative to the folder of the list.")
    return [_frame(file, name) for file, name in zip(files, _kept(names), strict=True)]


def _kept(names: list[str]) -> list[str]:
    return [Path(name).as_posix() for name in names if name and not name.startswith("#")]


def _frame(file: Path, name: str) -> Frame:
    return Frame(name, str(file), lambda: read_picture(file))


def _choose(frames: list[Frame], source: str, count: int | None, seed: int) -> list[Frame]:
    if count is None or count == len(frames):
        return frames
    if count < 1 or count > len(frames):
        message = f"{count} pictures of '{source}' were asked for; it has {len(frames)}."
        raise InputError(message, hint="Ask for fewer, or give more pictures.")
    places = sorted(random.Random(seed).sample(range(len(frames)), count))
    return [frames[place] for place in places]


def _public(source: str) -> str:
    return source if "://" in source else Path(source).name
