"""What `emit ros2` writes: the package, its core, and its node on a stand-in of rclpy."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import types
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import main
from edge_ovss.emit.ros2.core import ERROR, OK, WARN, Core, image_fields
from edge_ovss.emit.ros2.package_folder import package_name
from edge_ovss.errors import EdgeOvssError, PictureError, UsageError

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
PACKAGE = "tiny_segmenter"
FRAME = np.random.default_rng(5).integers(0, 256, (11, 14, 3), np.uint8)


def emit(bundle: Path, out: Path, *words: str) -> int:
    return main(["emit", "ros2", str(bundle), "--out", str(out), "--quiet", *words])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def expected_labels(frame: NDArray[np.uint8], outputs: int = 3) -> NDArray[Any]:
    """What the bundles of these tests give without thresholds (tests/conftest.py)."""
    labels: NDArray[Any] = frame.sum(-1, dtype=np.int32) % outputs
    return labels


def image(frame: NDArray[np.uint8], encoding: str, **fields: object) -> Any:  # noqa: ANN401
    message = SimpleNamespace(**image_fields(frame))
    message.encoding = encoding
    for key, value in fields.items():
        setattr(message, key, value)
    return message


def open_core(bundle: Path) -> Core:
    pytest.importorskip("onnxruntime")
    graph = graph_hash(Bundle.open(bundle))
    return Core(bundle, graph, backend="onnxruntime", threads=1)


def test_the_package_has_what_ament_asks_for(make_bundle: MakeBundle, tmp_path: Path) -> None:
    yaml = pytest.importorskip("ruamel.yaml")
    bundle, out = make_bundle(), tmp_path / "out"
    assert emit(bundle, out) == 0
    about = ET.parse(out / "package.xml").getroot()
    assert (about.tag, about.get("format"), about.findtext("name")) == ("package", "3", PACKAGE)
    for tag in ("version", "description", "maintainer", "license"):
        assert about.findtext(tag)
    assert about.findtext("export/build_type") == "ament_cmake"
    named = {each.text for each in about.iter("exec_depend")}
    built = {each.text for kind in ("depend", "build_depend") for each in about.iter(kind)}
    cmake = (out / "CMakeLists.txt").read_text("utf-8")
    assert built <= set(cmake.split("set(used ")[1].split(")")[0].split())
    sources = [*(out / PACKAGE).glob("*.py"), *(out / "launch").glob("*.py")]
    imported = {
        line.split()[1].split(".")[0]
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if line.startswith(("import ", "from ")) and not line.startswith("from .")
    }
    # What neither ROS, nor Python itself, nor pip brings would be missing on the robot.
    assert imported - named - set(sys.stdlib_module_names) == {"edge_ovss", "numpy"}
    for line in (out / "CMakeLists.txt").read_text().splitlines():
        if line.startswith("install(DIRECTORY"):
            assert all((out / name).is_dir() for name in line.split(" DEST")[0].split()[1:])
    parameters = yaml.YAML(typ="safe").load((out / "config" / "segmenter.yaml").read_text())
    assert set(parameters["/**"]["ros__parameters"]) == {
        "backend",
        "bundle",
        "confidence",
        "overlay",
        "threads",
        "tower",
        "unknown",
        "words",
    }


def test_the_package_can_be_read_by_others_as_the_umask_says(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle()
    mask = os.umask(0o027)
    try:
        assert emit(bundle, tmp_path / "out") == 0
    finally:
        os.umask(mask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


def test_every_file_says_its_bundle_and_twice_gives_the_same_bytes(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle(unknown=[0.2])
    (bundle / "engines").mkdir()
    (bundle / "engines" / "secret").write_text("x")
    before = tree(bundle)
    assert emit(bundle, tmp_path / "one") == 0
    assert emit(bundle, tmp_path / "two") == 0
    files, graph = tree(tmp_path / "one"), graph_hash(Bundle.open(bundle))
    assert tree(tmp_path / "two") == files
    assert tree(bundle) == before
    record = json.loads(files["emitted.json"])
    assert set(record["files"]) == set(files) - {"emitted.json"}
    for name, data in files.items():
        if not name.startswith("bundle/"):
            assert graph.encode() in data, name
    copied = {name.removeprefix("bundle/") for name in files if name.startswith("bundle/")}
    assert copied == {name for name in before if not name.startswith("engines/")}
    assert graph_hash(Bundle.open(tmp_path / "one" / "bundle")) == graph


def test_names_of_packages_are_those_that_ros_takes(
    make_bundle: MakeBundle, tmp_path: Path, capsys: Capture
) -> None:
    bundle = Bundle.open(make_bundle())
    named = {"My City-2.ovss": "my_city_2", "3d.ovss": "ovss_3d", "ü.ovss": "ovss"}
    for folder, stem in named.items():
        found = package_name(replace(bundle, path=tmp_path / folder), None)
        assert found == f"{stem}_segmenter"
        assert package_name(bundle, found) == found
    for wrong in ("", "A", "a-b", "a__b", "a_", "_a", "1a", "a/b", "a" * 65):
        with pytest.raises(UsageError):
            package_name(bundle, wrong)
    assert emit(bundle.path, tmp_path / "out", "--name", "a-b") == 2
    assert "lower-case letters" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
@pytest.mark.parametrize("pad", [0, 5])
def test_images_of_any_encoding_and_stride_are_segmented(
    make_bundle: MakeBundle, encoding: str, pad: int
) -> None:
    pytest.importorskip("cv2")
    alpha = np.zeros((11, 14, 1), np.uint8)
    pixels = {
        "rgb8": FRAME,
        "bgr8": FRAME[..., ::-1],
        "rgba8": np.concatenate([FRAME, alpha], 2),
        "bgra8": np.concatenate([FRAME[..., ::-1], alpha], 2),
        "mono8": FRAME[..., 0],
    }[encoding].reshape(11, -1)
    frame = np.repeat(FRAME[..., :1], 3, 2) if encoding == "mono8" else FRAME
    rows = np.pad(pixels, ((0, 0), (0, pad)))
    message = image(FRAME, encoding, step=rows.shape[1], data=rows.tobytes())
    with open_core(make_bundle()) as core:
        assert np.array_equal(core.segment(message, 0.0).labels, expected_labels(frame))


@pytest.mark.parametrize("outputs", [3, 300])
def test_labels_are_mono8_or_mono16(make_bundle: MakeBundle, outputs: int) -> None:
    with open_core(make_bundle(outputs=outputs)) as core:
        fields = image_fields(core.segment(image(FRAME, "rgb8"), 0.0).labels)
    dtype, encoding = ("<u1", "mono8") if outputs == 3 else ("<u2", "mono16")
    assert (fields["encoding"], fields["is_bigendian"]) == (encoding, 0)
    assert fields["step"] == 14 * np.dtype(dtype).itemsize
    labels = np.frombuffer(fields["data"], dtype).reshape(fields["height"], fields["width"])
    assert np.array_equal(labels, expected_labels(FRAME, outputs))


def test_the_core_judges_what_it_did(make_bundle: MakeBundle) -> None:
    with open_core(make_bundle(unknown=[1.0])) as core:
        assert (core.status(0.0).level, core.threshold) == (WARN, 1.0)
        core.segment(image(FRAME, "rgb8"), 10.0)
        found = core.status(11.0)
        assert (found.level, found.values["frames"]) == (OK, "1")
        assert found.values["unknown pixels"] == "100.0 %"
        assert core.status(15.0).message == "no image for 5 s"
        with pytest.raises(PictureError):
            core.segment(image(FRAME, "32FC7"), 16.0)
        assert core.status(16.0).level == ERROR
        assert "32FC7" in core.status(16.0).message
        core.set_unknown("off")
        assert set(np.unique(core.segment(image(FRAME, "rgb8"), 17.0).labels)) == {0, 1, 2}
        with pytest.raises(EdgeOvssError):
            core.set_unknown("much")
        assert (core.threshold, core.status(17.0).level) == (0.0, OK)
        core.set_unknown("")
        assert core.threshold == 1.0
        core.set_unknown(False)  # a bare `off` in YAML
        assert core.threshold == 0.0


def test_too_few_slots_are_a_warning(make_bundle: MakeBundle) -> None:
    with open_core(make_bundle(counts=(9, 9, 9))) as core:
        core.segment(image(FRAME, "rgb8"), 0.0)
        assert core.status(0.0).level == WARN
        assert core.status(0.0).values["frames with too few slots"] == "1 of the last 1"


def test_a_bundle_of_another_graph_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(UsageError, match="this package was made for 000000000000"):
        Core(make_bundle(), "0" * 64)


@pytest.fixture
def node(make_bundle: MakeBundle, tmp_path: Path, monkeypatch: Patch) -> Any:  # noqa: ANN401
    """The node of an emitted package, not yet configured."""
    pytest.importorskip("rosbags")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("cv2")
    stand_in = importlib.import_module("ros_stand_in")
    out = tmp_path / "out"
    assert emit(make_bundle(unknown=[0.0], extras=("confidence",)), out) == 0
    stand_in.install(monkeypatch, lambda package: str(out) if package == PACKAGE else "")
    monkeypatch.syspath_prepend(str(out))
    for name in ("", ".node", ".core", ".made_from"):
        monkeypatch.delitem(sys.modules, PACKAGE + name, raising=False)
    made = importlib.import_module(f"{PACKAGE}.node").SegmenterNode()
    made.parameters.update(backend="onnxruntime", threads=1)
    yield made
    made.on_shutdown(None)
    for name in ("", ".node", ".core", ".made_from"):
        sys.modules.pop(PACKAGE + name, None)


def ros_image(frame: NDArray[np.uint8], sec: int) -> Any:  # noqa: ANN401 (a message)
    stand_in = importlib.import_module("ros_stand_in")
    message = stand_in.message_class("sensor_msgs/msg/Image")(**image_fields(frame))
    message.header.stamp.sec = sec
    message.header.stamp.nanosec = 5
    message.header.frame_id = "camera_optical"
    return stand_in.carried(message)


def pixels_of(message: Any) -> NDArray[np.uint8]:  # noqa: ANN401 (a message)
    found: NDArray[np.uint8] = message.data.reshape(message.height, message.step)
    return found


def test_the_node_publishes_labels_with_the_header_of_their_image(node: Any) -> None:  # noqa: ANN401
    assert node.on_configure(None).name == "SUCCESS"
    assert not node.subscriptions  # no image is taken before it is active
    assert node.on_activate(None).name == "SUCCESS"
    callback, quality = node.subscriptions["image"]
    assert (quality.depth, quality.history.name) == (1, "KEEP_LAST")
    assert quality.reliability.name == "BEST_EFFORT"
    callback(ros_image(FRAME, 42))
    (labels,) = node.publishers["labels"].messages
    assert np.array_equal(pixels_of(labels), expected_labels(FRAME))
    assert (labels.header.stamp.sec, labels.header.stamp.nanosec) == (42, 5)
    assert labels.header.frame_id == "camera_optical"
    assert not node.publishers["overlay"].messages
    assert not node.publishers["confidence"].messages


def test_the_names_are_latched_and_tell_the_threshold(node: Any) -> None:  # noqa: ANN401
    node.on_configure(None)
    node.on_activate(None)
    info = node.publishers["label_info"]
    assert (info.qos.depth, info.qos.durability.name) == (1, "TRANSIENT_LOCAL")
    (message,) = info.messages
    names = Bundle.open(Path(sys.modules[f"{PACKAGE}.node"].__file__ or "").parents[1] / "bundle")
    expected = list(enumerate(names.vocabulary.outputs))
    assert [(each.class_id, each.class_name) for each in message.class_map] == expected
    for given in ("0.5", 0.5, False, "off", ""):  # as `ros2 param set` reads 0.5 and off
        assert node.change("unknown", given) == ""
    assert [each.threshold for each in info.messages] == [0.0, 0.5, 0.5, 0.0, 0.0, 0.0]


def test_parameters_change_while_it_runs_or_say_why_not(node: Any) -> None:  # noqa: ANN401
    node.on_configure(None)
    node.on_activate(None)
    callback = node.subscriptions["image"][0]
    assert node.change("overlay", True) == ""
    assert node.change("confidence", True) == ""
    assert node.change("unknown", "1") == ""
    callback(ros_image(FRAME, 1))
    (labels,) = node.publishers["labels"].messages
    assert set(labels.data.tolist()) == {255}
    (overlay,) = node.publishers["overlay"].messages
    assert overlay.encoding == "rgb8"
    assert np.array_equal(pixels_of(overlay).reshape(FRAME.shape), FRAME)  # unknown: not painted
    (confidence,) = node.publishers["confidence"].messages
    whole = np.rint(255 * (FRAME.sum(-1) / 765)).astype(int)
    assert np.abs(pixels_of(confidence).astype(int) - whole).max() <= 1
    assert "a number" in node.change("unknown", "much")
    assert node.change("unknown", True)
    assert node.change("unknown", 2.0)
    assert "configured" in node.change("backend", "openvino")
    # The words of this bundle are frozen in it.
    assert "words" in node.change("words", "road, forklift")
    assert node.change("words", "") == ""
    assert node.parameters["unknown"] == "1"


def test_parameters_that_come_together_are_all_taken_or_none(node: Any) -> None:  # noqa: ANN401
    node.on_configure(None)
    node.on_activate(None)
    callback = node.subscriptions["image"][0]
    assert node.change_all({"unknown": "1", "confidence": True}) == ""
    refused: list[dict[str, object]] = [
        {"overlay": True, "unknown": "much"},
        {"unknown": "off", "words": "road, forklift", "overlay": True},
        {"unknown": "off", "overlay": True, "threads": 2},
    ]
    for given in refused:
        assert node.change_all(given)
        callback(ros_image(FRAME, 1))
        assert set(node.publishers["labels"].messages[-1].data.tolist()) == {255}
    assert not node.publishers["overlay"].messages
    assert len(node.publishers["confidence"].messages) == len(refused)
    assert [each.threshold for each in node.publishers["label_info"].messages] == [0.0, 1.0]


def test_the_node_in_cpp_compiles_against_what_is_documented_of_rclcpp(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    compiler = shutil.which("g++") or pytest.skip("there is no g++")
    assert emit(make_bundle(), tmp_path / "out") == 0
    source = tmp_path / "out" / "src" / "node.cpp"
    named = re.findall(r"#include <(\w+/\S+)>", source.read_text("utf-8"))
    assert "rclcpp/rclcpp.hpp" in named
    for each in named:
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text('#include "rclcpp_stand_in.hpp"\n')
    here = Path(__file__).parent
    folders = [tmp_path, here / "ros2_core", here.parents[1] / "runtime" / "include"]
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
    command = [compiler, *flags, *(f"-I{folder}" for folder in folders), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_diagnostics_tell_of_damaged_images(node: Any) -> None:  # noqa: ANN401
    node.on_configure(None)
    node.on_activate(None)
    callback = node.subscriptions["image"][0]
    callback(ros_image(FRAME, 1))
    (timer,) = node.timers
    timer()
    broken = ros_image(FRAME, 2)
    broken.encoding = "nothing"
    callback(broken)
    timer()
    first, second = (each.status[0] for each in node.publishers["/diagnostics"].messages)
    assert (first.level, second.level) == (OK, ERROR)
    assert "nothing" in second.message
    assert first.name == "segmenter: tiny.ovss"
    assert {each.key: each.value for each in first.values}["frames"] == "1"
    assert len(node.errors) == 1
    callback(ros_image(FRAME, 3))  # it goes on
    assert len(node.publishers["labels"].messages) == 2


def test_the_life_of_the_node(node: Any, tmp_path: Path) -> None:  # noqa: ANN401
    node.parameters["bundle"] = str(tmp_path / "nothing")
    assert node.on_configure(None).name == "FAILURE"
    assert "There is no bundle" in node.errors[0]
    assert not node.publishers
    node.parameters["bundle"] = ""
    for _ in range(2):
        assert node.on_configure(None).name == "SUCCESS"
        assert node.on_activate(None).name == "SUCCESS"
        assert node.on_deactivate(None).name == "SUCCESS"
        assert (node.subscriptions, node.timers) == ({}, [])
        assert node.on_cleanup(None).name == "SUCCESS"
        assert not node.publishers


def test_the_launch_file_configures_and_activates_the_node(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: Patch
) -> None:
    assert emit(make_bundle(), tmp_path / "out") == 0
    mocks: dict[str, MagicMock] = {}
    for name in (
        "launch",
        "launch.actions",
        "launch.events",
        "launch.substitutions",
        "launch_ros",
        "launch_ros.actions",
        "launch_ros.event_handlers",
        "launch_ros.events",
        "launch_ros.events.lifecycle",
        "launch_ros.substitutions",
        "lifecycle_msgs",
        "lifecycle_msgs.msg",
    ):
        mocks[name] = MagicMock()
        monkeypatch.setitem(sys.modules, name, mocks[name])
    module = types.ModuleType("segmenter_launch")
    source = (tmp_path / "out" / "launch" / "segmenter.launch.py").read_text("utf-8")
    exec(compile(source, "segmenter.launch.py", "exec"), module.__dict__)
    module.generate_launch_description()
    node = mocks["launch_ros.actions"].LifecycleNode.call_args.kwargs
    assert (node["package"], node["name"]) == (PACKAGE, "segmenter")
    mocks["launch.actions"].DeclareLaunchArgument.assert_any_call("node", default_value="segmenter")
    transitions = mocks["lifecycle_msgs.msg"].Transition
    asked = mocks["launch_ros.events.lifecycle"].ChangeState.call_args_list
    assert [call.kwargs["transition_id"] for call in asked] == [
        transitions.TRANSITION_ACTIVATE,
        transitions.TRANSITION_CONFIGURE,
    ]
