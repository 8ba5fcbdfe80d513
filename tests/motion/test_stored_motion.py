"""Motion from a file, and the options that take one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import InputError, UsageError
from edge_ovss.evaluation.video.evaluate import evaluate_video
from edge_ovss.evaluation.video.options import VideoOptions
from edge_ovss.motion.dis import open_flow
from edge_ovss.motion.stored import StoredFlow
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.synthetic import STREET_CLASSES, Drive, MovingStreet
from edge_ovss.vocabulary import Vocabulary

STREET = "synthetic://street?frames=4&fps=20&seed=1&size=48x64"
MakeBundle = Callable[..., Path]


def frame(height: int = 4, width: int = 5) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def saved(folder: Path, array: object) -> Path:
    path = folder / "flow.npy"
    np.save(path, np.asarray(array))
    return path


def test_whole_steps_and_pixels_are_the_same_motion(tmp_path: Path) -> None:
    pixels = np.full((2, 4, 5, 2), 1.5, np.float32)
    pixels[1, 0, 0, 1] = np.nan
    steps = np.full((2, 4, 5, 3), 48, np.int16)
    steps[1, 0, 0, 2] = 0
    found = []
    for array in (pixels, steps, pixels.astype(np.float64)):
        flow = open_flow(str(saved(tmp_path, array)))
        assert flow.advance(frame()) is None
        motion = flow.advance(frame())
        assert motion is not None
        found.append(motion)
        assert motion.valid[0, 0] == 0
        assert motion.valid.sum() == 19
        assert (motion.vectors[1:] == 48).all()
    assert np.array_equal(found[0].sources(4, 5).index[1:], found[1].sources(4, 5).index[1:])


def test_each_frame_has_its_own_row_whatever_came_before(tmp_path: Path) -> None:
    flow = StoredFlow(
        saved(tmp_path, 32 * np.arange(6, dtype=np.int16).repeat(2).reshape(6, 1, 1, 2))
    )
    seen = []
    for number in range(6):
        if number == 3:
            flow.forget()
        size = (4, 5) if number < 5 else (6, 5)
        motion = flow.advance(frame(*size))
        seen.append(None if motion is None else int(motion.vectors[0, 0, 0]) // 32)
    assert seen == [None, 1, 2, None, 4, None]
    with pytest.raises(InputError, match="motion for 6 frames; this is one more"):
        flow.advance(frame())


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4, 5), np.int16), r"int16 \[2, 4, 5\]; expected"),
        (np.zeros((2, 4, 5, 4), np.int16), "expected floating point or int16"),
        (np.zeros((2, 4, 5, 2), np.int32), "int32"),
        (np.zeros((0, 4, 5, 2), np.int16), r"\[0, 4, 5, 2\]"),
        (np.asarray([None]), "no numpy array"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: NDArray[np.int16], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StoredFlow(saved(tmp_path, array))


def test_files_that_are_no_array_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.npy"
    with pytest.raises(InputError, match="No such file"):
        StoredFlow(path)
    for content in (b"", b"not an array at all", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no numpy array"):
            StoredFlow(path)
    np.save(path, np.zeros((2, 4, 5, 2), np.int16))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="no numpy array"):
        StoredFlow(path)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(InputError, match="several arrays"):
        StoredFlow(path)


def test_a_name_that_is_neither_flow_nor_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"dis:medium, none, or FILE\.npy"):
        open_flow("raft")


def exact_flow(folder: Path) -> Path:
    """The exact flow of STREET, as a file."""
    street = MovingStreet(Drive(1, frames=4, fps=20, height=48, width=64))
    rows = np.zeros((4, 48, 64, 3), np.int16)
    for number in range(1, 4):
        motion = street.motion(number)
        assert motion is not None
        rows[number] = np.dstack((motion.vectors, motion.valid))
    return saved(folder, rows)


def test_eval_along_the_exact_flow_in_a_file_is_eval_along_the_exact_flow(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("onnxruntime")
    words = Vocabulary.from_names(STREET_CLASSES)
    bundle = replace(Bundle.open(make_bundle(outputs=16)), vocabulary=words)
    path = exact_flow(tmp_path)
    data = open_dataset(STREET)
    with Segmenter.open(bundle, threads=1) as segmenter:

        def score(flow: str, data: Dataset = data) -> Any:  # noqa: ANN401
            video = VideoOptions(hold_ms=150, keyframe=2, flow=flow)
            found = evaluate_video(segmenter, data, tmp_path / "out", video=video)
            said = found.to_json()
            return said["scores"], said["video"]["stream"], said["video"]["title"]

        (*exact, _), (*stored, title) = score("exact"), score(str(path))
        assert exact == stored
        assert exact != score("none")[:2]
        assert title.endswith("flow.npy")
        np.save(path, np.load(path)[:3])
        with pytest.raises(InputError, match="motion for 3 frames; the video has 4"):
            score(str(path))
        two = replace(
            data,
            samples=data.samples
            + tuple(replace(sample, name=f"other/{sample.name}") for sample in data.samples),
        )
        with pytest.raises(InputError, match="is that of one video; there are 2"):
            score(str(path), two)


def test_run_takes_a_file_for_one_video_only(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("onnxruntime")
    say = ["run", str(make_bundle()), "--threads", "1", "--save", "none"]
    flow = ["--keyframe", "2", "--flow", str(exact_flow(tmp_path))]
    assert main([*say, STREET, *flow]) == 0
    capsys.readouterr()
    assert main([*say, STREET.replace("frames=4", "frames=5"), *flow]) != 0
    assert "motion for 4 frames" in capsys.readouterr().err
    assert main([*say, STREET, STREET.replace("seed=1", "seed=2"), *flow]) != 0
    assert "is that of one video" in capsys.readouterr().err
    assert main([*say, STREET, "--keyframe", "2", "--flow", "exact"]) == 2
    assert "Flow 'exact' is unknown" in capsys.readouterr().err
