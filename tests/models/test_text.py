"""What of a category is encoded, by what, and what the cache tells apart."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
# Not importorskip: open_clip may be importable only through edge_ovss.models (see _open_clip.py).
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.equal_tokens import refuse_equal_tokens  # noqa: E402
from edge_ovss.models.spec import Synonyms  # noqa: E402
from edge_ovss.models.text import encode_vocabulary, text_tower_digest  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402
from edge_ovss.words.prompts import encoded_names  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401
    return load_model("san-tiny", weights="random")


@pytest.fixture(autouse=True)
def cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))


class Encoder:
    """Stands in for a tower with a learned prompt: the feature is the length of the prompt."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, prompts: Sequence[str], *, progress: object = None) -> Any:  # noqa: ANN401
        self.prompts += prompts
        angles = torch.tensor([float(len(prompt)) for prompt in prompts]) / 100
        return torch.stack([angles.cos(), angles.sin()], dim=-1)


@pytest.mark.parametrize(
    ("synonyms", "names"),
    [
        ("average", (" road", "route ")),
        ("first", (" road",)),
        ("whole", ("road, route",)),
    ],
)
def test_names_that_are_encoded(synonyms: Synonyms, names: tuple[str, ...]) -> None:
    (category,) = Vocabulary.from_names([" road, route "]).categories
    assert encoded_names(category, synonyms) == names


def test_an_own_encoder_gets_the_prompts_and_its_answer_is_cached(model: Any) -> None:  # noqa: ANN401
    spec = replace(model.spec, synonyms="whole", templates=("{}", "my {}"))
    vocabulary = Vocabulary.from_names(["road, route", "sky"])
    encoder = Encoder()
    tower = model.ov_classifier
    found = encode_vocabulary(tower, vocabulary, spec=spec, encode=encoder)
    assert encoder.prompts == ["road, route", "my road, route", "sky", "my sky"]
    expected = np.cos(np.array([[11, 14], [3, 6]]) / 100)
    assert np.allclose(found.array[..., 0], expected, atol=1e-6)
    again = encode_vocabulary(tower, vocabulary, spec=spec, encode=encoder)
    assert len(encoder.prompts) == 4
    assert np.array_equal(again.array, found.array)


def test_what_is_learned_beside_the_tower_is_part_of_the_key(model: Any) -> None:  # noqa: ANN401
    tower, encoder = model.ov_classifier, Encoder()
    vocabulary = Vocabulary.from_names(["road", "sky"])
    spec = replace(model.spec, templates=("{}",))
    digests = set()
    for value in (0.0, 1.0, 2.0):
        prompt = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(prompt.weight, value)
        torch.nn.init.zeros_(prompt.bias)
        found = encode_vocabulary(tower, vocabulary, spec=spec, encode=encoder, learned=prompt)
        digests.add(found.text_tower_sha256)
        assert found.text_tower_sha256 == text_tower_digest(tower, prompt)
    assert len(digests) == 3
    assert len(encoder.prompts) == 6
    assert text_tower_digest(tower) not in digests


def test_categories_that_a_model_encodes_alike_although_their_synonyms_differ(model: Any) -> None:  # noqa: ANN401
    long = "thing, " * 90
    vocabulary = Vocabulary.from_names([f"{long}one", "sky", f"{long}two"])
    notes: dict[str, list[str]] = {}
    for synonyms in ("average", "first", "whole"):
        spec = replace(model.spec, synonyms=synonyms)
        refuse_equal_tokens(vocabulary, spec, notes.setdefault(synonyms, []).append)
    assert notes["average"] == []
    assert "encodes the first synonym alone" in notes["first"][0]
    assert "encodes the text as it is written" in notes["whole"][0]
    assert len(notes["whole"]) == 1
