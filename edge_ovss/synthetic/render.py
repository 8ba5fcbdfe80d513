"""Draw an image of a street with its labels, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_ovss.errors import PictureError
from edge_ovss.synthetic import backdrop, classes, facades, furniture, people, vehicles
from edge_ovss.synthetic.canvas import Canvas
from edge_ovss.synthetic.plan import Plan, plan_scene
from edge_ovss.synthetic.rng import Random

_SMALLEST = 16
# Numbers of things in the flow, by where they belong.
_GROUND, _SKYLINE, _FIRST_SIDE, _FENCE, _FIRST_THING = 1, 2, 8, 1000, 4096

Draw = Callable[[Canvas, Random, "tuple[int, int]"], None]


@dataclass(frozen=True)
class StreetScene:
    """A drawn street.

    Args:
        image: uint8, shape (H, W, 3), RGB.
        labels: uint8, shape (H, W), index into `STREET_CLASSES`, 255 where there is none.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def render_street(seed: int, height: int, width: int) -> StreetScene:
    """Draw a street scene; the same seed gives the same pixels on every platform.

    The layout does not depend on the size: another height shows the same scene at another
    resolution, another width shows more or less of its sides.

    Args:
        seed: Number of the scene, at least 0.
        height: Rows, at least 16.
        width: Columns, at least 16.

    Raises:
        PictureError: The seed is negative or the size is too small.
    """
    check_request(seed, height, width)
    plan = plan_scene(seed)
    canvas = Canvas(height, width, camera=plan.camera)
    things = place_things(plan, Random(seed, "things"))
    draw_scene(canvas, plan, things, seed)
    image = expose(canvas, plan, Random(seed, "expose"))
    return StreetScene(image, canvas.labels)


def check_request(seed: int, height: int, width: int) -> None:
    """Check what is asked for.

    Raises:
        PictureError: The seed is negative or the size is too small.
    """
    if seed < 0:
        message = f"Scene number {seed} is negative; expected 0 or more."
        raise PictureError(message, hint="Give a seed such as 0.")
    if min(height, width) < _SMALLEST:
        message = f"A street of {height}x{width} pixels was asked for; expected at least 16x16."
        raise PictureError(message, hint="Ask for a larger image (height x width).")


def draw_scene(canvas: Canvas, plan: Plan, things: list[Thing], seed: int) -> None:
    """Draw everything, from what is far to what is near."""
    backdrop.draw_sky(canvas, plan, Random(seed, "sky"))
    canvas.begin(_SKYLINE)
    backdrop.draw_skyline(canvas, plan, Random(seed, "skyline"))
    canvas.begin(_GROUND)
    backdrop.draw_ground(canvas, plan, Random(seed, "ground"))
    for side in (-1, 1):
        _draw_side(canvas, plan, Random(seed, f"side {side}"), side=side)
    for thing in things:
        canvas.begin(_FIRST_THING + thing.number, moved=thing.moved)
        canvas.hidden = canvas.too_near(thing.at[1])
        thing.draw(canvas, Random(seed, f"thing {thing.number}"), thing.at)
    canvas.hidden = False


def _side_thing(side: int, number: int) -> int:
    """The number of what stands along one side of the street."""
    return _FIRST_SIDE + (1024 if side > 0 else 0) + number


def _draw_side(canvas: Canvas, plan: Plan, random: Random, *, side: int) -> None:
    """Houses or a park on one side, far to near."""
    sun = plan.weather.sun
    light = 100 if sun == 0 else (72 if sun == side else 112)
    edge = plan.road.edge(side)
    if plan.sides[0 if side < 0 else 1] == "town":
        for number, house in enumerate(reversed(facades.plan_buildings(plan, random))):
            canvas.begin(_side_thing(side, number))
            facades.draw_building(canvas, house, edge, light=light)
    else:
        for number in range(random.between(4, 9)):
            at = (edge + side * random.between(300, 1500), random.between(900, plan.road.end))
            canvas.begin(_side_thing(side, number))
            canvas.hidden = canvas.too_near(at[1])
            _draw_park_tree(canvas, random, at)
        canvas.hidden = False
    park = plan.sides[0 if side < 0 else 1] == "park"
    if random.chance(60 if park else 22):
        # Behind a strip of grass, or close to the houses.
        inner = edge + side * random.between(120, 420) if park else edge - side * 10
        canvas.begin(_side_thing(side, _FENCE))
        facades.draw_fence(
            canvas, facades.plan_fence(random, end=plan.road.end), inner, light=light
        )


