"""Trees, lamps, signs and traffic lights."""

from __future__ import annotations

import numpy as np

from edge_ovss.synthetic import classes
from edge_ovss.synthetic.canvas import Canvas, Color, shade
from edge_ovss.synthetic.rng import Random
from edge_ovss.synthetic.surfaces import Point
from edge_ovss.synthetic.texture import sample

_LEAVES: tuple[Color, ...] = (
    (66, 98, 48),
    (84, 116, 54),
    (54, 82, 48),
    (110, 122, 60),
    (150, 120, 56),
    (96, 92, 70),
)
_METALS: tuple[Color, ...] = ((70, 74, 76), (110, 114, 116), (52, 60, 56), (150, 152, 150))


def draw_tree(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a tree at (x, z): trunk, branches, and a crown that may be thin or nearly bare."""
    (x, z), tall = at, random.between(380, 1000)
    bark = shade(
        random.choice(((88, 70, 56), (70, 62, 56), (110, 98, 84))), random.between(85, 110)
    )
    leaf = shade(random.choice(_LEAVES), random.between(85, 112))
    trunk, spread = tall * random.between(22, 40) // 100, tall * random.between(26, 42) // 100
    thick = tall // random.between(22, 34)
    bare = random.chance(18)
    canvas.shadow(
        [
            (x - spread, 0, z + 120),
            (x + spread, 0, z + 120),
            (x + spread, 0, z - 60),
            (x - spread, 0, z - 60),
        ],
        keep=165,
    )
    stem: list[Point] = [
        (x - thick, 0, z),
        (x + thick, 0, z),
        (x + thick // 2, trunk * 3 // 2, z),
        (x - thick // 2, trunk * 3 // 2, z),
    ]
    canvas.polygon(stem, color=bark, label=classes.TREE)
    for _ in range(12 if bare else 4):
        end = (x + random.between(-spread, spread), random.between(trunk * 5 // 4, tall), z)
        start = (x + random.between(-thick, thick) // 2, random.between(trunk, trunk * 3 // 2), z)
        canvas.bar(start, end, thick=thick * 2 // 3, color=shade(bark, 90), label=classes.TREE)
    for number in range(7):
        radius = spread * random.between(45, 70) // 100
        center = (
            x + random.between(-spread, spread) * 6 // 10,
            random.between(trunk + radius // 2, max(tall - radius, trunk + radius)),
            z,
        )
        tone = 78 + number * 6 + random.between(-5, 5)
        _draw_leaves(canvas, random, center, radius=radius, color=shade(leaf, tone), bare=bare)


def _draw_leaves(
    canvas: Canvas, random: Random, center: Point, *, radius: int, color: Color, bare: bool
) -> None:
    """A ragged clump of leaves: an ellipse whose edge and inside follow a texture."""
    focal, depth = canvas.camera.focal, max(center[2] - canvas.camera.ahead, 1)
    reach = radius * 5 // 4 * focal // depth
    middle = canvas.camera.screen(center)
    box, distance = canvas.inside_ellipse(middle, (reach, reach * random.between(80, 105) // 100))
    shift = random.between(0, 1 << 16)
    rows = ((canvas.y[box.rows] - middle[1]) * depth // focal >> 2) + shift
    cols = ((canvas.x[box.cols] - middle[0]) * depth // focal >> 2) + (shift >> 3)
    noise = sample("leaf", rows, cols).astype(np.int64)
    mask = distance + noise * 190 <= (12000 if bare else 48000)
    if bare:
        mask &= noise < -20
    canvas.fill(box, mask, color=color, label=classes.TREE, points=[center])
    if canvas.hidden:
        return
    image = canvas.image[box.rows, box.cols]
    gain = 256 + noise[mask] * 3 // 4
    image[mask] = np.clip(image[mask] * gain[:, None] >> 8, 0, 255).astype(np.uint8)


def draw_bush(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a bush at (x, z)."""
    (x, z), leaf = at, shade(random.choice(_LEAVES[:4]), random.between(80, 105))
    for _ in range(3):
        radius = random.between(45, 85)
        center = (x + random.between(-70, 70), radius * 3 // 4, z)
        _draw_leaves(canvas, random, center, radius=radius, color=leaf, bare=False)


def draw_lamp(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a street lamp at (x, z), its arm over the road."""
    (x, z), label = at, classes.STREETLIGHT
    tall, metal = random.between(480, 850), random.choice(_METALS)
    inward = -1 if x > 0 else 1
    canvas.bar((x, 0, z), (x, tall, z), thick=24, color=metal, label=label)
    canvas.bar((x, 0, z), (x, 110, z), thick=34, color=shade(metal, 90), label=label)
    if random.chance(70):
        reach = x + inward * random.between(80, 190)
        canvas.bar((x, tall - 6, z), (reach, tall + 14, z), thick=18, color=metal, label=label)
        head = [
            (reach, tall + 2, z),
            (reach, tall + 24, z),
            (reach + inward * 55, tall + 22, z),
            (reach + inward * 60, tall + 6, z),
        ]
        canvas.polygon(head, color=shade(metal, 130), label=label)
    else:
        canvas.ellipse((x, tall + 20, z), (26, 30), color=(232, 230, 214), label=label)
        canvas.rect((x - 20, tall + 42, z), (x + 20, tall + 52, z), color=metal, label=label)


def draw_post(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a bare pole or a row of bollards at (x, z)."""
    (x, z), metal = at, random.choice(_METALS)
    if random.chance(50):
        tall = random.between(500, 900)
        canvas.bar((x, 0, z), (x, tall, z), thick=28, color=metal, label=classes.POLE)
        return
    for step in range(3):
        depth = z + (2 - step) * 170
        canvas.bar((x, 0, depth), (x, 95, depth), thick=24, color=metal, label=classes.POLE)
        canvas.bar(
            (x, 80, depth), (x, 90, depth), thick=26, color=(210, 210, 206), label=classes.POLE
        )


def draw_sign(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a traffic sign, a board or a banner on its pole at (x, z)."""
    (x, z), metal, label = at, random.choice(_METALS), classes.SIGNBOARD
    up = random.between(210, 300)
    canvas.bar((x, 0, z), (x, up + 30, z), thick=16, color=metal, label=classes.POLE)
    kind = random.choice(("round", "triangle", "board", "banner"))
    if kind == "round":
        red: Color = random.choice(((186, 26, 30), (30, 70, 150)))
        canvas.ellipse((x, up, z), (36, 36), color=red, label=label)
        canvas.ellipse(
            (x, up, z), (26, 26), color=random.choice(((236, 236, 232), red)), label=label
        )
        canvas.rect((x - 16, up - 4, z), (x + 16, up + 4, z), color=(40, 40, 44), label=label)
    elif kind == "triangle":
        canvas.polygon(
            [(x - 44, up - 34, z), (x + 44, up - 34, z), (x, up + 42, z)],
            color=(190, 30, 34),
            label=label,
        )
        canvas.polygon(
            [(x - 25, up - 24, z), (x + 25, up - 24, z), (x, up + 20, z)],
            color=(238, 238, 232),
            label=label,
        )
    else:
        _draw_board(canvas, random, (x, z), up=up, banner=kind == "banner")


def _draw_board(
    canvas: Canvas, random: Random, at: tuple[int, int], *, up: int, banner: bool
) -> None:
    """A board with lines of writing, lying or upright."""
    (x, z), label = at, classes.SIGNBOARD
    half, tall = (40, 170) if banner else (random.between(60, 130), random.between(60, 130))
    base = random.choice(
        ((30, 80, 60), (30, 60, 130), (232, 230, 222), (170, 34, 40), (220, 180, 50))
    )
    canvas.rect((x - half, up, z), (x + half, up + tall, z), color=base, label=label)
    ink: Color = (240, 240, 236) if sum(base) < 420 else (40, 44, 60)
    for line in range(up + 16, up + tall - 14, 28):
        width = random.between(half // 3, half - 10)
        canvas.rect(
            (x - half + 9, line, z), (x - half + 9 + width, line + 9, z), color=ink, label=label
        )


def draw_traffic_light(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a traffic light at (x, z): the pole is a pole, the housing is a traffic light."""
    (x, z), label = at, classes.TRAFFIC_LIGHT
    canvas.bar((x, 0, z), (x, 330, z), thick=20, color=(60, 62, 64), label=classes.POLE)
    canvas.rect((x - 24, 228, z), (x + 24, 338, z), color=(206, 206, 202), label=label)
    canvas.rect((x - 20, 232, z), (x + 20, 334, z), color=(26, 28, 28), label=label)
    lit = random.between(0, 2)
    lamps: tuple[Color, ...] = ((240, 50, 40), (250, 180, 40), (60, 230, 130))
    for number, lamp in enumerate(lamps):
        color = lamp if number == lit else shade(lamp, 24)
        canvas.ellipse((x, 316 - number * 33, z), (12, 13), color=color, label=label)
