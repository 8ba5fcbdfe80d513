"""Options of an export, and the checks that need no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ovss.bundle.rejection import DEFAULT_SLOTS, Rejection
from edge_ovss.bundle.sections import CPU, DEVICES
from edge_ovss.bundle.unknown import Given
from edge_ovss.bundle.words.section import MOST_PLACES
from edge_ovss.errors import UsageError
from edge_ovss.export.families import family_export
from edge_ovss.models.catalogue import DEFAULT_MODEL, PUBLISHED, entry_of
from edge_ovss.models.spec import PictureSpec
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS

ALWAYS = ("labels", "alive", "counts")
OPTIONAL = ("scores", "confidence")


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and how.

    Attributes:
        model: Name of the model.
        checkpoint: Path or address of its checkpoint.
        weights: "random" or "embedded" instead of a checkpoint.
        seed: Seed of random weights.
        embeddings: An embedding pack that replaces the text tower.
        size: (height, width) inside the network; None for the model's default.
        rejection: Mode, k and slots; None for the default of the model's family.
        outputs: Any of "labels", "scores", "confidence"; "alive" and "counts" are always included.
        slots_from: Source of images from which slots are chosen ("--slots auto"), or None.
        pictures: Source of images on which a template rank is measured; None for street scenes.
        most_pictures: Use so many of them at most, chosen by the seed; None for all.
        template_rank: Number of templates to compress to, "auto", or None.
        spare_slots: Slots of a second graph that `rerun` uses when the first overflows: three
            numbers, "all", or None for no second graph.
        small_slots: Slots of the graph that runs an open bundle with few words: three numbers,
            "none", or None for the default (`export.other_graphs.fit_small`).
        answer: How labels are made from masks; one of the family's `answers` in the catalogue.
        made_for: "cpu" or "gpu": whether wide tensors come in pieces that stay in a CPU's caches.
        with_text_tower: Put the text tower into an open bundle, so that it encodes new words.
        tower_weights: What the text tower's weights are rounded to: "fp16" or "int8"; "fp32" or
            None rounds nothing.
        open_places: N, room for words that are inputs of the graph; None freezes the words.
        unknown: When a label is "unknown": "off", "auto", a threshold for all outputs, one for
            each by name or in order, or a file; None for the default (`export.unknown`).
    """

    model: str = DEFAULT_MODEL
    checkpoint: str | Path | None = None
    weights: str | None = None
    seed: int = 0
    embeddings: str | Path | None = None
    size: tuple[int, int] | None = None
    rejection: Rejection | None = None
    outputs: tuple[str, ...] = ("labels",)
    slots_from: str | None = None
    spare_slots: tuple[int, int, int] | str | None = None
    small_slots: tuple[int, int, int] | str | None = None
    answer: str = PUBLISHED
    template_rank: int | str | None = None
    pictures: str | None = None
    most_pictures: int | None = None
    unknown: Given | None = None
    open_places: int | None = None
    with_text_tower: bool = False
    tower_weights: str | None = None
    made_for: str = CPU

    def __post_init__(self) -> None:
        if self.tower_weights is not None and not self.with_text_tower:
            message = "--tower-weights is given without --with-text-tower."
            raise UsageError(message, hint="Add --with-text-tower, or leave it out.")
        if self.tower_weights not in (None, *TOWER_WEIGHTS):
            message = f"--tower-weights is '{self.tower_weights}'; expected fp32, fp16 or int8."
            raise UsageError(message)
        if self.made_for not in DEVICES:
            message = f"--for is '{self.made_for}'; expected {' or '.join(DEVICES)}."
            raise UsageError(message)
        unknown = [name for name in self.outputs if name not in (*ALWAYS, *OPTIONAL)]
        if unknown or "labels" not in self.outputs:
            message = (
                f"--outputs is '{','.join(self.outputs)}'; expected 'labels', and after it "
                f"'scores' or 'confidence' if wanted."
            )
            raise UsageError(message, hint="For example --outputs labels,confidence.")

    @property
    def all_outputs(self) -> tuple[str, ...]:
        """Outputs of the graph, in order.

        An open graph always gives the confidence: with it a reference answer is made again.
        """
        wanted = (*self.outputs, *(() if self.open_places is None else ("confidence",)))
        return (*ALWAYS, *(name for name in OPTIONAL if name in wanted))

    def check(self) -> None:
        """Refuse options that the model's family does not have, before a model is loaded.

        Raises:
            UsageError: With the option and what was expected.
        """
        entry = entry_of(self.model)
        entry.check_answer(self.answer, model=self.model)
        if self.template_rank is None:
            return
        check_rank = family_export(entry.name).check_rank
        if check_rank is None:
            message = f"--template-rank is given, but '{self.model}' cannot compress its templates."
            raise UsageError(message, hint="Drop --template-rank.")
        check_rank(self.template_rank)

    def room(self, categories: int) -> int:
        """Return how many classes the graph has room for: T, or N of an open graph.

        Raises:
            UsageError: The words do not fit, or an option does not go with an open graph.
        """
        places = self.open_places
        if places is None:
            if self.with_text_tower:
                message = "--with-text-tower is given without --open."
                raise UsageError(
                    message, hint="Frozen words are never encoded again; add --open N."
                )
            return categories
        if not categories <= places <= MOST_PLACES:
            message = (
                f"--open is {places}; expected {categories}, the number of classes, to "
                f"{MOST_PLACES}."
            )
            raise UsageError(message, hint="Give more places, or fewer words.")
        if self.template_rank is not None:
            message = "--template-rank is given with --open."
            raise UsageError(
                message, hint="Templates are compressed for the words that they were chosen for."
            )
        if self.rejection is not None and self.rejection.mode == "dynamic":
            message = "--reject is 'dynamic', which needs more words than --topk; --open has none."
            raise UsageError(message, hint="Use --reject slots, or none.")
        return places

    def fit_rejection(self, categories: int) -> Rejection:
        """Return the rejection to export with, fitted to T categories.

        Raises:
            UsageError: The family has no rejection and one was asked for, or it does not fit T.
        """
        rejects = entry_of(self.model).rejects
        if self.rejection is not None and self.rejection.mode != "none" and not rejects:
            mode = self.rejection.mode
            message = f"--reject is {mode}, but '{self.model}' rejects no categories."
            raise UsageError(message, hint="Drop --reject, --topk and --slots.")
        rejection = self.rejection or Rejection("slots" if rejects else "none")
        return rejection.fit(categories, self._measured_slots(categories) or DEFAULT_SLOTS)

    def guesses_slots(self, categories: int) -> bool:
        """Return whether the slots are a default that was not measured, and may be too few."""
        given = self.slots_from is not None or (self.rejection and self.rejection.slots)
        slots = self.fit_rejection(categories).limit
        if given or slots is None or self._measured_slots(categories) is not None:
            return False
        return min(slots) < categories

    def _measured_slots(self, categories: int) -> tuple[int, int, int] | None:
        """Default slots that were measured with these weights; None if there are none."""
        entry = entry_of(self.model)
        return entry.measured_slots(self.model, categories) if self.embedded else None

    @property
    def embedded(self) -> bool:
        """Whether the weights are those that this package carries."""
        return self.checkpoint is None and self.weights in (None, "embedded")

    def size_for(self, picture: PictureSpec) -> tuple[int, int]:
        """Return (height, width) inside the network.

        Raises:
            UsageError: Not positive multiples of the model's step.
        """
        height, width = self.size or (picture.height, picture.width)
        step = picture.multiple
        if min(height, width) < step or height % step or width % step:
            message = (
                f"--size is {height}x{width} (height x width); expected multiples of "
                f"{step}, such as {picture.height}x{picture.width}."
            )
            raise UsageError(message)
        return height, width
