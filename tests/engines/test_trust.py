"""Which engines are loaded: who may write them, and what of a bundle they belong to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.engines.build import default_workspace_mib, free_memory_mib
from edge_ovss.errors import ArtifactError, UsageError
from edge_ovss.runtime.trt.engine_key import EngineKey, Flags, Surroundings
from edge_ovss.runtime.trt.engine_record import PLAN, BuildRecord, Proof, read_record
from edge_ovss.runtime.trt.engine_store import (
    Engine,
    check_plan,
    choose_engine,
    fitting_engines,
    read_engines,
)
from edge_ovss.runtime.trt.frame_sizes import FrameRange, parse_range
from edge_ovss.runtime.trt.gpu import Gpu

MakeBundle = Callable[..., Path]
GPU = Gpu("some GPU", "8.6", "driver 580", False)
HERE = Surroundings("tensorrt-rtx", "1.7", "x86_64", ("8.6",), None, None)
SIZE = FrameRange.pinned((20, 30))


def engine(
    bundle: Bundle, *, frames: FrameRange = SIZE, created: str = "2026-01-01T00:00:00Z"
) -> Engine:
    """Write an engine as a build does, without a library."""
    key = EngineKey(graph_hash(bundle), HERE, frames, Flags())
    folder = bundle.path / "engines" / key.name
    folder.mkdir(parents=True, mode=0o700)
    (folder / PLAN).write_bytes(b"plan")
    (folder / PLAN).chmod(0o600)
    record = BuildRecord(
        key=key,
        sha256=hashlib.sha256(b"plan").hexdigest(),
        size=4,
        created=created,
        labels="uint8",
        layers={"FLOAT": 1},
        seconds={"build": 1.0},
        warnings=(),
        proof=Proof("passed"),
        precision="fp32",
    )
    record.write(folder)
    return Engine(folder, record)


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    return Bundle.open(make_bundle())


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
@pytest.mark.parametrize("what", ["folder", "plan"])
@pytest.mark.parametrize(
    ("bits", "trusted"),
    [(0o000, True), (0o044, True), (0o055, True), (0o020, False), (0o002, False), (0o022, False)],
)
def test_an_engine_that_others_may_write_is_refused(
    bundle: Bundle, what: str, bits: int, trusted: bool
) -> None:
    made = engine(bundle)
    path = made.folder if what == "folder" else made.plan
    path.chmod(path.stat().st_mode | bits)
    if trusted:
        assert check_plan(bundle, made) == b"plan"
        return
    with pytest.raises(ArtifactError, match=f"Other users may write '{path.name}'") as caught:
        check_plan(bundle, made)
    assert f"chmod -R go-rwx {made.folder}" in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no such users")
@pytest.mark.parametrize(("owner", "trusted"), [("me", True), ("root", True), ("other", False)])
def test_an_engine_of_another_user_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, owner: str, trusted: bool
) -> None:
    made = engine(bundle)
    stat = Path.stat
    uid = {"me": 1234, "root": 0, "other": 4321}[owner]

    def owned(self: Path, **options: bool) -> os.stat_result:
        facts = list(stat(self, **options))
        facts[4] = uid
        return os.stat_result(facts)

    monkeypatch.setattr("os.geteuid", lambda: 1234)
    monkeypatch.setattr(Path, "stat", owned)
    if trusted:
        assert check_plan(bundle, made) == b"plan"
    else:
        with pytest.raises(ArtifactError, match="Other users may write"):
            check_plan(bundle, made)


@pytest.mark.parametrize("plan", [b"plaN", b"plan.", b""])
def test_a_plan_with_other_bytes_is_refused(bundle: Bundle, plan: bytes) -> None:
    made = engine(bundle)
    made.plan.write_bytes(plan)
    with pytest.raises(ArtifactError, match=f"has been changed: {len(plan)} bytes"):
        check_plan(bundle, made)


def test_a_plan_that_is_gone_is_refused(bundle: Bundle) -> None:
    made = engine(bundle)
    made.plan.unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        check_plan(bundle, made)


def edit(bundle: Bundle, name: str) -> Bundle:
    """Return the bundle with another hash of one of its files."""
    document = json.loads((bundle.path / "manifest.json").read_bytes())
    old = document["files"][name]["sha256"]
    document["files"][name]["sha256"] = ("0" if old[0] != "0" else "1") + old[1:]
    (bundle.path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return Bundle.open(bundle.path, verify=False)


@pytest.mark.parametrize(
    ("name", "same"),
    [("model.onnx", False), ("model.onnx.data", False), ("reference/labels.npy", True)],
)
def test_an_engine_belongs_to_the_graph_and_its_external_weights(
    bundle: Bundle, name: str, same: bool
) -> None:
    engine(bundle)
    before = graph_hash(bundle)
    changed = edit(bundle, name)
    assert (graph_hash(changed) == before) is same
    if same:
        assert len(fitting_engines(changed, HERE, GPU)) == 1
    else:
        with pytest.raises(ArtifactError, match="graph: the engine is for"):
            fitting_engines(changed, HERE, GPU)


def test_the_name_of_an_engine_is_of_everything_in_its_key(bundle: Bundle) -> None:
    key = EngineKey(graph_hash(bundle), HERE, SIZE, Flags())
    others = [
        replace(key, graph="f" * 64),
        replace(key, frames=FrameRange.pinned((20, 31))),
        replace(key, frames=FrameRange((19, 30), (20, 30), (20, 30))),
        *(
            replace(key, flags=flags)
            for flags in (Flags(optimization_level=3), Flags(workspace_mib=1), Flags(tf32=True))
        ),
        *(
            replace(key, surroundings=replace(HERE, **change))
            for change in (
                {"library": "1.8"},
                {"platform": "aarch64"},
                {"capabilities": ("8.6", "8.9")},
                {"device": "Orin"},
                {"system": "L4T 36"},
                {"recipe": HERE.recipe + 1},
            )
        ),
    ]
    assert len({key.name, *(other.name for other in others)}) == len(others) + 1
    assert all(other.name.startswith("tensorrt-rtx-") for other in others)


def test_the_last_built_comes_first_and_a_pinned_one_before_a_range(bundle: Bundle) -> None:
    wide = engine(
        bundle, frames=FrameRange((10, 10), (20, 30), (40, 50)), created="2026-03-01T00:00:00Z"
    )
    old = engine(bundle, frames=SIZE, created="2026-01-01T00:00:00Z")
    wider = engine(
        bundle, frames=FrameRange((10, 10), (20, 30), (41, 50)), created="2026-02-01T00:00:00Z"
    )
    found, complaints = read_engines(bundle, "tensorrt-rtx")
    assert [each.folder for each in found] == [wide.folder, wider.folder, old.folder]
    assert complaints == []
    assert choose_engine(bundle, found, (20, 30)).folder == old.folder
    assert choose_engine(bundle, found, (40, 50)).folder == wide.folder
    assert choose_engine(bundle, found, (41, 50)).folder == wider.folder
    assert choose_engine(bundle, found, (10, 10)).folder == wide.folder
    for size in ((9, 10), (10, 9), (42, 50), (41, 51)):
        with pytest.raises(ArtifactError, match=f"The frame is {size[0]}x{size[1]}"):
            choose_engine(bundle, found, size)


@pytest.mark.parametrize("name", ["tensorrt-0123456789abcdef", ".build-abcdefgh", "tensorrt-rtx-1"])
def test_folders_of_another_name_are_no_engines_of_a_backend(bundle: Bundle, name: str) -> None:
    made = engine(bundle)
    made.folder.rename(made.folder.with_name(name))
    assert read_engines(bundle, "tensorrt-rtx") == ([], [])


def test_a_record_that_cannot_be_read_is_told_and_the_others_stay(bundle: Bundle) -> None:
    made = engine(bundle)
    broken = made.folder.with_name("tensorrt-rtx-" + "0" * 16)
    broken.mkdir()
    found, complaints = read_engines(bundle, "tensorrt-rtx")
    assert [each.folder for each in found] == [made.folder]
    assert len(complaints) == 1
    assert broken.name in complaints[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, None, None), FrameRange.pinned((360, 480))),
        (("20x30", None, None, None), FrameRange.pinned((20, 30))),
        ((None, "10x20", None, "30x40"), FrameRange((10, 20), (30, 40), (30, 40))),
        ((None, "10x20", "20x30", "30x40"), FrameRange((10, 20), (20, 30), (30, 40))),
        ((None, None, None, "30x40"), "both --min and --max"),
        ((None, "10x20", None, None), "both --min and --max"),
        ((None, None, "20x30", None), "both --min and --max"),
        ((None, "10x20", "20x30", None), "both --min and --max"),
        (("20x30", None, None, "30x40"), "one or the other"),
        (("20x30", "10x20", None, None), "one or the other"),
        (("20x30", None, "20x30", None), "one or the other"),
    ],
)
def test_frame_sizes_are_one_or_a_range_and_never_half_of_one(
    given: tuple[str | None, ...], expected: FrameRange | str
) -> None:
    size, smallest, best, largest = given

    def parse() -> FrameRange:
        return parse_range(
            size=size, smallest=smallest, best=best, largest=largest, default=(360, 480)
        )

    if isinstance(expected, FrameRange):
        assert parse() == expected
    else:
        with pytest.raises(UsageError, match=expected):
            parse()


@pytest.mark.parametrize("document", [None, [], "key", 1, {}, {"key": None}, {"key": []}])
def test_a_record_without_a_key_is_refused(document: object, tmp_path: Path) -> None:
    if isinstance(document, dict):
        document = {"schema": 1, "plan": {}, "proof": {}, **document}
    (tmp_path / "build.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"'key'|not a JSON object"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("free", "limit"),
    [(8000, 4000), (513, 256), (512, 256), (511, 256), (0, 256), (None, None)],
)
def test_the_workspace_is_half_of_what_is_free_on_a_jetson(
    free: int | None, limit: int | None
) -> None:
    jetson = replace(GPU, jetson=True)
    assert default_workspace_mib(jetson, free) == limit
    assert default_workspace_mib(GPU, free) is None
    assert default_workspace_mib(None, free) is None


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("MemTotal: 1 kB\nMemAvailable:    4096000 kB\n", 4000),
        ("MemAvailable:    1023 kB\n", 0),
        ("MemFree: 4096 kB\n", None),
        ("MemAvailable:\n", None),
        ("MemAvailable: many kB\n", None),
    ],
)
def test_free_memory_is_what_programs_can_still_have(
    tmp_path: Path, text: str, free: int | None
) -> None:
    path = tmp_path / "meminfo"
    path.write_text(text, encoding="ascii")
    assert free_memory_mib(path) == free
    assert free_memory_mib(tmp_path / "none") is None
