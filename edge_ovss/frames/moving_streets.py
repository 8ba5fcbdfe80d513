"""The address of a street that moves: `synthetic://street?frames=60&fps=15&speed=8&seed=0`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from edge_ovss.errors import UsageError
from edge_ovss.frames.street_options import STILLS, read_size, read_whole, wrong
from edge_ovss.synthetic.moving import Drive, MovingStreet

OPTIONS = {"frames": "60", "fps": "15", "speed": "8"}
"""What only a moving street has, with the values that are taken where it is not given."""
_SPEED = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")
_LARGEST = 1_000_000


def is_moving(options: Mapping[str, str]) -> bool:
    """Return whether the options of an address ask for a moving street."""
    return bool(OPTIONS.keys() & options.keys())


def street_at(address: str) -> MovingStreet | None:
    """Return the moving street at an address that `open_source` takes; None for stills."""
    options = dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))
    if not is_moving(options):
        return None
    return moving_street(options, size=read_size(options.get("size", STILLS["size"])))


def moving_street(options: Mapping[str, str], *, size: tuple[int, int]) -> MovingStreet:
    """Return the street that an address asks for.

    Args:
        options: What stands behind the "?": "frames", "fps", "speed" in m/s, "seed".
        size: Height and width of its frames.

    Raises:
        UsageError: An option is not a number, or asks for stills too.
        PictureError: A number is out of range.
    """
    if "count" in options:
        message = "synthetic://street has 'count' stills or 'frames' that move, not both."
        raise UsageError(message, hint="Omit one of the two.")
    given = {**OPTIONS, **options}
    drive = Drive(
        seed=read_whole("seed", given.get("seed", STILLS["seed"]), minimum=0),
        frames=read_whole("frames", given["frames"], minimum=1, most=_LARGEST),
        fps=read_whole("fps", given["fps"], minimum=1, most=_LARGEST),
        speed=_centimetres(given["speed"]),
        height=size[0],
        width=size[1],
    )
    return MovingStreet(drive)


def address_of(drive: Drive) -> str:
    """Return the address of a moving street with every option."""
    metres, rest = divmod(drive.speed, 100)
    speed = f"{metres}.{rest:02d}".rstrip("0").rstrip(".")
    options = {
        "frames": drive.frames,
        "fps": drive.fps,
        "speed": speed,
        "seed": drive.seed,
        "size": f"{drive.height}x{drive.width}",
    }
    return f"synthetic://street?{urlencode(options)}"


def _centimetres(text: str) -> int:
    if not _SPEED.fullmatch(text):
        raise wrong(text, key="speed", expected="metres per second, such as 8 or 2.5")
    metres, _, rest = text.partition(".")
    return int(metres) * 100 + int(rest.ljust(2, "0") if rest else 0)
