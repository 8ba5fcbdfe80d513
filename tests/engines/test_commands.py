"""The commands that messages print: they parse, keep every flag, and survive a shell."""

from __future__ import annotations

import json
import re
import shlex
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.cli import build_parser, main
from edge_ovss.cli.build import read_options
from edge_ovss.engines import build as build_module
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.engines.proof import ladder
from edge_ovss.errors import ArtifactError, OutputError, ParityError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.trt.commands import rebuild_command
from edge_ovss.runtime.trt.engine_key import EngineKey, Flags, Surroundings
from edge_ovss.runtime.trt.frame_sizes import FrameRange

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Pretended = Any  # the module fake_trt
Capture = pytest.CaptureFixture[str]
SIZE = FrameRange.pinned((20, 30))
RANGE = FrameRange((10, 10), (20, 30), (40, 50))
TURNED = Flags(optimization_level=1, workspace_mib=512, tf32=True)


@pytest.fixture(autouse=True)
def _by_ctypes(monkeypatch: pytest.MonkeyPatch) -> None:
    # The pretended GPU is one for the driver's library only.
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")


def build(path: Path, **options: Any) -> Any:  # noqa: ANN401
    chosen = BuildOptions(**{"frames": SIZE, "flags": TURNED, **options})
    return build_engine(Bundle.open(path), "tensorrt", chosen).engine


def commands_in(text: str) -> list[list[str]]:
    """Return the arguments of every `edge-ovss build` and `selftest` in a message."""
    lines = re.findall(r"edge-ovss ((?:build|selftest) [^;\n]*?)(?=;|$| \(| use )", text, re.M)
    return [shlex.split(line.rstrip(".")) for line in lines]


def options_of(words: list[str]) -> BuildOptions:
    args = build_parser().parse_args(words)
    return read_options(args, Bundle.open(args.bundle))


def frame() -> Any:  # noqa: ANN401
    import numpy as np

    return np.zeros((20, 30, 3), np.uint8)


def key_of(**changes: Any) -> EngineKey:  # noqa: ANN401
    here = Surroundings("tensorrt-rtx", "1.7", "x86_64", ("8.6", "8.9"), None, None)
    return replace(EngineKey("0" * 64, here, RANGE, TURNED), **changes)


@pytest.mark.parametrize("flags", [Flags(), TURNED, Flags(optimization_level=0)])
@pytest.mark.parametrize("frames", [SIZE, RANGE])
def test_a_rebuild_asks_for_the_same_key(
    make_bundle: MakeBundle, flags: Flags, frames: FrameRange
) -> None:
    bundle = Bundle.open(make_bundle("a city's bundle $HOME.ovss"))
    command = rebuild_command(bundle, key_of(flags=flags, frames=frames))
    words = shlex.split(command)
    assert words[:3] == ["edge-ovss", "build", str(bundle.path)]
    options = options_of(words[1:])
    assert (options.frames, options.flags) == (frames, flags)
    assert options.capabilities == ("8.6", "8.9")
    assert options.overwrite


def test_an_engine_of_the_gpu_at_hand_names_no_capability(make_bundle: MakeBundle) -> None:
    here = replace(key_of().surroundings, backend="tensorrt", device="Orin", capabilities=("8.7",))
    bundle = Bundle.open(make_bundle())
    assert "--compute-capability" not in rebuild_command(bundle, key_of(surroundings=here))


