"""The vocabulary: built-in lists, construction, hash, JSON form, colors."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy
import pytest

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary import Category, Vocabulary, builtin_about, builtin_names
from edge_ovss.vocabulary.builtin import in_other_words
from edge_ovss.vocabulary.palette import generated_colors, voc_color

# Of the published strings, joined by line feeds; not computed from the files of this package.
PUBLISHED = {
    "ade150": (150, "2133f0a0e71146d00a14482f872bc5888f66d706f90f1b1333a7eb5025989af9"),
    "ade150-d2": (150, "e09fb83957a3a604e8fc67408625d3fbdb6e7923c40663032abcf55658d0c95d"),
    "ade847": (847, "ee311c5f3b780a16a58f40726927f6c41149860a5fca6c1116ea1dca129efd8b"),
    "pc59": (59, "1c0546d54360b6030db946e7e75f14a0778f37edebd0051b8834027f8b5aab89"),
    "pc459": (459, "f22a02ac1b8419bc30f91a47c3668be6880fd52106cfc7881500f5d9219f0269"),
    "pc459-d2": (459, "c9fe8ff7083d2572021691666a700755d8f4e1c634585ba9919a3f3a2c834538"),
    "voc20": (20, "7d877f185c807bc51b4cfb4f4202fc0b4e1c6724b782ba245fe36f8d254f0ad7"),
    "voc20b": (59, "245feb60aa05bd703db11091a160e85c5ca024849bd9dc5c41ad2d2fd11a362a"),
    "coco171": (171, "8ea44449837dceb30923012b201fe0152adc612160d0d040c9cfcd77e95f6801"),
    "camvid": (11, "97a8b28971b6f83cf8181955e4f98f58c3596d92fd170af6a011d24f281f36cc"),
}


def _with(document: dict[str, object], **changes: object) -> dict[str, object]:
    return {**document, **changes}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_strings_are_kept_to_the_byte(name: str) -> None:
    count, expected = PUBLISHED[name]
    prompts = Vocabulary.load(name).prompts
    assert len(prompts) == count
    assert hashlib.sha256("\n".join(prompts).encode()).hexdigest() == expected


def test_builtins_are_the_documented_eleven() -> None:
    assert builtin_names() == (*list(PUBLISHED)[:9], "camvid", "cityscapes19")
    assert all(builtin_about(name) for name in builtin_names())


@pytest.mark.parametrize(("name", "original"), [("ade150-d2", "ade150"), ("pc459-d2", "pc459")])
def test_lists_in_other_words_know_what_they_are(name: str, original: str) -> None:
    assert in_other_words(Vocabulary.load(name), original)
    assert not in_other_words(Vocabulary.load(original), original)
    assert not in_other_words(Vocabulary.load(name), None)


def test_words_of_detectron2_differ_from_ours_and_have_synonyms() -> None:
    words = Vocabulary.load("ade150-d2").prompts
    assert words[6] == "road, route"
    assert words[8] == "window "
    pairs = zip(words, Vocabulary.load("ade150").prompts, strict=True)
    assert sum(word.strip() != ours.strip() for word, ours in pairs) == 51
    spaced = Vocabulary.load("pc459-d2").prompts
    joined = zip(spaced, Vocabulary.load("pc459").prompts, strict=True)
    assert all(word.replace(" ", "") == ours for word, ours in joined)
    assert sum(" " in word for word in spaced) == 94


def test_cityscapes_is_in_the_order_of_its_train_ids() -> None:
    vocabulary = Vocabulary.load("cityscapes19")
    names = (
        "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, "
        "terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle"
    )
    assert ", ".join(vocabulary.prompts) == names
    assert vocabulary.palette[0].tolist() == [128, 64, 128]
    assert vocabulary.palette[13].tolist() == [0, 0, 142]


def test_trailing_space_of_bed_survives_everywhere_but_in_the_legend() -> None:
    vocabulary = Vocabulary.load("ade150")
    assert vocabulary.prompts[7] == vocabulary.outputs[7] == "bed "
    assert vocabulary.categories[7].synonyms == ("bed ",)
    assert vocabulary.display_names[7] == vocabulary.categories[7].display == "bed"


def test_ade847_splits_synonyms_at_comma_and_one_space() -> None:
    vocabulary = Vocabulary.load("ade847")
    several = [each for each in vocabulary.categories if len(each.synonyms) > 1]
    assert len(several) == 217
    assert all(", ".join(each.synonyms) == each.text for each in several)
    assert vocabulary.categories[1].synonyms == ("building", "edifice")
    computer = next(each for each in several if "c p u" in each.text)
    assert "c p u " in computer.synonyms  # the published space before the comma
    assert vocabulary.display_names[1] == "building"


@pytest.mark.parametrize("name", [name for name in builtin_names() if name != "voc20b"])
def test_plain_lists_map_every_category_to_its_own_output(name: str) -> None:
    vocabulary = Vocabulary.load(name)
    assert vocabulary.outputs == vocabulary.prompts
    assert vocabulary.output_map == tuple(range(len(vocabulary)))
    assert vocabulary.background is None


def test_voc20b_sends_every_prompt_from_20_on_to_the_background() -> None:
    vocabulary = Vocabulary.load("voc20b")
    assert len(vocabulary) == 59
    assert vocabulary.outputs == (*Vocabulary.load("voc20").outputs, "background")
    assert vocabulary.output_map == tuple(min(index, 20) for index in range(59))
    assert vocabulary.background == 20
    assert vocabulary.palette[20].tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", builtin_names())
def test_palette_is_uint8_and_all_different(name: str) -> None:
    vocabulary = Vocabulary.load(name)
    assert vocabulary.palette.dtype == numpy.uint8
    assert vocabulary.palette.shape == (len(vocabulary.outputs), 3)
    assert len(numpy.unique(vocabulary.palette, axis=0)) == len(vocabulary.outputs)
    for category in vocabulary.categories:
        assert tuple(vocabulary.palette[category.output].tolist()) == category.color


def test_palette_cannot_be_changed_from_outside() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Vocabulary.load("voc20").palette[0, 0] = 1


def test_voc_colors_follow_the_bit_formula() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 7: (128, 128, 128), 15: (192, 128, 128)}
    assert {index: voc_color(index) for index in known} == known
    assert voc_color(20) == (0, 64, 128)
    assert voc_color(255) == (224, 224, 192)
    assert Vocabulary.load("voc20").palette[14].tolist() == [192, 128, 128]  # person


def test_generated_colors_do_not_depend_on_how_many_there_are() -> None:
    assert generated_colors(847)[:150] == generated_colors(150)
    assert len(set(generated_colors(5000))) == 5000


def test_generated_colors_avoid_those_in_use() -> None:
    used = generated_colors(3)
    assert generated_colors(2, avoid=used) == generated_colors(5)[3:]


def test_from_names_keeps_order_and_splits_published_synonyms() -> None:
    vocabulary = Vocabulary.from_names(["road", "window, windowpane", "car; auto"], name="mine")
    assert vocabulary.name == "mine"
    assert vocabulary.prompts == ("road", "window, windowpane", "car; auto")
    assert [each.synonyms for each in vocabulary.categories] == [
        ("road",),
        ("window", "windowpane"),
        ("car", "auto"),
    ]


def test_a_comma_without_a_space_separates_nothing() -> None:
    assert Vocabulary.from_names(["a,b", "c"]).categories[0].synonyms == ("a,b",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no categories"),
        ([""], "Category 0 is '': empty"),
        (["road", " \t"], "Category 1 is"),
        (["road", "car", "road"], "Category 2 is 'road', which category 0 is already"),
        (["a, b", "a; b"], "Category 1 is 'a; b', which category 0 is already"),
        (["a, , b"], "Category 0: Synonym 1 of 'a, , b' is ''"),
        (["a, "], "Synonym 1"),
        (["a", 3], r"Category 1 is 3 \(int\); expected text"),
        (["a", "b\x00"], "not text"),
        (["a", "\ud800"], "not text"),
        ("road", "one string"),
    ],
)
def test_from_names_refuses(names: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.from_names(names)


def test_exact_duplicates_are_errors_but_case_is_not() -> None:
    assert len(Vocabulary.from_names(["Road", "road", "road "])) == 3


def _category(**changes: Any) -> Category:  # noqa: ANN401
    values = {"text": "road", "synonyms": ("road",), "color": (1, 2, 3), "output": 0}
    return Category(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": " "}, "white space"),
        ({"synonyms": ()}, r"synonyms \(\)"),
        ({"synonyms": ["road"]}, "synonyms"),
        ({"synonyms": ("road", "")}, "Synonym 1"),
        ({"color": (0, 0, 256)}, r"\[0, 0, 256\]; expected \[red, green, blue\]"),
        ({"color": (0, -1, 0)}, "0 to 255"),
        ({"color": (0, 0)}, "red, green, blue"),
        ({"color": (0, 0, 1.5)}, "color"),
        ({"color": "red"}, "color"),
        ({"output": -1}, "output -1"),
        ({"output": True}, "output True"),
    ],
)
def test_category_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        _category(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary("v", (), ()), "no categories"),
        (lambda: Vocabulary("", (_category(),), ("road",)), "name of the vocabulary"),
        (lambda: Vocabulary("v", (_category(output=1),), ("road",)), "maps to output 1, but"),
        (lambda: Vocabulary("v", (_category(),), ("road", "sky")), "No category maps to .*'sky'"),
        (lambda: Vocabulary("v", (_category(),), ("road", "road")), "Output 1 is 'road'"),
        (lambda: Vocabulary("v", (_category(),), ("",)), "name of output 0"),
        (lambda: Vocabulary("v", (_category(), _category()), ("road",)), "Category 1 is 'road'"),
        (lambda: Vocabulary("v", (_category(),), ("road",), background=1), "background is out"),
        (lambda: Vocabulary("v", (_category(),), ("road",), background=True), "background"),
        (
            lambda: Vocabulary(
                "v",
                (_category(), _category(text="a", synonyms=("a",), color=(9, 9, 9))),
                ("road",),
            ),
            "two colors",
        ),
    ],
)
def test_vocabulary_refuses(make: Callable[[], Vocabulary], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        make()


def test_65535_outputs_fit_and_one_more_does_not() -> None:
    names = [f"thing {index}" for index in range(65536)]
    assert len(Vocabulary.from_names(names[:-1]).outputs) == 65535
    with pytest.raises(VocabularyError, match="65536 outputs; at most 65535"):
        Vocabulary.from_names(names)


def test_vocabulary_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Vocabulary.load("voc20").name = "mine"  # type: ignore[misc]


def test_hash_depends_on_what_changes_results_and_on_nothing_else() -> None:
    base = Vocabulary.from_names(["road", "window, windowpane"])
    first, second = base.categories
    same = [
        replace(base, name="other"),
        replace(base, categories=(replace(first, color=(7, 7, 7)), second)),
    ]
    swapped = replace(second, synonyms=second.synonyms[::-1])
    other = [
        Vocabulary.from_names(["window, windowpane", "road"]),
        Vocabulary.from_names(["road ", "window, windowpane"]),
        replace(base, categories=(first, swapped)),
        replace(base, outputs=("road", "glass")),
        replace(base, background=1),
        replace(base, outputs=base.outputs[::-1]),
    ]
    assert {each.sha256 for each in same} == {base.sha256}
    hashes = {each.sha256 for each in (base, *other)}
    assert len(hashes) == 1 + len(other)
    assert all(len(each) == 64 for each in hashes)


def test_hash_is_the_same_in_every_process_and_version() -> None:
    # A change of this value makes every embedding pack and cache invalid: do not mend it lightly.
    expected = "9c76263ab5af93fada3c2893a7ee65f267424173e4d60564c7c00828a2e66f92"
    assert Vocabulary.load("ade150").sha256 == expected


@pytest.mark.parametrize("name", builtin_names())
def test_json_round_trip_is_exact(name: str) -> None:
    vocabulary = Vocabulary.load(name)
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary
    assert again.sha256 == vocabulary.sha256
    numpy.testing.assert_array_equal(again.palette, vocabulary.palette)


def test_json_may_leave_out_the_hash_and_the_background() -> None:
    document = Vocabulary.from_names(["road", "car"]).to_json()
    del document["sha256"], document["background"]
    assert Vocabulary.from_json(document).prompts == ("road", "car")


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    document["categories"][1]["text"] = "bus"
    return document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: [], "Found list; expected an object"),
        (lambda d: _with(d, schema=2), "schema 2; this version reads schema 1"),
        (lambda d: _with(d, schema=2, extra=1), "schema 2"),
        (lambda d: _with(d, schema=True), "schema True"),
        (lambda d: _with(d, schema="1"), "schema '1'"),
        (lambda d: _with(d, color=1), "'color' is not known"),
        (lambda d: {k: v for k, v in d.items() if k != "outputs"}, "'outputs' is missing"),
        (lambda d: _with(d, categories={}), "'categories' is dict; expected a list"),
        (lambda d: _with(d, categories=[]), "no categories"),
        (lambda d: _with(d, categories=[3]), "Category 0: Found int"),
        (lambda d: _with(d, outputs=[{"name": "a"}]), "Output 0: The key 'color' is missing"),
        (lambda d: _with(d, outputs=[{"name": "a", "color": [0, 0, 300]}]), r"Output 0: .*300"),
        (lambda d: _with(d, outputs=[{"name": "a", "color": 5}]), "'color' is int"),
        (lambda d: _with(d, outputs=[{"name": [], "color": [0, 0, 1]}]), "Category 1: The output"),
        (lambda d: _with(d, name=3), "name of the vocabulary is 3"),
        (lambda d: _with(d, background="road"), "background is output 'road'"),
        (lambda d: _with(d, sha256="0" * 64), "changed after it was written"),
        (_renamed, "changed after it was written"),
        (
            lambda d: _with(d, categories=[{"text": "a", "synonyms": "a", "output": 0}]),
            "Category 0: 'synonyms' is str; expected a list",
        ),
        (
            lambda d: _with(d, categories=[{"text": 1, "synonyms": ["a"], "output": 0}]),
            "Category 0: The name of a category is 1",
        ),
        (
            lambda d: _with(d, categories=[{"text": "a", "synonyms": [[]], "output": 0}]),
            "Category 0: Synonym 0",
        ),
        (
            lambda d: _with(d, categories=[{"text": "a", "synonyms": ["a"], "output": "0"}]),
            "Category 0: The output is '0'; expected an integer from 0 to 1",
        ),
    ],
)
def test_from_json_refuses(change: Callable[[dict[str, object]], object], message: str) -> None:
    document = Vocabulary.from_names(["road", "car"]).to_json()
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.from_json(change(document))


def test_importing_needs_neither_torch_nor_onnx() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'open_clip', 'onnxruntime', 'cv2'):\n"
        "    sys.modules[name] = None\n"
        "from edge_ovss.vocabulary import Vocabulary, lint\n"
        "print(len(lint(Vocabulary.load('ade150'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_categories_that_repeat_synonyms_only_are_refused_by_their_numbers() -> None:
    first, second, third = (
        Category(text, synonyms, (0, 0, 0), index)
        for index, (text, synonyms) in enumerate(
            [("road", ("road",)), ("car", ("car",)), ("street", ("road",))]
        )
    )
    with pytest.raises(VocabularyError, match=r"Category 2 .*'street'.*category 0") as refused:
        Vocabulary("v", (first, second, third), ("road", "car", "street"))
    assert "Category 1" not in str(refused.value)
    with pytest.raises(VocabularyError, match="no categories"):
        Vocabulary("v", [first], ("road",))  # type: ignore[arg-type]
