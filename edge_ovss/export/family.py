"""How a family is exported: one record per family, found by the family's name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor, nn

from edge_ovss.errors import UsageError
from edge_ovss.export.rejection import Rejection
from edge_ovss.models.families import Model
from edge_ovss.models.spec import ModelSpec
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary

PUBLISHED = "published"


class FrozenGraph(Protocol):
    """A module from `frame` to the outputs by the graph contract, with a frozen vocabulary.

    Attributes:
        outputs: Names of what it returns, in order.
        rejection: Fitted to the vocabulary.
        size: (height, width) inside the network.
        frame_bytes: Memory that one pixel of a frame takes at the peak, in ONNX Runtime and with
            scores left out.
    """

    outputs: tuple[str, ...]
    rejection: Rejection
    size: tuple[int, int]
    frame_bytes: int

    def __call__(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Segment uint8 [1, H, W, 3]."""
        ...


class Freeze(Protocol):
    """From a filled model to its graph."""

    def __call__(
        self,
        model: Model,
        *,
        embeddings: TextEmbeddings,
        vocabulary: Vocabulary,
        rejection: Rejection,
        size: tuple[int, int],
        outputs: tuple[str, ...],
        answer: str,
    ) -> nn.Module:
        """Return a `FrozenGraph` that is also a torch module."""
        ...


class PublishedScores(Protocol):
    """The published order of operations in torch."""

    def __call__(
        self,
        model: Model,
        embeddings: TextEmbeddings,
        frame: Tensor,
        *,
        size: tuple[int, int],
        topk: int | None,
    ) -> Tensor:
        """Score a frame, uint8 [H, W, 3] RGB.

        Args:
            model: The model.
            embeddings: Text embeddings.
            frame: uint8 [H, W, 3].
            size: (height, width) inside the network.
            topk: k of the rejection; None for no rejection.

        Returns:
            float32 [T, H, W].
        """
        ...


@dataclass(frozen=True)
class FamilyExport:
    """What export must know of a family.

    Attributes:
        freeze: Builds the graph.
        published_scores: What the graph is held against.
        embedding_size: D of a model.
        default_rejection: Used where none is asked for.
        rejects: Whether the family rejects categories at all.
        answers: Ways from the network to labels; the first is the published one.
        scores_at_frame: Whether `scores` have the frame's size instead of the fixed one.
        picture: What the manifest says of the picture in addition.
    """

    freeze: Freeze
    published_scores: PublishedScores
    embedding_size: Callable[[Model], int]
    default_rejection: Rejection
    rejects: bool = True
    answers: tuple[str, ...] = (PUBLISHED,)
    scores_at_frame: bool = False
    picture: Callable[[ModelSpec], dict[str, Any]] = lambda _: {}

    def fit_rejection(self, asked: Rejection | None, *, name: str, categories: int) -> Rejection:
        """Return the rejection to export with, fitted to T categories.

        Raises:
            UsageError: The family has no rejection and one was asked for, or it does not fit T.
        """
        if asked is not None and not self.rejects and asked.mode != "none":
            message = f"Rejection '{asked.mode}' was asked for, but '{name}' rejects no categories."
            raise UsageError(message, hint="Drop --reject, --topk and --slots, or --reject none.")
        return (asked or self.default_rejection).fit(categories)

    def check_answer(self, answer: str, *, name: str) -> None:
        """Check that the family knows this answer.

        Raises:
            UsageError: It does not.
        """
        if answer not in self.answers:
            known = ", ".join(f"'{each}'" for each in self.answers)
            message = f"Answer '{answer}' was asked for; '{name}' knows {known}."
            raise UsageError(message, hint="Drop --answer.")


def family_export(name: str) -> FamilyExport:
    """Return the record of a family by its name, such as "sed"."""
    module = importlib.import_module(f"edge_ovss.export.{name}.family")
    return cast(FamilyExport, module.EXPORT)
