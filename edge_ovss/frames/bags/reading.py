"""Read the images of a topic from a recording of ROS 2 (folder, .mcap, .db3) or ROS 1 (.bag)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from edge_ovss._optional import require
from edge_ovss._safe_text import file_stem, shown
from edge_ovss.errors import EdgeOvssError, InputError, UsageError
from edge_ovss.frames.bags.messages import COMPRESSED, RAW, frame_of
from edge_ovss.frames.source_kinds import BAG
from edge_ovss.frames.sources import Frame, Stamp

_LISTED = 20
_FORM = "Expected bag://PATH?topic=/camera/image, or the path alone where there is one such topic."


def read_bag(spec: str) -> Iterator[Frame]:
    """Return the images of a topic in the order of recording, with their stamps.

    Args:
        spec: A path, or `bag://PATH?topic=NAME`. Without a topic the recording must have one topic
            with images.

    Raises:
        InputError: It does not exist, is damaged, or has no such topic, or no images.
        UsageError: An option is unknown.
        MissingDependencyError: rosbags is not installed.
    """
    path, topic = _split(spec)
    require("rosbags", extra="ros")
    if not path.exists():
        message = f"Recording '{shown(path)}' does not exist."
        raise InputError(message, hint=_FORM)
    reader = _opened(path)
    try:
        connections = _chosen(reader, path, topic)
    except EdgeOvssError:
        reader.close()
        raise
    return _frames(reader, path, connections)


def _split(spec: str) -> tuple[Path, str | None]:
    head, separator, rest = spec.partition("://")
    if not separator or head.lower() != BAG:
        return Path(spec).expanduser(), None
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if wrong := sorted(set(options) - {"topic"}):
        message = f"bag:// has no option '{shown(wrong[0])}'."
        raise UsageError(message, hint="Its only option is topic.")
    return Path(place).expanduser(), options.get("topic")


def _opened(path: Path) -> Any:  # noqa: ANN401 (rosbags)
    highlevel = require("rosbags.highlevel", extra="ros")
    typesys = require("rosbags.typesys", extra="ros")
    # Recordings before ROS 2 Iron do not hold the definitions of their messages.
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    try:
        reader = highlevel.AnyReader([path], default_typestore=store)
        reader.open()
    except Exception as err:  # rosbags lets through what its parsers raise on damaged files
        raise _damaged(path, err) from err
    return reader


def _damaged(path: Path, err: Exception) -> InputError:
    message = f"Recording '{shown(path)}' cannot be read: {shown(str(err) or repr(err))}."
    hint = "If it was cut off, try: ros2 bag reindex, or mcap recover."
    return InputError(message, hint=hint)


def _chosen(reader: Any, path: Path, topic: str | None) -> Sequence[Any]:  # noqa: ANN401 (rosbags)
    """Return the connections of the topic."""
    images = [each for each in reader.connections if each.msgtype in (RAW, COMPRESSED)]
    names = sorted({each.topic for each in images})
    if topic is None and len(names) == 1:
        return images
    listed = ", ".join(shown(name) for name in names[:_LISTED]) or "none"
    if topic is None:
        reason = "has no images" if not names else f"has {len(names)} topics with images"
        message = f"Recording '{shown(path)}' {reason}."
        raise InputError(message, hint=f"{_FORM} Topics with images: {listed}.")
    found = [each for each in images if each.topic == topic]
    if found:
        return found
    close = difflib.get_close_matches(topic, names, n=1)
    meant = f"Did you mean '{shown(close[0])}'? " if close else ""
    message = f"Recording '{shown(path)}' has no images at '{shown(topic)}'."
    raise InputError(message, hint=f"{meant}Topics with images: {listed}.")


def _frames(reader: Any, path: Path, connections: Sequence[Any]) -> Iterator[Frame]:  # noqa: ANN401
    name, topic = file_stem(path.stem), connections[0].topic
    start_ns: int | None = None
    index = 0
    try:
        for connection, recorded_ns, data in _messages(reader, path, connections):
            message = _decoded(reader, path, data, connection.msgtype)
            stamp = _stamp(message, recorded_ns)
            start_ns = stamp.nanoseconds if start_ns is None else start_ns
            origin = f"{shown(path)} {shown(topic)} #{index}"
            yield Frame(
                f"{name}-{index:06d}",
                origin,
                lambda message=message, origin=origin: frame_of(message, origin),  # type: ignore[misc]
                (stamp.nanoseconds - start_ns) / 1e9,
                stamp,
            )
            index += 1
    finally:
        reader.close()
    if not index:
        message = f"Recording '{shown(path)}' has no messages at '{shown(topic)}'."
        raise InputError(message, hint="Record the topic again.")


def _messages(reader: Any, path: Path, connections: Sequence[Any]) -> Iterator[Any]:  # noqa: ANN401
    try:
        yield from reader.messages(connections=connections)
    except Exception as err:  # a recording that was cut off
        raise _damaged(path, err) from err


def _decoded(reader: Any, path: Path, data: bytes, kind: str) -> Any:  # noqa: ANN401 (a message)
    try:
        return reader.deserialize(data, kind)
    except Exception as err:
        raise _damaged(path, err) from err


def _stamp(message: Any, recorded_ns: int) -> Stamp:  # noqa: ANN401 (a message)
    """Return the stamp of the camera; of the recorder where the camera gave none."""
    at = message.header.stamp
    nanoseconds = int(at.sec) * 10**9 + int(at.nanosec)
    return Stamp(nanoseconds or recorded_ns, str(message.header.frame_id))
