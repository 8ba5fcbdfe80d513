"""From words to what an open graph takes: by a pack, by a text tower, or by what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_ovss._files import cache_folder
from edge_ovss._progress import CountProgress
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.words.inputs import Floats, graph_text
from edge_ovss.bundle.words.section import check_room, require_open
from edge_ovss.errors import EdgeOvssError, UsageError, VocabularyError
from edge_ovss.vocabulary import Category, TextEmbeddings, Vocabulary
from edge_ovss.vocabulary.alikes import refuse_alikes
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS
from edge_ovss.words.prompts import LEARNED
from edge_ovss.words.tower import TextTower
from edge_ovss.words.tower_folder import MANIFEST, TowerInfo, read_facts

TOWER_FOLDER = "text_tower"
"""Where a bundle may have its text tower."""

_EXACT = TOWER_WEIGHTS[0]
_Key = tuple[str, tuple[str, ...]]
# The vectors of a word, and the weights of the tower that made them.
_Rows = dict[_Key, tuple[Floats, str]]


@dataclass(frozen=True)
class WordSource:
    """Where embeddings come from, besides the words that a bundle has.

    Attributes:
        pack: An embedding pack of exactly the words that are new, or of all of them.
        tower: Folder of a text tower; None looks for one (`find_tower`).
        threads: CPU threads of the tower; None for all cores.
        known: Another bundle of the same text tower, whose words are known too.
    """

    pack: str | os.PathLike[str] | None = None
    tower: str | os.PathLike[str] | None = None
    threads: int | None = None
    known: Bundle | None = None


def with_encoded(
    bundle: Bundle,
    vocabulary: Vocabulary,
    source: WordSource | None = None,
    *,
    progress: CountProgress | None = None,
) -> Bundle:
    """Return an open bundle with other words (`Bundle.with_words`), encoded where they are new.

    Words that the bundle has are not encoded again.

    Args:
        bundle: The bundle.
        vocabulary: T words.
        source: Where embeddings of other words come from.
        progress: Called with (prompts done, prompts in all).

    Raises:
        UsageError: The bundle is not open, there are too many words, or no text tower fits it.
        VocabularyError: Two words read the same, or the pack is of other words, another tower or
            other templates.
        ArtifactError: The text tower is damaged, or not the bundle's.
    """
    rows = _encode(bundle, vocabulary, source or WordSource(), progress)
    found = [(each.text, *rows[_key(each)]) for each in vocabulary.categories]
    rounded = {text: weights for text, _, weights in found if weights != _EXACT}
    return bundle.with_words(vocabulary, np.stack([row for _, row, _ in found]), rounded)


def _encode(
    bundle: Bundle, vocabulary: Vocabulary, source: WordSource, progress: CountProgress | None
) -> _Rows:
    """Return the rows of all words."""
    info = require_open(bundle.path.name, bundle.manifest.open)
    check_room(info, vocabulary)
    refuse_alikes(vocabulary)
    if source.tower is not None:  # another model's is a mistake, even if it is not needed
        find_tower(bundle, source.tower)
    rows = _own_rows(bundle if source.known is None else source.known)
    fresh = [each for each in vocabulary.categories if _key(each) not in rows]
    if source.pack is not None:
        found = read_pack_for(bundle, source.pack)
        whole = found.vocabulary_sha256 == vocabulary.sha256 and found.prompts == vocabulary.prompts
        words = _as_vocabulary(fresh) if fresh and not whole else vocabulary
        found.require_match(words)
    elif fresh:
        tower = TextTower(find_tower(bundle, source.tower), threads=source.threads)
        tower.refuse_equal_tokens(vocabulary)
        words = _as_vocabulary(fresh)
        found = tower.encode_vocabulary(words, progress=progress)
    else:
        return rows
    weights = dict.fromkeys(words.prompts, found.tower_weights)
    return rows | _rows(words, graph_text(found.array, info.prompts), weights)


def read_pack_for(bundle: Bundle, path: str | os.PathLike[str]) -> TextEmbeddings:
    """Read an embedding pack that was made by the text tower of a bundle.

    Raises:
        VocabularyError: It is damaged, or of another tower, templates or size.
    """
    pack, manifest = TextEmbeddings.load(path), bundle.manifest
    own = manifest.text_tower
    pairs = (
        ("text tower", pack.text_tower_sha256, None if own is None else own.sha256),
        ("templates", pack.templates_sha256, manifest.templates.sha256),
    )
    for what, given, expected in pairs:
        if expected is not None and given != expected:
            message = (
                f"The pack '{path}' was made with other {what}: {given[:12]} of "
                f"'{pack.text_tower}'; the bundle has {expected[:12]}."
            )
            hint = f"Encode the words with --model {manifest.model.name} and the same checkpoint."
            raise VocabularyError(message, hint=hint)
    expected_shape = (manifest.templates.count, require_open("", manifest.open).width)
    if pack.array.shape[1:] != expected_shape:
        message = f"The pack '{path}' has vectors {list(pack.array.shape[1:])} for a word."
        raise VocabularyError(message, hint=f"Expected {list(expected_shape)}.")
    return pack


def words_of_pack(bundle: Bundle, path: str | os.PathLike[str]) -> Vocabulary:
    """Return the words that a pack was made for.

    Raises:
        VocabularyError: An older version wrote it, and its names alone do not tell them: they had
            outputs or a background.
    """
    pack = read_pack_for(bundle, path)
    if pack.vocabulary is not None:
        return pack.vocabulary
    vocabulary = Vocabulary.from_names(pack.prompts, name=Path(path).stem)
    if vocabulary.sha256 != pack.vocabulary_sha256:
        message = f"The pack '{path}' is of a list with synonyms, outputs or a background."
        raise VocabularyError(message, hint="Give that list too: --set FILE --embeddings PACK.")
    return vocabulary


def find_tower(bundle: Bundle, given: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the text tower of a bundle.

    Without `given` it is looked for in the bundle, beside it (`*.tower`), and in the cache
    (`towers/*`), where bundles share it.

    Raises:
        UsageError: There is none.
        ArtifactError: The one that is given is of another model or other templates.
    """
    if given is not None:
        info = read_facts(Path(given))
        why = _why_not(bundle, info)
        if why is not None:
            message = f"The text tower '{given}' is not that of bundle '{bundle.path.name}': {why}."
            raise VocabularyError(message, hint=_make_one(bundle))
        return Path(given)
    for folder in _places(bundle):
        try:
            if _why_not(bundle, read_facts(folder)) is None:
                return folder
        except EdgeOvssError:  # another's, or none
            continue
    message = f"Bundle '{bundle.path.name}' has no text tower, and there is none beside it."
    raise UsageError(message, hint=_make_one(bundle))


