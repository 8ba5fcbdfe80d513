"""A bundle is read whole or refused with the reason, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss._files import sha256_of_file
from edge_ovss.bundle import writer as bundle_writer
from edge_ovss.bundle.reader import MANIFEST_LIMIT, read_manifest
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.errors import ArtifactError, BundleError, OutputError
from edge_ovss.runtime import Bundle
from edge_ovss.runtime.selftest import read_reference

MakeBundle = Callable[..., Path]


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of a bundle."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def relist(bundle: Path, name: str) -> None:
    """Bring size and hash of a file in the manifest up to date, as a forger would."""
    path = bundle / name
    entry = {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
    edit(bundle, lambda document: document["files"].update({name: entry}))


def test_a_written_bundle_opens(make_bundle: MakeBundle) -> None:
    bundle = Bundle.open(make_bundle())
    assert bundle.vocabulary.outputs == ("thing0", "thing1", "thing2")
    assert str(bundle.manifest.tool) == "edge-ovss 0.1.0"
    assert bundle.manifest.rejection.slots == (4, 4, 4)
    assert bundle.graph.external_data == ("model.onnx.data",)
    assert bundle.file("reference/frame.npy").is_file()
    assert set(bundle.manifest.files) == {
        "model.onnx",
        "model.onnx.data",
        "vocabulary.json",
        *bundle.manifest.reference.files,
    }


def test_every_file_is_hashed_and_counted(make_bundle: MakeBundle) -> None:
    bundle = Bundle.open(make_bundle())
    for name, entry in bundle.manifest.files.items():
        assert entry.bytes == bundle.file(name).stat().st_size
        assert entry.sha256 == sha256_of_file(bundle.file(name))


def test_unknown_keys_are_kept_and_do_no_harm(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    edit(path, lambda document: document.update(calibration={"pictures": 3}))
    assert Bundle.open(path).manifest.document["calibration"] == {"pictures": 3}


def test_engines_and_reports_are_not_part_of_the_proof(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    for folder in ("engines", "reports"):
        (path / folder).mkdir()
        (path / folder / "anything.bin").write_bytes(b"x")
    assert Bundle.open(path).path == path


def test_a_path_without_a_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, words in {
        "nothing": "no bundle at",
        "file": "is a file",
        ".": "has no manifest.json",
    }.items():
        with pytest.raises(BundleError, match=words) as caught:
            Bundle.open(tmp_path / name)
        assert caught.value.hint
        assert caught.value.status == 5


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "reference/labels.npy"])
def test_a_changed_byte_is_found_and_named(make_bundle: MakeBundle, name: str) -> None:
    path = make_bundle()
    data = bytearray((path / name).read_bytes())
    data[-1] ^= 1
    (path / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"'{name}' of the bundle has been changed"):
        Bundle.open(path)


def test_without_verification_only_the_hash_is_skipped(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    frame = path / "reference/frame.npy"
    data = bytearray(frame.read_bytes())
    data[-1] ^= 1
    frame.write_bytes(data)
    assert Bundle.open(path, verify=False).path == path
    frame.write_bytes(data[:-1])
    with pytest.raises(BundleError, match="bytes; the manifest says"):
        Bundle.open(path, verify=False)


def test_a_missing_file_is_named(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    (path / "model.onnx.data").unlink()
    with pytest.raises(BundleError, match=r"'model.onnx.data' is missing"):
        Bundle.open(path)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": NaN}', b'{"a": "\\ud800"}'],
    ids=["empty", "half", "bytes", "deep", "nan", "surrogate"],
)
def test_a_manifest_that_is_no_json_is_refused(make_bundle: MakeBundle, text: bytes) -> None:
    path = make_bundle()
    (path / "manifest.json").write_bytes(text)
    with pytest.raises(BundleError, match="not JSON"):
        Bundle.open(path)


def test_a_manifest_that_is_no_object_is_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    (path / "manifest.json").write_text("[1]")
    with pytest.raises(BundleError, match="not a JSON object"):
        Bundle.open(path)


def test_a_huge_manifest_is_not_read(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    with (path / "manifest.json").open("r+b") as file:
        file.truncate(MANIFEST_LIMIT + 1)
    with pytest.raises(BundleError, match="at most"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("vocabulary.json", 16 << 20),
        ("model.onnx", 16 << 20),
        ("spare.onnx", 16 << 20),
        ("small.onnx", 16 << 20),
        ("reference/labels.npy", 64 << 20),
        ("model.onnx.data", 6 << 30),
    ],
)
def test_files_of_a_bundle_have_a_largest_size(
    make_bundle: MakeBundle, name: str, most: int
) -> None:
    path = make_bundle(spare=(5, 5, 5), small=(3, 3, 3))
    edit(path, lambda document: document["files"][name].update(bytes=most + 1))
    with pytest.raises(BundleError, match=f"expected at most {most}"):
        Bundle.open(path)
    edit(path, lambda document: document["files"][name].update(bytes=most - (1 << 20)))
    with pytest.raises(BundleError) as refused:  # for its size here, not for a limit
        Bundle.open(path)
    assert "at most" not in str(refused.value)


def test_a_newer_schema_says_to_upgrade(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    edit(path, lambda document: document.update(schema=2, vocabulary="another form"))
    with pytest.raises(BundleError, match="schema 2") as caught:
        Bundle.open(path)
    assert "pip install --upgrade" in str(caught.value.hint)


BROKEN: dict[str, tuple[str, object]] = {
    "schema": ("schema", "1"),
    "schema zero": ("schema", 0),
    "created": ("created", None),
    "model.name": ("model.name", 3),
    "weights": ("model.weights", []),
    "categories": ("vocabulary.categories", 0),
    "height": ("picture.height", -1),
    "bool": ("picture.width", True),
    "mean": ("picture.mean", [0, 0]),
    "channels": ("picture.channels", "BGR"),
    "dtype": ("output.labels_dtype", "int64"),
    "outputs": ("output.outputs", ["labels"]),
    "twice": ("output.outputs", ["labels", "alive", "counts", "counts"]),
    "mode": ("rejection.mode", "some"),
    "slots": ("rejection.slots", None),
    "slot": ("rejection.slots", [1.5]),
    "external": ("graph.external_data", "model.onnx.data"),
    "agreement": ("reference.min_label_agreement", 1.5),
    "files": ("files", []),
    "entry": ("files.model.onnx", {"sha256": "0"}),
}


def owner_of(document: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """Return the object that holds a dotted name, and its last key."""
    if name.startswith("files."):
        return document["files"], name.removeprefix("files.")
    *parents, last = name.split(".")
    for parent in parents:
        document = document[parent]
    return document, last


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_field_is_named(make_bundle: MakeBundle, case: str) -> None:
    path = make_bundle()
    name, value = BROKEN[case]

    def change(document: dict[str, Any]) -> None:
        owner, last = owner_of(document, name)
        owner[last] = value

    edit(path, change)
    with pytest.raises(BundleError) as caught:
        Bundle.open(path)
    assert f"'{name}" in caught.value.message
    assert "expected" in caught.value.message


@pytest.mark.parametrize(
    "name", ["schema", "tool", "model.weights.source", "picture", "reference.frame", "files"]
)
def test_a_missing_field_is_named(make_bundle: MakeBundle, name: str) -> None:
    path = make_bundle()

    def change(document: dict[str, Any]) -> None:
        owner, last = owner_of(document, name)
        del owner[last]

    edit(path, change)
    with pytest.raises(BundleError, match=f"has no '{name}'"):
        Bundle.open(path)


OUTSIDE = ["/etc/hostname", "../secret", "a/../../secret", "a\\b", "C:/x", "", "./x", "a//b", "\0"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_the_bundle_is_refused(make_bundle: MakeBundle, name: str) -> None:
    path = make_bundle()
    (path.parent / "secret").write_text("x")
    entry = {"sha256": "0" * 64, "bytes": 1}
    edit(path, lambda document: document["files"].update({name: entry}))
    with pytest.raises(BundleError, match="inside the bundle"):
        Bundle.open(path)


@pytest.mark.parametrize("name", OUTSIDE)
def test_file_refuses_paths_outside(make_bundle: MakeBundle, name: str) -> None:
    bundle = Bundle.open(make_bundle())
    with pytest.raises(BundleError, match="inside the bundle"):
        bundle.file(name)


def test_a_link_that_leaves_the_bundle_is_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    outside = path.parent / "frame.npy"
    shutil.move(path / "reference/frame.npy", outside)
    (path / "reference/frame.npy").symlink_to(outside)
    with pytest.raises(BundleError, match="link that leaves"):
        Bundle.open(path)


def test_a_folder_link_that_leaves_the_bundle_is_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    shutil.move(path / "reference", path.parent / "elsewhere")
    (path / "reference").symlink_to(path.parent / "elsewhere")
    with pytest.raises(BundleError, match="link that leaves"):
        Bundle.open(path)


def test_a_bundle_behind_a_link_opens(make_bundle: MakeBundle, tmp_path: Path) -> None:
    (tmp_path / "link.ovss").symlink_to(make_bundle())
    assert Bundle.open(tmp_path / "link.ovss").vocabulary.outputs


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "vocabulary.json"])
def test_a_used_file_must_be_listed(make_bundle: MakeBundle, name: str) -> None:
    path = make_bundle()
    edit(path, lambda document: document["files"].pop(name))
    with pytest.raises(BundleError, match=f"'{name}' is used by manifest.json but"):
        Bundle.open(path)


def forge_location(path: Path, location: str) -> None:
    """Let the ONNX file keep its tensor in another file, with a manifest that fits."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(path / "model.onnx"), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (path / "model.onnx").write_bytes(model.SerializeToString())
    relist(path, "model.onnx")


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret"])
def test_tensors_outside_of_the_bundle_are_refused(make_bundle: MakeBundle, location: str) -> None:
    path = make_bundle()
    forge_location(path, location)
    with pytest.raises(BundleError, match="inside the bundle"):
        Bundle.open(path)


