"""Open a data set: a folder in a known layout, or the street generator with its exact labels."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from edge_ovss._addresses import shown_address
from edge_ovss.datasets.class_names import read_class_names
from edge_ovss.datasets.dataset import Dataset, LabelRule, Sample
from edge_ovss.datasets.label_files import RawLabels
from edge_ovss.datasets.layouts import Layout, Place, find_layout
from edge_ovss.datasets.pairing import FilePairs, pair_files
from edge_ovss.errors import InputError, UsageError
from edge_ovss.frames.source_kinds import refuse_live, source_kind
from edge_ovss.frames.sources import Frame, is_video, open_source
from edge_ovss.frames.video.chosen_frames import VideoFrames
from edge_ovss.vocabulary import Vocabulary

if TYPE_CHECKING:
    from edge_ovss.synthetic import MovingStreet, StreetScene


def open_dataset(
    data: str,
    *,
    layout: str | None = None,
    ignore: tuple[int, ...] | None = None,
    classes: str | Path | None = None,
    labels_start: int | None = None,
) -> Dataset:
    """Find the samples of a data set by their names, without reading them.

    Args:
        data: The root folder (as in DETECTRON2_DATASETS, or mmsegmentation's data/), the data
            set's own folder, or "synthetic://street?count=4&seed=0&size=360x480".
        layout: One of `LAYOUTS`; not needed for synthetic://street.
        ignore: Numbers that mean "not labeled", instead of the layout's.
        classes: A text file with one category name per line, instead of the layout's names.
        labels_start: The number of the first category: 0, or 1 where 0 means "not labeled";
            None for the layout's.

    Raises:
        UsageError: The layout is missing or unknown, or an option does not fit the data.
        InputError: A folder is missing, has no pairs, or has two files of one name.
    """
    if data.startswith("synthetic://"):
        _refuse_options(data, layout, ignore, classes, labels_start)
        return _street(data)
    if layout is None:
        message = f"The layout of '{data}' is not given."
        raise UsageError(message, hint="Give --layout; edge-ovss data layouts lists them.")
    plan, root = find_layout(layout), Path(data).expanduser()
    if not root.is_dir():
        message = f"Data set '{data}' is not a folder."
        raise InputError(message, hint=_needs(plan))
    folder, place = _locate(root, plan)
    names = _class_names(folder, plan, classes)
    found = pair_files(folder, place)
    if not found.pairs:
        raise _no_pairs(folder, plan, place, found)
    rule = LabelRule(
        classes=None if names is None else len(names),
        ignore=plan.ignore if ignore is None else ignore,
        bits=plan.bits,
        zero=_zero(plan, labels_start),
    )
    return Dataset(
        name=plan.name,
        samples=tuple(Sample.of_files(p.name, p.picture, p.labels) for p in found.pairs),
        rule=rule,
        classes=names,
        vocabulary=plan.vocabulary if classes is None else None,
        fold_from=plan.fold_from,
        total=len(found.pairs),
        published=plan.pictures,
        unpaired=found.unpaired,
        unlabeled=found.unlabeled,
        source=root.absolute().name,
        notes=(*found.notes, *_unnamed(names)),
        fps=plan.fps,
    )


def _refuse_options(
    data: str,
    layout: str | None,
    ignore: tuple[int, ...] | None,
    classes: str | Path | None,
    labels_start: int | None,
) -> None:
    """Reject options that a drawn data set would ignore."""
    given = {
        "--layout": layout,
        "--ignore": ignore,
        "--classes": classes,
        "--labels-start": labels_start,
    }
    names = [name for name, value in given.items() if value is not None]
    if names:
        message = f"'{data}' has labels and categories of its own; {names[0]} is given."
        raise UsageError(message, hint=f"Omit {' and '.join(names)}, or give a folder.")


def _zero(plan: Layout, labels_start: int | None) -> str:
    """Return the meaning of 0 in the label files."""
    own = 0 if plan.zero == "category" else 1
    if labels_start is None or labels_start == own:
        return plan.zero
    if labels_start == 1:
        return "ignore"
    message = (
        f"Layout '{plan.name}' counts categories from {own}; --labels-start is {labels_start}."
    )
    raise UsageError(message, hint="Give 0 or 1; see 'zero' of: edge-ovss data layouts --json.")


def _unnamed(names: tuple[str, ...] | None) -> tuple[str, ...]:
    if names is not None:
        return ()
    return (
        "there is no classes.txt: the numbers in the label maps are taken as the bundle's outputs",
    )


def _class_names(folder: Path, plan: Layout, given: str | Path | None) -> tuple[str, ...] | None:
    own = folder / "classes.txt"
    if given is not None:
        return read_class_names(Path(given))
    if plan.vocabulary is not None:
        return tuple(Vocabulary.load(plan.vocabulary).outputs)
    # A broken link is an error, not a folder without names.
    return read_class_names(own) if own.is_file() or own.is_symlink() else None


def _no_pairs(folder: Path, plan: Layout, place: Place, found: FilePairs) -> InputError:
    message = (
        f"Data set '{plan.name}' has no pairs: {found.pictures} images in "
        f"'{folder / place.pictures}', {found.labels} label maps ending in "
        f"'{' or '.join(place.label_endings)}' in '{folder / place.labels}'."
    )
    if found.notes:
        message += f" {'. '.join(found.notes)}."
    return InputError(message, hint=_needs(plan))


def open_pictures(source: str) -> Dataset:
    """Open images without labels, from any source of `open_source`; reading labels is an error.

    No image is kept in memory, and no frame of a video: each is read again when it is needed.

    Raises:
        InputError: There are no images.
        VideoError: A video lacks frames.
        UsageError: The source is a camera or a stream.
    """
    refuse_live(source, "Images")
    path = Path(source).expanduser()
    video = is_video(path, source_kind(source))
    frames: Iterable[Frame] = _whole_video(path) if video else open_source(source)
    samples = tuple(Sample(frame.name, frame.read, _unlabeled) for frame in frames)
    if not samples:
        message = f"Source '{shown_address(source)}' has no images."
        raise InputError(message)
    return Dataset(shown_address(source), samples, LabelRule(None), None, total=len(samples))


def _whole_video(path: Path) -> Iterable[Frame]:
    frames = VideoFrames.count(path)
    if frames.shortfall is not None:
        raise frames.shortfall.error(path)
    return (frames[index] for index in range(len(frames)))


def _unlabeled() -> RawLabels:
    message = "These images have no labels."
    raise InputError(message, hint="Give a labeled data set.")


def _needs(plan: Layout) -> str:
    places = " or ".join(f"{p.pictures} with {p.labels}" for p in plan.places)
    return f"Layout {plan.name} needs {places} ({plan.about})."


def _locate(root: Path, plan: Layout) -> tuple[Path, Place]:
    """Return (folder, place) of the layout; `root` may be the data set's own folder."""
    for place in plan.places:
        for folder in (root, *_parents_named(root, place)):
            if (folder / place.pictures).is_dir() and (folder / place.labels).is_dir():
                return folder, place
    first = plan.places[0]
    missing = [f for f in (first.pictures, first.labels) if not (root / f).is_dir()]
    message = f"Folder '{root}' has no '{missing[0]}'." if missing else f"'{root}' cannot be used."
    raise InputError(message, hint=_needs(plan))


def _parents_named(root: Path, place: Place) -> list[Path]:
    """Return the parents of `root` from which the path to the place leads through `root`."""
    parts, found = Path(place.pictures).parts, []
    absolute = root.absolute()
    for depth in range(1, len(parts)):
        if absolute.parts[-depth:] == parts[:depth]:
            found.append(absolute.parents[depth - 1])
    return found


def _street(spec: str) -> Dataset:
    from edge_ovss.frames.moving_streets import street_at
    from edge_ovss.synthetic import STREET_CLASSES

    frames = list(open_source(spec))
    street = street_at(spec)
    if street is None:
        samples = tuple(_scene(frame.name, frame.origin) for frame in frames)
    else:
        samples = tuple(_moment(street, number, frame) for number, frame in enumerate(frames))
    return Dataset(
        name=spec,
        samples=samples,
        rule=LabelRule(len(STREET_CLASSES)),
        classes=STREET_CLASSES,
        vocabulary="street",
        total=len(samples),
        fps=None if street is None else float(street.drive.fps),
    )


def _moment(street: MovingStreet, number: int, frame: Frame) -> Sample:
    return Sample(
        frame.name,
        lambda: street.scene(number).image,
        lambda: street.scene(number).labels,
        motion=lambda: street.motion(number),
    )


def _scene(name: str, origin: str) -> Sample:
    options = dict(parse_qsl(urlsplit(origin).query))
    height, width = (int(side) for side in options["size"].split("x"))
    seed = int(options["seed"])
    return Sample(
        name,
        lambda: _draw(seed, height, width).image,
        lambda: _draw(seed, height, width).labels,
    )


@lru_cache(maxsize=1)
def _draw(seed: int, height: int, width: int) -> StreetScene:
    """Draw a scene once for both its frame and its labels, which are read in succession."""
    from edge_ovss.synthetic import render_street

    return render_street(seed=seed, height=height, width=width)
