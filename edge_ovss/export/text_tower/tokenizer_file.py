"""CLIP's tokenizer as a file of the library `tokenizers`.

The vocabulary is built as open_clip builds it: 256 bytes as printable characters, the same with an
end-of-word mark, one token for every merge, and the two control tokens.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_ovss._files import write_bytes
from edge_ovss._optional import require
from edge_ovss.models._open_clip import import_open_clip

END_OF_WORD = "</w>"
CONTROL = ("<start_of_text>", "<end_of_text>")
# CLIP has 49,408 tokens, whatever else the file of merges holds.
_TOKENS = 49408
_BYTES = 256

# How CLIP cuts a text: control tokens, English endings, words, single digits, other signs. Texts
# are in small letters already; only the long s still differs from another letter by its case.
PATTERN = (
    r"<start_of_text>|<end_of_text>|(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
)


def write_tokenizer(path: Path) -> None:
    """Write CLIP's tokenizer, with the merges that open_clip carries.

    Raises:
        MissingDependencyError: `tokenizers` or open_clip is not installed.
        OutputError: The file cannot be written.
    """
    library = require("tokenizers", extra="words")
    write_bytes(path, _build(library, _merges()).to_str().encode())


def _build(library: ModuleType, merges: list[tuple[str, str]]) -> Any:  # noqa: ANN401
    vocabulary = _vocabulary(_alphabet(), merges)
    model = library.models.BPE(
        vocab=vocabulary, merges=merges, end_of_word_suffix=END_OF_WORD, fuse_unk=False
    )
    tokenizer = library.Tokenizer(model)
    split = library.pre_tokenizers.Split(library.Regex(PATTERN), behavior="removed", invert=True)
    as_bytes = library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([split, as_bytes])
    tokenizer.add_special_tokens(list(CONTROL))
    return tokenizer


def _alphabet() -> list[str]:
    """The 256 bytes as characters, in CLIP's order: printable ones first, then the others."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = len(set(range(_BYTES)) - set(printable))
    return [chr(each) for each in (*printable, *range(_BYTES, _BYTES + others))]


def _vocabulary(alphabet: list[str], merges: list[tuple[str, str]]) -> dict[str, int]:
    ends = [letter + END_OF_WORD for letter in alphabet]
    tokens = [*alphabet, *ends, *(first + second for first, second in merges), *CONTROL]
    return {token: index for index, token in enumerate(tokens)}


def _merges() -> list[tuple[str, str]]:
    tokenizer = import_open_clip().tokenizer
    lines = gzip.decompress(Path(tokenizer.default_bpe()).read_bytes()).decode().split("\n")
    count = _TOKENS - 2 * _BYTES - len(CONTROL)
    # The first line is the file's version.
    pairs = (line.split() for line in lines[1 : count + 1])
    return [(first, second) for first, second in pairs]
