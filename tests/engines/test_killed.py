"""A build that is killed or asked to end: its child ends too, and nothing stays behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ovss.bundle.reader import Bundle
from edge_ovss.engines.build import BuildOptions, Built, build_engine
from edge_ovss.runtime.trt.frame_sizes import FrameRange

MakeBundle = Callable[..., Path]
Pretended = Any
OPTIONS = BuildOptions(FrameRange.pinned((20, 30)))

# The verb in a process of its own, with the pretended Orin of the fixture `trt`.
VERB = """
import os, sys
from dataclasses import replace
import fake_trt
from fake_cuda import FakeCuda
from edge_ovss.cli import main
from edge_ovss.bundle import replacement
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.engines import build
from edge_ovss.runtime.trt.variants import FLAVORS

fake_trt.CUDA = cuda = FakeCuda()
cuda_driver._load = lambda: cuda
FLAVORS["tensorrt"] = replace(FLAVORS["tensorrt"], modules=("fake_trt",))

def die(*given, **options):
    os.kill(os.getpid(), 9)

exec(sys.argv[2])
options = ["--backend", "tensorrt", "--size", "20x30", "--overwrite"]
sys.exit(main(["build", sys.argv[1], *options]))
"""


def build(bundle: Path, **options: Any) -> Built:  # noqa: ANN401
    return build_engine(Bundle.open(bundle), "tensorrt", replace(OPTIONS, **options))


def verb(bundle: Path, patch: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", VERB, str(bundle), patch]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until(holds: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())


@pytest.fixture
def building(
    trt: Pretended, make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[Path, subprocess.Popen[str], int]]:
    """Start a build whose child hangs; return the bundle, the verb and the child's id."""
    note = tmp_path / "pid"

    def start() -> tuple[Path, subprocess.Popen[str], int]:
        bundle = make_bundle()
        with monkeypatch.context() as patch:
            patch.setenv("FAKE_TRT", "hang")
            patch.setenv("FAKE_TRT_PID", str(note))
            process = verb(bundle)
        known = wait_until(lambda: note.exists() and note.read_text(encoding="ascii"), 30)
        assert known, process.communicate()[1]
        pid = int(note.read_text(encoding="ascii"))
        assert is_alive(pid)
        return bundle, process, pid

    return start


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is needed")


@needs_proc
def test_the_child_ends_within_two_seconds_of_its_parents_death(
    building: Callable[[], tuple[Path, subprocess.Popen[str], int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle, process, child = building()
    process.kill()
    process.communicate()
    assert wait_until(lambda: not is_alive(child), 2)
    (left,) = (bundle / "engines").iterdir()
    assert left.name.startswith(".build-")
    built = build(bundle)
    assert list((bundle / "engines").iterdir()) == [built.engine.folder]
    assert f"Removed '{left}'" in caplog.text


@needs_proc
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_build_that_is_asked_to_end_leaves_nothing(
    building: Callable[[], tuple[Path, subprocess.Popen[str], int]],
    number: signal.Signals,
    status: int,
) -> None:
    bundle, process, child = building()
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert process.returncode == status
    assert "Traceback" not in said
    last = "interrupted" if number is signal.SIGINT else f"ended by {number.name}"
    assert said.strip().splitlines()[-1] == last
    assert not is_alive(child)
    assert list((bundle / "engines").iterdir()) == []


@needs_proc
def test_the_folder_of_a_build_that_goes_on_stays(
    building: Callable[[], tuple[Path, subprocess.Popen[str], int]],
) -> None:
    bundle, process, child = building()
    (growing,) = (bundle / "engines").iterdir()
    built = build(bundle)
    assert set((bundle / "engines").iterdir()) == {growing, built.engine.folder}
    assert is_alive(child)
    process.terminate()
    process.communicate()


@pytest.mark.parametrize("patch", ["replacement._rename = die", "replacement.shutil.rmtree = die"])
def test_an_engine_that_was_being_replaced_is_there_after_the_next_build(
    trt: Pretended, make_bundle: MakeBundle, patch: str, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = make_bundle()
    first = build(bundle).engine.folder
    process = verb(bundle, patch)
    process.communicate()
    assert process.returncode == -9
    assert len(list((bundle / "engines").iterdir())) == 2
    again = build(bundle)
    assert again.reused
    assert list((bundle / "engines").iterdir()) == [first]
    assert "killed" in caplog.text


@pytest.mark.parametrize("lost", ["stdin", "parent"])
def test_without_the_kernels_help_the_child_watches_its_stdin(lost: str) -> None:
    parent = "os.getppid()" if lost == "stdin" else "1 << 30"
    script = f"""
import os, sys, time
from edge_ovss.engines.lifeline import end_with_parent
sys.platform = "elsewhere"
end_with_parent({parent})
print("ready", flush=True)
time.sleep(30)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert (ready == b"ready\n") is (lost == "stdin")
    if lost == "stdin":
        assert process.poll() is None
        process.stdin.close()
    assert process.wait(2) == 1
    process.stdout.close()


def test_a_child_that_ends_by_itself_is_not_held_up_by_the_watch() -> None:
    script = """
import os
from edge_ovss.engines.lifeline import end_with_parent
end_with_parent(os.getppid())
print("done")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "done\n"
