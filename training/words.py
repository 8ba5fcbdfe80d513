"""Words: what each street category may be called, and which words mean something else.

`SYNONYMS` are prompts of segmentation training. `HELD_OUT` are never prompts there: they are only
in the thesaurus of the text tower, so that measuring with them shows what the tower carries over.
`RELATED` are words of the built-in vocabularies that stand close to a street category and yet are
categories of their own; beside the category itself they count as absent.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_ovss.synthetic import STREET_CLASSES
from edge_ovss.vocabulary import Vocabulary

SYNONYMS: dict[str, tuple[str, ...]] = {
    "sky": ("sky", "blue sky", "clouds", "cloudy sky", "heaven", "sky-other"),
    "building": ("building", "edifice", "buildings", "building facade", "building-other"),
    "road": ("road", "street", "roadway", "route", "asphalt road", "carriageway"),
    "sidewalk": ("sidewalk", "pavement", "footpath", "footway"),
    "grass": ("grass", "lawn", "turf"),
    "tree": ("tree", "trees", "foliage", "tree crown"),
    "fence": ("fence", "fencing", "wooden fence", "garden fence"),
    "pole": ("pole", "post", "metal pole", "bollard"),
    "streetlight": ("streetlight", "street lamp", "street light", "lamp post"),
    "traffic light": ("traffic light", "traffic signal", "stoplight"),
    "signboard": ("signboard", "sign", "sign symbol", "traffic sign", "road sign"),
    "car": ("car", "auto", "motorcar", "cars", "passenger car"),
    "bus": ("bus", "autobus", "coach", "double-decker", "omnibus"),
    "truck": ("truck", "motortruck", "cargo truck"),
    "person": ("person", "people", "human", "individual", "man", "woman"),
    "bicyclist": ("bicyclist", "cyclist", "bicycle", "bike rider", "cycle"),
}

HELD_OUT: dict[str, tuple[str, ...]] = {
    "road": ("highway",),
    "sidewalk": ("walkway",),
    "grass": ("meadow",),
    "tree": ("vegetation",),
    "pole": ("mast",),
    "streetlight": ("lamppost",),
    "traffic light": ("traffic lights",),
    "signboard": ("road marker sign",),
    "car": ("automobile",),
    "bus": ("motorcoach",),
    "truck": ("lorry",),
    "person": ("pedestrian",),
    "bicyclist": ("bike",),
}

RELATED: tuple[str, ...] = (
    *("house", "skyscraper", "tower", "hovel", "wall", "windowpane", "door", "bridge", "awning"),
    *("path", "runway", "dirt track", "earth", "land", "field", "sand", "floor", "stairs", "step"),
    *("plant", "palm", "flower", "hill", "mountain", "water", "river", "sea", "lake"),
    *("railing", "bannister", "column", "base", "stairway", "light", "lamp", "sconce", "flag"),
    *("poster", "trade name", "bulletin board", "screen", "box", "booth", "bench", "ashcan"),
    *("van", "minibike", "airplane", "boat", "ship", "train", "tank", "animal", "apparel", "bag"),
    *("sculpture", "clock", "painting", "ceiling", "curtain", "rock", "glass", "canopy", "tent"),
    *("bush", "leaves", "gravel", "dirt", "roof", "window-other", "wall-brick", "motorcycle"),
)

# A category that no prompt names belongs to the prompt of its nearest relative (as in CamVid).
PARENTS: dict[str, str] = {
    "streetlight": "pole",
    "bus": "car",
    "truck": "car",
    "grass": "tree",
    "traffic light": "signboard",
}

_LISTS = ("ade150", "ade847", "pc459", "coco171", "cityscapes19", "voc20b")


def thesaurus() -> list[tuple[str, ...]]:
    """Groups of words of one meaning; a word is in one group only.

    The street categories come first, then the related words, then the synonym groups of the
    built-in vocabularies.
    """
    groups = [(*SYNONYMS[name], *HELD_OUT.get(name, ())) for name in STREET_CLASSES]
    seen = {word for group in groups for word in group}
    groups += [(word,) for word in RELATED]
    seen.update(RELATED)
    for listed in reversed(_LISTS[:2]):
        _append_new(groups, seen, (c.synonyms for c in Vocabulary.load(listed).categories))
    for listed in _LISTS[2:]:
        _append_new(groups, seen, (c.synonyms for c in Vocabulary.load(listed).categories))
    return groups


def _append_new(
    groups: list[tuple[str, ...]], seen: set[str], found: Iterable[tuple[str, ...]]
) -> None:
    for synonyms in found:
        fresh = tuple(dict.fromkeys(w.strip() for w in synonyms if w.strip() not in seen))
        # A group one of whose words is already placed means the same: it adds nothing that
        # would not pull two groups together or push one apart.
        if fresh and len(fresh) == len(synonyms):
            groups.append(fresh)
        seen.update(fresh)


def distractors() -> tuple[str, ...]:
    """Words of the built-in vocabularies that name no street category."""
    own = {w for name in STREET_CLASSES for w in (*SYNONYMS[name], *HELD_OUT.get(name, ()))}
    words = dict.fromkeys(RELATED)
    for listed in ("ade150", "coco171", "ade847"):
        for category in Vocabulary.load(listed).categories:
            words.setdefault(category.synonyms[0].strip())
    return tuple(word for word in words if word not in own)
