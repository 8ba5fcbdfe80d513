"""What calibrating and building refuse, as a user meets it: a status, a reason, nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import write_video

from edge_ovss._files import sha256_of_file
from edge_ovss.cli import main
from edge_ovss.frames.images import write_picture
from edge_ovss.synthetic import render_street

cv2: Any = pytest.importorskip("cv2")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
STREETS = "synthetic://street?count=2&seed=100&size=48x64"


@dataclass(frozen=True)
class Case:
    """A folder of calibration pictures, and what is said of it."""

    status: int
    words: tuple[str, ...]


def pictures(folder: Path, what: str) -> Path:
    """Return a folder of three pictures, or what else the case gives to --calibration."""
    folder.mkdir()
    if what == "empty":
        return folder
    for number in range(3):
        image = render_street(number, 48, 64).image
        write_picture(folder / f"{number}.png", image * (what != "black"))
    if what == "cut off":
        return cut_off(folder / "drive.avi")
    if what == "broken":
        whole = (folder / "1.png").read_bytes()
        (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    return folder


def cut_off(path: Path) -> Path:
    """Write a video, and keep the first half of it."""
    write_video(path, [render_street(number, 48, 64).image for number in range(20)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


PICTURES = {
    "empty": Case(4, ("has no images",)),
    "broken": Case(4, ("1.png",)),
    "black": Case(4, ("single color",)),
    "cut off": Case(4, ("drive.avi' is cut off",)),
    "missing": Case(4, ("does not exist",)),
}


@pytest.mark.parametrize("precision", ["int8", "fp16"])
@pytest.mark.parametrize("what", PICTURES)
def test_calibration_pictures_that_are_of_no_use(
    make_bundle: MakeBundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    what: str,
    precision: str,
) -> None:
    folder = tmp_path / "pictures"
    if what != "missing":
        folder = pictures(folder, what)
    out = tmp_path / "out.ovss"
    words = ["calibrate", str(make_bundle()), "--precision", precision, "--out", str(out)]
    assert main([*words, "--calibration", str(folder)]) == PICTURES[what].status
    _refused(capsys, PICTURES[what].words, out)


def _refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], out: Path) -> None:
    printed = capsys.readouterr().err
    assert all(word in printed for word in words), printed
    assert "Traceback" not in printed
    assert not out.exists()


def foreign(path: Path) -> None:
    """Write a small network that has nothing to do with this package."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1, 32]) for name in ("x", "y")]
    weight = onnx.numpy_helper.from_array(np.eye(32, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="layer/MatMul")
    graph = helper.make_graph([node], "foreign", ends[:1], ends[1:], [weight])
    imports = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), str(path))


def disguise(bundle: Path) -> Path:
    """Put a foreign graph into a bundle, with a manifest that knows its hash."""
    foreign(bundle / "model.onnx")
    path = bundle / "manifest.json"
    document: dict[str, Any] = json.loads(path.read_text())
    data = (bundle / "model.onnx").read_bytes()
    document["files"]["model.onnx"] = {
        "bytes": len(data),
        "sha256": sha256_of_file(bundle / "model.onnx"),
    }
    path.write_text(json.dumps(document))
    return bundle


@pytest.mark.parametrize("disguised", [False, True], ids=["a file", "in a bundle"])
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_an_onnx_file_that_is_not_ours_is_not_calibrated(
    make_bundle: MakeBundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    precision: str,
    disguised: bool,
) -> None:
    given = disguise(make_bundle()) if disguised else tmp_path / "theirs.onnx"
    if not disguised:
        foreign(given)
    out = tmp_path / "out.ovss"
    words = ["calibrate", str(given), "--precision", precision, "--calibration", STREETS]
    assert main([*words, "--out", str(out)]) == 5
    _refused(capsys, ("the manifest says",) if disguised else ("expected a bundle",), out)


@pytest.mark.parametrize("backend", ["tensorrt-rtx", "onnxruntime"])
def test_an_onnx_file_that_is_not_ours_is_neither_built_nor_run(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    bundle = disguise(make_bundle())
    if backend == "onnxruntime":
        words = ["selftest", str(bundle), "--backend", backend]
    else:
        pytest.importorskip("tensorrt_rtx_bindings")
        words = ["build", str(bundle), "--backend", backend, "--compute-capability", "8.6"]
    assert main(words) == 5
    _refused(capsys, ("the manifest says",), bundle / "engines")


@pytest.mark.parametrize("labels", ["none", "empty"])
def test_validation_without_labels(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: str
) -> None:
    data, out = tmp_path / "data", tmp_path / "out.ovss"
    data.mkdir()
    shutil.move(pictures(tmp_path / "pictures", "streets"), data / "images")
    if labels == "empty":
        (data / "labels").mkdir()
    words = ["calibrate", str(make_bundle()), "--precision", "fp16", "--calibration", STREETS]
    words += ["--validation", str(data), "--layout", "folder", "--out", str(out)]
    assert main(words) == 4
    _refused(capsys, ("The validation data cannot be used",), out)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_precision_without_calibration_pictures(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    out = tmp_path / "out.ovss"
    assert main(["calibrate", str(make_bundle()), "--precision", precision, "--out", str(out)]) == 2
    advice = "--calibration 'synthetic://street?count=300'"
    _refused(capsys, (f"--precision {precision} needs images", advice), out)
