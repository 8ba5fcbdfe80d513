"""Cars, vans, lorries and buses as boxes in perspective, and cars seen from the side."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ovss.synthetic import classes
from edge_ovss.synthetic.canvas import Canvas, Color, shade
from edge_ovss.synthetic.rng import Random
from edge_ovss.synthetic.surfaces import Point

_PAINTS: tuple[Color, ...] = (
    (170, 30, 34),
    (30, 52, 110),
    (196, 198, 202),
    (232, 232, 232),
    (40, 42, 46),
    (104, 108, 114),
    (40, 84, 62),
    (150, 132, 92),
    (82, 120, 160),
    (190, 150, 40),
)
_TYRE: Color = (26, 26, 28)
_GLASS: Color = (44, 54, 64)


@dataclass(frozen=True)
class Shape:
    """Outline of a vehicle in centimetres.

    Args:
        label: Category.
        half: Half its width.
        length: From the end near the camera to the other.
        waist: Height where the windows begin.
        top: Height of the roof.
        slope: How far the roof's near edge lies behind the near end.
    """

    label: int
    half: int
    length: int
    waist: int
    top: int
    slope: int


def random_shape(random: Random, label: int) -> Shape:
    """A vehicle of one category, with its sizes drawn."""
    if label == classes.BUS:
        return Shape(label, 125, random.between(850, 1100), 130, random.choice((295, 310, 420)), 8)
    if label == classes.TRUCK:
        return Shape(label, 118, random.between(550, 850), 120, random.between(280, 380), 5)
    top, slope = random.between(138, 170), random.between(20, 75)
    return Shape(label, random.between(78, 92), random.between(360, 460), 84, top, slope)


def draw_vehicle(canvas: Canvas, random: Random, at: tuple[int, int], *, label: int) -> None:
    """Paint a vehicle that stands along the street with its near end at `at` = (x, z)."""
    shape = random_shape(random, label)
    paint = shade(random.choice(_PAINTS), random.between(85, 112))
    if label == classes.BUS:
        paint = random.choice(((176, 30, 36), (40, 70, 140), (220, 222, 224), (40, 110, 80)))
    x, z = at
    far, half = z + shape.length, shape.half
    ground = [(x - half - 15, 0, z - 25), (x + half + 15, 0, z - 25)]
    ground += [(x + half + 15, 0, far), (x - half - 15, 0, far)]
    canvas.shadow(ground, keep=95)
    side = x - half if x > 0 else x + half
    if abs(x) > half:
        _draw_side(canvas, shape, (side, z), paint=shade(paint, 78))
    _draw_end(canvas, random, shape, (x, z), paint)


def _draw_side(canvas: Canvas, shape: Shape, at: tuple[int, int], *, paint: Color) -> None:
    """The long side that faces the camera's lane."""
    side, z = at
    far, low, label = z + shape.length, 26, shape.label
    # The cabin of a car leans inwards, that is away from the lane it is seen from.
    lean = 18 if label == classes.CAR else 2
    inner = side + (lean if side > 0 else -lean)
    body: list[Point] = [
        (side, low, z),
        (side, shape.waist, z),
        (side, shape.waist, far),
        (side, low, far),
    ]
    top_near, top_far = z + shape.slope, far - shape.slope * 2
    cabin: list[Point] = [(side, shape.waist - 3, z), (inner, shape.top, top_near)]
    cabin += [(inner, shape.top, top_far), (side, shape.waist - 3, far - shape.slope // 2)]
    canvas.polygon(cabin, color=paint, label=label)
    canvas.polygon(body, color=paint, label=label)
    if label != classes.TRUCK:
        _draw_side_windows(canvas, shape, (side, inner), (z, top_near, top_far))
    for wheel in (z + shape.length // 5, far - shape.length // 5):
        depth = canvas.camera.depth(wheel)
        # Seen at a slant, a wheel is narrow: its width shrinks with x over z.
        narrow = min(max(34 * abs(side) // depth, 5), 34)
        hub = (side, 32, depth + canvas.camera.ahead)
        canvas.ellipse(hub, (narrow, 32), color=_TYRE, label=label)
        canvas.ellipse(hub, (narrow * 5 // 9, 18), color=(120, 120, 124), label=label)


def _draw_side_windows(
    canvas: Canvas, shape: Shape, sides: tuple[int, int], depths: tuple[int, int, int]
) -> None:
    """Panes between the waist and the roof, with pillars between them."""
    (side, inner), (z, near, far) = sides, depths
    panes = 2 if shape.label == classes.CAR else 6
    rise = shape.top - shape.waist
    low, high = shape.waist + rise // 12, shape.top - rise // 7
    step = (far - near) // panes
    for number in range(panes):
        start, stop = near + number * step, near + (number + 1) * step - 14
        begin = start if number else (z + start) // 2 + 6
        pane = [
            (side, low, begin),
            (inner, high, start + 4),
            (inner, high, stop),
            (side, low, stop),
        ]
        canvas.polygon(pane, color=_GLASS, label=shape.label)


def _draw_end(
    canvas: Canvas, random: Random, shape: Shape, at: tuple[int, int], paint: Color
) -> None:
    """The end that faces the camera: back lights are red, front lights are pale."""
    (x, z), half, label = at, shape.half, shape.label
    narrow = half - (18 if label == classes.CAR else 2)
    for wheel in (x - half + 4, x + half - 30):
        canvas.rect((wheel, 0, z), (wheel + 26, 34, z), color=_TYRE, label=label)
    if canvas.camera.height > shape.top:
        roof_far = z + shape.length - shape.slope * 2
        roof: list[Point] = [
            (x - narrow, shape.top, z + shape.slope),
            (x + narrow, shape.top, z + shape.slope),
        ]
        roof += [(x + narrow, shape.top, roof_far), (x - narrow, shape.top, roof_far)]
        canvas.polygon(roof, color=shade(paint, 112), label=label)
    waist: list[Point] = [(x - half, shape.waist, z), (x + half, shape.waist, z)]
    cabin = [
        *waist,
        (x + narrow, shape.top, z + shape.slope),
        (x - narrow, shape.top, z + shape.slope),
    ]
    canvas.polygon(cabin, color=paint, label=label)
    canvas.rect((x - half, 22, z), (x + half, shape.waist, z), color=paint, label=label)
    if label != classes.TRUCK:
        _draw_screen(canvas, shape, (x, z), narrow)
    _draw_lights(canvas, shape, (x, z), back=random.chance(60))


def _draw_screen(canvas: Canvas, shape: Shape, at: tuple[int, int], narrow: int) -> None:
    """Wind screen or back window, with a pale stripe of sky in it."""
    (x, z), half = at, shape.half
    rise = shape.top - shape.waist
    low, high = shape.waist + rise // 10, shape.top - rise // 6
    glass: list[Point] = [(x - half + 14, low, z), (x + half - 14, low, z)]
    glass += [(x + narrow - 8, high, z + shape.slope), (x - narrow + 8, high, z + shape.slope)]
    canvas.polygon(glass, color=_GLASS, label=shape.label)
    stripe = [glass[3], glass[2], (x + narrow - 20, high - rise // 5, z + shape.slope)]
    canvas.polygon(stripe, color=(98, 112, 124), label=shape.label)


def _draw_lights(canvas: Canvas, shape: Shape, at: tuple[int, int], *, back: bool) -> None:
    """Lights, bumper and number plate."""
    (x, z), half, label = at, shape.half, shape.label
    lamp: Color = (200, 24, 26) if back else (246, 242, 220)
    canvas.rect((x - half, 24, z), (x + half, 42, z), color=(52, 52, 56), label=label)
    for left in (x - half + 2, x + half - 26):
        canvas.rect((left, 54, z), (left + 24, 74, z), color=lamp, label=label)
    plate: Color = (226, 200, 60) if back else (236, 236, 232)
    canvas.rect((x - 26, 44, z), (x + 26, 56, z), color=plate, label=label)
    if not back:
        canvas.rect((x - half + 34, 58, z), (x + half - 34, 72, z), color=(30, 30, 32), label=label)


def draw_crossing_car(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """Paint a car that crosses the street, seen from its side, with its middle at (x, z)."""
    (x, z), label = at, classes.CAR
    paint = shade(random.choice(_PAINTS), random.between(85, 112))
    turn = random.choice((-1, 1))

    def outline(points: list[tuple[int, int]]) -> list[Point]:
        return [(x + turn * along, up, z) for along, up in points]

    canvas.shadow(
        [(x - 220, 0, z + 80), (x + 220, 0, z + 80), (x + 210, 0, z - 20), (x - 210, 0, z - 20)],
        keep=95,
    )
    cabin = outline([(-140, 84), (-70, 142), (80, 146), (165, 88)])
    canvas.polygon(cabin, color=shade(paint, 92), label=label)
    for pane in (
        [(-112, 88), (-62, 134), (2, 136), (2, 88)],
        [(12, 88), (12, 136), (74, 138), (134, 90)],
    ):
        canvas.polygon(outline(pane), color=_GLASS, label=label)
    body = outline([(-212, 30), (-214, 66), (-150, 90), (190, 92), (208, 74), (206, 30)])
    canvas.polygon(body, color=paint, label=label)
    canvas.polygon(
        outline([(-205, 26), (-205, 38), (204, 38), (204, 26)]),
        color=shade(paint, 55),
        label=label,
    )
    for hub in (-130, 130):
        canvas.ellipse((x + hub, 32, z), (34, 32), color=_TYRE, label=label)
        canvas.ellipse((x + hub, 32, z), (19, 18), color=(132, 132, 136), label=label)
    canvas.polygon(
        outline([(-212, 62), (-212, 74), (-190, 76), (-190, 62)]),
        color=(244, 238, 210),
        label=label,
    )
    canvas.polygon(
        outline([(206, 64), (206, 78), (192, 80), (192, 64)]), color=(196, 26, 28), label=label
    )
