"""Plan a scene from a seed: weather, camera, road and its two sides."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ovss.synthetic.canvas import UNIT, Camera, Color
from edge_ovss.synthetic.rng import Random


@dataclass(frozen=True)
class Weather:
    """Colors of the sky and of the light.

    Args:
        zenith: Color at the top of the sky.
        haze: Color at the horizon.
        cloud: Color of clouds.
        clouds: From -128 (overcast) to 128 (none).
        light: Gain per channel of everything, in 1/128.
        sky_light: The same for the sky.
        sun: Side the light comes from, -1 (left), 0 (diffuse) or 1 (right).
    """

    zenith: Color
    haze: Color
    cloud: Color
    clouds: int
    light: Color
    sky_light: Color
    sun: int


@dataclass(frozen=True)
class Road:
    """Widths in centimetres; `left` and `right` are the kerbs' x, the camera is at x = 0.

    Args:
        left: x of the left kerb (negative).
        right: x of the right kerb.
        pavements: Widths of the left and right pavement.
        end: z where the street ends.
        zebra: z of a pedestrian crossing, 0 for none.
        lanes: Distance between dashed lines, 0 for one line in the middle.
    """

    left: int
    right: int
    pavements: tuple[int, int]
    end: int
    zebra: int
    lanes: int

    def edge(self, side: int) -> int:
        """The x of the outer edge of the pavement on the left (-1) or right (1) side."""
        return self.left - self.pavements[0] if side < 0 else self.right + self.pavements[1]

    def kerb(self, side: int) -> int:
        """The x of the kerb on the left (-1) or right (1) side."""
        return self.left if side < 0 else self.right


@dataclass(frozen=True)
class Plan:
    """A scene before anything is drawn; `sides` are "town" or "park", left then right."""

    weather: Weather
    camera: Camera
    road: Road
    sides: tuple[str, str]


_WEATHERS = (
    # Clear, fair, white glare, overcast, dull, evening, dusk.
    Weather((70, 120, 200), (190, 210, 235), (240, 242, 246), 70, (128,) * 3, (128,) * 3, 1),
    Weather((95, 145, 215), (205, 220, 238), (248, 248, 250), 20, (132, 128, 122), (132,) * 3, 1),
    Weather((236, 240, 246), (252, 252, 252), (255, 255, 255), 40, (112,) * 3, (138,) * 3, 0),
    Weather((165, 172, 180), (215, 218, 220), (225, 227, 230), -40, (116,) * 3, (122,) * 3, 0),
    Weather((120, 128, 138), (180, 185, 190), (160, 165, 172), -60, (92, 94, 98), (106,) * 3, 0),
    Weather((110, 130, 190), (250, 205, 150), (250, 190, 150), 30, (134, 116, 98), (126,) * 3, 1),
    Weather((40, 52, 88), (150, 130, 130), (90, 90, 110), 20, (70, 72, 82), (96,) * 3, 0),
)


def _plan_weather(random: Random) -> Weather:
    """One of the kinds of weather, with its light moved a little."""
    base = random.choice(_WEATHERS)
    gain, warm = random.between(88, 112), random.between(-6, 6)
    light = tuple(
        channel * gain // 100 + shift
        for channel, shift in zip(base.light, (warm, 0, -warm), strict=True)
    )
    clouds = base.clouds + random.between(-40, 40)
    sun = base.sun * random.choice((-1, 1))
    return Weather(
        base.zenith,
        base.haze,
        base.cloud,
        clouds,
        (light[0], light[1], light[2]),
        base.sky_light,
        sun,
    )


def _plan_road(random: Random) -> Road:
    """Widths, where the camera drives, and the markings."""
    width = random.between(560, 1150)
    left = -width * random.between(28, 62) // 100
    pavements = (random.between(160, 420), random.between(160, 420))
    zebra = random.between(500, 1300) if random.chance(45) else 0
    lanes = random.choice((0, 0, 300, 350))
    end = random.choice((4000, 6000, 9000, 13000))
    return Road(left, left + width, pavements, end, zebra, lanes)


def plan_scene(seed: int) -> Plan:
    """Plan scene number `seed`."""
    random = Random(seed, "plan")
    weather, road = _plan_weather(random), _plan_road(random)
    camera = Camera(
        focal=UNIT * random.between(92, 128) // 100,
        horizon=UNIT * random.between(38, 52) // 100,
        center=UNIT * random.between(-12, 12) // 100,
        height=random.between(125, 215),
    )
    kinds = ("town", "town", "park")
    return Plan(weather, camera, road, (random.choice(kinds), random.choice(kinds)))
