"""Colours of the outputs: customary ones where there are any, otherwise by a formula."""

from __future__ import annotations

import colorsys
from collections.abc import Collection
from itertools import count as natural_numbers

Color = tuple[int, int, int]

# In the order of the train ids.
CITYSCAPES: tuple[Color, ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (0, 80, 100),
    (0, 0, 230),
    (119, 11, 32),
)

# sky, building, pole, road, pavement, tree, sign symbol, fence, car, pedestrian, bicyclist.
CAMVID: tuple[Color, ...] = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (0, 0, 192),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)

# Irrational steps (powers of the inverse of the root of x^4 = x + 1): hue, saturation and value
# walk through the colour cone without ever coming back to the same point.
_STEPS = (0.6180339887498949, 0.6710436067037893, 0.5497004779019703)


def voc_color(index: int) -> Color:
    """Return PASCAL VOC's colour of label `index` (0 = background = black).

    The bits of the index, lowest first, are dealt to red, green and blue in turn and fill each
    byte from its highest bit.
    """
    red = green = blue = 0
    for bit in range(8):
        red |= (index >> 3 * bit & 1) << 7 - bit
        green |= (index >> 3 * bit + 1 & 1) << 7 - bit
        blue |= (index >> 3 * bit + 2 & 1) << 7 - bit
    return red, green, blue


def generated_color(index: int) -> Color:
    """Return colour `index` of the generated walk: neighbours differ by 0.618 of the hue circle.

    Saturation is at least 0.45 and value at least 0.55: never black, grey or white.
    """
    hue, saturation, value = (index * step % 1.0 for step in _STEPS)
    channels = colorsys.hsv_to_rgb(hue, 1.0 - 0.55 * saturation, 1.0 - 0.45 * value)
    red, green, blue = (round(255 * channel) for channel in channels)
    return red, green, blue


def generated_colors(count: int, *, avoid: Collection[Color] = ()) -> list[Color]:
    """Return `count` colours of the walk, all different and none of them in `avoid`."""
    used = set(avoid)
    colors: list[Color] = []
    for index in natural_numbers():
        if len(colors) == count:
            break
        color = generated_color(index)
        if color not in used:
            used.add(color)
            colors.append(color)
    return colors
