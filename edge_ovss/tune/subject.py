"""What is tuned, and on what: values that travel to the processes that measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_dataset

FRAMES = "synthetic://street?count=8"


@dataclass(frozen=True)
class LabeledData:
    """The labeled images, as the options of `eval` name them.

    Attributes:
        data: Folder, or synthetic://street?...
        layout: Name of the layout.
        classes: File of class names.
        ignore: Numbers that mean "not labeled".
        labels_start: Number of the first class.
        limit: Size of a random subset; None for all.
        seed: Seed of the subset, and of the order in which images are measured.
        allow_missing: Ignore pixels of classes that the vocabulary does not have.
        expect: How many images there must be before a subset is taken; None for any number.
        fps: Frames per second, where the images are videos.
    """

    data: str
    layout: str | None = None
    classes: str | None = None
    ignore: tuple[int, ...] | None = None
    labels_start: int | None = None
    limit: int | None = None
    seed: int = 0
    allow_missing: bool = False
    expect: int | None = None
    fps: float | None = None

    def open(self) -> Dataset:
        """Open the data set.

        Raises:
            UsageError, InputError: It cannot be used.
        """
        found = open_dataset(
            self.data,
            layout=self.layout,
            ignore=self.ignore,
            classes=self.classes,
            labels_start=self.labels_start,
        )
        if self.fps is not None:
            found = replace(found, fps=self.fps)
        return found.require_count(self.expect).take(self.limit, seed=self.seed)


@dataclass(frozen=True)
class Subject:
    """A model with its words, or bundles; and the images.

    Attributes:
        bundles: Bundles to choose from; () where they are made from a model.
        model: Name of the model.
        vocab: The words, as `export --vocab`.
        background: As `export --background`.
        checkpoint: Checkpoint of the model.
        weights: As `export --weights`.
        seed: Seed of random weights and of choices of images.
        embeddings: Embedding pack.
        calibration: Source of images without labels; None for none.
        count: How many of them are used; None for all.
        data: The labeled images; None for none.
        source: Frames that are timed; None for the first of the others.
        backend: Backend of the default export, where it was chosen; None for that of `auto`.
        threads: CPU threads of the default export; None for the backend's own choice.
    """

    bundles: tuple[str, ...] = ()
    model: str = ""
    vocab: str = ""
    background: str | None = None
    checkpoint: str | None = None
    weights: str | None = None
    seed: int = 0
    embeddings: str | None = None
    calibration: str | None = None
    count: int | None = None
    data: LabeledData | None = field(default=None)
    source: str | None = None
    backend: str | None = None
    threads: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the subject as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Subject:
        """Read what `to_json` wrote."""
        given = dict(document)
        if given["data"] is not None:
            ignore = given["data"]["ignore"]
            fixed = {"ignore": None if ignore is None else tuple(ignore)}
            given["data"] = LabeledData(**(given["data"] | fixed))
        return cls(**(given | {"bundles": tuple(given["bundles"])}))
