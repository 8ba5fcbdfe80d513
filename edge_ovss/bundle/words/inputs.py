"""The embeddings of the words: in a file of the bundle, and as inputs of its graph."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import PLACES, TEXT, Arrays
from edge_ovss.bundle.words.section import OpenInfo
from edge_ovss.errors import BundleError, VocabularyError

_ITEM = np.dtype("<f4")

Floats = NDArray[np.float32]


def check_text(info: OpenInfo, text: Floats, words: int) -> None:
    """Refuse embeddings that the graph does not take.

    Args:
        info: Sizes of the graph.
        text: Should be float32 [T, P, D] and finite.
        words: T.

    Raises:
        VocabularyError: They are something else.
    """
    expected = (words, info.prompts, info.width)
    if text.shape != expected or text.dtype != np.float32 or not np.isfinite(text).all():
        message = (
            f"The embeddings are {text.dtype} of shape {list(text.shape)}; the graph takes finite "
            f"float32 of {list(expected)}."
        )
        raise VocabularyError(message, hint="Encode the words with the bundle's own text tower.")


def read_words(path: Path, info: OpenInfo, words: int) -> Floats:
    """Read the embeddings of the words in use.

    Args:
        path: The file.
        info: Its sizes.
        words: T.

    Returns:
        float32 [T, P, D].

    Raises:
        BundleError: It cannot be read, has another size, or holds numbers that are not finite.
    """
    expected = info.bytes_of(words)
    try:
        size = path.stat().st_size
        if size != expected:
            _refuse(info.file, f"has {size} bytes; {words} words take {expected}")
        array = np.fromfile(path, _ITEM).astype(np.float32, copy=False)
    except OSError as err:
        _refuse(info.file, f"cannot be read: {err.strerror or err}")
    if not np.isfinite(array).all():
        _refuse(info.file, "holds numbers that are not finite")
    return array.reshape(words, info.prompts, info.width)


def graph_text(embeddings: Floats, prompts: int) -> Floats:
    """Return embeddings as a graph takes them.

    Args:
        embeddings: One unit vector for every template, float32 [T, templates, D].
        prompts: P, as many as there are templates; or 1, for the mean over them.

    Returns:
        Unit vectors, float32 [T, P, D].
    """
    if prompts == 1:
        embeddings = embeddings.mean(1, keepdims=True)
    unit: Floats = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return unit.astype(np.float32, copy=False)


def words_bytes(text: Floats) -> bytes:
    """Return the content of the file for embeddings, float32 [T, P, D]."""
    return np.ascontiguousarray(text, _ITEM).tobytes()


def word_inputs(info: OpenInfo, text: Floats, output_map: tuple[int, ...], *, rows: int) -> Arrays:
    """Return the inputs of the graph for words in use.

    Args:
        info: Sizes of the graph.
        text: float32 [T, P, D].
        output_map: Output of each of the T words.
        rows: T or more; those behind the words are empty.

    Returns:
        `text` float32 [rows, P, D] and `places` float32 [rows].
    """
    filled = np.zeros((rows, info.prompts, info.width), np.float32)
    filled[: len(text)] = text
    places = np.full(rows, -1, np.float32)
    places[: len(text)] = output_map
    return {TEXT: filled, PLACES: places}


def _refuse(name: str, why: str) -> NoReturn:
    message = f"'{name}' of the bundle, the embeddings of its words, {why}."
    raise BundleError(message, hint="Copy or export the bundle again.")
