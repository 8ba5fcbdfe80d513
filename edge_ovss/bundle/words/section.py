"""The manifest's section `open`: room for words that are inputs of a graph.

The graph of an open bundle has N places for words. It takes `text`, the embeddings of the words,
and `places`, what each place stands for: the number of an output, or −1 where it is empty. The
words come first, in the order of the vocabulary; empty places change nothing.

The C++ library reads the same (runtime/src/manifest.cpp).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_ovss.bundle.json_fields import Fields
from edge_ovss.errors import UsageError
from edge_ovss.vocabulary import Vocabulary

WORDS_FILE = "words.f32"
MADE_BY_EXPORT, MADE_HERE = "export", "words"
WORDS = "n"
"""Name of the side whose size is the number of rows that an open graph is given."""

MOST_PLACES = 4096
"""The most places of an open graph, which is far above any published list."""

_MOST_WIDE = 1 << 14
_MOST_BYTES = 4 << 30
_ITEM_BYTES = 4


@dataclass(frozen=True)
class OpenInfo:
    """The manifest's section `open`.

    Attributes:
        places: N, the most words.
        least: The graph takes so many rows or more, up to N; N where it takes nothing else.
        prompts: P, vectors of a word: one for every template, or one for all of them.
        width: D, numbers in a vector.
        file: Embeddings of the words in use, float32 [T, P, D], little-endian and nothing else.
        made_by: "export" where torch made the reference answer for these words; "words" where
            they were changed since, and this runtime made it.
        changed: When they were changed, in ISO 8601; None where they are those of the export.
    """

    places: int
    least: int
    prompts: int
    width: int
    file: str
    made_by: str = MADE_BY_EXPORT
    changed: str | None = None

    @property
    def is_export(self) -> bool:
        """Whether the words are those of the export."""
        return self.made_by == MADE_BY_EXPORT

    @property
    def is_fixed(self) -> bool:
        """Whether the graph takes N rows and no other number."""
        return self.least == self.places

    @property
    def side(self) -> int | str:
        """Size of the side with the rows: N where it is fixed, else `WORDS`."""
        return self.places if self.is_fixed else WORDS

    def rows(self, words: int) -> int:
        """Return how many rows a graph is given that takes as few as it can."""
        return max(self.least, words)

    def bytes_of(self, words: int) -> int:
        """Return the size of the file for so many words."""
        return math.prod((words, self.prompts, self.width)) * _ITEM_BYTES


def require_open(name: str, info: OpenInfo | None) -> OpenInfo:
    """Return the room for words of a bundle.

    Raises:
        UsageError: Its words are frozen into the graph; with the command that makes an open one.
    """
    if info is None:
        message = f"The words of bundle '{name}' are frozen into its graph."
        hint = "Export an open one: edge-ovss export --open 150 --vocab VOCABULARY --out DIR"
        raise UsageError(message, hint=hint)
    return info


def check_room(info: OpenInfo, vocabulary: Vocabulary) -> None:
    """Refuse more words than there are places.

    Raises:
        UsageError: There are more.
    """
    if len(vocabulary) > info.places:
        message = f"There are {len(vocabulary)} words, and the bundle has {info.places} places."
        hint = f"Remove some, or export a bundle with more: --open {len(vocabulary)}."
        raise UsageError(message, hint=hint)


def read_open(fields: Fields | None) -> OpenInfo | None:
    """Read the manifest's section; None where the words are frozen into the graph.

    Raises:
        BundleError: A field is missing or of the wrong type.
    """
    if fields is None:
        return None
    places = fields.integer("places", minimum=1, maximum=MOST_PLACES)
    info = OpenInfo(
        places=places,
        least=fields.integer("least", minimum=1, maximum=places),
        prompts=fields.integer("prompts", minimum=1, maximum=_MOST_WIDE),
        width=fields.integer("width", minimum=1, maximum=_MOST_WIDE),
        file=fields.text("file"),
        made_by=fields.choice("made_by", (MADE_BY_EXPORT, MADE_HERE)),
        changed=fields.optional_text("changed"),
    )
    if info.bytes_of(places) > _MOST_BYTES:
        fields.refuse("width", f"at most {_MOST_BYTES} bytes for all places")
    return info