CHANGES: dict[str, tuple[str, object]] = {
    "TensorRT version: the engine is for 10.16.2, here is 10.3.0": ("library", "10.16.2"),
    "graph: the engine is for ffffffffffff, here is ": ("graph", "f" * 64),
    "flags: the engine is for none, here is --tf32 --optimization-level 1": (
        "flags",
        {"optimization_level": None, "workspace_mib": None, "tf32": False},
    ),
    "frames: the engine is for 40x50, here is 20x30": (
        "frames",
        {"min": [40, 50], "opt": [40, 50], "max": [40, 50]},
    ),
    "compute capability: the engine is for 8.9, here is 8.7": ("capabilities", ["8.9"]),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_record_of_another_key_is_refused_before_its_plan_is_loaded(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    path = make_bundle()
    record = build(path).folder / "build.json"
    document = json.loads(record.read_text())
    name, value = CHANGES[words]
    document["key"][name] = value
    document["proof"]["state"] = "not run"  # else nobody would load it to compare
    record.write_text(json.dumps(document))
    monkeypatch.setattr(trt, "Runtime", None)  # whoever deserializes, crashes
    with pytest.raises(ArtifactError) as caught:
        build(path)
    assert words in str(caught.value)
    (command,) = commands_in(str(caught.value))
    assert options_of(command) == BuildOptions(frames=SIZE, flags=TURNED, overwrite=True)


def test_the_verb_refuses_a_changed_record_and_its_command_mends_it(
    trt: Pretended, make_bundle: MakeBundle, capsys: Capture
) -> None:
    path = make_bundle("with space.ovss")
    words = ["build", str(path), "--backend", "tensorrt", "--tf32"]
    assert main(words) == 0
    (record,) = path.glob("engines/*/build.json")
    record.write_text(record.read_text().replace("10.3.0", "10.4.0"))
    assert main(words) == 5
    printed = capsys.readouterr().err
    assert f"edge-ovss run '{path}' SOURCE --backend tensorrt" in printed
    (command,) = commands_in(printed)
    assert main(command) == 0
    assert main(words) == 0
    assert "already there" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', "[]", None])
def test_a_damaged_record_gives_the_command_that_builds_it_again(
    trt: Pretended, make_bundle: MakeBundle, content: str | None
) -> None:
    path = make_bundle()
    record = build(path).folder / "build.json"
    if content is None:
        record.unlink()
    else:
        record.write_text(content)
    with pytest.raises(ArtifactError, match=r"has no usable build\.json") as caught:
        build(path)
    (command,) = commands_in(str(caught.value))
    assert main(command) == 0
    assert json.loads(record.read_text())["key"]["flags"]["tf32"] is True


REFUSALS = ("a changed plan", "another version", "another size", "the library")


@pytest.mark.parametrize("why", REFUSALS)
def test_whoever_refuses_an_engine_keeps_its_flags(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    path = make_bundle("with space.ovss")
    frames = FrameRange.pinned((9, 9)) if why == "another size" else RANGE
    engine = build(path, frames=frames)
    if why == "a changed plan":
        engine.plan.write_bytes(b"x")
    elif why == "another version":
        monkeypatch.setattr(trt, "__version__", "10.16.2")
    elif why == "the library":
        monkeypatch.setenv("FAKE_TRT", "load")
    with pytest.raises(ArtifactError) as caught, Segmenter.open(path, backend="tensorrt") as one:
        one.segment(frame())
    (command,) = commands_in(str(caught.value))
    options = options_of(command)
    assert options.flags == TURNED
    assert options.frames == (SIZE if why == "another size" else RANGE)
    assert options.overwrite is (why in ("a changed plan", "the library"))


def test_the_ladder_names_only_what_exists_and_keeps_the_flags(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle("with space.ovss")
    monkeypatch.setenv("FAKE_TRT", "wrong")
    with pytest.raises(ParityError) as caught:
        build(path, frames=RANGE)
    *steps, selftest = commands_in(str(caught.value))
    options = [options_of(words) for words in steps]
    assert [each.frames for each in options] == [SIZE] * 3
    assert [each.flags for each in options] == [
        TURNED,
        replace(TURNED, optimization_level=0),
        replace(TURNED, optimization_level=0, tf32=False),
    ]
    assert build_parser().parse_args(selftest).backend == "onnxruntime"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_every_option_in_a_ladder_is_one_of_its_verb(
    make_bundle: MakeBundle, precision: str, backend: str
) -> None:
    path = make_bundle(precision=precision)
    manifest = path / "manifest.json"
    document = json.loads(manifest.read_text())
    document["precision"] = {"name": precision, "target": "tensorrt"}
    manifest.write_text(json.dumps(document))
    here = replace(key_of().surroundings, backend=backend)
    text = ladder(Bundle.open(path), key_of(surroundings=here, flags=Flags()))
    assert ("float32 bundle" in text) is (precision != "fp32")
    assert ("--base fp32" in text) is (precision == "int8")
    assert ("10.16" in text) is (backend == "tensorrt")
    help_of = {verb: _help(verb) for verb in ("build", "calibrate", "selftest", "run")}
    named = set(re.findall(r"--[a-z][a-z0-9-]+", text))
    assert named <= {option for options in help_of.values() for option in options}
    calibrate = text.partition("edge-ovss calibrate")[2].partition(";")[0]
    assert set(re.findall(r"--[a-z-]+", calibrate)) <= help_of["calibrate"]


def _help(verb: str) -> set[str]:
    (verbs,) = (action for action in build_parser()._actions if action.dest == "verb")
    assert isinstance(verbs.choices, dict)
    return {name for action in verbs.choices[verb]._actions for name in action.option_strings}


def test_no_room_for_the_plan_is_said_as_such(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    full = Path("/dev/full")
    if not (full.exists() and stat.S_ISCHR(full.stat().st_mode)):
        pytest.skip("needs /dev/full")
    ask = build_module.make_request
    monkeypatch.setattr(
        build_module, "make_request", lambda *given: replace(ask(*given), plan=str(full))
    )
    with pytest.raises(OutputError) as caught:
        build(path)
    text = str(caught.value)
    assert "cannot be written" in text
    assert "No space left on device" in text
    assert "Free space on the disk" in text
    assert "--optimization-level" not in text
    assert list((path / "engines").iterdir()) == []


def test_a_library_that_does_not_import_sends_to_doctor(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = build_module.make_request
    monkeypatch.setattr(
        build_module, "make_request", lambda *given: replace(ask(*given), module="no_such_trt")
    )
    with pytest.raises(ArtifactError, match="could not start") as caught:
        build(make_bundle())
    assert "edge-ovss doctor" in str(caught.value)


def test_timings_that_cannot_be_kept_do_not_cost_the_engine(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    (path / "engines" / "timing-10.3.0-Orin_pretended-sm87.cache" / "in the way").mkdir(
        parents=True
    )
    record = build(path, timing_cache=True).record
    assert record.proof.state == "passed"
    assert any("timing cache is not kept" in line for line in record.warnings)
