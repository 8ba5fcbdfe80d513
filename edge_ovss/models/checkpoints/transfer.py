"""One download: with a bar, tried again when the connection breaks, and continued later."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_ovss._files import discard
from edge_ovss._progress import open_bar
from edge_ovss._strict_parsing import read_json

_PIECE = 1 << 20
_TRIES = 4
_PAUSE_S = 1.0
_PARTIAL = 206
_NO_SUCH_RANGE = 416
_MARKS = ("ETag", "Last-Modified")
_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+)")

Opener = Callable[[urllib.request.Request], Any]


def transfer(
    address: str, part: Path, target: Path, *, opened: Opener, headers: Mapping[str, str]
) -> dict[str, str]:
    """Write what an address sends to `part`; return what the server tells the file by.

    What an earlier run received, and the server can vouch for, is continued. If this one fails,
    what it received is kept beside `target` as "NAME.partial".

    Args:
        address: The address.
        part: An empty file of this process.
        target: Where the file will be in the end.
        opened: Opens a request.
        headers: Additional ones, which ask whether a kept copy is still the server's.

    Raises:
        HTTPError: The server refuses, or has the kept copy (304).
        OSError: It cannot be reached or written, or sends less than it said.
    """
    marks = _take_over(part, target)
    try:
        for attempt in range(1, _TRIES + 1):
            before = part.stat().st_size
            try:
                return _receive(address, part, marks, opened=opened, headers=headers)
            except (OSError, http.client.HTTPException) as err:
                if not _worth_another_try(err, part, marks, before) or attempt == _TRIES:
                    raise
            time.sleep(_PAUSE_S * attempt)
    except BaseException:  # Ctrl-C too
        _leave(part, target, marks)
        raise
    raise AssertionError  # the last attempt returns or raises


def _worth_another_try(err: Exception, part: Path, marks: dict[str, str], before: int) -> bool:
    """Whether the rest may come when asked again; forgets what the server no longer has."""
    if isinstance(err, urllib.error.HTTPError):
        if err.code != _NO_SUCH_RANGE or not before:
            return False
        with part.open("r+b") as out:
            out.truncate(0)
        marks.clear()
        return True
    # A server that sent nothing more will do so again.
    return bool(marks) and part.stat().st_size > before


def _receive(
    address: str,
    part: Path,
    marks: dict[str, str],
    *,
    opened: Opener,
    headers: Mapping[str, str],
) -> dict[str, str]:
    """Receive the rest of a file; `marks` are changed to those of the server's answer."""
    have = part.stat().st_size
    asked = dict(headers)
    if have and marks:
        asked = {"Range": f"bytes={have}-", "If-Range": next(iter(marks.values()))}
    with opened(urllib.request.Request(address, headers=asked)) as stream:
        goes_on = getattr(stream, "status", None) == _PARTIAL and bool(have)
        start, total = _extent(stream.headers, have if goes_on else 0)
        if not goes_on:
            marks.clear()
            marks.update(_marks_of(stream.headers))
        _write(stream, part, start=start, total=total)
    size = part.stat().st_size
    if total is not None and size != total:
        message = f"the download ended after {size} of {total} bytes"
        raise urllib.error.URLError(message)
    return dict(marks)


def _extent(headers: Mapping[str, str], have: int) -> tuple[int, int | None]:
    """Return at which byte the answer begins, and how long the whole file is.

    Raises:
        URLError: It begins elsewhere than was asked.
    """
    if have:
        found = _RANGE.fullmatch(headers.get("Content-Range") or "")
        if found is None or int(found[1]) != have:
            message = "the server continues the download at another byte than asked"
            raise urllib.error.URLError(message)
        return have, int(found[2])
    promised = headers.get("Content-Length")
    return 0, int(promised) if promised is not None and promised.isdecimal() else None


def _write(stream: Any, part: Path, *, start: int, total: int | None) -> None:  # noqa: ANN401 (an HTTP answer)
    bar = open_bar("checkpoint", total, is_bytes=True, done=start)
    try:
        with part.open("r+b") as out:
            out.truncate(start)
            out.seek(start)
            while piece := stream.read(_PIECE):
                out.write(piece)
                bar.advance(len(piece))
    finally:
        bar.close()


def _marks_of(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _MARKS if headers.get(name)}


def _places(target: Path) -> tuple[Path, Path]:
    """Return where a begun download is, and what its server told it by."""
    return target.with_name(f"{target.name}.partial"), target.with_name(
        f"{target.name}.partial.json"
    )


def _take_over(part: Path, target: Path) -> dict[str, str]:
    """Make a begun download this one's: it is renamed, so that only one process gets it."""
    begun, facts = _places(target)
    try:
        marks = {name: str(value) for name, value in read_json(facts).items() if name in _MARKS}
        # A weak mark does not vouch for every byte.
        if marks and not next(iter(marks.values())).startswith("W/"):
            facts.unlink()
            begun.replace(part)
            return marks
    except (OSError, ValueError, AttributeError):
        return {}
    return {}


def _leave(part: Path, target: Path, marks: Mapping[str, str]) -> None:
    """Keep what was received, if the server can be asked for the rest of the same file."""
    begun, facts = _places(target)
    with suppress(OSError):
        discard(facts)
        if marks and part.stat().st_size:
            part.replace(begun)
            part.touch()
            facts.write_text(json.dumps(dict(marks)), encoding="utf-8")
