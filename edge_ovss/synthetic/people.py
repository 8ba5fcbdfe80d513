"""People on foot and on bicycles."""

from __future__ import annotations

from edge_ovss.synthetic import classes
from edge_ovss.synthetic.canvas import Canvas, Color, shade
from edge_ovss.synthetic.rng import Random
from edge_ovss.synthetic.surfaces import Point

_CLOTHES: tuple[Color, ...] = (
    (34, 36, 42),
    (52, 62, 92),
    (120, 30, 36),
    (196, 190, 180),
    (70, 92, 70),
    (130, 112, 88),
    (196, 120, 40),
    (80, 80, 86),
    (150, 60, 100),
    (40, 90, 140),
)
_SKINS: tuple[Color, ...] = ((226, 186, 156), (190, 140, 108), (128, 88, 66), (240, 204, 178))
_HAIRS: tuple[Color, ...] = ((40, 30, 26), (96, 70, 46), (170, 136, 84), (60, 58, 58))


def draw_person(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint someone who walks or stands at (x, z)."""
    (x, z), label = at, classes.PERSON
    size, stride = random.between(62, 108), random.between(0, 32)
    turn = random.choice((-1, 1))
    top, legs = random.choice(_CLOTHES), random.choice(_CLOTHES)
    skin, hair = random.choice(_SKINS), random.choice(_HAIRS)

    def spot(along: int, up: int) -> Point:
        return x + turn * along * size // 100, up * size // 100, z

    canvas.shadow(
        [(x - 30, 0, z + 25), (x + 30, 0, z + 25), (x + 30, 0, z - 12), (x - 30, 0, z - 12)],
        keep=150,
    )
    for foot, tone in ((-stride, 80), (stride, 100)):
        leg = [spot(-12, 92), spot(12, 92), spot(foot + 9, 4), spot(foot - 9, 4)]
        canvas.polygon(leg, color=shade(legs, tone), label=label)
        canvas.polygon(
            [spot(foot - 9, 0), spot(foot - 9, 8), spot(foot + 16, 7), spot(foot + 16, 0)],
            color=(34, 30, 30),
            label=label,
        )
    if random.chance(25):
        coat = [spot(-20, 130), spot(20, 130), spot(27, 55), spot(-27, 55)]
        canvas.polygon(coat, color=top, label=label)
    arm = [spot(-22, 144), spot(-30, 140), spot(-28 - stride // 3, 82), spot(-20 - stride // 3, 82)]
    canvas.polygon(arm, color=shade(top, 82), label=label)
    canvas.polygon(
        [spot(-23, 146), spot(23, 146), spot(17, 84), spot(-17, 84)], color=top, label=label
    )
    arm = [spot(20, 144), spot(29, 140), spot(27 + stride // 3, 82), spot(19 + stride // 3, 82)]
    canvas.polygon(arm, color=shade(top, 90), label=label)
    if random.chance(35):
        bag = [spot(-34, 120), spot(-20, 124), spot(-18, 84), spot(-34, 88)]
        canvas.polygon(bag, color=random.choice(_CLOTHES), label=label)
    radii = (11 * size // 100, 14 * size // 100)
    canvas.rect(spot(-5, 143), spot(5, 155), color=shade(skin, 85), label=label)
    canvas.ellipse(spot(0, 163), radii, color=skin, label=label)
    canvas.ellipse(spot(-2, 169), (radii[0], radii[1] * 2 // 3), color=hair, label=label)


def draw_bicyclist(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a bicycle and who rides it at (x, z), from the side or from an end."""
    if random.chance(45):
        _draw_rider_side(canvas, random, at)
    else:
        _draw_rider_end(canvas, random, at)


def _draw_rider_side(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """A rider that crosses the street."""
    (x, z), label, turn = at, classes.BICYCLIST, random.choice((-1, 1))
    frame, top, legs = (random.choice(_CLOTHES) for _ in range(3))
    skin = random.choice(_SKINS)

    def spot(along: int, up: int) -> Point:
        return x + turn * along, up, z

    canvas.shadow(
        [(x - 90, 0, z + 25), (x + 90, 0, z + 25), (x + 90, 0, z - 10), (x - 90, 0, z - 10)],
        keep=150,
    )
    for hub in (-54, 54):
        canvas.spokes(spot(hub, 34), 34, label=label)
        canvas.ellipse(spot(hub, 34), (34, 34), color=(28, 28, 30), label=label, hole=205)
        canvas.ellipse(spot(hub, 34), (6, 6), color=(60, 60, 62), label=label)
    tubes = [
        ((-54, 34), (-18, 88)),
        ((-18, 84), (40, 84)),
        ((-6, 32), (40, 84)),
        ((-54, 34), (-6, 32)),
    ]
    tubes += [((54, 34), (40, 98)), ((-6, 32), (-20, 92))]
    for start, end in tubes:
        canvas.bar(spot(*start), spot(*end), thick=6, color=frame, label=label)
    hip, knee = (-18, 98), (16, random.between(60, 78))
    for foot, tone in (((-8, 20), 75), ((4, 34), 100)):
        canvas.bar(spot(*hip), spot(*knee), thick=19, color=shade(legs, tone), label=label)
        canvas.bar(spot(*knee), spot(*foot), thick=14, color=shade(legs, tone), label=label)
    back = [spot(-32, 98), spot(-8, 96), spot(32, 138), spot(8, 152)]
    canvas.polygon(back, color=top, label=label)
    canvas.bar(spot(22, 138), spot(44, 104), thick=11, color=shade(top, 85), label=label)
    canvas.ellipse(spot(30, 162), (12, 15), color=skin, label=label)
    canvas.ellipse(spot(29, 170), (14, 9), color=random.choice(_CLOTHES), label=label)


def _draw_rider_end(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """A rider along the street, seen from the front or from behind."""
    (x, z), label = at, classes.BICYCLIST
    top, legs = random.choice(_CLOTHES), random.choice(_CLOTHES)

    def spot(along: int, up: int) -> Point:
        return x + along, up, z

    canvas.shadow(
        [(x - 25, 0, z + 90), (x + 25, 0, z + 90), (x + 25, 0, z - 10), (x - 25, 0, z - 10)],
        keep=150,
    )
    canvas.ellipse(spot(0, 34), (6, 34), color=(28, 28, 30), label=label)
    canvas.rect(spot(-3, 60), spot(3, 100), color=(70, 70, 74), label=label)
    canvas.rect(spot(-30, 102), spot(30, 107), color=(40, 40, 42), label=label)
    for foot, drop in ((-14, 30), (14, 16)):
        leg = [
            spot(foot - 10, 100),
            spot(foot + 10, 100),
            spot(foot + 7, drop),
            spot(foot - 7, drop),
        ]
        canvas.polygon(leg, color=shade(legs, 90 if foot < 0 else 100), label=label)
    canvas.polygon(
        [spot(-22, 150), spot(22, 150), spot(18, 92), spot(-18, 92)], color=top, label=label
    )
    for side in (-1, 1):
        arm = [
            spot(side * 20, 148),
            spot(side * 30, 140),
            spot(side * 31, 104),
            spot(side * 23, 104),
        ]
        canvas.polygon(arm, color=shade(top, 85), label=label)
    canvas.ellipse(spot(0, 164), (11, 15), color=random.choice(_SKINS), label=label)
    canvas.ellipse(spot(0, 171), (13, 9), color=random.choice(_CLOTHES), label=label)
