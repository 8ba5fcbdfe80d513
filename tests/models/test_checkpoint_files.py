"""Checkpoints as users bring them: what the file is, what is in it, and what is said about it."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pickle
import random
import re
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import CheckpointError

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.checkpoints.kind import checkpoint_kind  # noqa: E402
from edge_ovss.models.checkpoints.loading import (  # noqa: E402
    checkpoint_digest,
    load_into,
    read_checkpoint,
)
from edge_ovss.models.checkpoints.state_dict import without_wrapping  # noqa: E402
from edge_ovss.models.registry import EMBEDDED  # noqa: E402

NAMES = ("front.0.weight", "front.0.bias", "scale")
NOT_FINITE = r"1 of \d+ tensors .* not finite \(NaN or infinity\)"


def _weights() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 3), (4,), ())
    return {
        name: torch.randn(shape, generator=generator)
        for name, shape in zip(NAMES, shapes, strict=True)
    }


class _Model(torch.nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self) -> None:
        super().__init__()
        self.front = torch.nn.Sequential(torch.nn.Linear(3, 4))
        self.scale = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64), persistent=False)


def _loaded(document: object, path: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401
    """Save a document, fill a small model from it, and return its weights and what was said."""
    torch.save(document, path, **options)
    said: list[str] = []
    model = _Model()
    tensors = read_checkpoint(path, note=said.append)
    tensors = without_wrapping(tensors, model.state_dict(), "published.", said.append)
    load_into(model, tensors, name="small", family="sed", prefix="published.")
    return model.state_dict(), said


def _same(found: dict[str, Any]) -> bool:
    expected = _weights()
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def _refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, note=lambda _: None)
    text = str(caught.value)
    assert str(path) in text
    assert "weights_only" not in text
    assert "\x1b" not in text
    return text


@pytest.mark.parametrize(
    ("fronts", "said"),
    [
        ((), None),
        (("published",), None),
        (("module",), "'module.'"),
        (("module", "published"), "'module.'"),
        (("model", "module", "published"), "'model.module.'"),
        (("state_dict", "generator"), "'state_dict.generator.'"),
        (("anything_else",), "'anything_else.'"),
        (("module", "_orig_mod", "published"), "'module.'"),
        (("_orig_mod",), "'_orig_mod.'"),
    ],
)
def test_a_prefix_of_all_names_is_dropped_and_said(
    tmp_path: Path, fronts: tuple[str, ...], said: str | None
) -> None:
    state = {".".join((*fronts, name)): value for name, value in _weights().items()}
    found, notes = _loaded({"model": state}, tmp_path / "x.pth")
    assert _same(found)
    assert (said is None) == (notes == [])
    assert said is None or any(said in note for note in notes)


def test_what_torch_puts_into_the_middle_of_some_names_is_dropped(tmp_path: Path) -> None:
    state = {re.sub("^front", "front._orig_mod", name): v for name, v in _weights().items()}
    found, (note,) = _loaded(state, tmp_path / "x.pth")
    assert _same(found)
    assert "'_orig_mod.'" in note


def test_counters_of_an_averaged_model_do_not_hide_its_prefix(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in _weights().items()}
    assert _same(_loaded({"n_averaged": torch.tensor(3), **state}, tmp_path / "x.pth")[0])


def test_a_prefix_of_only_some_names_is_refused(tmp_path: Path) -> None:
    first, *others = NAMES
    state = {f"module.{first}": _weights()[first], **{name: _weights()[name] for name in others}}
    with pytest.raises(CheckpointError, match=r"1 missing: front.0.weight; 1 unexpected: module"):
        _loaded(state, tmp_path / "x.pth")


def test_two_models_in_one_state_dict_are_named(tmp_path: Path) -> None:
    state = {f"{who}.{n}": v for who in ("teacher", "student") for n, v in _weights().items()}
    with pytest.raises(CheckpointError, match="begin with: teacher, student"):
        _loaded(state, tmp_path / "x.pth")


def test_a_data_parallel_checkpoint_of_a_real_model_loads(tmp_path: Path) -> None:
    weights = safetensors.load_file(EMBEDDED / "sed_tiny.safetensors")
    torch.save({"model": {"module." + k: v for k, v in weights.items()}}, tmp_path / "x.pth")
    with pytest.warns(UserWarning, match=r"'module\.'"):
        found = load_model("sed-tiny", checkpoint=tmp_path / "x.pth").state_dict()
    expected = load_model("sed-tiny").state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda w: w, None),
        (lambda w: {"model": w, "iteration": 7}, None),
        (lambda w: {"state_dict": OrderedDict(w), "optimizer_states": [{"state": {0: w}}]}, None),
        (lambda w: {"model": {"state_dict": w}}, None),
        (lambda w: {"params": w}, None),
        (lambda w: {"model": w, "model_ema": {}}, "'model' and 'model_ema'; 'model' is used"),
        (lambda w: {"ema": {}, "state_dict": w}, "'state_dict' and 'ema'; 'state_dict' is used"),
        (lambda w: {"state_dict": {}, "model": w}, "'model' and 'state_dict'; 'model' is used"),
        (lambda w: {"params_ema": w, "step": 3}, "averaged weights; 'params_ema' is used"),
        (lambda w: {"my_net": w, "best": 0.5}, "the tensors under 'my_net' are taken"),
        (lambda w: {"model": w, "ema": None}, None),
    ],
)
def test_wrapped_state_dicts_are_found_and_a_choice_is_said(
    tmp_path: Path, wrap: Callable[[dict[str, Any]], object], said: str | None
) -> None:
    found, notes = _loaded(wrap(_weights()), tmp_path / "x.pth")
    assert _same(found)
    assert (said is None) == (notes == [])
    assert said is None or said in notes[0]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"teacher": _weights(), "student": _weights()}, "several state dicts: teacher, student"),
        ({"model": {"epoch": 3}}, "no tensors under 'model'; its keys there are: epoch"),
        ({}, "no tensors; its keys there are: none"),
        ([1, 2], "contains a list, not a state dict"),
        (torch.zeros(3), "contains a Tensor, not a state dict"),
        ({"a\x1b[1mb" * 100: 1}, r"keys there are: a\\x1b"),
    ],
)
def test_documents_without_one_state_dict_are_refused(
    tmp_path: Path, document: object, message: str
) -> None:
    torch.save(document, tmp_path / "x.pth")
    assert re.search(message, _refused(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    "beside",
    [
        np.float64(3),
        np.int64(3),
        np.bool_(True),
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.asfortranarray(np.ones((2, 3), np.float32)),
        np.array(["a", "b"]),
        np.random.RandomState(0).get_state(),
    ],
    ids=["float64", "int64", "bool", "array", "fortran", "text", "random state"],
)
def test_numpy_values_beside_the_tensors_are_harmless(tmp_path: Path, beside: object) -> None:
    found, notes = _loaded({"model": _weights(), "beside": beside}, tmp_path / "x.pth")
    assert _same(found)
    assert notes == []


@pytest.mark.parametrize("name", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalars_of_both_numpy_versions_are_harmless(tmp_path: Path, name: str) -> None:
    torch.save({"model": _weights(), "best": np.float64(3)}, tmp_path / "x.pth")
    found = re.compile(rb"cnumpy\.(_?core)\.multiarray\n")
    with zipfile.ZipFile(tmp_path / "x.pth") as old:
        entries = {each: old.read(each) for each in old.namelist()}
    with zipfile.ZipFile(tmp_path / "y.pth", "w") as new:
        for entry, content in entries.items():
            new.writestr(entry, found.sub(f"c{name}\n".encode(), content))
    assert read_checkpoint(tmp_path / "y.pth").keys() == _weights().keys()


@pytest.mark.parametrize("order", ["<", ">"])
def test_weights_kept_as_numpy_arrays_load(tmp_path: Path, order: str) -> None:
    arrays = {n: np.asarray(v.numpy(), f"{order}f4") for n, v in _weights().items()}
    arrays["front.0.weight"] = np.asfortranarray(arrays["front.0.weight"])
    assert _same(_loaded({"model": arrays}, tmp_path / "x.pth")[0])


def test_a_crafted_dtype_reaches_no_numpy(tmp_path: Path) -> None:
    """An object dtype without its flags would make NumPy follow eight bytes as an address."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            scalar = np.float64(0).__reduce__()[0]
            return scalar, (np.dtype("O"), b"\x41" * 8)

    torch.save({"model": _weights(), "trap": Trap()}, tmp_path / "x.pth")
    assert _same(read_checkpoint(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (Path("x"), "pathlib.PosixPath"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (np.random.default_rng(0), "numpy.random"),
    ],
)
def test_other_python_objects_are_named_and_not_opened(
    tmp_path: Path, beside: object, name: str
) -> None:
    torch.save({"model": _weights(), "beside": beside}, tmp_path / "x.pth")
    message = _refused(tmp_path / "x.pth")
    assert f"of the type '{name}" in message
    assert "save its state dict alone" in message


def test_a_payload_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    for options in ({}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}):
        torch.save({"model": Payload()}, tmp_path / "x.pth", **options)
        _refused(tmp_path / "x.pth")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Payload()))
    _refused(tmp_path / "x.pkl")
    assert not (tmp_path / "executed").exists()


