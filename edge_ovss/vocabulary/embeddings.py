"""Embedding packs: text embeddings of a vocabulary, with their origin, in one file.

A pack replaces the text tower at export, and brings new words to an open bundle. It is an
uncompressed `.npz` of two arrays: `embeddings` (float32 [T, P, D]) and `header` (the bytes of a
JSON object). The C++ library reads the same (runtime/src/word_pack.cpp).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import numpy.typing

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.vocabulary import Vocabulary
from edge_ovss.vocabulary.words import digest, located, short

NORM_TOLERANCE = 1e-2
TOWER_WEIGHTS = ("fp32", "fp16", "int8")
_FIELDS = ("vocabulary_sha256", "templates_sha256", "text_tower", "text_tower_sha256")


@dataclass(frozen=True, eq=False)
class TextEmbeddings:
    """The text embeddings of a vocabulary.

    Attributes:
        array: float32 [T, P, D]: T categories, P templates, D the size of the embedding; every
            vector has unit L2 norm.
        prompts: The T published strings that it was made for, in order.
        vocabulary_sha256: `Vocabulary.sha256` of the vocabulary.
        templates_sha256: `templates_digest` of the P templates, in order.
        text_tower: Name of the model whose text tower made it.
        text_tower_sha256: Hash of that tower's weights.
        vocabulary: The vocabulary itself; None where an older version wrote the pack.
        tower_weights: How the tower that made it stored its weights: "fp32", or rounded to "fp16"
            or "int8".

    Raises:
        VocabularyError: Wrong type or size, values that are not finite, norms off 1 by more than
            0.01, or a vocabulary that is another one.
    """

    array: numpy.typing.NDArray[numpy.float32]
    prompts: tuple[str, ...]
    vocabulary_sha256: str
    templates_sha256: str
    text_tower: str
    text_tower_sha256: str
    vocabulary: Vocabulary | None = None
    tower_weights: str = TOWER_WEIGHTS[0]

    def __post_init__(self) -> None:
        _check_array(self.array, rows=len(self.prompts))
        for field in _FIELDS:
            if not isinstance(getattr(self, field), str):
                message = f"'{field}' is {short(getattr(self, field))}; expected text."
                raise VocabularyError(message)
        if self.tower_weights not in TOWER_WEIGHTS:
            message = (
                f"'tower_weights' is {short(self.tower_weights)}; expected "
                f"{', '.join(TOWER_WEIGHTS[:-1])} or {TOWER_WEIGHTS[-1]}."
            )
            raise VocabularyError(message)
        if not all(isinstance(prompt, str) for prompt in self.prompts):
            message = "The prompts of text embeddings must be strings."
            raise VocabularyError(message)
        if self.vocabulary is not None:
            self.require_match(self.vocabulary)

    @staticmethod
    def templates_digest(templates: Sequence[str]) -> str:
        """Return the SHA-256 of `templates`, which depends on their order."""
        return digest(list(templates))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextEmbeddings:
        """Read a pack; half precision is widened to float32.

        Sizes are checked before anything large is read, and nothing in the file is executed.

        Raises:
            VocabularyError: No such file, no pack, damaged, larger than 4 GiB, or vectors that
                are not of unit norm.
        """
        from edge_ovss.vocabulary.pack_file import read_pack

        header, array = read_pack(path)
        fields = {field: header[field] for field in _FIELDS}
        words = header.get("vocabulary")
        with located(f"'{os.fspath(path)}'"):
            vocabulary = None if words is None else Vocabulary.from_json(words)
            prompts = tuple(header["prompts"])
            weights = header.get("tower_weights", TOWER_WEIGHTS[0])
            return cls(
                array=array,
                prompts=prompts,
                vocabulary=vocabulary,
                tower_weights=weights,
                **fields,
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pack as `.npz`, whole or not at all; an existing file is replaced.

        Raises:
            OutputError: The file cannot be written (folder missing, permission, space).
        """
        from edge_ovss.vocabulary.pack_file import write_pack

        header: dict[str, object] = {field: getattr(self, field) for field in _FIELDS}
        header["prompts"] = list(self.prompts)
        if self.vocabulary is not None:
            header["vocabulary"] = self.vocabulary.to_json()
        if self.tower_weights != TOWER_WEIGHTS[0]:
            header["tower_weights"] = self.tower_weights
        write_pack(path, header, self.array)

    def require_match(self, vocabulary: Vocabulary) -> None:
        """Check that the pack was made for exactly the class names and outputs of `vocabulary`.

        Raises:
            VocabularyError: It was not; the message names the first difference.
        """
        if self.vocabulary_sha256 == vocabulary.sha256 and self.prompts == vocabulary.prompts:
            return
        message = f"The embeddings do not fit the vocabulary '{vocabulary.name}': "
        hint = "Encode this vocabulary: edge-ovss vocab encode VOCABULARY --model NAME --out FILE"
        raise VocabularyError(message + self._difference(vocabulary), hint=hint)

    def _difference(self, vocabulary: Vocabulary) -> str:
        pairs = enumerate(zip(self.prompts, vocabulary.prompts, strict=False))
        for index, (own, wanted) in pairs:
            if own != wanted:
                there = f"{short(own)} in the embeddings and {short(wanted)} in the list"
                return f"category {index} is {there}."
        if len(self.prompts) != len(vocabulary):
            return f"they have {len(self.prompts)} categories, the list has {len(vocabulary)}."
        return "the names are the same, but the synonyms, the outputs or the background differ."


def _check_array(array: object, *, rows: int) -> None:
    if not isinstance(array, numpy.ndarray) or array.dtype != numpy.float32 or array.ndim != 3:
        shown = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
        message = f"Text embeddings are {shown.strip()}; expected float32 [T, P, D]."
        raise VocabularyError(message)
    if array.shape[0] != rows or array.size == 0:
        message = f"Text embeddings of shape {list(array.shape)} do not fit {rows} prompts."
        raise VocabularyError(message)
    # One pass without a copy: a value that is not finite shows in the norm of its vector.
    norms = numpy.sqrt(numpy.einsum("tpd,tpd->tp", array, array))
    if not numpy.isfinite(norms).all():
        row = int(numpy.argwhere(~numpy.isfinite(norms))[0, 0])
        message = f"The text embeddings of category {row} contain values that are not finite."
        raise VocabularyError(message)
    worst = numpy.abs(norms - 1).max(axis=1)
    if worst.max() > NORM_TOLERANCE:
        row = int(worst.argmax())
        message = (
            f"The text embeddings of category {row} have norms off 1 by {worst[row]:.3g}; "
            f"expected vectors of unit norm (within {NORM_TOLERANCE})."
        )
        raise VocabularyError(message)
