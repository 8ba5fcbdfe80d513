"""The thing that is exported: a filled model, a vocabulary and its embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ovss._progress import CountProgress, Note
from edge_ovss.errors import VocabularyError
from edge_ovss.export.family import PUBLISHED, FamilyExport, family_export
from edge_ovss.export.options import ExportOptions
from edge_ovss.export.rejection import Rejection
from edge_ovss.models import load_model
from edge_ovss.models.families import Model
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


@dataclass(frozen=True)
class Subject:
    """A model with a vocabulary, at one picture size.

    Attributes:
        model: Filled, in eval mode.
        vocabulary: T categories.
        embeddings: Their text embeddings.
        size: (height, width) inside the network.
        answer: One of the answers of the model's family.
    """

    model: Model
    vocabulary: Vocabulary
    embeddings: TextEmbeddings
    size: tuple[int, int]
    answer: str = PUBLISHED

    @property
    def family(self) -> FamilyExport:
        """How the model's family is exported."""
        return family_export(self.model.spec.family)

    def freeze(self, rejection: Rejection, outputs: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Return the graph (a `FrozenGraph`) with a rejection that is already fitted to T."""
        graph = self.family.freeze(
            self.model,
            embeddings=self.embeddings,
            vocabulary=self.vocabulary,
            rejection=rejection,
            size=self.size,
            outputs=outputs,
            answer=self.answer,
        )
        return graph.eval()


def load_subject(
    vocabulary: Vocabulary, options: ExportOptions, *, note: Note, progress: CountProgress | None
) -> Subject:
    """Load the model, and encode the words or read their embedding pack."""
    note(f"loading {options.model}")
    model: Model = load_model(
        options.model,
        checkpoint=options.checkpoint,
        weights=options.weights,
        seed=options.seed,
        note=note,
    )
    size = options.size_for(model.spec.picture)
    if options.embeddings is not None:
        pack = _pack(Path(options.embeddings), vocabulary, model)
        return Subject(model, vocabulary, pack, size, options.answer)
    note(f"encoding {len(vocabulary)} categories x {len(model.spec.templates)} templates")
    embeddings = model.encode_text(vocabulary, progress=progress)
    return Subject(model, vocabulary, embeddings, size, options.answer)


def _pack(path: Path, vocabulary: Vocabulary, model: Model) -> TextEmbeddings:
    found = TextEmbeddings.load(path)
    found.require_match(vocabulary)
    size = family_export(model.spec.family).embedding_size(model)
    expected = (len(model.spec.templates), size)
    if found.array.shape[1:] != expected:
        message = (
            f"Embedding pack '{path}' holds {found.array.shape[1]} templates of "
            f"{found.array.shape[2]} numbers; '{model.spec.name}' expects {expected[0]} of "
            f"{expected[1]}."
        )
        raise VocabularyError(message, hint=f"It was made for '{found.text_tower}'.")
    return found
