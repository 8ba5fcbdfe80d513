"""Draw text into images, as well as the installed OpenCV can."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require

Color = tuple[int, int, int]

# Height of a capital letter: of the Hershey fonts at scale 1, of OpenCV 5's "sans" per point.
_HERSHEY_CAPITAL = 22.0
_SANS_CAPITAL = 0.70
_WEIGHT = 430
_SMALL = 13.0
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI"})
# Unicode categories of combining marks and of invisible characters.
_NO_LETTERS = "MC"


class Lettering:
    """Draws text of one size.

    OpenCV 5 has a font for Latin, Greek, Cyrillic, Chinese, Japanese and Korean. OpenCV 4 draws
    only ASCII, so letters lose their accents. `can_draw` detects text that is drawn wrongly.

    Args:
        capital: Height of a capital letter in pixels.
    """

    def __init__(self, capital: float) -> None:
        self.capital = capital
        self._cv2 = require("cv2", extra="onnxruntime")
        has_font = hasattr(self._cv2, "FontFace")
        self._font: Any = self._cv2.FontFace("sans") if has_font else None

    def width(self, text: str) -> int:
        """Return the width of `text` in pixels."""
        cv2 = self._cv2
        if self._font is not None:
            empty = (0, 0)
            box = cv2.getTextSize(empty, text, empty, self._font, self._points, _WEIGHT)
            return int(box[0] + box[2])
        size, _ = cv2.getTextSize(to_ascii(text), self._face, self._scale, self._stroke)
        return int(size[0])

    def can_draw(self, text: str) -> bool:
        """Whether `text` can be drawn correctly, apart from accents.

        OpenCV places glyphs one after the other, from left to right. That is wrong for Arabic and
        Hebrew, and for combining marks, as in Thai or Hindi. Missing glyphs become question marks.
        """
        return all(
            unicodedata.bidirectional(char) not in _RIGHT_TO_LEFT
            and unicodedata.category(char)[0] not in _NO_LETTERS
            and self._has_glyph(char)
            for char in unicodedata.normalize("NFC", text)
        )

    def _has_glyph(self, char: str) -> bool:
        if self._font is None:
            return char == "?" or "?" not in to_ascii(char)
        return " " <= char <= "~" or _font_has(char)

    def fit(self, text: str, width: int) -> str:
        """Return `text`, shortened with "..." to at most `width` pixels."""
        if self.width(text) <= width:
            return text
        for end in range(len(text) - 1, 0, -1):
            short = text[:end].rstrip() + "..."
            if self.width(short) <= width:
                return short
        return ""

    def draw(self, image: NDArray[np.uint8], text: str, at: tuple[int, int], ink: Color) -> None:
        """Draw `text` into `image` (uint8 [H, W, 3]); its baseline starts at `at` = (x, y)."""
        cv2 = self._cv2
        if self._font is not None:
            text = unicodedata.normalize("NFC", text)
            cv2.putText(image, text, at, ink, self._font, self._points, _WEIGHT)
            return
        words, scale, stroke = to_ascii(text), self._scale, self._stroke
        cv2.putText(image, words, at, self._face, scale, ink, stroke, cv2.LINE_AA)

    @property
    def _points(self) -> int:
        return max(1, round(self.capital / _SANS_CAPITAL))

    @property
    def _face(self) -> int:
        # Duplex doubles every stroke, which is too bold for small letters.
        small = self.capital < _SMALL
        return int(self._cv2.FONT_HERSHEY_SIMPLEX if small else self._cv2.FONT_HERSHEY_DUPLEX)

    @property
    def _scale(self) -> float:
        return self.capital / _HERSHEY_CAPITAL

    @property
    def _stroke(self) -> int:
        return max(1, round(self.capital / 14))


@lru_cache(maxsize=4096)
def _font_has(char: str) -> bool:
    """Whether the font of OpenCV 5 has a glyph, rather than drawing a question mark."""
    return _glyph(char) != _glyph("?")


def _glyph(char: str) -> bytes:
    cv2 = require("cv2", extra="onnxruntime")
    paper = np.zeros((24, 40, 3), np.uint8)
    cv2.putText(paper, char, (4, 18), (255, 255, 255), cv2.FontFace("sans"), 14, _WEIGHT)
    return paper.tobytes()


def to_ascii(text: str) -> str:
    """Return `text` without accents, and with "?" for other characters outside printable ASCII."""
    plain = unicodedata.normalize("NFKD", text)
    kept = (char for char in plain if not unicodedata.combining(char))
    return "".join(char if " " <= char <= "~" else "?" for char in kept)
