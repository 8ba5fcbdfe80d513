"""Open a data set: a folder in a known layout, or the street generator with its exact labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from edge_ovss.errors import InputError, UsageError
from edge_ovss.evaluation.dataset import Dataset, LabelRule, Sample
from edge_ovss.evaluation.label_files import RawLabels
from edge_ovss.evaluation.layouts import Layout, Place, find_layout
from edge_ovss.runtime.source_kinds import is_picture
from edge_ovss.runtime.sources import open_source
from edge_ovss.vocabulary import Vocabulary

if TYPE_CHECKING:
    from edge_ovss.runtime.street import StreetScene

_SHOWN = 3


def open_dataset(
    data: str,
    *,
    layout: str | None = None,
    ignore: tuple[int, ...] | None = None,
    classes: str | Path | None = None,
) -> Dataset:
    """Find the samples of a data set; nothing is read but names.

    Args:
        data: The root folder (as in DETECTRON2_DATASETS, or mmsegmentation's data/), the data
            set's own folder, or "synthetic://street?count=4&seed=0&size=360x480".
        layout: One of `LAYOUTS`; not needed for synthetic://street.
        ignore: Numbers that mean "not labelled", instead of the layout's.
        classes: A text file with one category name per line, instead of the layout's names.

    Raises:
        UsageError: No or an unknown layout.
        InputError: A folder is missing, or has no pairs.
    """
    if data.startswith("synthetic://"):
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
    samples, unpaired, unlabelled = _pair(folder, place, plan)
    rule = LabelRule.of(plan, None if names is None else len(names))
    if ignore is not None:
        rule = LabelRule(rule.classes, ignore, rule.bits, rule.zero)
    return Dataset(
        name=plan.name,
        samples=samples,
        rule=rule,
        classes=names,
        vocabulary=plan.vocabulary if classes is None else None,
        fold_from=plan.fold_from,
        total=len(samples),
        published=plan.pictures,
        unpaired=unpaired,
        unlabelled=unlabelled,
    )


def open_pictures(source: str) -> Dataset:
    """Open pictures without labels, as `open_source` takes them; asking for labels is an error.

    Raises:
        InputError: There are none.
    """
    samples = tuple(
        Sample(frame.name, lambda frame=frame: frame.image, _unlabelled)  # type: ignore[misc]
        for frame in open_source(source)
    )
    if not samples:
        message = f"Source '{source}' has no pictures."
        raise InputError(message)
    return Dataset(source, samples, LabelRule(None), None, total=len(samples))


def _unlabelled() -> RawLabels:
    message = "These pictures have no labels."
    raise InputError(message, hint="Give a labelled data set.")


def _needs(plan: Layout) -> str:
    places = " or ".join(f"{p.pictures} with {p.labels}" for p in plan.places)
    return f"Layout {plan.name} needs {places} ({plan.about})."


def _locate(root: Path, plan: Layout) -> tuple[Path, Place]:
    """Return (folder, place) where the layout is; `root` may be the data set's own folder."""
    for place in plan.places:
        for folder in (root, *_parents_named(root, place)):
            if (folder / place.pictures).is_dir() and (folder / place.labels).is_dir():
                return folder, place
    first = plan.places[0]
    missing = [f for f in (first.pictures, first.labels) if not (root / f).is_dir()]
    message = f"Folder '{root}' has no '{missing[0]}'." if missing else f"'{root}' cannot be used."
    raise InputError(message, hint=_needs(plan))


def _parents_named(root: Path, place: Place) -> list[Path]:
    """Return the parents from which `root` would be on the way to the place."""
    parts, found = Path(place.pictures).parts, []
    absolute = root.absolute()
    for depth in range(1, len(parts)):
        if absolute.parts[-depth:] == parts[:depth]:
            found.append(absolute.parents[depth - 1])
    return found


def _class_names(folder: Path, plan: Layout, given: str | Path | None) -> tuple[str, ...] | None:
    own = folder / "classes.txt"
    if given is None and plan.vocabulary is not None:
        return tuple(Vocabulary.load(plan.vocabulary).outputs)
    if given is None and not own.is_file():
        return None
    path = Path(given) if given is not None else own
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        message = f"Category names '{path}' cannot be read: {err}."
        raise InputError(message, hint="Expected a text file, one category per line.") from err
    names = tuple(line.strip() for line in lines if line.strip())
    if not names or len(set(names)) != len(names):
        message = f"Category names '{path}' are empty or repeat; expected one per line."
        raise InputError(message)
    return names


def _pair(
    folder: Path, place: Place, plan: Layout
) -> tuple[tuple[Sample, ...], tuple[str, ...], tuple[str, ...]]:
    """Pair by name; return the pairs, labels without a picture, pictures without a label."""
    pictures = _index_pictures(folder / place.pictures, place.picture_ending)
    labels = _index(folder / place.labels, place.label_ending)
    names = sorted(labels) if place.names is None else _listed(folder / place.names, labels)
    paired = [name for name in names if name in pictures]
    if not paired:
        message = (
            f"Data set '{plan.name}' has no pairs: {len(pictures)} pictures in "
            f"'{folder / place.pictures}', {len(labels)} label maps ending in "
            f"'{place.label_ending}' in '{folder / place.labels}'."
        )
        raise InputError(message, hint=_needs(plan))
    samples = tuple(Sample.of_files(name, pictures[name], labels[name]) for name in paired)
    unpaired = tuple(name for name in names if name not in pictures)
    # A list of names, or a folder that other sets use too, says that the rest is not meant.
    own = place.names is None and not place.shared
    return samples, unpaired, tuple(sorted(set(pictures) - set(labels))) if own else ()


def _index(folder: Path, ending: str) -> dict[str, Path]:
    """Return the files below `folder` by relative path without `ending`."""
    files = (path for path in folder.rglob(f"*{ending}") if path.is_file())
    return {path.relative_to(folder).as_posix()[: -len(ending)]: path for path in files}


def _index_pictures(folder: Path, ending: str) -> dict[str, Path]:
    if ending:
        return _index(folder, ending)
    files = (path for path in folder.rglob("*") if is_picture(path))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def _listed(path: Path, labels: Mapping[str, Path]) -> list[str]:
    """Return the names in a list file; each must have a label map."""
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as err:
        message = f"The list of names '{path}' cannot be read: {err}."
        raise InputError(message, hint="It comes with the data set.") from err
    missing = [name for name in names if name not in labels]
    if missing:
        some = ", ".join(missing[:_SHOWN])
        message = f"{len(missing)} names of '{path}' have no label map: {some}."
        raise InputError(message, hint="Complete the folder of labels.")
    return names


def _street(spec: str) -> Dataset:
    from edge_ovss.runtime.street import STREET_CLASSES

    samples = tuple(_scene(frame.name, frame.origin) for frame in open_source(spec))
    return Dataset(
        name=spec,
        samples=samples,
        rule=LabelRule(len(STREET_CLASSES)),
        classes=STREET_CLASSES,
        vocabulary="street",
        total=len(samples),
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
    """Draw a scene once for its frame and its labels, which are asked for one after the other."""
    from edge_ovss.runtime.street import render_street

    return render_street(seed=seed, height=height, width=width)
