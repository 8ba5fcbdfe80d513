"""Options of a precision that contradict each other, or that would have no effect: wrong use."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss._files import sha256_of_file
from edge_ovss.calibration import CalibrateOptions, RangeMethod, Recipe, Validation
from edge_ovss.calibration.calibrate import _open_validation
from edge_ovss.calibration.options import require_other_place
from edge_ovss.calibration.ranges import measure_ranges
from edge_ovss.calibration.warnings import CalibrationWarning
from edge_ovss.cli import build_parser, main
from edge_ovss.cli.shared.precision import read_options
from edge_ovss.errors import UsageError
from edge_ovss.graph.model import load_graph

MakeBundle = Callable[..., Path]
STREETS = "synthetic://street?count=2&seed=100&size=48x64"
LABELED = "synthetic://street?count=2&seed=900&size=48x64"
HALF = ("--precision", "fp16", "--calibration", STREETS)
INT8 = ("--precision", "int8", "--calibration", STREETS)
JUDGED = ("--validation", LABELED)

REFUSED = [
    ((*HALF, "--base", "fp32"), "base fp32"),
    ((*HALF, "--recipe", "gone.json"), "--recipe"),
    ((*HALF, "--method", "entropy"), "--method"),
    ((*HALF, "--method", "minmax"), "--method"),
    ((*HALF, "--percentile", "99"), "--percentile"),
    ((*HALF, "--sensitivity"), "--sensitivity"),
    ((*INT8, "--limit", "5"), "--limit"),
    ((*INT8, "--limit", "0"), "--limit"),
    ((*INT8, "--layout", "folder"), "--layout"),
    ((*INT8, "--classes", "names.txt"), "--classes"),
    ((*HALF, "--allow-missing"), "--allow-missing"),
    ((*INT8, "--percentile", "99"), "--method minmax"),
    ((*INT8, "--method", "entropy", "--percentile", "99.99"), "--method entropy"),
    ((*INT8, *JUDGED, "--ignore", "none"), "--ignore has 'none'"),
    ((*INT8, *JUDGED, "--limit", "0"), "--limit is 0"),
    ((*INT8, *JUDGED, "--limit", "-3"), "--limit is -3"),
    ((*INT8, *JUDGED, "--max-miou-drop", "-1"), "--max-miou-drop is -1.0"),
    ((*INT8, *JUDGED, "--max-miou-drop", "100.0000001"), "--max-miou-drop is 100.0000001"),
    ((*INT8, *JUDGED, "--max-miou-drop", "nan"), "--max-miou-drop is nan"),
    ((*INT8, "--count", "0"), "--count is 0"),
    ((*INT8, "--count", "-1"), "--count is -1"),
    ((*INT8, "--seed", "-1"), "--seed is -1"),
    ((*INT8, "--method", "percentile", "--percentile", "100.0000001"), "100.0000001"),
    ((*INT8, "--method", "percentile", "--percentile", "50"), "percentile is 50.0"),
    (("--precision", "int8", "--calibration", "rtsp://me:secret@gate/1"), "live"),
    (("--precision", "int8"), "--calibration 'synthetic://street?count=300'"),
    (("--precision", "fp16", "--calibration", ""), "--calibration names none"),
]


def _refused(capsys: pytest.CaptureFixture[str], words: str) -> None:
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed
    assert "secret" not in printed


@pytest.mark.parametrize(("extra", "words"), REFUSED, ids=lambda value: " ".join(value[4:]))
def test_calibrate_refuses_wrong_use_before_it_opens_anything(
    extra: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ovss"
    # The bundle is not there: status 2 says that the options were looked at first.
    assert main(["calibrate", str(tmp_path / "gone.ovss"), *extra, "--out", str(out)]) == 2
    _refused(capsys, words)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("extra", "words"), REFUSED, ids=lambda value: " ".join(value[4:]))
def test_export_refuses_the_same(
    extra: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "--vocab", "road, sky", *extra, "--out", str(tmp_path / "out.ovss")]
    assert main(arguments) == 2
    _refused(capsys, words)
    assert not any(tmp_path.iterdir())


UNREAD: dict[str, tuple[str, ...]] = {
    "--count": ("3",),
    "--target": ("tensorrt",),
    "--base": ("fp16",),
    "--method": ("minmax",),
    "--percentile": ("99.99",),
    "--recipe": ("gone.json",),
    "--max-miou-drop": ("0",),
    "--sensitivity": (),
    "--require-faster": (),
    "--validation": (LABELED,),
    "--layout": ("folder",),
    "--classes": ("names.txt",),
    "--ignore": ("255",),
    "--labels-start": ("0",),
    "--limit": ("0",),
    "--allow-missing": (),
}


def test_every_option_of_a_precision_is_in_the_table() -> None:
    shared = {"--seed", "--help", "--json", "--quiet", "--precision", "--calibration"}
    shared |= {"--out", "--overwrite", "--config", "--help-all"}
    verbs = next(action for action in build_parser()._actions if action.dest == "verb")
    assert isinstance(verbs.choices, dict)
    options = {name for a in verbs.choices["calibrate"]._actions for name in a.option_strings}
    assert {name for name in options if name.startswith("--")} - shared == set(UNREAD)


@pytest.mark.parametrize("option", UNREAD)
def test_a_float32_export_refuses_the_options_of_a_precision(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "--vocab", "road, sky", option, *UNREAD[option]]
    assert main([*arguments, "--out", str(tmp_path / "out.ovss")]) == 2
    _refused(capsys, f"{option} would have no effect: --precision is fp32.")
    assert not any(tmp_path.iterdir())


def test_slots_cannot_be_measured_on_what_never_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "--vocab", "road, sky", "--slots", "auto", "--calibration", "udp://a:1"]
    assert main([*arguments, "--out", str(tmp_path / "out.ovss")]) == 2
    _refused(capsys, "live")


def parsed(*arguments: str) -> CalibrateOptions:
    return read_options(build_parser().parse_args(["calibrate", "a.ovss", *arguments]))


def test_options_that_are_not_given_have_the_defaults_of_python() -> None:
    assert parsed(*HALF) == CalibrateOptions("fp16", STREETS)
    assert parsed("--calibration", STREETS) == CalibrateOptions("int8", STREETS)
    given = parsed(*INT8, "--method", "percentile", "--target", "cpu", *JUDGED, "--limit", "1")
    assert given == CalibrateOptions(
        "int8",
        STREETS,
        method=RangeMethod("percentile"),
        target="cpu",
        validation=Validation(LABELED, limit=1),
    )
    assert parsed(*INT8, "--method", "percentile", "--percentile", "99").method.percentile == 99


def test_fp16_may_be_told_what_it_does_anyway() -> None:
    assert parsed(*HALF, "--base", "fp16", "--target", "tensorrt").float_base == "fp16"


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp16", "base": "fp32"},
        {"precision": "fp16", "recipe": Recipe("sed-tiny", ())},
        {"precision": "fp16", "method": RangeMethod("entropy")},
        {"calibration": "rtsp://gate/1"},
        {"count": 0},
        {"seed": -1},
    ],
    ids=str,
)
def test_python_refuses_what_the_command_line_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CalibrateOptions(**{"precision": "int8", "calibration": STREETS, **changes})


def test_a_limit_of_nothing_and_a_percentile_of_another_method_are_refused() -> None:
    with pytest.raises(UsageError, match="--limit is 0"):
        Validation(LABELED, limit=0)
    with pytest.raises(UsageError, match=r"99\.9 is given with the method 'entropy'"):
        RangeMethod("entropy", 99.9)


@pytest.mark.parametrize(
    ("percentile", "title"),
    [
        (99.99, "percentile 99.99"),
        (99.99999, "percentile 99.99999"),
        (99.9999999999, "percentile 99.9999999999"),
        (100.0, "percentile 100"),
        (100, "percentile 100"),
    ],
)
def test_a_percentile_is_named_exactly(percentile: float, title: str) -> None:
    assert RangeMethod("percentile", percentile).title == title


@pytest.mark.parametrize("where", ["itself", "a link to it", "inside it"])
def test_the_float32_bundle_is_never_written_over(
    where: str, make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle()
    out = {"itself": bundle, "a link to it": tmp_path / "b", "inside it": bundle / "b"}[where]
    if where == "a link to it":
        out.symlink_to(bundle)
    before = {path: sha256_of_file(path) for path in bundle.rglob("*") if path.is_file()}
    arguments = ["calibrate", str(bundle), *HALF, "--out", str(out), "--overwrite"]
    assert main(arguments) == 2
    _refused(capsys, "written over the one it is made from")
    assert before == {path: sha256_of_file(path) for path in bundle.rglob("*") if path.is_file()}


def test_a_bundle_beside_the_float32_bundle_is_fine(tmp_path: Path) -> None:
    require_other_place(tmp_path / "a.ovss", tmp_path / "a-int8.ovss")


def test_a_bundle_may_be_named_by_the_folder_one_is_in(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle()
    monkeypatch.chdir(bundle)
    (bundle.parent / "tiny-fp16.ovss").mkdir()
    assert main(["calibrate", ".", *HALF]) == 4
    _refused(capsys, f"'{bundle.parent / 'tiny-fp16.ovss'}' is already there")


@pytest.mark.parametrize(("target", "name"), [("tensorrt", "int8"), ("cpu", "int8-cpu")])
def test_int8_of_both_targets_has_a_name_of_its_own(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str], target: str, name: str
) -> None:
    bundle = make_bundle()
    (bundle.parent / f"tiny-{name}.ovss").mkdir()
    assert main(["calibrate", str(bundle), *INT8, "--target", target]) == 4
    _refused(capsys, f"tiny-{name}.ovss' is already there")


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_does_not_end_a_calibration(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "half.ovss"
    assert main(["calibrate", str(tiny_bundle), *HALF, "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("warning: The ranges are not kept for the next run.") == 1
    assert "Set EDGE_OVSS_CACHE" in printed.err
    assert any("not kept" in text for text in json.loads(printed.out)["warnings"])
    assert (out / "manifest.json").is_file()


def test_a_cache_that_can_be_written_is_not_warned_about(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path / "cache"))
    path = make_bundle(extras=["confidence"]) / "model.onnx"
    model, frames = load_graph(path), [np.zeros((4, 6, 3), np.uint8)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranges = measure_ranges(model, frames, ["confidence"], key="a")
    assert ranges == measure_ranges(model, [], ["confidence"], key="a")
    assert len(list((tmp_path / "cache" / "ranges").iterdir())) == 1


def test_validation_data_are_read_as_eval_reads_them_and_what_is_not_is_said(
    tmp_path: Path,
) -> None:
    cv2 = pytest.importorskip("cv2")
    for name in ("images/a.png", "images/b.png", "labels/a.png", "labels/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shape = (2, 2, 3) if name.startswith("images") else (2, 2)
        assert cv2.imwrite(str(tmp_path / name), np.ones(shape, np.uint8))
    (tmp_path / "classes.txt").write_text("road\nsky\n")
    validation = Validation(str(tmp_path), layout="folder", ignore=(7,), labels_start=1)
    with pytest.warns(CalibrationWarning) as said:
        dataset = _open_validation(validation, seed=0)
    words = [str(one.message) for one in said]
    assert words == [
        "Validation data: 1 label maps have no image: c.",
        "Validation data: 1 images have no label map: b.",
    ]
    raw = np.array([0, 1, 2, 7], np.uint8)
    assert dataset.rule.read(raw).tolist() == [-1, 0, 1, -1]
