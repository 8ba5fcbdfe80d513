"""A second graph with more slots in the bundle: what it costs, answers, and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from edge_ovss.cli import main
from edge_ovss.errors import BundleError, UsageError
from edge_ovss.export import ExportOptions, Rejection, export_bundle
from edge_ovss.frames.images import write_picture
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.synthetic import render_street

WORDS = "road, sky, building, car, tree, person, fence, pole, window"
TIGHT = Rejection("slots", topk=2, slots=(4, 3, 2))
Capture = pytest.CaptureFixture[str]


def export(out: Path, **changes: Any) -> Bundle:  # noqa: ANN401
    options = ExportOptions(
        **{"weights": "random", "size": (96, 128), "outputs": ("labels", "scores"), **changes}
    )
    return export_bundle(WORDS, out, options)


@pytest.fixture(scope="module")
def spared(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("spare") / "spared.ovss"
    return export(out, rejection=TIGHT, spare_slots="all")


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("roomy") / "roomy.ovss"
    return export(out, rejection=Rejection("slots", topk=2, slots=(9, 9, 9)))


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    return render_street(seed=5, height=120, width=160).image


@pytest.mark.slow
def test_spare_graph_shares_the_weights_file(spared: Bundle) -> None:
    spare = spared.spare()
    assert spare is not None
    assert spared.manifest.graph.spare is not None
    assert spare.manifest.rejection.slots == (9, 9, 9)
    assert json.loads(spare.graph.metadata["edge_ovss.rejection"])["slots"] == [9, 9, 9]
    assert spare.graph.external_data == spared.graph.external_data == ("model.onnx.data",)
    sizes = {name: entry.bytes for name, entry in spared.manifest.files.items()}
    assert sizes["spare.onnx"] < 0.1 * sizes["model.onnx.data"]


@pytest.mark.slow
def test_frame_that_overflows_is_run_again_with_more_room(
    spared: Bundle, roomy: Bundle, frame: NDArray[np.uint8]
) -> None:
    with Segmenter.open(spared, on_overflow="rerun") as again, Segmenter.open(roomy) as room:
        first, expected = again.segment(frame), room.segment(frame)
        second = again.segment(frame)
    with Segmenter.open(spared) as keeping:
        kept = keeping.segment(frame)
    assert kept.overflow
    assert not kept.reran
    for result in (first, second):
        assert result.reran
        assert not result.overflow
        assert result.slots == (9, 9, 9)
        assert np.array_equal(result.counts, expected.counts)
        assert np.array_equal(result.alive, expected.alive)
        assert np.array_equal(result.labels, expected.labels)
    assert not np.array_equal(kept.labels, expected.labels)
    assert second.timings["total"] >= second.timings["infer"] > 0


@pytest.mark.slow
def test_frame_that_fits_is_run_once(roomy: Bundle, frame: NDArray[np.uint8]) -> None:
    backends: list[str] = []

    class Counting:
        def __init__(self, bundle: Bundle) -> None:
            self.bundle, self.name, self.device_ms = bundle, "counting", None

        def infer(
            self, batch: NDArray[np.uint8], thresholds: NDArray[np.float32] | None = None
        ) -> dict[str, NDArray[Any]]:
            backends.append(str(self.bundle.manifest.rejection.slots))
            return {
                "labels": np.zeros(batch.shape[:3], np.uint8),
                "alive": np.array([0, -1], np.int32),
                "counts": np.array([9, 9, 9], np.int32),
            }

        def open(self) -> Counting:
            return self

        def prepare(self, size: tuple[int, int]) -> None:
            """Nothing is built for a size."""

    fits: Any = Counting(roomy)
    result = Segmenter(roomy, fits, fits).segment(frame)
    assert backends == ["(9, 9, 9)"]
    assert not result.reran


def rerun(bundle: Bundle, frame: NDArray[np.uint8], folder: Path) -> int:
    """Exit status of `run --on-overflow rerun` on a picture; answers go to `folder`/out."""
    write_picture(folder / "a.png", frame)
    arguments = ["run", str(bundle.path), str(folder / "a.png"), "--out", str(folder / "out")]
    return main([*arguments, "--on-overflow", "rerun"])


@pytest.mark.slow
def test_run_says_how_many_frames_were_run_again(
    spared: Bundle, frame: NDArray[np.uint8], tmp_path: Path, capsys: Capture
) -> None:
    assert rerun(spared, frame, tmp_path) == 0
    printed = capsys.readouterr().err
    assert "1 of 1 frames overflowed and were run again" in printed
    assert "more categories wanted" not in printed
    facts = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (facts["reran"], facts["overflow"], facts["slots"]) == (True, False, [9, 9, 9])


@pytest.mark.slow
def test_rerun_without_a_spare_graph_is_refused(
    roomy: Bundle, frame: NDArray[np.uint8], tmp_path: Path, capsys: Capture
) -> None:
    assert rerun(roomy, frame, tmp_path) == 2
    assert "--spare-slots all" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_policies_and_backends_that_cannot_rerun(spared: Bundle) -> None:
    with pytest.raises(UsageError, match="'keep' or 'rerun'"):
        Segmenter.open(spared, on_overflow="again")
    with pytest.raises(UsageError, match="only the first graph of a bundle"):
        Segmenter.open(spared, backend="native", on_overflow="rerun")


@pytest.mark.slow
def test_calibrated_bundle_has_no_spare_graph(spared: Bundle, tmp_path: Path) -> None:
    from edge_ovss.calibration import CalibrateOptions, calibrate_bundle

    options = CalibrateOptions(precision="fp16", calibration="synthetic://street?count=2")
    done = calibrate_bundle(spared, tmp_path / "half.ovss", options)
    assert done.bundle.manifest.graph.spare is None
    assert "spare.onnx" not in done.bundle.manifest.files
    assert any("spare graph" in warning for warning in done.warnings)


@pytest.mark.slow
def test_spare_graph_that_is_not_listed_is_refused(spared: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "copy.ovss"
    shutil.copytree(spared.path, folder)
    document = json.loads((folder / "manifest.json").read_text())
    del document["files"]["spare.onnx"]
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=r"spare\.onnx"):
        Bundle.open(folder)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"rejection": TIGHT, "spare_slots": (4, 3, 2)}, "more room than the 4,3,2"),
    ({"rejection": TIGHT, "spare_slots": (8, 2, 2)}, "more room than the 4,3,2"),
    ({"rejection": TIGHT, "spare_slots": (8, 9, 9)}, "must not grow"),
    ({"rejection": Rejection("dynamic", topk=2), "spare_slots": "all"}, "cannot overflow"),
    ({"rejection": TIGHT, "spare_slots": "all", "template_rank": 4}, "template-rank"),
]


@pytest.mark.parametrize(("changes", "words"), BAD, ids=lambda value: str(value)[:50])
def test_spare_slots_that_make_no_sense_leave_nothing(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        export(tmp_path / "x.ovss", **changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--spare-slots", "some"], "three numbers or 'all'"),
        (["--spare-slots", "all", "--precision", "fp16", "--calibration", "x"], "float32"),
    ],
)
def test_spare_slots_on_the_command_line(
    tmp_path: Path, arguments: list[str], words: str, capsys: Capture
) -> None:
    out = tmp_path / "x.ovss"
    assert main(["export", "--vocab", WORDS, "--out", str(out), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


MakeBundle = Callable[..., Path]


def test_bundle_where_nothing_can_overflow_needs_no_spare_graph(
    make_bundle: MakeBundle, frame: NDArray[np.uint8]
) -> None:
    bundle = make_bundle(mode="dynamic", counts=(9, 9, 9))
    with Segmenter.open(bundle, on_overflow="rerun") as segmenter:
        assert not segmenter.segment(frame).reran