def _changed(change: Callable[[Any], Any]) -> dict[str, Any]:
    return {**_weights(), "front.0.weight": change(_weights()["front.0.weight"])}


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.double(),
        lambda v: v.t().contiguous().t(),
        lambda v: torch.cat([v, v])[:4],
        lambda v: torch.nn.Parameter(v),
        lambda v: v.to_sparse(),
        lambda v: v.to_sparse_csr(),
        lambda v: v.to_sparse_csc(),
    ],
    ids=["double", "transposed", "shared", "parameter", "coo", "csr", "csc"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_forms_that_hold_the_same_numbers_load(
    tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    assert _same(_loaded(_changed(change), tmp_path / "x.pth")[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_smaller_floats_load_with_their_values(tmp_path: Path, dtype: str) -> None:
    rounded = {name: v.to(getattr(torch, dtype)) for name, v in _weights().items()}
    found = _loaded(rounded, tmp_path / "x.pth")[0]
    assert all(torch.equal(found[name], rounded[name].float()) for name in NAMES)


def _float4(value: Any) -> Any:  # noqa: ANN401
    kind = getattr(torch, "float4_e2m1fn_x2", None)
    if kind is None:
        pytest.skip("this torch has no FP4")
    return torch.zeros(value.shape, dtype=torch.uint8).view(kind)


def _quantized(value: Any) -> Any:  # noqa: ANN401
    return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)


def _nested(value: Any) -> Any:  # noqa: ANN401
    return torch.nested.nested_tensor(list(value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.to("meta"), "contains no data: it was saved from the device 'meta'"),
        (_quantized, "is quantized"),
        (_nested, "is nested"),
        (_float4, "float4_e2m1fn_x2"),
        (lambda v: v.to(torch.complex64), "is complex"),
        (lambda v: v.to(torch.int8), r"contains torch\.int8 where the model has real numbers"),
        (lambda v: v > 0, r"contains torch\.bool"),
        (lambda v: v[0, 0], r"front.0.weight \(\) instead of \(4, 3\)"),
        (lambda v: torch.zeros(1).expand(2**40), r"\(1099511627776,\) instead of"),
        (lambda v: torch.full_like(v, float("nan")), NOT_FINITE),
        (lambda v: v.double() * 1e300, NOT_FINITE),
        (lambda v: torch.full_like(v, float("inf")).to_sparse(), NOT_FINITE),
    ],
    ids=[
        "meta",
        "quantized",
        "nested",
        "fp4",
        "complex",
        "int8",
        "bool",
        "scalar",
        "huge",
        "nan",
        "overflow",
        "sparse-inf",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_plain_numbers_are_refused_by_name(
    tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        _loaded(_changed(change), tmp_path / "x.pth")
    assert "front.0.weight" in str(caught.value)


def _archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return content.getvalue()


def _tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return content.getvalue()


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 9\n"


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (LFS.encode(), "a Git LFS pointer", "git lfs pull"),
        (b"/annex/objects/SHA256E-s3--abc.pth\n", "a git-annex pointer", "git annex get"),
        (b"<!DOCTYPE html><html>", "a web page", "the file itself"),
        (b"\xef\xbb\xbf\n <HTML>", "a web page", "the file itself"),
        (b"<?xml version='1.0'?><Error/>", "a web page", "the file itself"),
        (b"Entry not found", "text ('Entry not found')", "the file itself"),
        (b'{"error": "gated"}', "JSON text", "torch file"),
        (b"[1, 2]", "JSON text", "torch file"),
        (b"", "empty", "Download"),
        (_tar(), "a tar archive", "Unpack"),
        (gzip.compress(b"x", mtime=0), "a gzip archive", "Unpack"),
        (_archive("weights.pth"), "a zip archive of 'weights.pth'", "Unpack"),
        (_archive("a", "b", "c", "\x1b[1m"), "a zip archive of 'a', 'b', 'c' and others", "Unpack"),
        (_archive(), "a zip archive of nothing", "Unpack"),
        (_archive("a.npy", "b.npy"), "a NumPy archive", "torch file"),
        (_archive("m/data.pkl", "m/constants.pkl"), "a TorchScript program", "state_dict()"),
        (b"\x93NUMPY\x01\x00", "a NumPy array", "torch file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "torch file"),
        (b"\x08\x0a\x12\x07pytorch", "an ONNX graph", "torch file"),
        (pickle.dumps({"model": 1}, 2), "a Python pickle", "torch.save"),
        (pickle.dumps({"model": 1}, 4), "a Python pickle", "torch.save"),
        (b"\0\1\2\3" * 9, "of an unknown format", "torch file"),
    ],
)
def test_files_that_are_no_checkpoint_are_named(
    tmp_path: Path, content: bytes, what: str, hint: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    message = _refused(path)
    assert f"is {what}" in message
    assert hint in message


def test_folders_and_missing_files_are_named(tmp_path: Path) -> None:
    assert "is a folder" in _refused(tmp_path)
    for name in ("b.pth", "m-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (tmp_path / name).touch()
    assert f"such as '{tmp_path / 'model.safetensors.index.json'}'" in _refused(tmp_path)
    assert "No such file" in _refused(tmp_path / "none.pth")
    assert "File name too long" in _refused(tmp_path / ("n" * 300))
    with pytest.raises(CheckpointError, match="null"):
        checkpoint_kind(Path("a\0b"))


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    torch.save(_weights(), tmp_path / "a.safetensors")
    safetensors.save_file(_weights(), tmp_path / "b.pth")
    torch.save(_weights(), tmp_path / "c.json", _use_new_zipfile_serialization=False)
    kinds = {"a.safetensors": "torch", "b.pth": "safetensors", "c.json": "legacy torch"}
    for name, kind in kinds.items():
        assert checkpoint_kind(tmp_path / name) == kind
        assert _same(read_checkpoint(tmp_path / name))


def _rewritten(path: Path, compression: int, extra: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()} | extra
    copy = path.with_name("rewritten.pth")
    with zipfile.ZipFile(copy, "w", compression) as new:
        for name, content in entries.items():
            new.writestr(name, content)
    return copy


def test_a_checkpoint_that_was_packed_again_keeps_its_numbers(tmp_path: Path) -> None:
    torch.save(_weights(), tmp_path / "x.pth")
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert _same(read_checkpoint(_rewritten(tmp_path / "x.pth", compression, {})))


def test_an_archive_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    torch.save(_weights(), tmp_path / "x.pth")
    bomb = _rewritten(tmp_path / "x.pth", zipfile.ZIP_DEFLATED, {"x/data/9": bytes(1 << 22)})
    assert "claims to unpack to" in _refused(bomb)


def test_an_archive_of_too_many_entries_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    entry = b"PK\x01\x02" + bytes(24) + b"\x01\0" + bytes(16) + b"a"
    for count, what in ((10, "zip archive of"), (200_000, "more entries than any model")):
        size = (count * len(entry)).to_bytes(4, "little")
        end = b"PK\x05\x06" + bytes(8) + size + (4).to_bytes(4, "little") + bytes(2)
        path.write_bytes(b"PK\x03\x04" + entry * count + end)
        assert what in _refused(path)


def test_large_archives_say_the_size_of_their_directory_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    large = b"PK\x06\x06" + bytes(36) + (2**40).to_bytes(8, "little") + bytes(8)
    locator = b"PK\x06\x07" + bytes(16)
    end = b"PK\x05\x06" + bytes(8) + b"\xff" * 8 + bytes(2)
    path.write_bytes(b"PK\x03\x04" + bytes(99) + large + locator + end)
    assert "more entries than any model" in _refused(path)


def test_a_description_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + b"N0" * (1 << 24) + b"N.")
    assert "describes its tensors by 33554436 bytes" in _refused(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_damage_and_truncation_are_found(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "x.pth"
    options = {"_use_new_zipfile_serialization": not legacy}
    torch.save({"model": {"weight": torch.ones(50, 50)}}, path, **options)
    whole = path.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert re.search("truncated|damaged|not a checkpoint", _refused(path))
    if not legacy:
        for at in range(len(whole) // 3, len(whole) // 3 + 2000, 397):
            path.write_bytes(whole[:at] + b"\7" + whole[at + 1 :])
            assert "damaged: Bad CRC-32" in _refused(path)


def test_a_file_without_checksums_loads_and_it_is_said(tmp_path: Path) -> None:
    switch = torch.serialization.set_crc32_options
    switch(compute_crc32=False)
    try:
        found, (note,) = _loaded(_weights(), tmp_path / "x.pth")
    finally:
        switch(compute_crc32=True)
    assert _same(found)
    assert "no checksums" in note


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"a":', "JSON"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}', "cannot be read"),
        (b'{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,8]}}', "cannot be"),
        (b'{"a":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}}', "Q9"),
    ],
)
def test_damaged_safetensors_headers_are_refused(
    tmp_path: Path, header: bytes, message: str
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert message in _refused(path)


def test_truncated_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.save_file(_weights(), path)
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:30], (2**60).to_bytes(8, "little") + whole[8:]):
        path.write_bytes(content)
        assert "truncated or damaged" in _refused(path)


def _shards(folder: Path, index: str, **places: object) -> Path:
    """Write two shards and an index that sends each tensor where `places` says."""
    weights = _weights()
    first, *others = NAMES
    safetensors.save_file({first: weights[first]}, folder / "m-00001-of-00002.safetensors")
    torch.save({name: weights[name] for name in others}, folder / "m-00002-of-00002.bin")
    weight_map: dict[str, object] = dict.fromkeys(others, "m-00002-of-00002.bin")
    weight_map = {first: "m-00001-of-00002.safetensors", **weight_map, **places}
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder / index


@pytest.mark.parametrize("index", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_shards_are_read_through_their_index(tmp_path: Path, index: str) -> None:
    path = _shards(tmp_path, index)
    assert _same(read_checkpoint(path))
    before = checkpoint_digest(path)
    torch.save({}, tmp_path / "m-00002-of-00002.bin")
    assert checkpoint_digest(path) != before


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("m-00003-of-00002.bin", "names 3 files; missing: m-00003-of-00002.bin"),
        ("../m.bin", "'../m.bin'"),
        ("/etc/passwd", "'/etc/passwd'"),
        ("a\\b", r"names the file 'a.*b'"),
        ("", "names the file ''"),
        ("..", "names the file '..'"),
        (3, "names the file '3'"),
        (None, "names the file 'None'"),
        ("n" * 300, "names the file"),
        ("m-00001-of-00002.safetensors", "lacks 'scale'"),
        ("x.index.json", "is named as a shard"),
    ],
)
def test_indices_that_lead_elsewhere_are_refused(
    tmp_path: Path, place: object, message: str
) -> None:
    path = _shards(tmp_path, "x.index.json", scale=place)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_an_index_without_tensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.index.json").write_text('{"weight_map": {}}')
    assert "names no tensors" in _refused(tmp_path / "x.index.json")


def test_one_shard_alone_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00002.safetensors"
    weights = safetensors.load_file(EMBEDDED / "sed_tiny.safetensors")
    safetensors.save_file(dict(list(weights.items())[:9]), path)
    with pytest.raises(CheckpointError, match=r"is part 1 of 2 of a checkpoint") as caught:
        load_model("sed-tiny", checkpoint=path)
    assert "*.index.json" in str(caught.value)
    (tmp_path / "model.safetensors.index.json").touch()
    with pytest.raises(CheckpointError, match=r"Give '.*model\.safetensors\.index\.json'"):
        load_model("sed-tiny", checkpoint=path)


def _mutated(content: bytes, dice: random.Random) -> bytes:
    data = bytearray(content)
    at = dice.randrange(len(data) - 8)
    match dice.randrange(5):
        case 0:
            for _ in range(dice.choice((1, 1, 2, 8))):
                data[dice.randrange(len(data))] = dice.randrange(256)
        case 1:
            del data[at:]
        case 2:
            del data[at : at + dice.randrange(1, 200)]
        case 3:
            data[at:at] = dice.randbytes(dice.randrange(1, 100))
        case _:
            data[at : at + 8] = dice.choice((b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7))
    return bytes(data)


@pytest.mark.slow
def test_mutated_checkpoints_are_read_or_refused(tmp_path: Path) -> None:
    document = {"model": _weights(), "step": np.float64(2), "more": [1, {"a": (1, 2)}]}
    torch.save(document, tmp_path / "zip.pth")
    torch.save(document, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    safetensors.save_file(_weights(), tmp_path / "x.safetensors")
    wholes = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    dice = random.Random(14)
    refused = 0
    for number in range(1200):
        path = tmp_path / f"mutant-{number}"
        path.write_bytes(_mutated(wholes[number % 3], dice))
        try:
            assert read_checkpoint(path, note=lambda _: None)
        except CheckpointError as err:
            refused += 1
            assert "weights_only" not in str(err)
            assert "\x1b" not in str(err)
        path.unlink()
    assert refused > 900
