"""The address of a street that moves: `synthetic://street?frames=60&fps=15&speed=8&seed=0`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from edge_ovss.errors import UsageError
from edge_ovss.synthetic.moving import Drive, MovingStreet

OPTIONS = {"frames": "60", "fps": "15", "speed": "8"}
"""What only a moving street has, with the values that are taken where it is not given."""
SIZE = "360x480"
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
    height, width = (int(side) for side in options.get("size", SIZE).split("x"))
    return moving_street(options, size=(height, width))


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
        seed=_whole("seed", given.get("seed", "0"), 0),
        frames=_whole("frames", given["frames"], 1),
        fps=_whole("fps", given["fps"], 1),
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


def _whole(key: str, text: str, minimum: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) < minimum:
        raise _wrong(key, text, f"a whole number of at least {minimum}")
    if key != "seed" and int(text[:20]) > _LARGEST:
        raise _wrong(key, text, f"at most {_LARGEST}")
    return int(text)


def _wrong(key: str, text: str, expected: str) -> UsageError:
    message = f"Option '{key}' of synthetic://street is '{text}'; expected {expected}."
    return UsageError(message)


def _centimetres(text: str) -> int:
    if not _SPEED.fullmatch(text):
        expected = "metres per second, such as 8 or 2.5"
        raise _wrong(text=text, expected=expected, key="speed")
    metres, _, rest = text.partition(".")
    return int(metres) * 100 + int(rest.ljust(2, "0") if rest else 0)
