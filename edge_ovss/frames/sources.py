"""Open sources of frames: an image, a folder, a video, a camera, or the street generator."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from edge_ovss._addresses import shown_address
from edge_ovss._safe_text import file_stem, shown
from edge_ovss.errors import InputError, UsageError
from edge_ovss.frames.cameras.addresses import CameraAddress, parse_camera
from edge_ovss.frames.cameras.opening import Camera, open_camera
from edge_ovss.frames.grammar import GRAMMAR
from edge_ovss.frames.image_lists import read_list
from edge_ovss.frames.images import read_picture
from edge_ovss.frames.source_kinds import (
    PICTURE_SUFFIXES,
    SourceKind,
    file_kind,
    is_hidden,
    is_picture,
    source_kind,
)
from edge_ovss.frames.source_notes import note
from edge_ovss.frames.street_options import STILLS, read_size, read_whole
from edge_ovss.frames.video.reader import Clock, VideoReader

if TYPE_CHECKING:
    from edge_ovss.synthetic import MovingStreet

_SKIPPED = {
    SourceKind.UNREAD: "images of this kind are not read",
    SourceKind.VIDEO: "videos must be given one by one",
}
# How long a camera may take where nobody waits for it in a live loop.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Stamp:
    """When and where a frame was taken, as robots say it.

    Attributes:
        nanoseconds: Since 1970, or of the clock of a simulation.
        frame_id: Name of the coordinate frame of the camera.
    """

    nanoseconds: int
    frame_id: str


@dataclass(frozen=True)
class Frame:
    """One frame of a source; an image is read when `image` is first accessed.

    Attributes:
        name: Name for output files, unique in its source.
        origin: Human-readable description of where it comes from.
        read: Returns the frame, uint8 [H, W, 3] RGB.
        time_s: Its time in the video, in seconds from the first frame; None if unknown.
        stamp: Of a frame from a recording of ROS; else None.
    """

    name: str
    origin: str
    read: Callable[[], NDArray[np.uint8]]
    time_s: float | None = None
    stamp: Stamp | None = None

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The frame, uint8 [H, W, 3], RGB.

        Raises:
            PictureError: It cannot be read; later frames still can.
        """
        return self.read()


def open_source(spec: str) -> Iterator[Frame]:
    """Return the frames of `spec`, in order: by name in a folder, by time in a video.

    Args:
        spec: An image, a folder (its images by suffix, without subfolders), a list of images
            (.txt or .lst, one path per line, relative to the list), a video file, a recording of
            ROS, a camera (`/dev/video0`), a stream (`rtsp://…`),
            `synthetic://street?count=4&seed=0&size=360x480` (size is height x width), or a street
            that moves, `synthetic://street?frames=60&fps=15&speed=8&seed=0`. All are in `GRAMMAR`
            of `edge_ovss.frames.grammar`.

    Raises:
        InputError: It does not exist, cannot be opened, or has no images.
        VideoError: A video is cut off or damaged; raised after its last frame, or at once where
            nothing can be read.
        PictureError: An image of a list does not exist.
        UsageError: The scheme or its options are unknown.
    """
    kind = source_kind(spec)
    path = Path(spec).expanduser()
    if kind is SourceKind.STREET:
        return _street(spec)
    if kind in (SourceKind.STREAM, SourceKind.CAMERA):
        address = parse_camera(spec)
        return _live(open_camera(address, _PATIENCE_S), address)
    if kind is SourceKind.GLOB:
        return picture_frames(_matches(spec))
    if kind is SourceKind.BAG:
        from edge_ovss.frames.bags.reading import read_bag

        return read_bag(spec)
    if kind is SourceKind.FOLDER:
        return _folder(path)
    if is_video(path, kind):
        return _video(path)
    if kind is SourceKind.LIST:
        return picture_frames([file for _, file in read_list(path)])
    if kind is SourceKind.UNKNOWN_SCHEME:
        message = f"There is no source of kind '{shown_address(spec.partition('://')[0] + '://')}'."
        raise UsageError(message, hint=GRAMMAR)
    if kind is SourceKind.MISSING:
        message = f"Source '{shown(shown_address(spec))}' does not exist."
        raise InputError(message, hint=GRAMMAR)
    return iter([picture_frame(path, file_stem(path.stem))])


def is_video(path: Path, kind: SourceKind) -> bool:
    """Whether a file is a video: by its kind or, if that is unclear, because it plays."""
    if kind is not SourceKind.OTHER or not path.is_file():
        return kind is SourceKind.VIDEO
    try:
        video = VideoReader(path)
    except InputError:
        return False
    try:
        return video.grab()
    finally:
        video.release()


def _folder(folder: Path) -> Iterator[Frame]:
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as err:
        message = f"Folder '{shown(folder)}' cannot be read: {err.strerror or err}."
        raise InputError(message, hint="Check its permissions.") from err
    pictures = [path for path in found if is_picture(path)]
    taken = set(pictures)
    _note_skipped(folder, [path for path in found if path not in taken])
    if not pictures:
        kinds = " ".join(sorted(PICTURE_SUFFIXES))
        message = f"Folder '{shown(folder)}' has no images (of {len(found)} entries)."
        raise InputError(message, hint=f"Images end in {kinds}; subfolders are not searched.")
    return picture_frames(pictures)


