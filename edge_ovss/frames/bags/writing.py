"""Write label maps as a recording of ROS 2, with the names of the labels."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder, output_error
from edge_ovss._leftovers import new_folder
from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.errors import OutputError
from edge_ovss.frames.sources import Stamp

LABELS, INFO = "/segmentation/labels", "/segmentation/label_info"
CONFIDENCE = "/segmentation/confidence"

_IMAGE, _INFO = "sensor_msgs/msg/Image", "vision_msgs/msg/LabelInfo"
# Not among the messages that come with ROS 2.
_DEFINITIONS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    _INFO: "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}


class LabelBag:
    """A recording (MCAP) with a label map for each frame; it is there once it is closed.

    Topics: `/segmentation/labels` (Image, mono8 or mono16), `/segmentation/label_info` (LabelInfo,
    transient local, with the first label map and the first of other names), and
    `/segmentation/confidence` (Image, mono8, 255 is 1) where there is one. Stamps and coordinate
    frames are those of the images.

    Args:
        path: The folder of the recording; it must not exist.
        names: The K output names; a label is the index.

    Raises:
        OutputError: It exists, or cannot be written.
        MissingDependencyError: rosbags is not installed.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._bags = require("rosbags.rosbag2", extra="ros")
        self._store = _types()
        if path.exists():
            message = f"'{shown(path)}' exists; a recording is not added to or replaced."
            raise OutputError(message, hint="Choose a new name.")
        make_folder(path.parent)
        try:
            self._held = new_folder(path.parent, f".{path.name}.")
        except OSError as err:
            raise output_error(path, err) from err
        self._path, self._names = path, tuple(names)
        self._inside = self._held.path / path.name
        self._topics: dict[str, Any] = {}
        self._named = False
        self._failed = False
        self._guarded(self._open)

    def rename(self, names: Sequence[str]) -> None:
        """Have other names from the next label map on; the same ones change nothing."""
        if tuple(names) != self._names:
            self._names, self._named = tuple(names), False

    def add(
        self,
        labels: NDArray[np.uint8] | NDArray[np.uint16],
        stamp: Stamp,
        confidence: NDArray[np.float32] | None = None,
    ) -> None:
        """Write the label map of a frame.

        Args:
            labels: uint8 or uint16 [H, W].
            stamp: Of its image.
            confidence: float32 [H, W] in [0, 1], or None.

        Raises:
            OutputError: It cannot be written.
        """
        self._guarded(lambda: self._add(labels, stamp, confidence))

    def close(self) -> None:
        """Finish the recording and put it in its place; it is removed if empty or after an error.

        Raises:
            OutputError: Its end cannot be written.
        """
        try:
            self._guarded(self._writer.close)
            if self._topics and not self._failed:
                self._guarded(lambda: self._inside.replace(self._path))
        finally:
            shutil.rmtree(self._held.path, ignore_errors=True)
            self._held.release()

    def _open(self) -> None:
        mcap = self._bags.StoragePlugin.MCAP
        self._writer = self._bags.Writer(self._inside, version=9, storage_plugin=mcap)
        self._writer.open()

    def _add(self, labels: Any, stamp: Stamp, confidence: Any) -> None:  # noqa: ANN401 (arrays)
        if not self._named:
            self._write(INFO, _INFO, self._info(stamp), stamp)
            self._named = True
        self._write(LABELS, _IMAGE, self._image(labels, stamp), stamp)
        if confidence is not None:
            whole = np.rint(255.0 * confidence.clip(0.0, 1.0)).astype(np.uint8)
            self._write(CONFIDENCE, _IMAGE, self._image(whole, stamp), stamp)

    def _write(self, topic: str, kind: str, message: object, stamp: Stamp) -> None:
        if topic not in self._topics:
            qos = [_latched()] if topic == INFO else []
            self._topics[topic] = self._writer.add_connection(
                topic, kind, typestore=self._store, offered_qos_profiles=qos
            )
        data = self._store.serialize_cdr(message, kind)
        self._writer.write(self._topics[topic], stamp.nanoseconds, data)

    def _header(self, stamp: Stamp) -> object:
        seconds, rest = divmod(stamp.nanoseconds, 10**9)
        time = self._store.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest)
        return self._store.types["std_msgs/msg/Header"](stamp=time, frame_id=stamp.frame_id)

    def _image(self, values: NDArray[Any], stamp: Stamp) -> object:
        height, width = values.shape
        little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
        return self._store.types[_IMAGE](
            header=self._header(stamp),
            height=height,
            width=width,
            encoding="mono8" if values.dtype == np.uint8 else "mono16",
            is_bigendian=0,
            step=width * values.itemsize,
            data=little.view(np.uint8).ravel(),
        )

    def _info(self, stamp: Stamp) -> object:
        kind = self._store.types["vision_msgs/msg/VisionClass"]
        classes = [kind(class_id=i, class_name=name) for i, name in enumerate(self._names)]
        return self._store.types[_INFO](
            header=self._header(stamp), class_map=classes, threshold=0.0
        )

    def _guarded(self, step: Any) -> None:  # noqa: ANN401 (a function)
        try:
            step()
        except OSError as err:
            self._failed = True
            raise output_error(self._path, err) from err
        except Exception as err:
            self._failed = True
            message = f"Recording '{shown(self._path)}' cannot be written: {err}."
            raise OutputError(message, hint="Check the disk.") from err


def _types() -> Any:  # noqa: ANN401 (rosbags)
    """Return the messages of ROS 2, and those of vision_msgs that are needed."""
    typesys = require("rosbags.typesys", extra="ros")
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    found: dict[Any, Any] = {}
    for name, text in _DEFINITIONS.items():
        found |= typesys.get_types_from_msg(text, name)
    store.register(found)
    return store


def _latched() -> Any:  # noqa: ANN401 (rosbags)
    """Return the quality of service of a message that later readers get too."""
    kinds = require("rosbags.interfaces", extra="ros")
    long = kinds.QosTime(sec=0, nsec=0)
    return kinds.Qos(
        history=kinds.QosHistory.KEEP_LAST,
        depth=1,
        reliability=kinds.QosReliability.RELIABLE,
        durability=kinds.QosDurability.TRANSIENT_LOCAL,
        deadline=long,
        lifespan=long,
        liveliness=kinds.QosLiveliness.SYSTEM_DEFAULT,
        liveliness_lease_duration=long,
        avoid_ros_namespace_conventions=False,
    )
