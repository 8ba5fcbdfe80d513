"""Load a model and encode a vocabulary for export."""

from __future__ import annotations

from pathlib import Path

from edge_ovss._progress import CountProgress, Note, silent
from edge_ovss.errors import VocabularyError
from edge_ovss.export.families import family_export
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.options import ExportOptions
from edge_ovss.models import load_model
from edge_ovss.models.spec import Model
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS

_OTHER_TOWER = (
    "was made with other weights than those that encode words here; labels are right only if both "
    "encode words alike"
)


def load_for_export(
    vocabulary: Vocabulary,
    options: ExportOptions,
    *,
    note: Note = silent,
    progress: CountProgress | None = None,
) -> LoadedModel:
    """Load the model, and encode the vocabulary or read its embedding pack.

    Args:
        vocabulary: T classes.
        options: The model, its weights, its size, and the embedding pack if there is one.
        note: Called with one line of text at every step.
        progress: Called with (prompts encoded, prompts in all).

    Raises:
        CheckpointError, UsageError: The model cannot be loaded.
        VocabularyError: The embedding pack does not fit the vocabulary or the model.
    """
    note(f"loading {options.model}")
    model: Model = load_model(
        options.model,
        checkpoint=options.checkpoint,
        weights=options.weights,
        seed=options.seed,
        note=note,
    )
    if options.checkpoint is not None:
        note(f"license of the weights: {model.licenses['weights']}")
    family = family_export(model.spec.family)
    size = options.size_for(model.spec.picture)
    if options.embeddings is not None:
        shape = (len(model.spec.templates), family.embedding_size(model))
        embeddings = _read_pack(Path(options.embeddings), vocabulary, shape, options.model)
        if embeddings.text_tower_sha256 != model.text_tower_sha256:
            note(f"embedding pack '{options.embeddings}' {_OTHER_TOWER}")
        if embeddings.tower_weights != TOWER_WEIGHTS[0]:
            note(f"a text tower with {embeddings.tower_weights} weights made the embedding pack")
    else:
        note(f"encoding {len(vocabulary)} classes x {len(model.spec.templates)} templates")
        embeddings = model.encode_text(vocabulary, progress=progress)
    return LoadedModel(
        family,
        model,
        vocabulary,
        embeddings,
        size,
        options.answer,
        options.open_places,
        options.made_for,
    )


def _read_pack(
    path: Path, vocabulary: Vocabulary, shape: tuple[int, int], model: str
) -> TextEmbeddings:
    found = TextEmbeddings.load(path)
    found.require_match(vocabulary)
    templates, numbers = found.array.shape[1:]
    if (templates, numbers) != shape:
        message = (
            f"Embedding pack '{path}' holds {templates} templates of {numbers} numbers; "
            f"'{model}' expects {shape[0]} of {shape[1]}."
        )
        raise VocabularyError(message, hint=f"It was made for '{found.text_tower}'.")
    return found