def _draw_park_tree(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
    """A tree or a bush behind the fence."""
    draw = furniture.draw_tree if random.chance(75) else furniture.draw_bush
    draw(canvas, random, at)


@dataclass(frozen=True)
class Thing:
    """Something that stands on the ground.

    Args:
        draw: Draws it.
        at: Where it stands, (x, z).
        role: How it moves in a street that moves: "still", "vehicle", "crossing" (a car),
            "walker", "zebra" (someone who walks across) or "rider".
        number: Which stream of random numbers it is drawn from.
        moved: How far it has moved since the frame before, (x, z).
    """

    draw: Draw
    at: tuple[int, int]
    role: str = "still"
    number: int = 0
    moved: tuple[int, int] = (0, 0)


def place_things(plan: Plan, random: Random, *, longer: int = 0) -> list[Thing]:
    """Everything that stands on the road and the pavements, far to near, numbered in this order.

    Args:
        plan: The scene.
        random: Where to draw from.
        longer: How much farther rows of lamps and trees go on than in a still, in centimetres.
    """
    things = [*_place_vehicles(plan, random), *_place_people(plan, random)]
    things += _place_furniture(plan, random, longer=longer)
    things.sort(key=lambda thing: -thing.at[1])
    return [replace(thing, number=number) for number, thing in enumerate(things)]


def _vehicle(label: int) -> Draw:
    """A drawing function for one category of vehicle."""

    def draw(canvas: Canvas, random: Random, at: tuple[int, int]) -> None:
        vehicles.draw_vehicle(canvas, random, at, label=label)

    return draw


def _place_vehicles(plan: Plan, random: Random) -> list[Thing]:
    """Parked cars along the kerbs, traffic in the lanes, now and then a car that crosses."""
    road, things = plan.road, []
    for side in (-1, 1):
        z = random.between(250, 1500)
        while random.chance(62) and z < 7000:
            at = (road.kerb(side) - side * 115, z)
            things.append(Thing(_vehicle(classes.CAR), at, "vehicle"))
            z += random.between(520, 1300)
    middle = (road.left + road.right) // 2
    for lane in (middle - 170, middle + 170):
        z = random.between(600, 2600)
        while random.chance(55) and z < 8000:
            kinds = (classes.CAR,) * 5 + (classes.BUS, classes.BUS, classes.TRUCK, classes.TRUCK)
            things.append(Thing(_vehicle(random.choice(kinds)), (lane, z), "vehicle"))
            z += random.between(1200, 2600)
    if random.chance(25):
        at = (random.between(road.left, road.right), random.between(900, 3000))
        things.append(Thing(vehicles.draw_crossing_car, at, "crossing"))
    return things


def _place_people(plan: Plan, random: Random) -> list[Thing]:
    """People on the pavements and the crossing, cyclists near the kerb."""
    road, things = plan.road, []
    for _ in range(random.between(0, 8)):
        side = random.choice((-1, 1))
        near, far = sorted((road.kerb(side) + side * 40, road.edge(side) - side * 30))
        at = (random.between(near, far), random.between(320, 1600))
        things.append(Thing(people.draw_person, at, "walker"))
    if road.zebra and random.chance(70):
        for _ in range(random.between(1, 3)):
            x = random.between(road.left, road.right)
            at = (x, road.zebra + random.between(40, 280))
            things.append(Thing(people.draw_person, at, "zebra"))
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        x = random.between(road.left + 60, road.right - 60)
        things.append(Thing(people.draw_bicyclist, (x, random.between(400, 1250)), "rider"))
    return things


def _place_furniture(plan: Plan, random: Random, *, longer: int) -> list[Thing]:
    """Trees, lamps, signs and traffic lights along both kerbs."""
    road, things = plan.road, []
    for side in (-1, 1):
        x = road.kerb(side) + side * 45
        if random.chance(75):
            z, step = random.between(300, 1600), random.between(1400, 2800)
            things += [
                Thing(furniture.draw_lamp, (x, at))
                for at in range(z, min(road.end, 3000 + longer), step)
            ]
        if random.chance(40):
            z, step = random.between(500, 1500), random.between(700, 1600)
            inner = x + side * 30
            end = min(road.end, 7000 + longer)
            things += [Thing(furniture.draw_tree, (inner, at)) for at in range(z, end, step)]
        for _ in range(random.between(0, 2)):
            things.append(Thing(furniture.draw_sign, (x + side * 15, random.between(320, 1300))))
        if random.chance(45):
            things.append(Thing(furniture.draw_post, (x, random.between(320, 1300))))
        if random.chance(60 if road.zebra else 22):
            z = road.zebra + 330 if road.zebra else random.between(450, 1300)
            things.append(Thing(furniture.draw_traffic_light, (x, z)))
    return things


def expose(
    canvas: Canvas, plan: Plan, random: Random, grain: Random | None = None
) -> npt.NDArray[np.uint8]:
    """Apply the camera: light, contrast, a little blur and noise.

    The noise is drawn from `grain`, which is `random` in a still.
    """
    light = np.asarray([plan.weather.light, plan.weather.sky_light], np.uint16)
    sky = canvas.labels == classes.SKY
    image = canvas.image.astype(np.uint16)
    image *= light[sky.astype(np.int8)]
    image >>= 5
    np.minimum(image, 1020, out=image)
    contrast = random.between(108, 148)
    offset = random.between(-16, 16) * 4 + (128 - contrast) * 4
    curve = (np.arange(1021, dtype=np.int64) * contrast // 128 + offset).astype(np.int16)
    mixed = curve[_blur(image)]
    strength = random.between(2, 7)
    noise = (grain or random).noise(mixed.size).reshape(mixed.shape).astype(np.int16) - 128
    mixed += noise * strength >> 5
    result: npt.NDArray[np.uint8] = np.clip(mixed >> 2, 0, 255).astype(np.uint8)
    return result


def _blur(image: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Binomial blur, 1-2-1 over columns and over rows; borders keep what is outside equal."""
    wide = np.concatenate((image[:, :1], image, image[:, -1:]), 1)
    across = np.asarray((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) >> 2, np.uint16)
    tall = np.concatenate((across[:1], across, across[-1:]), 0)
    return np.asarray((tall[:-2] + 2 * tall[1:-1] + tall[2:]) >> 2, np.uint16)
