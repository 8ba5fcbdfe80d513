"""A street that moves: the camera drives, people walk, and every frame has its exact flow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from edge_ovss.errors import PictureError
from edge_ovss.motion.vectors import Motion
from edge_ovss.synthetic.canvas import UNIT, Camera, Canvas
from edge_ovss.synthetic.plan import Plan, plan_scene
from edge_ovss.synthetic.render import (
    StreetScene,
    Thing,
    check_request,
    draw_scene,
    expose,
    place_things,
)
from edge_ovss.synthetic.rng import Random
from edge_ovss.synthetic.surfaces import Surfaces, Viewpoint

_LONGEST = 100_000  # centimetres
_STRETCH = 2000
_PATH = 210
_LAST_THING = 100_000


@dataclass(frozen=True)
class Drive:
    """What a moving street is made of.

    Args:
        seed: Number of the scene, at least 0.
        frames: How many frames there are, at least 1.
        fps: Frames per second, 1 to 240.
        speed: Speed of the camera in centimetres per second, at least 0.
        height: Rows, at least 16.
        width: Columns, at least 16.

    Raises:
        PictureError: A number is out of range, or the drive is longer than 1,000 m.
    """

    seed: int
    frames: int = 60
    fps: int = 15
    speed: int = 800
    height: int = 360
    width: int = 480

    def __post_init__(self) -> None:
        check_request(self.seed, self.height, self.width)
        if self.frames < 1 or not 1 <= self.fps <= 240 or self.speed < 0:
            message = (
                f"A street of {self.frames} frames, {self.fps} per second, at {self.speed} cm/s "
                "was asked for; expected at least 1 frame, 1 to 240 per second, "
                "and no negative speed."
            )
            raise PictureError(message)
        if self.ahead(self.frames) > _LONGEST:
            message = f"The camera would drive {self.ahead(self.frames) // 100} m"
            message = f"{message}; the street is {_LONGEST // 100} m long."
            raise PictureError(message, hint="Ask for fewer frames, or a lower speed.")

    def ahead(self, number: int) -> int:
        """How far the camera has driven at a frame, in centimetres."""
        return self.speed * number // self.fps


@dataclass(frozen=True)
class _Mover:
    """A thing with its velocity (x, z) in centimetres per second."""

    thing: Thing
    velocity: tuple[int, int]


class MovingStreet:
    """The frames of a drive, in any order; those that follow each other are quicker.

    The same drive gives the same pixels and vectors on every platform. Its first frame is not the
    still of the same seed, because its street is longer.

    Args:
        drive: What is asked for.
    """

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self._drawn: dict[int, Canvas] = {}

    def __len__(self) -> int:
        return self.drive.frames

    @property
    def camera(self) -> Camera:
        """The camera at the first frame."""
        return self._plan.camera

    def scene(self, number: int) -> StreetScene:
        """Draw frame `number`, from 0 to below `len`.

        Raises:
            PictureError: There is no such frame.
        """
        self._check(number)
        canvas, drive = self._canvas(number), self.drive
        grain = Random(drive.seed, f"grain {number}")
        image = expose(canvas, self._plan, Random(drive.seed, "expose"), grain)
        return StreetScene(image, canvas.labels)

    def motion(self, number: int) -> Motion | None:
        """Return the exact flow from frame `number` to the one before; None for the first.

        A vector is valid where both frames show the same part of the same thing.

        Raises:
            PictureError: There is no such frame.
        """
        self._check(number)
        if number == 0:
            return None
        before, now = self._canvas(number - 1), self._canvas(number)
        assert before.surfaces is not None
        assert now.surfaces is not None
        return now.surfaces.flow(before.surfaces, _viewpoint(now))

    def _check(self, number: int) -> None:
        if not 0 <= number < self.drive.frames:
            message = f"Frame {number} of a street of {self.drive.frames} frames was asked for."
            raise PictureError(message)

    def _canvas(self, number: int) -> Canvas:
        """Return a frame as it is drawn; the last two are kept, since the flow needs both."""
        if number not in self._drawn:
            kept = [(n, c) for n, c in self._drawn.items() if abs(n - number) == 1]
            self._drawn = dict(kept[-1:])
            self._drawn[number] = self._draw(number)
        return self._drawn[number]

    def _draw(self, number: int) -> Canvas:
        drive, ahead = self.drive, self.drive.ahead(number)
        surfaces = Surfaces(drive.height, drive.width, ahead=ahead)
        camera = replace(self._plan.camera, ahead=ahead)
        plan = replace(self._plan, camera=camera)
        canvas = Canvas(drive.height, drive.width, camera=camera, surfaces=surfaces)
        draw_scene(canvas, plan, self._things(number), drive.seed)
        return canvas

    def _things(self, number: int) -> list[Thing]:
        """Everything where it is at a frame, far to near."""
        things = [self._moved(mover, number) for mover in self._movers]
        return sorted(things, key=lambda thing: -thing.at[1])

    def _moved(self, mover: _Mover, number: int) -> Thing:
        def way(speed: int, frame: int) -> int:
            return speed * frame // self.drive.fps

        (x, z), (fast_x, fast_z) = mover.thing.at, mover.velocity
        earlier = max(number - 1, 0)
        moved = tuple(way(v, number) - way(v, earlier) for v in mover.velocity)
        at = (x + way(fast_x, number), z + way(fast_z, number))
        return replace(mover.thing, at=at, moved=(moved[0], moved[1]))

    @cached_property
    def _plan(self) -> Plan:
        plan = plan_scene(self.drive.seed)
        road = replace(plan.road, end=plan.road.end + self._way)
        return replace(plan, road=road)

    @property
    def _way(self) -> int:
        return self.drive.ahead(self.drive.frames)

    @cached_property
    def _movers(self) -> list[_Mover]:
        seed = self.drive.seed
        things = place_things(self._plan, Random(seed, "things"), longer=self._way)
        for stretch in range(1, self._way // _STRETCH + 1):
            more = place_things(self._plan, Random(seed, f"things {stretch}"))
            lively = [thing for thing in more if thing.role in ("walker", "rider")]
            things += [_farther(thing, stretch) for thing in lively]
        things = [replace(thing, number=number) for number, thing in enumerate(things)]
        return [_Mover(thing, self._velocity(thing)) for thing in things[:_LAST_THING]]

    def _velocity(self, thing: Thing) -> tuple[int, int]:
        """How a thing moves, (x, z) in centimetres per second."""
        x, speed = thing.at[0], self.drive.speed
        random = Random(self.drive.seed, f"motion {thing.number}")
        if thing.role == "vehicle":
            # Whoever drives in one lane drives at one speed, and nobody stands in our way.
            lane = Random(self.drive.seed, f"motion of lane {x}")
            if abs(x) < _PATH:
                return 0, speed * lane.between(100, 130) // 100
            parked = min(abs(x - self._plan.road.kerb(side)) for side in (-1, 1)) <= 115
            if parked:
                return 0, 0
            share = lane.between(60, 110)
            return 0, speed * share // 100 if x > 0 else -speed * share // 100
        if thing.role == "crossing":
            return random.choice((-1, 1)) * random.between(300, 600), 0
        if thing.role == "walker":
            return 0, random.choice((-1, 1)) * random.between(60, 150)
        if thing.role == "zebra":
            return random.choice((-1, 1)) * random.between(80, 140), 0
        if thing.role == "rider":
            pace = random.between(300, 550)
            return 0, max(pace, speed) if abs(x) < _PATH // 2 else (pace if x > 0 else -pace)
        return 0, 0


def _farther(thing: Thing, stretch: int) -> Thing:
    """The same thing on a later stretch of the street."""
    x, z = thing.at
    return replace(thing, at=(x, z + stretch * _STRETCH))


def _viewpoint(canvas: Canvas) -> Viewpoint:
    camera = canvas.camera
    return Viewpoint(
        focal=camera.focal,
        horizon=camera.horizon,
        center=camera.center,
        height=camera.height,
        unit=UNIT,
        rows=canvas.y,
        cols=canvas.x,
    )
