from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edge_ovss.errors import PictureError
from edge_ovss.synthetic import (
    STREET_CLASSES,
    STREET_TO_ADE,
    STREET_TO_CAMVID,
    StreetScene,
    render_street,
)
from edge_ovss.vocabulary import Vocabulary

DIGESTS = {
    (0, 360, 480): "516a62f3586e5dde",
    (1, 96, 128): "f3ac3dbd00ba9328",
    (7, 33, 61): "c37bcb785d6dcda0",
    (12, 128, 96): "461a396492918d7a",
    (1000000, 120, 160): "6ede3465b8f86878",
}


def digest(scene: StreetScene) -> str:
    return hashlib.sha256(scene.image.tobytes() + scene.labels.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("case", DIGESTS, ids=str)
def test_scene_is_the_same_on_every_platform(case: tuple[int, int, int]) -> None:
    seed, height, width = case
    assert digest(render_street(seed, height, width)) == DIGESTS[case]


def test_image_and_labels_have_the_asked_size_and_type() -> None:
    scene = render_street(3, 47, 131)
    assert scene.image.shape == (47, 131, 3)
    assert scene.labels.shape == (47, 131)
    assert scene.image.dtype == scene.labels.dtype == np.uint8


@pytest.mark.parametrize("size", [(16, 16), (16, 400), (300, 16)])
def test_extreme_sizes_are_drawn(size: tuple[int, int]) -> None:
    assert render_street(5, *size).labels.shape == size


@pytest.mark.parametrize("seed", range(6))
def test_half_size_shows_the_same_scene(seed: int) -> None:
    large, small = render_street(seed, 240, 320), render_street(seed, 120, 160)
    assert (large.labels[::2, ::2] == small.labels).mean() > 0.9


def test_wider_picture_shows_the_same_middle() -> None:
    narrow, wide = render_street(2, 120, 160), render_street(2, 120, 240)
    assert (wide.labels[:, 40:200] == narrow.labels).mean() > 0.99


def test_every_category_occurs_within_fifty_seeds() -> None:
    seen: set[int] = set()
    for seed in range(50):
        seen.update(np.unique(render_street(seed, 90, 120).labels).tolist())
    assert seen >= set(range(len(STREET_CLASSES)))


def test_labels_leave_nothing_unnamed() -> None:
    assert all((render_street(seed, 90, 120).labels != 255).all() for seed in range(10))


def test_seeds_give_different_scenes() -> None:
    assert len({digest(render_street(seed, 32, 32)) for seed in range(20)}) == 20


def test_names_exist_in_the_vocabularies_they_refer_to() -> None:
    ade = {category.display for category in Vocabulary.load("ade150").categories}
    camvid = {category.display for category in Vocabulary.load("camvid").categories}
    assert set(STREET_TO_ADE) <= ade
    assert set(STREET_TO_CAMVID) == camvid


def test_negative_seed_is_refused() -> None:
    with pytest.raises(PictureError, match="negative"):
        render_street(-1, 32, 32)


def test_too_small_size_is_refused() -> None:
    with pytest.raises(PictureError, match="at least 16x16"):
        render_street(0, 15, 64)
