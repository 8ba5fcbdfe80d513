"""Several sources in one run: all their frames, one source after the other, with unique names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path

from edge_ovss._addresses import shown_address
from edge_ovss._safe_text import shown
from edge_ovss.errors import InputError, UsageError
from edge_ovss.frames import sources
from edge_ovss.frames.grammar import GRAMMAR
from edge_ovss.frames.source_kinds import SourceKind, file_kind, is_live, source_kind
from edge_ovss.frames.sources import Frame, picture_frames

_FILES = frozenset({SourceKind.PICTURE, SourceKind.VIDEO, SourceKind.BAG, SourceKind.CAMERA})


def expand(specs: Sequence[str]) -> list[str]:
    """Return the sources with patterns such as 'day*.mp4' replaced by what matches, by name.

    Raises:
        InputError: Nothing that can be read matches a pattern.
        UsageError: Cameras and recordings are mixed, or a camera is given twice.
    """
    found = [one for spec in specs for one in _expanded(spec)]
    live = [spec for spec in found if is_live(spec)]
    if live and len(live) < len(found):
        other = next(spec for spec in found if spec not in live)
        message = (
            f"'{shown(shown_address(live[0]))}' is live and '{shown(shown_address(other))}' is "
            "not; expected cameras and streams only, or none."
        )
        raise UsageError(message, hint="Give them in two runs.")
    twice = next((spec for spec in live if live.count(spec) > 1), None)
    if twice is not None:
        message = f"'{shown(shown_address(twice))}' is given twice."
        raise UsageError(message, hint="Give it once.")
    return found


def open_sources(specs: Sequence[str]) -> Iterator[Frame]:
    """Return the frames of sources that end, in order.

    The names are those of `open_source` for one source, or if all are images. Else each begins with
    the number of its source.

    Args:
        specs: What `expand` returned; not empty.

    Raises:
        EdgeOvssError: As `open_source` does; a later source is opened when its turn comes, but
            that all exist is checked first.
    """
    if len(specs) == 1:
        return sources.open_source(specs[0])
    kinds = [source_kind(spec) for spec in specs]
    for spec, kind in zip(specs, kinds, strict=True):
        if kind in (SourceKind.MISSING, SourceKind.UNKNOWN_SCHEME):
            sources.open_source(spec)  # it says why
    if set(kinds) == {SourceKind.PICTURE}:
        return picture_frames([Path(spec).expanduser() for spec in specs])
    return _in_turn(specs)


def _in_turn(specs: Sequence[str]) -> Iterator[Frame]:
    digits = len(str(len(specs) - 1))
    for number, spec in enumerate(specs):
        for frame in sources.open_source(spec):
            yield replace(frame, name=f"{number:0{digits}d}-{frame.name}")


def _expanded(spec: str) -> list[str]:
    if source_kind(spec) is not SourceKind.GLOB:
        return [spec]
    matches = sorted(glob(str(Path(spec).expanduser())))  # noqa: PTH207 (absolute patterns too)
    found = [name for name in matches if file_kind(Path(name)) in _FILES]
    if not found:
        message = f"Nothing that can be read matches '{shown(spec)}' ({len(matches)} files do)."
        raise InputError(message, hint=GRAMMAR)
    return found
