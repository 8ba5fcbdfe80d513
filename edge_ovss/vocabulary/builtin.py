"""The built-in vocabularies: class names of common data sets, as published, in index order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from edge_ovss._strict_parsing import read_json
from edge_ovss.vocabulary.assembly import CategoryEntry, OutputEntry, assemble
from edge_ovss.vocabulary.palette import CAMVID, CITYSCAPES, Color, voc_color
from edge_ovss.vocabulary.vocabulary import Vocabulary
from edge_ovss.vocabulary.words import split_synonyms

_NAMES = (
    "ade150",
    "ade150-d2",
    "ade847",
    "pc59",
    "pc459",
    "pc459-d2",
    "voc20",
    "voc20b",
    "coco171",
    "camvid",
    "cityscapes19",
)
_FOLDER = Path(__file__).parent / "data"

# Label 0 of PASCAL VOC is the background; the lists here begin with its label 1.
_VOC = tuple(voc_color(index) for index in range(1, 21))
_PALETTES: dict[str, Sequence[Color]] = {
    "voc20": _VOC,
    "voc20b": (*_VOC, voc_color(0)),
    "camvid": CAMVID,
    "cityscapes19": CITYSCAPES,
}


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in vocabularies."""
    return _NAMES


def builtin_about(name: str) -> str:
    """Return one line about the built-in vocabulary `name`."""
    return str(_document(name)["about"])


def is_published(vocabulary: Vocabulary) -> bool:
    """Say whether a vocabulary has the words of a built-in one, whatever it is called."""
    return vocabulary.sha256 in _hashes()


def in_other_words(vocabulary: Vocabulary, name: str | None) -> bool:
    """Say whether a vocabulary names the categories of the built-in `name` in its order."""
    return name is not None and vocabulary.sha256 in _others().get(name, ())


@cache
def _others() -> dict[str, tuple[str, ...]]:
    """Hashes of the lists that name the categories of another one in other words."""
    found: dict[str, tuple[str, ...]] = {}
    for name in _NAMES:
        original = _document(name).get("same_as")
        if original is not None:
            found[original] = (*found.get(original, ()), load_builtin(name).sha256)
    return found


@cache
def _hashes() -> frozenset[str]:
    return frozenset(load_builtin(name).sha256 for name in _NAMES)


@cache
def load_builtin(name: str) -> Vocabulary:
    """Return the built-in vocabulary `name`, one of `builtin_names`."""
    document = _document(name)
    texts: list[str] = document["categories"]
    names: list[str] = document.get("outputs", texts)
    output_map: list[int] = document.get("output_map", list(range(len(texts))))
    entries = [
        CategoryEntry(f"category {index}", text, split_synonyms(text), output=names[output])
        for index, (text, output) in enumerate(zip(texts, output_map, strict=True))
    ]
    colors = _PALETTES.get(name, [None] * len(names))
    outputs = [OutputEntry(output, color) for output, color in zip(names, colors, strict=True)]
    return assemble(entries, name=name, outputs=outputs, background=document.get("background"))


def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = read_json(_FOLDER / f"{name}.json")
    return document
