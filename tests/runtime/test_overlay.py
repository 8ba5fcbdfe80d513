"""Overlays show the picture whole, the categories in their colors, and a legend beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import UsageError
from edge_ovss.frames.source_notes import SourceNote
from edge_ovss.runtime.draw_text import Lettering, to_ascii
from edge_ovss.runtime.legend import PAPER, LegendEntry, draw_legend
from edge_ovss.runtime.overlay import (
    _borders,
    blend,
    draw_overlay,
    legend_entries,
    paint,
    write_overlay,
)
from edge_ovss.runtime.result import Result

cv2: Any = pytest.importorskip("cv2")

PALETTE = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)


def answer(labels: NDArray[Any], names: tuple[str, ...] = ("road", "car", "sky")) -> Result:
    none = np.zeros(0, np.int32)
    return Result(labels, names, none, np.zeros(3, np.int32), None, {})


def gray(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 100, np.uint8)


def test_colors_are_mixed_by_alpha() -> None:
    labels = np.zeros((4, 4), np.uint8)
    assert blend(gray(4, 4), labels, PALETTE, alpha=0.0).tolist() == gray(4, 4).tolist()
    assert blend(gray(4, 4), labels, PALETTE, alpha=1.0)[0, 0].tolist() == [200, 0, 0]
    assert blend(gray(4, 4), labels, PALETTE, alpha=0.5)[0, 0].tolist() == [150, 50, 50]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_of_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="0 to 1"):
        blend(gray(2, 2), np.zeros((2, 2), np.uint8), PALETTE, alpha=alpha)


def test_borders_are_darker_than_either_side() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[:, 5:] = 1
    mixed = blend(gray(10, 10), labels, PALETTE).sum(-1)
    assert (mixed[:, 4] < mixed[:, 2]).all()
    assert (mixed[:, 5] == mixed[:, 8]).all()


@pytest.mark.parametrize(
    "size", [(1, 1), (31, 47), (47, 31), (360, 480), (480, 360), (1, 900), (900, 1)]
)
def test_the_legend_never_covers_the_picture(size: tuple[int, int]) -> None:
    height, width = size
    labels = (np.arange(height * width).reshape(size) % 3).astype(np.uint8)
    shown = draw_overlay(gray(*size), answer(labels), PALETTE)
    expected = blend(gray(*size), labels, PALETTE)
    assert np.array_equal(shown[:height, :width], expected)
    beyond = shown[height:] if width >= height else shown[:, width:]
    assert (beyond == PAPER).any()
    assert (beyond != PAPER).any()


def test_the_legend_lists_what_is_there_with_the_largest_first() -> None:
    labels = np.array([[2, 2, 2, 0]], np.uint8)
    lines = legend_entries(answer(labels), PALETTE)
    assert [(line.name, line.color, line.percent) for line in lines] == [
        ("sky", (0, 0, 200), "75.0 %"),
        ("road", (200, 0, 0), "25.0 %"),
    ]


def test_what_does_not_fit_the_legend_is_summed() -> None:
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    names = tuple(f"name{i}" for i in range(20))
    palette = np.zeros((20, 3), np.uint8)
    lines = legend_entries(answer(labels, names), palette, entries=4)
    assert len(lines) == 5
    assert (lines[-1].name, lines[-1].color) == ("16 others", None)
    assert lines[-1].share == pytest.approx(0.8)
    assert len(legend_entries(answer(labels, names), palette, entries=19)) == 20


def test_a_share_too_small_to_print_is_not_printed_as_zero() -> None:
    assert LegendEntry("pole", (0, 0, 0), 0.0004).percent == "< 0.1 %"


@pytest.mark.parametrize("name", ["Straße", "日本", "a" * 300, "", "tab\tand\nline", "🙂"])
@pytest.mark.parametrize("has_font", [True, False], ids=["opencv5", "opencv4"])
def test_any_name_can_be_written(
    monkeypatch: pytest.MonkeyPatch, name: str, has_font: bool
) -> None:
    if not has_font:
        monkeypatch.delattr(cv2, "FontFace", raising=False)
    strip = draw_legend([LegendEntry(name, (10, 200, 10), 0.5)], height=100, width=200)
    assert bool((strip == np.array([10, 200, 10])).all(-1).any())
    assert (strip.min(-1) < 150).any()


def test_long_names_are_cut_to_their_room() -> None:
    lettering = Lettering(10)
    short = lettering.fit("a very long name of a category", 120)
    assert short.endswith("...")
    assert 60 < lettering.width(short) <= 120
    assert lettering.fit("sky", 120) == "sky"


def test_ascii_keeps_the_letters_under_accents() -> None:
    assert to_ascii("été Größe 日") == "ete Gro?e ?"


def test_writing_grows_with_the_picture() -> None:
    lines = [LegendEntry("road", (1, 2, 3), 1.0)]
    small = draw_legend(lines, height=360, width=480)
    large = draw_legend(lines, height=3000, width=4000)
    assert large.shape[0] > 4 * small.shape[0]


def test_a_large_overlay_with_wide_labels_is_written(tmp_path: Path) -> None:
    labels = np.zeros((900, 1200), np.uint16)
    labels[:, 600:] = 299
    palette = np.full((300, 3), 128, np.uint8)
    names = tuple(f"name{i}" for i in range(300))
    write_overlay(tmp_path / "a.png", gray(900, 1200), answer(labels, names), palette)
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == 1200


FONT = hasattr(cv2, "FontFace")


@pytest.mark.parametrize(
    "name", ["road", "traffic sign 2", "été", "e\u0301te\u0301", "?", "a?b", ""]
)
def test_latin_names_can_be_drawn_with_every_opencv(name: str) -> None:
    assert Lettering(12).can_draw(name)


@pytest.mark.parametrize(("name", "drawn"), [("?", True), ("a?é", True), ("ж?", False)])
def test_without_a_font_a_question_mark_is_itself_and_nothing_else_becomes_one(
    monkeypatch: pytest.MonkeyPatch, name: str, drawn: bool
) -> None:
    monkeypatch.delattr(cv2, "FontFace", raising=False)
    assert Lettering(12).can_draw(name) is drawn


@pytest.mark.parametrize("name", ["狗", "дорога", "οδός", "Größe", "日本", "한국"])
def test_other_letters_can_be_drawn_where_opencv_has_its_font(name: str) -> None:
    assert Lettering(12).can_draw(name) is FONT


@pytest.mark.parametrize(
    "name",
    [
        "สวัสดี",
        "كلب",
        "שלום",
        "हिन्दी",
        "ქართული",
        "தமிழ்",
        "road 🐶",
        "a\u200db",
        "q\u0301",
        "\x1b[2J",
    ],
)
def test_what_would_be_question_marks_or_unjoined_cannot(name: str) -> None:
    assert not Lettering(12).can_draw(name)


def test_names_that_cannot_be_drawn_are_numbers_in_the_legend_and_told() -> None:
    labels = np.zeros((8, 8), np.uint8)
    labels[4:] = 2
    names = ("sky", "never", "ถนน", "كلب")
    palette = np.zeros((4, 3), np.uint8)
    with pytest.warns(SourceNote, match="#2 stands for 'ถนน'") as said:
        lines = legend_entries(answer(labels, names), palette)
    assert [line.name for line in lines] == ["sky", "#2"]
    assert len(said) == 1


@pytest.mark.parametrize(("side", "thickness"), [(3, 1), (880, 1), (920, 2), (1480, 2), (1520, 3)])
def test_borders_are_as_thick_as_the_picture_is_large(side: int, thickness: int) -> None:
    labels = np.zeros((side, side), np.uint8)
    labels[:, side // 2 :] = 1
    border = _borders(labels)
    assert (border.sum(axis=1) == thickness).all()
    assert border[0, side // 2 - 1] or border[0, side // 2]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_unknown_is_not_painted_over_and_stands_last_in_the_legend(dtype: Any) -> None:  # noqa: ANN401
    labels = np.zeros((10, 10), dtype)
    labels[:, 4:] = np.iinfo(dtype).max
    labels[0, 9] = 2
    frame = np.random.default_rng(0).integers(0, 256, (10, 10, 3), np.uint8)
    mixed = blend(frame, labels, PALETTE)
    unknown = labels == np.iinfo(dtype).max
    assert np.array_equal(mixed[unknown], frame[unknown])
    assert not np.array_equal(mixed[~unknown], frame[~unknown])
    lines = legend_entries(answer(labels), PALETTE)
    assert [line.name for line in lines] == ["road", "sky", "unknown"]
    assert sum(line.share for line in lines) == pytest.approx(1)
    assert lines[-1].color == (PAPER, PAPER, PAPER)
    assert paint(labels, PALETTE)[0, 5].tolist() == [0, 0, 0]
    assert draw_overlay(frame, answer(labels), PALETTE).shape[0] > 10
