"""CLIP's tokenizer without torch, by the library `tokenizers`."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import ArtifactError

_START, _END = "<start_of_text>", "<end_of_text>"
_CONTROL = (_START, _END)
_CONTROLS = re.compile(f"({'|'.join(_CONTROL)})")


class Tokenizer:
    """Turns texts into CLIP's tokens, equal to open_clip's.

    Args:
        path: The file that export wrote.

    Raises:
        ArtifactError: It is no tokenizer, or not CLIP's.
        MissingDependencyError: `tokenizers` or `ftfy` is not installed.
    """

    def __init__(self, path: Path) -> None:
        library = require("tokenizers", extra="words")
        self._fix_text = require("ftfy", extra="words").fix_text
        try:
            self._tokenizer: Any = library.Tokenizer.from_file(str(path))
        except Exception as err:  # the library raises plain Exception
            message = f"'{path}' is no tokenizer: {str(err)[:200]}."
            raise ArtifactError(message, hint="Export the text tower again.") from err
        self._start, self._end = (self._id(token) for token in (_START, _END))
        if self._start is None or self._end is None:
            message = f"The tokenizer '{path}' lacks {_START} or {_END}, so it is not CLIP's."
            raise ArtifactError(message, hint="Export the text tower again.")
        self._tokenizer.encode_special_tokens = True  # where one counts is decided here

    def encode(self, texts: Sequence[str], context_length: int) -> NDArray[np.int64]:
        """Tokenize texts.

        Args:
            texts: N texts.
            context_length: L; a longer text is cut, its last token becomes the end token.

        Returns:
            int64 [N, L], filled up with zeros after the end token.
        """
        found = np.zeros((len(texts), context_length), np.int64)
        pieces = [_pieces(self._clean(text)) for text in texts]
        plain = [piece for each in pieces for piece in each if piece not in _CONTROL]
        encoded = iter(self._tokenizer.encode_batch(plain))
        for row, each in zip(found, pieces, strict=True):
            inner = [
                [self._id(piece)] if piece in _CONTROL else next(encoded).ids for piece in each
            ]
            tokens = [self._start, *chain.from_iterable(inner), self._end][:context_length]
            tokens[-1] = self._end
            row[: len(tokens)] = tokens
        return found

    def _id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def _clean(self, text: str) -> str:
        # As CLIP was trained: broken encodings repaired, entities (even doubled) resolved, runs
        # of blanks made one, small letters.
        fixed = html.unescape(html.unescape(self._fix_text(text)))
        return " ".join(fixed.split()).lower()


def _pieces(text: str) -> list[str]:
    """Cut a text at the names of control tokens, where CLIP reads them as such.

    After a sign they are signs and words like others: CLIP takes a run of signs as a whole, and the
    "<" belongs to it.
    """
    pieces = [""]
    for part in _CONTROLS.split(text):
        if part in _CONTROL and not _is_sign(pieces[-1][-1:]):
            pieces += [part, ""]
        else:
            pieces[-1] += part
    return pieces


def _is_sign(letter: str) -> bool:
    """Say whether a character is neither a letter, nor a number, nor white space."""
    return letter != "" and not letter.isspace() and unicodedata.category(letter)[0] not in "LN"
