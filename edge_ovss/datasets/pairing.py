"""FilePair the images of a data set with their label maps, by name."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_ovss._text_list import read_text_list
from edge_ovss.datasets.layouts import Place
from edge_ovss.errors import InputError
from edge_ovss.frames.source_kinds import is_hidden, is_picture

_SHOWN = 3


@dataclass(frozen=True)
class FilePair:
    """An image and its label map; `name` is the common part of their paths."""

    name: str
    picture: Path
    labels: Path


@dataclass(frozen=True)
class FilePairs:
    """The contents of two folders.

    Attributes:
        pairs: FilePairs in the order of their names, or of the list of names.
        unpaired: Names of label maps without an image.
        unlabeled: Names of images without a label map.
        notes: Human-readable notes on other files that were skipped.
        pictures: Number of images.
        labels: Number of label maps.
    """

    pairs: tuple[FilePair, ...]
    unpaired: tuple[str, ...]
    unlabeled: tuple[str, ...]
    notes: tuple[str, ...]
    pictures: int
    labels: int


@dataclass
class _Index:
    """The files of one folder by name, and what is skipped."""

    files: dict[str, Path] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)

    def keep(self, folders: set[str]) -> None:
        """Leave out everything that is not in one of these folders."""
        self.files = {n: p for n, p in self.files.items() if n.rpartition("/")[0] in folders}


def pair_files(folder: Path, place: Place) -> FilePairs:
    """Find the files of a place, following linked folders, and pair them by name.

    Names are compared in composed form (NFC), because some systems decompose them. Hidden files
    are ignored.

    Raises:
        InputError: Two files have one name, or a folder or the list of names cannot be read.
    """
    endings = (place.picture_ending,) if place.picture_ending else ()
    pictures = _index(folder / place.pictures, endings, "images", place.picture_inside)
    labels = _index(folder / place.labels, place.label_endings, "label maps", place.label_inside)
    if place.videos is not None:
        kept = _listed_videos(folder / place.videos, labels.files)
        pictures.keep(kept)
        labels.keep(kept)
    names = sorted(labels.files)
    if place.names is not None:
        names = _listed(folder / place.names, labels.files)
    # With a list of names, or a folder shared with other sets, other files are expected.
    own = place.names is None and not place.shared
    return FilePairs(
        pairs=tuple(
            FilePair(name, pictures.files[name], labels.files[name])
            for name in names
            if name in pictures.files
        ),
        unpaired=tuple(name for name in names if name not in pictures.files),
        unlabeled=tuple(sorted(set(pictures.files) - set(labels.files))) if own else (),
        notes=(
            *_notes(pictures, place.pictures, own=own),
            *_notes(labels, place.labels, own=own),
        ),
        pictures=len(pictures.files),
        labels=len(labels.files),
    )


def _index(folder: Path, endings: Sequence[str], what: str, inside: str) -> _Index:
    """Return the files below `folder` by relative path without their ending.

    Args:
        folder: The folder to search.
        endings: Possible endings of their names; () for any image.
        what: What the files are, for the message.
        inside: As `Place.picture_inside`; files elsewhere are no part of this.
    """
    index = _Index()
    for path in _files(folder, ()):
        if inside and path.parent.name != inside:
            continue
        shown = path.relative_to(folder).as_posix()
        ending = _ending(path, endings)
        if os.path.isdir(path):  # noqa: PTH112 (Path's may raise)
            index.loops.append(shown)
        elif ending is None:
            index.others.append(shown)
        else:
            name = unicodedata.normalize("NFC", shown[: len(shown) - len(ending)])
            name = _outside(name, inside)
            if name in index.files:
                _refuse_twins(index.files[name], path, folder, what)
            index.files[name] = path
    return index


def _outside(name: str, inside: str) -> str:
    """Return a sample's name without the folder that all files of its kind are in."""
    if not inside:
        return name
    folder, _, file = name.rpartition("/")
    above = folder.rpartition("/")[0]
    return f"{above}/{file}" if above else file


def _listed_videos(path: Path, labels: Mapping[str, Path]) -> set[str]:
    """Return the folders in a list file; each must have a label map."""
    found = set(_names_in(path))
    missing = sorted(found - {name.rpartition("/")[0] for name in labels})
    _refuse_missing(missing, path, "videos")
    return found


def _ending(path: Path, endings: Sequence[str]) -> str | None:
    """Return the ending of a file name that the sample's name omits; None for other files."""
    if not endings:
        return path.suffix if is_picture(path) else None
    for ending in endings:
        if len(path.name) > len(ending) and path.name.lower().endswith(ending.lower()):
            return path.name[-len(ending) :]
    return None


def _files(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Yield all files below a folder, except hidden ones, in the order of names.

    Linked folders are followed; a link to a folder that contains it is yielded itself.
    """
    real = os.path.realpath(folder)
    if any(Path(one).is_relative_to(real) for one in above):
        yield folder
        return
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as err:
        message = f"Folder '{folder}' cannot be read: {err.strerror or err}."
        raise InputError(message, hint="Check its permissions.") from err
    for path in found:
        if is_hidden(path):
            continue
        if os.path.isdir(path):  # noqa: PTH112
            yield from _files(path, (*above, real))
        else:
            yield path


def _refuse_twins(first: Path, second: Path, folder: Path, what: str) -> None:
    shown = sorted(path.relative_to(folder).as_posix() for path in (first, second))
    message = (
        f"Two {what} of '{folder}' have one name: '{shown[0]}' and '{shown[1]}'. "
        "A label map would belong to both."
    )
    raise InputError(message, hint="Remove or rename one of them.")


def _notes(index: _Index, folder: str, *, own: bool) -> Iterator[str]:
    if index.loops:
        some = ", ".join(index.loops[:_SHOWN])
        yield f"{len(index.loops)} links in '{folder}' form a loop and are not followed: {some}"
    if index.others and own:
        kinds = Counter(Path(name).suffix or "no suffix" for name in index.others)
        counts = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        yield (
            f"{len(index.others)} files in '{folder}' are not read because of their names: "
            f"{counts}; such as {index.others[0]}"
        )


def _listed(path: Path, labels: Mapping[str, Path]) -> list[str]:
    """Return the names in a list file; each must have a label map."""
    names = _names_in(path)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        message = f"{len(twice)} names in '{path}' are repeated: {', '.join(twice[:_SHOWN])}."
        raise InputError(message, hint="Remove the repetitions; every image counts once.")
    _refuse_missing([name for name in names if name not in labels], path, "names")
    return names


def _names_in(path: Path) -> list[str]:
    """Return the lines of a list file, in composed form as the names of files."""
    lines = read_text_list(path, blank_lines=True)
    return [unicodedata.normalize("NFC", line.text.strip()) for line in lines]


def _refuse_missing(missing: Sequence[str], path: Path, what: str) -> None:
    if missing:
        some = ", ".join(missing[:_SHOWN])
        message = f"{len(missing)} {what} in '{path}' have no label map: {some}."
        raise InputError(message, hint="Complete the folder of labels.")
