"""Images from recordings of ROS, and label maps back into one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import InputError, OutputError, PictureError, UsageError
from edge_ovss.frames.bags.messages import frame_of
from edge_ovss.frames.bags.writing import CONFIDENCE, INFO, LABELS, LabelBag
from edge_ovss.frames.source_kinds import SourceKind, refuse_live, source_kind
from edge_ovss.frames.sources import Stamp, open_source

cv2: Any = pytest.importorskip("cv2")
rosbag2: Any = pytest.importorskip("rosbags.rosbag2")
typesys: Any = pytest.importorskip("rosbags.typesys")

Message = Any  # rosbags makes the classes of messages when it runs

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)


def image(pixels: NDArray[Any], encoding: str, *, pad: int = 0, stamp: int = 0) -> Message:
    pixels = np.ascontiguousarray(pixels)
    rows = pixels.reshape(pixels.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, pad)))
    return STORE.types["sensor_msgs/msg/Image"](
        header=header(stamp),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=padded.shape[1],
        data=padded.ravel(),
    )


def header(stamp: int) -> Message:
    seconds, rest = divmod(stamp, 10**9)
    time = STORE.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest)
    return STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="camera")


def compressed(pixels: NDArray[Any], stamp: int = 0) -> Message:
    data = cv2.imencode(".png", pixels[:, :, ::-1])[1].ravel()
    kind = STORE.types["sensor_msgs/msg/CompressedImage"]
    return kind(header=header(stamp), format="png", data=data)


def write(path: Path, topics: dict[str, list[Message]], plugin: str = "MCAP") -> Path:
    storage = rosbag2.StoragePlugin[plugin]
    with rosbag2.Writer(path, version=9, storage_plugin=storage) as bag:
        for topic, messages in topics.items():
            kind = messages[0].__msgtype__
            connection = bag.add_connection(topic, kind, typestore=STORE)
            for number, message in enumerate(messages):
                bag.write(connection, 1000 + number, STORE.serialize_cdr(message, kind))
    return path


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_images_come_in_order_with_times_and_stamps(tmp_path: Path, plugin: str) -> None:
    messages = [image(COLORS + shift, "rgb8", stamp=10**9 + shift * 10**8) for shift in range(3)]
    bag = write(tmp_path / "bag", {"/camera/image": messages}, plugin)
    assert source_kind(str(bag)) is SourceKind.BAG
    frames = list(open_source(str(bag)))
    assert [frame.name for frame in frames] == [f"bag-{n:06d}" for n in range(3)]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert frames[1].stamp == Stamp(10**9 + 10**8, "camera")
    assert np.array_equal(frames[2].image, COLORS + 2)


def test_a_single_file_is_read_too(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", {"/camera": [image(COLORS, "rgb8")]})
    (frame,) = open_source(str(next(bag.glob("*.mcap"))))
    assert np.array_equal(frame.image, COLORS)


def test_verbs_that_read_twice_say_how_to_get_the_images(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", {"/camera": [image(COLORS, "rgb8")]})
    with pytest.raises(UsageError, match="a recording of ROS") as failed:
        refuse_live(str(bag), "Images")
    assert "--save image" in str(failed.value)


def test_a_topic_is_chosen_and_others_are_listed(tmp_path: Path) -> None:
    topics = {"/left": [image(COLORS, "rgb8")], "/right": [compressed(COLORS + 1)]}
    bag = write(tmp_path / "bag", topics)
    (frame,) = open_source(f"bag://{bag}?topic=/right")
    assert np.array_equal(frame.image, COLORS + 1)
    with pytest.raises(InputError, match=r"2 topics with images.*\n.*/left, /right"):
        open_source(str(bag))
    with pytest.raises(InputError, match=r"no images at '/rigt'\.\nHint: Did you mean '/right'"):
        open_source(f"bag://{bag}?topic=/rigt")
    with pytest.raises(UsageError, match="no option 'topik'"):
        open_source(f"bag://{bag}?topik=/left")


@pytest.mark.parametrize(
    ("pixels", "encoding", "frame"),
    [
        (COLORS, "rgb8", COLORS),
        (COLORS[:, :, ::-1], "bgr8", COLORS),
        (np.dstack([COLORS, COLORS[:, :, :1]]), "rgba8", COLORS),
        (COLORS[:, :, 0], "mono8", np.repeat(COLORS[:, :, :1], 3, axis=2)),
        (np.full((2, 4, 2), 128, np.uint8), "yuv422_yuy2", np.full((2, 4, 3), 130, np.uint8)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("pad", [0, 3])
def test_encodings(pixels: NDArray[Any], encoding: str, frame: NDArray[Any], pad: int) -> None:
    assert np.array_equal(frame_of(image(pixels, encoding, pad=pad), "x"), frame)


def test_bayer_is_demosaiced_the_right_way_round() -> None:
    red = np.zeros((8, 8), np.uint8)
    red[::2, ::2] = 200  # rggb: red is at the even rows and columns
    middle = frame_of(image(red, "bayer_rggb8"), "x")[3:5, 3:5].reshape(-1, 3).mean(0)
    assert middle[0] > 100 > middle[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "32FC1"}, "encoding '32FC1'"),
        ({"height": 3}, "is damaged"),
        ({"width": 100}, "is damaged"),
        ({"height": 0}, "is damaged"),
        ({"height": 2**31, "width": 2**31, "step": 2**33}, "is damaged"),
    ],
)
def test_messages_that_contradict_themselves_are_refused(
    change: dict[str, Any], words: str
) -> None:
    message = image(COLORS, "rgb8")
    for name, value in change.items():
        object.__setattr__(message, name, value)
    with pytest.raises(PictureError, match=words):
        frame_of(message, "x")


def test_a_recording_that_is_damaged_or_has_no_images(tmp_path: Path) -> None:
    text = STORE.types["std_msgs/msg/String"](data="x")
    with pytest.raises(InputError, match="has no images"):
        open_source(str(write(tmp_path / "texts", {"/text": [text]})))
    bag = write(tmp_path / "bag", {"/camera": [image(COLORS, "rgb8")] * 50})
    file = next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(InputError, match="cannot be read"):
        list(open_source(str(bag)))
    (tmp_path / "x.mcap").write_bytes(b"no recording")
    with pytest.raises(InputError, match="cannot be read"):
        open_source(str(tmp_path / "x.mcap"))


def test_label_maps_are_written_with_names_stamps_and_confidence(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [255, 1]], np.uint8)
    bag = LabelBag(tmp_path / "labels", ["road", "car"])
    for number in range(2):
        bag.add(labels + number, Stamp(5 * 10**9 + number, "eye"), np.full((2, 2), 0.5, np.float32))
    bag.close()
    found = _read(tmp_path / "labels")
    assert [(c.class_id, c.class_name) for c in found[INFO][0].class_map] == [
        (0, "road"),
        (1, "car"),
    ]
    assert len(found[INFO]) == 1
    first, second = found[LABELS]
    assert (first.encoding, first.header.frame_id, first.header.stamp.sec) == ("mono8", "eye", 5)
    assert first.data.reshape(2, 2).tolist() == labels.tolist()
    assert second.header.stamp.nanosec == 1
    assert set(found[CONFIDENCE][0].data.tolist()) == {128}


def _read(path: Path) -> dict[str, list[Message]]:
    highlevel = pytest.importorskip("rosbags.highlevel")
    found: dict[str, list[Message]] = {}
    with highlevel.AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(
                reader.deserialize(data, connection.msgtype)
            )
    return found


def test_other_names_are_written_before_their_first_label_map(tmp_path: Path) -> None:
    bag = LabelBag(tmp_path / "labels", ["road", "car"])
    for number, names in enumerate((("road", "car"), ("road", "car"), ("sky",), ("sky",))):
        bag.rename(names)
        bag.add(np.zeros((2, 2), np.uint8), Stamp(number, ""))
    bag.close()
    found = _read(tmp_path / "labels")
    infos = [[one.class_name for one in each.class_map] for each in found[INFO]]
    assert infos == [["road", "car"], ["sky"]]
    assert [each.header.stamp.nanosec for each in found[INFO]] == [0, 2]
    assert len(found[LABELS]) == 4


def test_wide_labels_are_sixteen_bits(tmp_path: Path) -> None:
    bag = LabelBag(tmp_path / "labels", [str(n) for n in range(300)])
    bag.add(np.array([[299, 65535]], np.uint16), Stamp(1, ""))
    bag.close()
    (message,) = _read(tmp_path / "labels")[LABELS]
    assert message.encoding == "mono16"
    assert message.data.view("<u2").tolist() == [299, 65535]


def test_a_recording_that_exists_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    with pytest.raises(OutputError, match="exists"):
        LabelBag(tmp_path / "labels", ["road"])


def test_a_disk_that_fills_leaves_no_half_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = LabelBag(tmp_path / "labels", ["road"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rosbag2.Writer, "write", full)
    with pytest.raises(OutputError, match="the disk is full"):
        bag.add(np.zeros((2, 2), np.uint8), Stamp(1, ""))
    bag.close()
    assert list(tmp_path.iterdir()) == []