def _note_skipped(folder: Path, found: list[Path]) -> None:
    """Report skipped subfolders, videos and images of unsupported formats in a folder."""
    folders = sum(not is_hidden(path) and _holds_pictures(path) for path in found)
    if folders:
        note(f"skipped in '{shown(folder)}', because subfolders are not searched: {folders}")
    for kind, why in _SKIPPED.items():
        suffixes = Counter(
            path.suffix.lower() or "without a suffix"
            for path in found
            if not is_hidden(path) and file_kind(path) is kind
        )
        if suffixes:
            counts = ", ".join(f"{shown(name)} ({count})" for name, count in suffixes.items())
            note(f"skipped in '{shown(folder)}', because {why}: {counts}")


def _holds_pictures(path: Path) -> bool:
    try:
        return any(map(is_picture, path.iterdir()))
    except OSError:  # a file, or a folder that cannot be read
        return False


def _matches(pattern: str) -> list[Path]:
    """Return the images that match a pattern, by name.

    Raises:
        InputError: There are none.
    """
    found = sorted(Path(name) for name in glob(str(Path(pattern).expanduser())))  # noqa: PTH207
    pictures = [path for path in found if is_picture(path)]
    if not pictures:
        message = f"No image matches '{shown(pattern)}' ({len(found)} files do)."
        raise InputError(message, hint=GRAMMAR)
    if len(pictures) < len(found):
        others = len(found) - len(pictures)
        note(f"skipped of '{shown(pattern)}', because they are no images: {others} of {len(found)}")
    return pictures


def picture_frames(paths: list[Path]) -> Iterator[Frame]:
    """Return images as frames with different names, in the order given."""
    names = _names(paths)
    # Created one at a time: a frame holds on to its image.
    return (picture_frame(path, name) for path, name in zip(paths, names, strict=True))


def picture_frame(path: Path, name: str) -> Frame:
    """Return an image as a frame; it is read on first access."""
    return Frame(name, shown(path), lambda: read_picture(path))


def _names(paths: list[Path]) -> list[str]:
    """Return the stems; the whole names where two stems are equal or differ by case only.

    Where the whole names are equal too, as from two folders, they are numbered.
    """
    names = [file_stem(path.stem) for path in paths]
    # Twice: `a.jpg` and `a.png` become whole names, which may equal the stem of `a.jpg.png`.
    for _ in range(2):
        counts = Counter(name.casefold() for name in names)
        names = [
            file_stem(path.name) if counts[name.casefold()] > 1 else name
            for path, name in zip(paths, names, strict=True)
        ]
    counts = Counter(name.casefold() for name in names)
    return [
        f"{place:04d}-{name}" if counts[name.casefold()] > 1 else name
        for place, name in enumerate(names)
    ]


def _video(path: Path) -> Iterator[Frame]:
    return _recorded(VideoReader(path), path)


def _recorded(video: VideoReader, path: Path) -> Iterator[Frame]:
    """Yield the frames of a file; raise an error after the last if some are missing."""
    name = file_stem(path.stem)
    try:
        while video.grab():
            if (image := video.retrieve()) is not None:
                yield _captured(image, name, shown(path), video.read - 1, video.time_s)
    finally:
        video.release()
    if shortfall := video.shortfall():
        raise shortfall.error(path)
    if not video.read:
        message = f"Video '{shown(path)}' has no frames."
        raise InputError(message, hint="Try it in a player; if that fails too, record it again.")


def _live(camera: Camera, address: CameraAddress) -> Iterator[Frame]:
    """Yield frames until the source ends; release the device when the reader stops."""
    index, clock = 0, Clock()
    try:
        while (found := camera.read()) is not None:
            image, at_s = found
            now = None if at_s is None else clock.tick(1000 * at_s)
            yield _captured(image, address.stem, address.label, index, now)
            index += 1
    finally:
        camera.release()
    if index == 0:
        message = f"Video source '{address.label}' gave no frames."
        raise InputError(message, hint="Try it in a player.")


def _captured(
    image: NDArray[np.uint8], name: str, source: str, index: int, time_s: float | None = None
) -> Frame:
    return Frame(f"{name}-{index:06d}", f"{source} #{index}", lambda: image, time_s)


def _street(spec: str) -> Iterator[Frame]:
    from edge_ovss.frames import moving_streets

    parts = urlsplit(spec)
    if parts.netloc != "street" or parts.path not in ("", "/"):
        message = f"There is no synthetic source '{parts.netloc}{parts.path}'."
        raise UsageError(message, hint="Expected synthetic://street.")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = [*STILLS, *moving_streets.OPTIONS]
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Options: {', '.join(known)}."
            message = f"synthetic://street has no option '{key}'."
            raise UsageError(message, hint=hint)
    options = {**STILLS, **given}
    size = read_size(options["size"])
    if moving_streets.is_moving(given):
        street = moving_streets.moving_street(given, size=size)
        return _drive(street, moving_streets.address_of(street.drive))
    count = read_whole("count", options["count"], minimum=1)
    seed = read_whole("seed", options["seed"], minimum=0)
    return _scenes(count, seed, size)


def _drive(street: MovingStreet, address: str) -> Iterator[Frame]:
    for number in range(len(street)):
        yield Frame(
            f"street-{street.drive.seed:04d}-{number:06d}",
            f"{address} #{number}",
            lambda number=number: street.scene(number).image,  # type: ignore[misc]
            number / street.drive.fps,
        )


def _scenes(count: int, seed: int, size: tuple[int, int]) -> Iterator[Frame]:
    def draw(number: int) -> NDArray[np.uint8]:
        from edge_ovss.synthetic import render_street

        return render_street(seed=number, height=size[0], width=size[1]).image

    for number in range(seed, seed + count):
        origin = f"synthetic://street?seed={number}&size={size[0]}x{size[1]}"
        yield Frame(f"street-{number:04d}", origin, lambda number=number: draw(number))  # type: ignore[misc]
