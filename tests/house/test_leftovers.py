"""What a killed run leaves behind: the next one removes it or puts it back, and says so."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest

from edge_ovss import _leftovers
from edge_ovss._files import discard, make_folder, write_bytes
from edge_ovss._leftovers import new_part, scratch_folder
from edge_ovss.bundle.reader import Bundle, read_manifest
from edge_ovss.bundle.replacement import move_into_place
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.errors import BundleError, OutputError
from edge_ovss.vocabulary.pack_file import write_pack

MakeBundle = Callable[..., Path]
Log = pytest.LogCaptureFixture

# What every child begins with: a way to die that no `finally` sees, and a way to wait.
START = """
import os, signal, sys, time
from pathlib import Path

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def wait():
    print("ready", flush=True)
    sys.stdin.readline()

place = Path(sys.argv[1])
"""

WRITE = """
from edge_ovss.bundle import replacement
from edge_ovss.bundle import writer as bundle_writer
from edge_ovss.bundle.writer import BundleWriter

def write():
    with BundleWriter(place, overwrite=True) as writer:
        writer.path("model.onnx").write_bytes(b"new")
        if "block" in sys.argv: die()
        if "wait" in sys.argv: wait()
        writer.finish({"schema": 1, "new": True})
"""

# The moments at which a bundle is half written, or half in its place.
MOMENTS = {
    "block": "",
    "manifest": "bundle_writer.write_json = die",
    "flushing": "bundle_writer._sync = die",
    "before the first rename": "bundle_writer.move_into_place = die",
    "between the renames": "replacement._rename = die",
    "after the renames": "replacement.shutil.rmtree = die",
}


def child(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(script: str, *arguments: str | Path) -> None:
    """Run a script that kills itself."""
    with child(script, *arguments) as process:
        process.communicate()
    assert process.returncode == -9


@contextmanager
def living(script: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a script up to its `wait()`, and let it end with the block, without a fault."""
    with child(script, *arguments) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("\n")
    assert process.returncode == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_new(bundle: Path) -> bool:
    return '"new"' in (bundle / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_old_bundle_is_there_and_nothing_else_after_the_next_run(
    make_bundle: MakeBundle, tmp_path: Path, caplog: Log, moment: str
) -> None:
    bundle = make_bundle("x.ovss")
    killed(f"{WRITE}\n{MOMENTS[moment]}\nwrite()", bundle, moment)
    left = names(tmp_path)
    assert len(left) == 2
    with pytest.raises(OutputError, match="already there"):
        BundleWriter(bundle)
    assert names(tmp_path) == ["x.ovss"]
    assert is_new(bundle) is (moment == "after the renames")
    if moment != "after the renames":
        Bundle.open(bundle)
    for name in left:
        if name != "x.ovss":
            assert name in caplog.text or "Put '" in caplog.text
    caplog.clear()
    make_bundle("x.ovss", overwrite=True)
    assert names(tmp_path) == ["x.ovss"]
    assert not caplog.records


def test_a_bundle_that_was_moved_aside_is_put_back_and_named(
    make_bundle: MakeBundle, tmp_path: Path, caplog: Log
) -> None:
    bundle = make_bundle("x.ovss")
    killed(f"{WRITE}\n{MOMENTS['between the renames']}\nwrite()", bundle)
    assert not bundle.exists()
    with pytest.raises(BundleError, match="no bundle at") as caught:
        read_manifest(bundle)
    assert ".x.ovss.old." in str(caught.value)
    make_bundle("y.ovss")
    assert not bundle.exists()
    BundleWriter(bundle, overwrite=True)
    assert f"Put '{bundle}' back" in caplog.text
    assert caplog.text.count("Removed '") == 1
    Bundle.open(bundle)
    assert names(tmp_path) == ["x.ovss", "y.ovss"]


@pytest.mark.parametrize("moment", ["block", "manifest", "before the first rename"])
def test_a_place_that_was_free_is_free_again(tmp_path: Path, caplog: Log, moment: str) -> None:
    place = tmp_path / "ä b*[0-9].ovss"
    killed(f"{WRITE}\n{MOMENTS[moment]}\nwrite()", place, moment)
    (left,) = names(tmp_path)
    BundleWriter(tmp_path / "other.ovss")
    BundleWriter(tmp_path / "b.ovss")
    assert names(tmp_path) == [left]
    BundleWriter(place)
    assert names(tmp_path) == []
    assert left in caplog.text


def test_what_another_process_writes_stays(tmp_path: Path, caplog: Log) -> None:
    place = tmp_path / "x.ovss"
    with living(f"{WRITE}\nwrite()", place, "wait"):
        (growing,) = names(tmp_path)
        BundleWriter(place)
        assert names(tmp_path) == [growing]
    assert names(tmp_path) == ["x.ovss"]
    assert is_new(place)
    assert not caplog.records


def test_of_two_runs_at_once_the_later_does_not_replace_unasked(tmp_path: Path) -> None:
    place = tmp_path / "x.ovss"
    with BundleWriter(place) as early, BundleWriter(place, overwrite=True) as late:
        early.path("model.onnx").write_bytes(b"early")
        late.path("model.onnx").write_bytes(b"late")
        late.finish({"schema": 1})
        with pytest.raises(OutputError, match="already there"):
            early.finish({"schema": 1})
    assert (place / "model.onnx").read_bytes() == b"late"
    assert names(tmp_path) == ["x.ovss"]


def test_a_bundle_that_is_being_replaced_is_not_put_back(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = make_bundle("x.ovss")
    between = """
rename = replacement._rename
replacement._rename = lambda *given: (wait(), rename(*given))[1]
write()
"""
    with living(WRITE + between, bundle):
        assert not bundle.exists()
        BundleWriter(bundle)
        assert not bundle.exists()
    assert is_new(bundle)
    assert names(tmp_path) == ["x.ovss"]


def test_another_run_that_fills_the_place_meanwhile_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, folder, rival = tmp_path / "x", tmp_path / "mine", tmp_path / "rival"
    for path in (place, folder, rival):
        path.mkdir()
        (path / "file").write_text(path.name, encoding="ascii")
    rename = Path.rename

    def race(self: Path, target: Path) -> Path:
        if self == folder and rival.is_dir():
            rename(rival, place)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", race)
    move_into_place(folder, place, overwrite=True)
    assert (place / "file").read_text(encoding="ascii") == "mine"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "name", [".x.ovss.original", ".x.ovss.old.original", ".x.ovss.part.1", "x.ovss.bak"]
)
def test_a_copy_that_a_user_made_stays(make_bundle: MakeBundle, tmp_path: Path, name: str) -> None:
    bundle = make_bundle("x.ovss")
    inside = f"{name}/y.ovss" if ".old." in name else name
    make_bundle(inside)
    if ".old." in name:  # of another bundle, where something that is no bundle took its place
        bundle = tmp_path / "y.ovss"
        (tmp_path / name).rename(tmp_path / ".y.ovss.old.original")
        bundle.write_text("mine", encoding="ascii")
        inside = ".y.ovss.old.original/y.ovss"
    with pytest.raises(OutputError):
        BundleWriter(bundle)
    Bundle.open(tmp_path / inside)


def test_a_folder_that_only_has_such_a_name_stays(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle("x.ovss")
    mine = tmp_path / ".x.ovss.old.original"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine", encoding="ascii")
    make_bundle("x.ovss", overwrite=True)
    bundle.rename(tmp_path / "moved.ovss")
    BundleWriter(bundle)
    assert names(tmp_path) == [mine.name, "moved.ovss"]
    assert names(mine) == ["notes.txt"]
    (mine / "notes.txt").unlink()
    BundleWriter(bundle)
    assert names(tmp_path) == ["moved.ovss"]


def test_what_an_earlier_version_left_is_removed(tmp_path: Path) -> None:
    for name, file in ((".x.ovss.k3_9zq0a", "model.onnx"), (".x.ovss.mine5678", "notes.txt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(b"x")
    BundleWriter(tmp_path / "x.ovss")
    assert names(tmp_path) == [".x.ovss.mine5678"]


FILE = """
from edge_ovss._files import write_bytes
Path.replace = lambda *given: wait() if "wait" in sys.argv else die()
"""


def test_parts_of_files_are_removed_by_whoever_writes_there_next(
    tmp_path: Path, caplog: Log
) -> None:
    mine = tmp_path / ".notes.1.part"
    mine.write_text("of a user", encoding="ascii")
    killed(FILE + "write_bytes(place, b'half')", tmp_path / "page.html")
    with living(FILE + "write_bytes(place, b'half')", tmp_path / "page.html", "wait"):
        parts = [name for name in names(tmp_path) if name.startswith(".page.html.")]
        assert len(parts) == 2
        make_folder(tmp_path)
        (left,) = set(names(tmp_path)) - {mine.name}
        assert left in parts
        assert caplog.text.count("Removed '") == 1
    assert names(tmp_path) == [mine.name]
    write_bytes(tmp_path / "page.html", b"whole")
    assert (tmp_path / "page.html").read_bytes() == b"whole"


def test_a_part_of_an_embedding_pack_is_removed(tmp_path: Path, caplog: Log) -> None:
    script = """
import numpy
from edge_ovss.vocabulary.pack_file import write_pack
os.fsync = die
write_pack(place, {}, numpy.zeros(3))
"""
    killed(script, tmp_path / "words.npz")
    (left,) = names(tmp_path)
    write_pack(tmp_path / "other.npz", {}, numpy.zeros(3))
    assert left in names(tmp_path)
    write_pack(tmp_path / "words.npz", {}, numpy.zeros(3))
    assert names(tmp_path) == ["other.npz", "words.npz"]
    assert left in caplog.text


def test_a_download_that_was_killed_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    from edge_ovss.models.checkpoints import download

    script = """
import io
from edge_ovss.models.checkpoints import download
class Stream(io.BytesIO):
    headers = {}
    def read(self, size=None):
        die()
download._open = lambda request: Stream(b"weights")
download.fetch_checkpoint("https://host/x.pth")
"""
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    killed(script, tmp_path)
    (left,) = tmp_path.rglob("*.part")
    stream = io.BytesIO(b"weights")
    stream.headers = {}  # type: ignore[attr-defined]
    monkeypatch.setattr(download, "_open", lambda _: stream)
    monkeypatch.setattr(download, "_require_checkpoint", lambda *_: None)
    found = download.fetch_checkpoint("https://host/x.pth")
    assert found.read_bytes() == b"weights"
    assert names(found.parent) == ["x.pth"]
    assert left.name in caplog.text


SCRATCH = """
from edge_ovss._leftovers import scratch_folder
with scratch_folder() as folder:
    (folder / "float32.ovss").mkdir()
    wait() if "wait" in sys.argv else die()
"""


def test_scratch_folders_of_killed_runs_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "edge-ovss-scratch").mkdir()
    (tmp_path / "edge-ovss-training").mkdir()
    killed(SCRATCH, tmp_path)
    with living(SCRATCH, tmp_path, "wait"), scratch_folder() as folder:
        others = set(names(tmp_path)) - {folder.name}
        assert len(others) == 3
    assert names(tmp_path) == ["edge-ovss-scratch", "edge-ovss-training"]
    assert capfd.readouterr().err.count("Removed '") == 1


def test_a_scratch_folder_of_another_user_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    killed(SCRATCH, tmp_path)
    (left,) = names(tmp_path)
    user = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: user + 1)
    with scratch_folder():
        pass
    assert names(tmp_path) == [left]


def test_without_locks_everything_is_written_and_nothing_is_removed(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(f"{WRITE}\nwrite()", tmp_path / "x.ovss", "block")
    (left,) = names(tmp_path)

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    for locks in (None, no_locks):
        with monkeypatch.context() as patch:
            if locks is None:
                patch.setattr(_leftovers, "fcntl", None)
            else:
                patch.setattr("fcntl.flock", locks)
            Bundle.open(make_bundle("x.ovss", overwrite=True))
            write_bytes(tmp_path / "file", b"whole")
        assert names(tmp_path) == sorted([left, "file", "x.ovss"])


def test_what_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _leftovers._open
    tidied: list[Path] = []

    def tidy_first(path: Path) -> int | None:
        if not tidied:
            path.unlink()
            tidied.append(path)
        return opened(path)

    monkeypatch.setattr(_leftovers, "_open", tidy_first)
    part = new_part(tmp_path / "file")
    assert names(tmp_path) == [part.path.name] != [tidied[0].name]
    part.release()


def test_a_pipe_or_a_link_in_the_way_neither_blocks_nor_is_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".x.1.0123abcd.part")
    (tmp_path / "target").write_text("kept", encoding="ascii")
    (tmp_path / ".y.1.0123abcd.part").symlink_to(tmp_path / "target")
    (tmp_path / ".x.ovss.part.abcdefgh").symlink_to(tmp_path)
    start = time.monotonic()
    make_folder(tmp_path)
    BundleWriter(tmp_path / "x.ovss")
    assert time.monotonic() - start < 2
    assert (tmp_path / "target").read_text(encoding="ascii") == "kept"
    assert ".x.ovss.part.abcdefgh" in names(tmp_path)


def test_names_of_the_greatest_length_can_be_replaced(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    for name in ("a" * 250 + ".ovss", "ä" * 127):
        bundle = make_bundle(name)
        Bundle.open(make_bundle(name, overwrite=True))
        assert names(tmp_path) == [name]
        killed(f"{WRITE}\nwrite()", bundle, "block")
        BundleWriter(bundle, overwrite=True)
        assert names(tmp_path) == [name]
        write_bytes(bundle.with_name("b" * 255), b"")
        bundle.with_name("b" * 255).unlink()
        bundle.rename(tmp_path / "x")
        shutil.rmtree(tmp_path / "x")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="/proc is needed")
def test_no_lock_is_held_longer_than_what_is_written(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    before = names(Path("/proc/self/fd"))
    for _ in range(2):
        make_bundle("x.ovss", overwrite=True)
        with BundleWriter(tmp_path / "y.ovss"):
            pass
        write_bytes(tmp_path / "file", b"")
        write_pack(tmp_path / "pack.npz", {}, numpy.zeros(1))
        with scratch_folder():
            pass
        killed(SCRATCH, tmp_path)
    assert names(Path("/proc/self/fd")) == before


def test_discarding_is_silent_about_what_is_not_there_and_what_is_no_file(tmp_path: Path) -> None:
    file, folder = tmp_path / "a", tmp_path / "b"
    file.write_text("x")
    folder.mkdir()
    for path in (file, folder, tmp_path / "none"):
        discard(path)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
