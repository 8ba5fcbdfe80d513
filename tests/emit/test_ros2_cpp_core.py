"""The core of the node in C++: built without ROS, and compared with the core in Python.

Needs the C++ library (`make cpp`): EDGE_OVSS_NATIVE_LIBRARY names it.
"""

from __future__ import annotations

import array
import importlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ros_cpp_core import Process, build, running

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.emit.ros2.core import Core, image_fields

MakeBundle = Callable[..., Path]
FRAME = np.random.default_rng(5).integers(0, 256, (12, 14, 3), np.uint8)
BACKEND = "onnxruntime"


def emitted(bundle: Path, out: Path) -> Path:
    assert main(["emit", "ros2", str(bundle), "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Path:
    return make_bundle(unknown=[0.4], extras=("confidence",))


@pytest.fixture
def core(bundle: Path, tmp_path: Path) -> Iterator[Process]:
    """The core in C++ of a package for a bundle with thresholds and confidence."""
    package = emitted(bundle, tmp_path / "package")
    program = build(package, tmp_path / "build")
    with running(program, package / "bundle", FRAME.shape[:2]) as process:
        yield process


def carried(fields: dict[str, Any]) -> Any:  # noqa: ANN401 (a message of rosbags)
    """Serialize a sensor_msgs/Image with these fields as ROS 2 does, and read it back."""
    pytest.importorskip("rosbags")
    stand_in = importlib.import_module("ros_stand_in")
    whole = {**fields, "data": array.array("B", fields["data"].tobytes())}
    return stand_in.carried(stand_in.message_class("sensor_msgs/msg/Image")(**whole))


def test_the_core_in_cpp_answers_as_the_one_in_python(core: Process, bundle: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("cv2")
    assert core.order("change overlay=true confidence=true") == "ok"
    for unknown in ("", "off", "0.6"):
        assert core.order(f"change unknown={unknown}") == "ok"
        with Core(bundle, graph_hash(Bundle.open(bundle)), backend=BACKEND, threads=1) as python:
            python.overlay = python.confidence = True
            python.set_unknown(unknown)
            image = SimpleNamespace(**image_fields(FRAME))
            expected = python.segment(image, 0.0)
        answer = core.segment(FRAME.tobytes(), "rgb8", 3 * FRAME.shape[1])
        assert isinstance(answer, list), answer
        labels, overlay, confidence = answer
        found = carried(labels)
        wanted = image_fields(expected.labels)
        for key in ("encoding", "height", "width", "step", "is_bigendian"):
            assert getattr(found, key) == wanted[key]
        assert found.data.tobytes() == wanted["data"].tobytes()
        assert expected.overlay is not None
        assert expected.confidence is not None
        for each, pixels in ((overlay, expected.overlay), (confidence, expected.confidence)):
            bytes_found = carried(each).data.reshape(pixels.shape).astype(int)
            assert np.abs(bytes_found - pixels.astype(int)).max() <= 1  # rounding at borders


@pytest.mark.parametrize("pad", [0, 5])
def test_encodings_and_strides(core: Process, pad: int) -> None:
    def labels(pixels: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
        rows = np.pad(pixels.reshape(FRAME.shape[0], -1), ((0, 0), (0, pad)))
        answer = core.segment(rows.tobytes(), encoding, rows.shape[1])
        assert isinstance(answer, list), answer
        assert answer[1:] == [None, None]
        found: NDArray[np.uint8] = answer[0]["data"].reshape(FRAME.shape[:2])
        return found

    assert core.order("change unknown=off") == "ok"
    expected = FRAME.sum(-1, dtype=np.int32) % 3
    alpha = np.zeros((*FRAME.shape[:2], 1), np.uint8)
    assert np.array_equal(labels(FRAME, "rgb8"), expected)
    assert np.array_equal(labels(FRAME[..., ::-1], "bgr8"), expected)
    assert np.array_equal(labels(np.concatenate([FRAME, alpha], 2), "rgba8"), expected)
    assert np.array_equal(labels(np.concatenate([FRAME[..., ::-1], alpha], 2), "bgra8"), expected)
    assert np.array_equal(labels(FRAME[..., 0], "mono8"), np.zeros(FRAME.shape[:2]))
    for encoding, damaged in (("32FC7", "32FC7"), ("rgb8", "bytes")):
        data = FRAME.tobytes()[:-1]
        answer = core.segment(data, encoding, 3 * FRAME.shape[1])
        assert isinstance(answer, str)
        assert damaged in answer


def test_values_that_come_together_are_all_taken_or_none(core: Process) -> None:
    def answer() -> list[Any]:
        found = core.segment(FRAME.tobytes(), "rgb8", 3 * FRAME.shape[1])
        assert isinstance(found, list), found
        return found

    assert core.order("change unknown=1 confidence=true") == "ok"
    for wrong in ("overlay=true unknown=much", "unknown=much overlay=true confidence=false"):
        assert "much" in core.order(f"change {wrong}")
        labels, overlay, confidence = answer()
        assert (overlay, confidence is None, set(labels["data"])) == (None, False, {255})
    assert core.order("change overlay=true unknown=off confidence=false") == "ok"
    labels, overlay, confidence = answer()
    assert (overlay is None, confidence, 255 in labels["data"]) == (False, None, False)


def test_the_core_judges_what_it_did(core: Process) -> None:
    assert core.status(0.0)[:2] == (1, "no image has come yet")
    core.segment(FRAME.tobytes(), "rgb8", 3 * FRAME.shape[1], 10.0)
    level, message, values = core.status(11.0)
    assert (level, message, values["frames"]) == (0, "segmenting", "1")
    assert float(values["threshold"]) == pytest.approx(0.4)
    assert core.status(15.0)[1] == "no image for 5 s"
    core.segment(FRAME.tobytes(), "32FC7", 3 * FRAME.shape[1], 16.0)
    assert core.status(16.0)[0] == 2
    for _ in range(31):  # a failure is over with the next good frame; the last 30 count
        core.segment(FRAME.tobytes(), "rgb8", 3 * FRAME.shape[1], 16.0)
    level, message, values = core.status(16.0)
    assert (level, message, values["frames"]) == (0, "segmenting", "32")
    assert values["frames with too few slots"] == "0 of the last 30"
    assert core.order("change unknown=much").startswith("error ")
    assert core.order("change unknown=off") == "ok"
    assert core.status(16.0)[2]["threshold"] == "0"


def test_a_bundle_of_another_graph_is_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    package = emitted(make_bundle(outputs=5), tmp_path / "package")
    program = build(package, tmp_path / "build")
    for bundle, reason in ((make_bundle("other.ovss"), b"another graph"), (tmp_path, b"no bundle")):
        done = subprocess.run([program, str(bundle), BACKEND], capture_output=True, check=False)
        assert done.returncode == 1
        assert reason in done.stderr.lower().replace(b"is not a bundle", b"no bundle"), done.stderr