def test_tensors_in_a_file_that_is_not_listed_are_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    shutil.copy(path / "model.onnx.data", path / "other.data")
    forge_location(path, "other.data")
    with pytest.raises(BundleError, match=r"'other.data', which the manifest does not list"):
        Bundle.open(path)


def test_a_graph_that_is_no_onnx_file_is_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    (path / "model.onnx").write_bytes(b"\x3a\xff\xff\xff\x7f")
    relist(path, "model.onnx")
    with pytest.raises(ArtifactError, match="not an ONNX file"):
        Bundle.open(path)


def test_another_vocabulary_is_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    other = make_bundle("other.ovss", outputs=4)
    shutil.copy(other / "vocabulary.json", path / "vocabulary.json")
    relist(path, "vocabulary.json")
    with pytest.raises(BundleError, match="vocabulary of the bundle has the hash"):
        Bundle.open(path)


def test_a_damaged_vocabulary_is_refused(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    (path / "vocabulary.json").write_text('{"schema": 1}')
    relist(path, "vocabulary.json")
    with pytest.raises(BundleError, match="not a vocabulary"):
        Bundle.open(path)


@pytest.mark.parametrize("key", ["outputs", "categories"])
def test_counts_of_the_vocabulary_must_fit(make_bundle: MakeBundle, key: str) -> None:
    path = make_bundle()
    edit(path, lambda document: document["vocabulary"].update({key: 7}))
    with pytest.raises(BundleError, match="the manifest says 7"):
        Bundle.open(path)


def test_a_reference_that_holds_objects_is_not_unpickled(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    np.save(path / "reference/frame.npy", np.array([{"a": 1}], dtype=object))
    relist(path, "reference/frame.npy")
    with pytest.raises(BundleError, match="not a numpy array"):
        read_reference(Bundle.open(path))


def test_read_manifest_reads_nothing_else(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    (path / "model.onnx").unlink()
    assert read_manifest(path).model.name == "sed-tiny"


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_left_without_finish(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "x.ovss") as writer:
        writer.path("a/b.bin").write_bytes(b"x")
        assert not (tmp_path / "x.ovss").exists()
    assert entries(tmp_path) == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_nothing_is_left_after_an_exception(tmp_path: Path, kind: type[BaseException]) -> None:
    with pytest.raises(kind), BundleWriter(tmp_path / "x.ovss") as writer:
        writer.path("model.onnx").write_bytes(b"x")
        raise kind
    assert entries(tmp_path) == []


def test_ctrl_c_during_finish_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_writer, "sha256_of_file", interrupted)
    with pytest.raises(KeyboardInterrupt), BundleWriter(tmp_path / "x.ovss") as writer:
        writer.path("model.onnx").write_bytes(b"x")
        writer.finish({"schema": 1})
    assert entries(tmp_path) == []


def full(*args: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"), BundleWriter(tmp_path / "x"):
        full()
    assert entries(tmp_path) == []


@pytest.mark.parametrize("step", ["_sync", "move_into_place"])
def test_a_full_disk_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(bundle_writer, step, full)
    with pytest.raises(OutputError, match="disk is full"), BundleWriter(tmp_path / "x") as writer:
        writer.path("model.onnx").write_bytes(b"x")
        writer.finish({"schema": 1})
    assert entries(tmp_path) == []


def test_an_error_about_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), BundleWriter(tmp_path / "x.ovss"):
        (tmp_path / "checkpoint.pth").read_bytes()


def test_a_folder_without_permission_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match="permission is denied"), BundleWriter(tmp_path / "x"):
        pass


def test_a_file_in_the_way_of_a_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Cannot write"), BundleWriter(tmp_path / "file" / "x"):
        pass


def test_an_existing_bundle_is_kept_unless_told(make_bundle: MakeBundle) -> None:
    path = make_bundle()
    before = (path / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match="already there"):
        make_bundle(outputs=5)
    assert (path / "manifest.json").read_bytes() == before
    make_bundle(outputs=5, overwrite=True)
    assert len(Bundle.open(path).vocabulary.outputs) == 5
    assert entries(path.parent) == [path.name]


def test_overwriting_that_fails_keeps_the_old_bundle(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    rename = Path.rename

    def fail_for_the_new(self: Path, target: Path) -> Path:
        if self.name.startswith(".") and target == path:
            full()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(OutputError, match="disk is full"):
        make_bundle(outputs=5, overwrite=True)
    assert len(Bundle.open(path).vocabulary.outputs) == 3
    assert entries(path.parent) == [path.name]


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("photos", "file", "dangling"):
        with pytest.raises(OutputError, match="not a bundle"):
            BundleWriter(tmp_path / name, overwrite=True)
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_a_bundle_can_be_read_by_others_as_the_umask_says(make_bundle: MakeBundle) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert make_bundle().stat().st_mode & 0o777 == 0o777 & ~mask


def test_the_writer_refuses_paths_outside(tmp_path: Path) -> None:
    with pytest.raises(BundleError), BundleWriter(tmp_path / "x") as writer:
        writer.path("../outside")
    assert entries(tmp_path) == []
