"""A text tower that runs without torch: class names to embeddings."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss._progress import CountProgress
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.backends.ort import open_session
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.vocabulary.alikes import refuse_alikes
from edge_ovss.words.prompts import batches_by_length, encoded_names, room_for, roomiest
from edge_ovss.words.tokenizer import Tokenizer
from edge_ovss.words.tower_folder import GRAPH, TOKENIZER, read_tower

Floats = NDArray[np.float32]


class TextTower:
    """Encodes class names as export does, in ONNX Runtime.

    Args:
        folder: What `edge-ovss vocab tower` wrote.
        threads: CPU threads; all cores by default.

    Attributes:
        info: Facts about it.

    Raises:
        ArtifactError: It is damaged, or ONNX Runtime cannot load it.
        MissingDependencyError: onnxruntime, tokenizers or ftfy is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, threads: int | None = None) -> None:
        path = Path(folder)
        self.info = read_tower(path)
        self._tokenizer = Tokenizer(path / TOKENIZER)
        runtime = require("onnxruntime", extra="onnxruntime")
        try:
            self._session = open_session(runtime, path / GRAPH, threads=threads or 0)
        except Exception as err:  # ONNX Runtime raises a class of its own for every status
            message = f"ONNX Runtime cannot load the text tower '{path}': {str(err)[:300]}."
            raise ArtifactError(message, hint="Copy it again.") from err

    def encode_vocabulary(
        self, vocabulary: Vocabulary, *, progress: CountProgress | None = None
    ) -> TextEmbeddings:
        """Encode every class under every template; synonyms are averaged as at export.

        Args:
            vocabulary: T classes.
            progress: Called with (prompts done, prompts in all).

        Returns:
            Embeddings whose `array` is float32 [T, P, D] of unit norm.
        """
        info = self.info
        groups = [encoded_names(each, info.synonyms) for each in vocabulary.categories]
        names = [name for group in groups for name in group]
        prompts = [template.replace("{}", name) for name in names for template in info.templates]
        found = self.encode_prompts(prompts, progress=progress)
        found = found.reshape(len(names), len(info.templates), -1)
        starts = np.cumsum([0, *(len(group) for group in groups)])
        spans = itertools.pairwise(starts)
        return TextEmbeddings(
            array=np.stack([_unit(found[start:stop].mean(0)) for start, stop in spans]),
            prompts=vocabulary.prompts,
            vocabulary_sha256=vocabulary.sha256,
            templates_sha256=info.templates_sha256,
            text_tower=info.model,
            text_tower_sha256=info.sha256,
            vocabulary=vocabulary,
            tower_weights=info.precision,
        )

    def refuse_equal_tokens(self, vocabulary: Vocabulary) -> None:
        """Refuse two outputs all of whose names have equal tokens, as export does.

        Comparing letters is not enough: names may differ only after the 77th token.

        Raises:
            VocabularyError: The message names both classes and where they stand.
        """
        names = sorted({name for each in vocabulary.categories for name in each.synonyms})
        template = roomiest(self.info.templates)
        prompts = [template.replace("{}", room_for(name)) for name in names]
        tokens = self._tokenizer.encode(prompts, self.info.context_length)
        refuse_alikes(vocabulary, dict(zip(names, map(bytes, tokens), strict=True)).__getitem__)

    def encode_prompts(
        self, prompts: Sequence[str], *, progress: CountProgress | None = None
    ) -> Floats:
        """Encode N prompts: float32 [N, D] of unit norm.

        Prompts that occur twice are encoded once, and batches are of like length: nothing after
        the longest end token of a batch is computed.
        """
        unique = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
        tokens = self._tokenizer.encode(list(unique), self.info.context_length)
        features = np.empty((len(unique), self.info.width), np.float32)
        done = 0
        if progress is not None:
            progress(0, len(prompts))
        for rows, length in batches_by_length(tokens):
            (features[rows],) = self._session.run(None, {"tokens": tokens[rows, :length]})
            done += len(rows)
            if progress is not None:
                progress(done * len(prompts) // len(unique), len(prompts))
        return features[[unique[prompt] for prompt in prompts]]


def _unit(vectors: Floats) -> Floats:
    found: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found
