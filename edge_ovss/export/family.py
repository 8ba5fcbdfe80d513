"""How a family is exported, and the nouns of an export: loaded model and frozen graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.sections import CPU
from edge_ovss.bundle.words.inputs import graph_text, word_inputs
from edge_ovss.bundle.words.section import WORDS_FILE, OpenInfo
from edge_ovss.models.catalogue import PUBLISHED
from edge_ovss.models.spec import Model, ModelSpec
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


class FrozenGraph(Protocol):
    """A torch module from the inputs to the outputs of the graph contract, vocabulary included.

    Attributes:
        outputs: Names of its outputs, in order.
        rejection: The rejection, fitted to the vocabulary.
        size: (height, width) inside the network.
        frame_bytes: Memory that one pixel of a frame takes at the peak, in ONNX Runtime and with
            scores left out.
    """

    outputs: tuple[str, ...]
    rejection: Rejection
    size: tuple[int, int]
    frame_bytes: int

    def __call__(
        self,
        frame: Tensor,
        thresholds: Tensor | None = None,
        text: Tensor | None = None,
        places: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Segment uint8 [1, H, W, 3]; below thresholds, float32 [K], a label is unknown.

        With `text` and `places` it is the open graph (`bundle.words`).
        """
        ...


@dataclass(frozen=True)
class LoadedModel:
    """A model with weights and a vocabulary, at one image size.

    Attributes:
        family: How its family is exported.
        model: The model, in eval mode.
        vocabulary: T classes.
        embeddings: Their text embeddings.
        size: (height, width) inside the network.
        answer: One of the family's ways to make labels.
        places: N, room for words in an open graph; None where the words are frozen.
        made_for: The device that graphs are cut for, "cpu" or "gpu"; the labels are the same.
    """

    family: FamilyExport
    model: Model
    vocabulary: Vocabulary
    embeddings: TextEmbeddings
    size: tuple[int, int]
    answer: str = PUBLISHED
    places: int | None = None
    made_for: str = CPU

    @property
    def room(self) -> int:
        """How many classes the graph has room for: T, or N."""
        return self.places or len(self.vocabulary)

    @property
    def outputs(self) -> int:
        """How many outputs the graph knows: K, or as many as it has places."""
        return self.places or len(self.vocabulary.outputs)

    def open_info(self, rejection: Rejection) -> OpenInfo | None:
        """Return the room for words of an open graph with this rejection; None if frozen."""
        if self.places is None:
            return None
        _, templates, width = self.embeddings.array.shape
        prompts = 1 if self.family.averages_templates else templates
        least = self.family.fewest_places(rejection, self.places)
        return OpenInfo(self.places, least, prompts, width, WORDS_FILE)

    def open_text(self, rejection: Rejection) -> OpenText | None:
        """Return the words as an open graph with this rejection takes them; None if frozen."""
        info = self.open_info(rejection)
        if info is None:
            return None
        text = graph_text(self.embeddings.array, info.prompts)
        return OpenText(info, text, self.vocabulary.output_map)

    def with_first_words(self, most: int) -> LoadedModel:
        """Return the model with the first words only, at most so many; its open graph is equal."""
        if len(self.vocabulary) <= most:
            return self
        words = _first_words(self.vocabulary, most)
        embeddings = replace(
            self.embeddings,
            array=self.embeddings.array[:most],
            prompts=words.prompts,
            vocabulary_sha256=words.sha256,
            vocabulary=words,
        )
        return replace(self, vocabulary=words, embeddings=embeddings)

    def freeze(self, rejection: Rejection, outputs: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Return the graph (a `FrozenGraph`) with a rejection that is already fitted to T."""
        return self.family.freeze(self, rejection, outputs).eval()


def _first_words(vocabulary: Vocabulary, most: int) -> Vocabulary:
    """Return the first words with their outputs, which are numbered anew."""
    kept = vocabulary.categories[:most]
    numbers = {old: new for new, old in enumerate(sorted({each.output for each in kept}))}
    background = vocabulary.background
    return Vocabulary(
        vocabulary.name,
        tuple(replace(each, output=numbers[each.output]) for each in kept),
        tuple(vocabulary.outputs[old] for old in numbers),
        None if background is None else numbers.get(background),
    )


@dataclass(frozen=True)
class OpenText:
    """The words of an open graph.

    Attributes:
        info: Sizes.
        text: float32 [T, P, D].
        output_map: Output of each.
    """

    info: OpenInfo
    text: NDArray[np.float32]
    output_map: tuple[int, ...]

    def inputs(self, *, full: bool = False) -> Arrays:
        """Return the inputs of the graph, with as few rows as it takes or with all N."""
        rows = self.info.places if full else self.info.rows(len(self.text))
        return word_inputs(self.info, self.text, self.output_map, rows=rows)


@dataclass(frozen=True)
class CompressionReport:
    """What is left after a compression of the prompt templates.

    Attributes:
        rank: Templates after it.
        templates: Templates before it.
        energy: Share of the embeddings' squared norm that is kept.
        label_agreement: Share of the pixels with the same label as before.
        miou_against_full: mIoU of the labels after it, with the labels before it as ground truth.
        pictures: Number of images that were measured.
    """

    rank: int
    templates: int
    energy: float
    label_agreement: float
    miou_against_full: float
    pictures: int

    def to_json(self) -> dict[str, object]:
        """Return the entry of the manifest."""
        return asdict(self)


class Compress(Protocol):
    """Compresses a graph of the family in place, and measures what that does to labels."""

    def __call__(
        self,
        graph: Any,  # noqa: ANN401 (a graph of the family)
        rank: int | str,
        *,
        fresh: Callable[[], Any],
        frames: Sequence[NDArray[np.uint8]],
    ) -> CompressionReport:
        """Compress `graph` to `rank` templates, or to as few as "auto" finds good enough.

        Args:
            graph: The graph.
            rank: A number of templates, or "auto".
            fresh: Makes the uncompressed graph again.
            frames: uint8 [H, W, 3] RGB each, at least one.
        """
        ...


@dataclass(frozen=True)
class FamilyExport:
    """How a family is exported (docs/adding-a-family.md).

    Attributes:
        name: The family's name in `models.catalogue`.
        freeze: Takes a loaded model, a rejection and names of outputs; returns a torch module that
            is a `FrozenGraph`.
        published_scores: The published order of operations, to compare with. It takes a loaded
            model, a frame (uint8 [H, W, 3]) and k of the rejection (None for no rejection), and
            returns float32 [T, H, W].
        embedding_size: D of a model.
        scores_at_frame: Whether the output `scores` has the frame's size instead of a fixed one.
        picture: Fields of the manifest's `picture` that differ from `ModelSpec.picture`.
        check_rank: Refuses a template rank before a model is loaded; None if templates cannot be
            compressed.
        compress: Compresses the templates; None as above.
        averages_templates: Whether an open graph takes one vector for a word, the mean over the
            templates, and not one for each.
        fewest_places: From a rejection and N to the fewest rows that an open graph takes.
    """

    name: str
    freeze: Callable[[LoadedModel, Rejection, tuple[str, ...]], Any]
    published_scores: Callable[[LoadedModel, Tensor, int | None], Tensor]
    embedding_size: Callable[[Model], int]
    scores_at_frame: bool = False
    picture: Callable[[ModelSpec], dict[str, Any]] = lambda _: {}
    check_rank: Callable[[int | str], None] | None = None
    compress: Compress | None = None
    averages_templates: bool = False
    fewest_places: Callable[[Rejection, int], int] = lambda _, places: places
