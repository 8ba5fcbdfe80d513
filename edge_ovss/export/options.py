"""What to export, and the checks that need nothing but the options themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ovss.errors import UsageError
from edge_ovss.export.rejection import Rejection
from edge_ovss.models.spec import PictureSpec

ALWAYS = ("labels", "alive", "counts")
OPTIONAL = ("scores", "confidence")


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and how.

    Attributes:
        model: Name of the model.
        checkpoint: Path or address of its checkpoint.
        weights: "random" or "embedded" instead of a checkpoint.
        seed: Of random weights.
        embeddings: An embedding pack that replaces the text tower.
        size: (height, width) inside the network; None for the model's own.
        rejection: Mode, k and slots; None for what the model's family does by default.
        outputs: Out of "labels", "scores", "confidence"; "alive" and "counts" always come along.
        slots_from: Source of pictures from which slots are chosen ("--slots auto"), or None.
        pictures: Source of pictures on which a template rank is measured; None for street scenes.
        template_rank: Channels that the cost map is compressed to (SED), "auto", or None.
        spare_slots: Places of a second graph that `rerun` uses when the first overflows: three
            numbers, "all", or None for no second graph.
        answer: How labels are made of what the network says: "published", or, for SAN, "fast".
    """

    model: str = "sed-tiny"
    checkpoint: str | Path | None = None
    weights: str | None = None
    seed: int = 0
    embeddings: str | Path | None = None
    size: tuple[int, int] | None = None
    rejection: Rejection | None = None
    outputs: tuple[str, ...] = ("labels",)
    slots_from: str | None = None
    spare_slots: tuple[int, int, int] | str | None = None
    answer: str = "published"
    template_rank: int | str | None = None
    pictures: str | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.outputs if name not in (*ALWAYS, *OPTIONAL)]
        if unknown or "labels" not in self.outputs:
            message = (
                f"Outputs are '{','.join(self.outputs)}'; expected 'labels', and with it "
                f"'scores' or 'confidence' if wanted."
            )
            raise UsageError(message, hint="For example --outputs labels,confidence.")

    @property
    def all_outputs(self) -> tuple[str, ...]:
        """The graph's outputs in their order."""
        return (*ALWAYS, *(name for name in OPTIONAL if name in self.outputs))

    def size_for(self, picture: PictureSpec) -> tuple[int, int]:
        """Return (height, width) inside the network.

        Raises:
            UsageError: Not positive multiples of the model's step.
        """
        height, width = self.size or (picture.height, picture.width)
        step = picture.multiple
        if min(height, width) < step or height % step or width % step:
            message = (
                f"The picture size is {height}x{width} (height x width); expected multiples of "
                f"{step}, such as {picture.height}x{picture.width}."
            )
            raise UsageError(message)
        return height, width
