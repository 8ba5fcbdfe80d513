"""Thresholds of "unknown": the manifest's section, files, and what a user may say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_manifests import golden

from edge_ovss.bundle.contract import GraphContract, labels_dtype
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.unknown import Target, UnknownInfo, file_document, for_other_words, untuned
from edge_ovss.errors import ArtifactError, BundleError, EdgeOvssError, InputError, UsageError

NAMES = ("road", "car", "a person")
HUGE = 10**400  # no float holds it
TARGET = Target(UnknownInfo(auto=0.25), NAMES, "ab" * 32, "sed-tiny")


def _manifest(section: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(golden("sed-slots"))
    document["unknown"] = section
    return document


def _section(**changes: object) -> dict[str, object]:
    return {
        "measure": "score",
        "range": [0.0, 1.0],
        "thresholds": [0.2],
        "source": "number",
        **changes,
    }


def test_the_section_is_read_and_written_as_it_was() -> None:
    section = _section(auto=0.3, tuned={"images": 12})
    manifest = Manifest.from_json(_manifest(section))
    assert manifest.unknown is not None
    assert manifest.to_json()["unknown"] == section
    inputs = manifest.contract.inputs
    assert [each.name for each in inputs] == ["frame", "thresholds"]
    np.testing.assert_array_equal(
        inputs[1].default, np.full(manifest.vocabulary.outputs, 0.2, np.float32)
    )


def test_a_bundle_without_the_section_has_one_input() -> None:
    document = json.loads(golden("sed-slots"))
    del document["unknown"]
    manifest = Manifest.from_json(document)
    assert manifest.unknown is None
    assert [each.name for each in manifest.contract.inputs] == ["frame"]


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": [1.5]},
        {"thresholds": [-0.1]},
        {"thresholds": []},
        {"thresholds": [0.1, 0.2]},
        {"thresholds": 0.2},
        {"thresholds": ["0.2"]},
        {"thresholds": [True]},
        {"thresholds": [float("nan")]},
        {"thresholds": [HUGE]},
        {"range": [1.0, 0.0]},
        {"range": [0.0]},
        {"range": [-1.0, 1.0]},
        {"range": [0, HUGE]},
        {"measure": None},
        {"source": 3},
        {"auto": 7.0},
    ],
    ids="{!s:.40}".format,
)
def test_a_section_that_no_export_writes_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="unknown"):
        Manifest.from_json(_manifest(_section(**change)))


@pytest.mark.parametrize(
    ("given", "thresholds", "source"),
    [
        ("off", (0.0,), "off"),
        ("auto", (0.25,), "auto"),
        ("0.4", (0.4,), "number"),
        (0.4, (0.4,), "number"),
        (1, (1.0,), "number"),
        ({"*": 0.1, "car": 0.5}, (0.1, 0.5, 0.1), "each"),
        ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3), "each"),
        (np.full(3, 0.5, np.float32), (0.5,), "each"),
    ],
)
def test_what_a_user_may_say(given: Any, thresholds: tuple[float, ...], source: str) -> None:  # noqa: ANN401
    chosen = TARGET.choose(given)
    assert chosen.thresholds == pytest.approx(thresholds)
    assert chosen.source == source
    assert chosen.is_off == (source == "off")
    assert chosen.of(3).dtype == np.float32
    assert chosen.of(3).shape == (3,)


NOT_A_NUMBER = float("nan")
WRONG = ("1.5", "-0.1", "nan", "inf", 2, HUGE, NOT_A_NUMBER, True, None)
WRONG_LISTS: tuple[list[Any], ...] = (
    [0.1, 0.2],
    [[0.1] * 3],
    ["a"] * 3,
    [0.1, 0.2, NOT_A_NUMBER],
    [0.1, 0.2, HUGE],
    [],
)
WRONG_NAMES = (
    {"car": 0.5},
    {"*": 0.2, "tree": 0.2},
    {"*": "0.2"},
    {"*": 7},
    {"*": HUGE},
    {"*": True},
)


@pytest.mark.parametrize("given", [*WRONG, *WRONG_LISTS, *WRONG_NAMES], ids="{!s:.40}".format)
def test_what_is_outside_the_range_is_a_slip(given: Any) -> None:  # noqa: ANN401
    with pytest.raises(UsageError):
        TARGET.choose(given)


def test_auto_needs_a_measurement() -> None:
    with pytest.raises(UsageError, match="measured"):
        Target(UnknownInfo(), NAMES, "ab" * 32, "sed-base").choose("auto")


def test_a_file_says_where_its_thresholds_came_from(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    document = file_document(TARGET, {"road": 0.2, "car": 0.3, "a person": 0.4}, {"images": 9})
    path.write_text(json.dumps(document), encoding="utf-8")
    chosen = TARGET.choose(path)
    assert chosen == TARGET.choose(str(path))
    assert (chosen.thresholds, chosen.source) == ((0.2, 0.3, 0.4), "file")
    assert chosen.tuned == {"images": 9}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema", 2, "schema"),
        ("measure", "margin", "measure"),
        ("vocabulary_sha256", "cd" * 32, "vocabulary_sha256"),
        ("model", "san-tiny", "model"),
        ("thresholds", {"road": 0.2}, "'car' has no threshold, and 1 more"),
        ("thresholds", {"*": 0.2, "tree": 0.1}, "'tree' is no output"),
        ("thresholds", {"*": 1.2}, "1.2"),
        ("thresholds", {"*": None}, "no number"),
        ("thresholds", {}, "thresholds"),
        ("thresholds", [0.2, 0.2, 0.2], "thresholds"),
    ],
)
def test_a_file_for_something_else_is_refused(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    path = tmp_path / "thresholds.json"
    document = file_document(TARGET, {"*": 0.2}, {})
    path.write_text(json.dumps({**document, key: value}), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        TARGET.choose(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"thresholds": NaN}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        TARGET.choose(path)
    with pytest.raises(EdgeOvssError, match="cannot be read"):
        TARGET.choose(tmp_path / "none.json")


@pytest.mark.parametrize("outputs", [1, 254, 255, 256])
def test_the_label_of_unknown_is_none_of_an_output(outputs: int) -> None:
    dtype = labels_dtype(outputs)
    options: dict[str, Any] = {
        "labels": dtype,
        "names": outputs,
        "categories": outputs,
        "places": outputs,
        "scores_size": None,
    }
    thresholds = np.zeros(outputs, np.float32)
    names = ("labels", "alive", "counts")
    able = GraphContract.of(names, **options, thresholds=thresholds)
    unable = GraphContract.of(names, **options)
    unknown = np.iinfo(dtype).max
    assert unknown == (255 if outputs <= 255 else 65535)
    answer = {
        "labels": np.array([[[outputs - 1, unknown]]], dtype),
        "alive": np.arange(outputs, dtype=np.int32),
        "counts": np.zeros(3, np.int32),
    }
    able.check_answer(answer, (1, 2))
    with pytest.raises(ArtifactError, match="as high as"):
        unable.check_answer(answer, (1, 2))
    if outputs < unknown:
        answer["labels"][0, 0, 0] = outputs
        with pytest.raises(ArtifactError, match=f"as high as {outputs}"):
            able.check_answer(answer, (1, 2))


def test_a_frame_is_fed_with_the_default_or_what_is_given() -> None:
    options: dict[str, Any] = {"labels": "uint8", "names": 3, "categories": 3, "places": 3}
    names, frame = ("labels", "alive", "counts"), np.zeros((1, 2, 2, 3), np.uint8)
    default, other = np.full(3, 0.2, np.float32), np.full(3, 0.7, np.float32)
    able = GraphContract.of(names, **options, scores_size=None, thresholds=default)
    assert able.feed(frame)["thresholds"] is default
    assert able.feed(frame, other)["thresholds"] is other
    assert list(able.feed(frame)) == ["frame", "thresholds"]
    unable = GraphContract.of(names, **options, scores_size=None)
    assert list(unable.feed(frame, other)) == ["frame"]


WITH_BACKGROUND = replace(TARGET, background=1)


@pytest.mark.parametrize(
    ("given", "thresholds"),
    [
        ("auto", (0.25, 1.0, 0.25)),
        ("0.4", (0.4, 1.0, 0.4)),
        (1, (1.0,)),
        ({"*": 0.3}, (0.3, 1.0, 0.3)),
        ({"road": 0.1, "a person": 0.2}, (0.1, 1.0, 0.2)),
        # It may have a threshold of its own, and nothing is hidden where all is off.
        ({"*": 0.3, "car": 0.0}, (0.3, 0.0, 0.3)),
        ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3)),
        ("off", (0.0,)),
        ("0", (0.0,)),
        (0.0, (0.0,)),
    ],
)
def test_what_the_background_wins_is_unknown_unless_it_is_off(
    given: Any,  # noqa: ANN401
    thresholds: tuple[float, ...],
) -> None:
    assert WITH_BACKGROUND.choose(given).thresholds == thresholds


@pytest.mark.parametrize("given", ["1.5", "nan", {"*": -1.0}, {"car": 0.1}])
def test_wrong_thresholds_are_refused_with_a_background_too(given: Any) -> None:  # noqa: ANN401
    with pytest.raises(UsageError):
        WITH_BACKGROUND.choose(given)


def test_only_the_background_is_hidden_where_nothing_was_measured() -> None:
    hidden = WITH_BACKGROUND.hide_background()
    assert (hidden.thresholds, hidden.source) == ((0.0, 1.0, 0.0), "background")
    assert not hidden.is_off


WITH_FIRST = replace(TARGET, background=0)
OTHERS = replace(TARGET, names=("sky", "road"))
OTHERS_AND_BACKGROUND = replace(TARGET, names=("car", "tree"), background=0)


@pytest.mark.parametrize(
    ("old", "given", "new", "thresholds"),
    [
        (TARGET, "off", OTHERS_AND_BACKGROUND, (0.0,)),
        (TARGET, 0.4, OTHERS, (0.4,)),
        (TARGET, 0.4, OTHERS_AND_BACKGROUND, (1.0, 0.4)),
        (WITH_FIRST, 0.4, OTHERS, (0.4,)),
        (WITH_BACKGROUND, "auto", OTHERS_AND_BACKGROUND, (1.0, 0.25)),
        # A threshold of a name that stays is kept; all others take what was measured.
        (TARGET, {"road": 0.1, "*": 0.5}, OTHERS, (0.25, 0.1)),
        (WITH_BACKGROUND, {"car": 0.6, "*": 0.3}, OTHERS_AND_BACKGROUND, (0.6, 0.25)),
    ],
)
def test_thresholds_for_other_words(
    old: Target,
    given: Any,  # noqa: ANN401
    new: Target,
    thresholds: tuple[float, ...],
) -> None:
    before = old.choose(given)
    after = for_other_words(replace(old, info=before), new)
    assert after.thresholds == pytest.approx(thresholds)
    assert after.source == before.source
    lacking = tuple(name for name in new.names if name not in NAMES)
    assert untuned(replace(old, info=before), new) == (lacking if before.source == "each" else ())


def test_a_background_stays_hidden_while_there_is_one() -> None:
    old = replace(WITH_BACKGROUND, info=WITH_BACKGROUND.hide_background())
    kept = for_other_words(old, OTHERS_AND_BACKGROUND)
    assert (kept.thresholds, kept.source) == ((1.0, 0.0), "background")
    assert for_other_words(old, OTHERS).is_off