def _make_one(bundle: Bundle) -> str:
    name = bundle.manifest.model.name
    if bundle.manifest.templates.name == LEARNED:
        return (
            "Its prompt is learned, so new words come as a pack. Where torch is: edge-ovss vocab "
            f"encode WORDS --model {name} --out words.npz, with the checkpoint of the export; then "
            "--embeddings words.npz."
        )
    return (
        f"Where torch is: edge-ovss vocab tower --model {name} --out {name}.tower, with the "
        "checkpoint of the export; then --tower. Or --embeddings PACK."
    )


def _places(bundle: Bundle) -> list[Path]:
    cache = cache_folder()
    beside = sorted(bundle.path.parent.glob("*.tower"))
    shared = [] if cache is None else sorted((cache / "towers").glob("*"))
    found = (bundle.path / TOWER_FOLDER, *beside, *shared)
    return [each for each in found if (each / MANIFEST).is_file()]


def _why_not(bundle: Bundle, info: TowerInfo) -> str | None:
    own, templates = bundle.manifest.text_tower, bundle.manifest.templates.sha256
    if own is not None and info.sha256 != own.sha256:
        return f"it has the weights {info.sha256[:12]}, expected {own.sha256[:12]}"
    if info.templates_sha256 != templates:
        return f"it has the templates '{info.templates_name}'"
    return None


def _key(category: Category) -> _Key:
    return category.text, category.synonyms


def _own_rows(bundle: Bundle) -> _Rows:
    if bundle.text is None:
        return {}
    return _rows(bundle.vocabulary, bundle.text, bundle.manifest.rounded_words or {})


def _rows(vocabulary: Vocabulary, text: Floats, weights: Mapping[str, str]) -> _Rows:
    pairs = zip(vocabulary.categories, text, strict=True)
    return {_key(each): (row, weights.get(each.text, _EXACT)) for each, row in pairs}


def _as_vocabulary(categories: list[Category]) -> Vocabulary:
    """Return words as a list of their own, as one is loaded of their names."""
    numbered = [
        Category(each.text, each.synonyms, each.color, place)
        for place, each in enumerate(categories)
    ]
    return Vocabulary("new words", tuple(numbered), tuple(each.text for each in numbered))
