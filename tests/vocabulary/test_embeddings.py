"""Embedding packs: exact round trip, and nothing in a file is trusted."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import numpy.typing
import pytest

from edge_ovss.errors import OutputError, VocabularyError
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary

Array = numpy.typing.NDArray[Any]


def _vectors(categories: int = 3, templates: int = 2, size: int = 8) -> Array:
    values = numpy.random.default_rng(0).standard_normal((categories, templates, size))
    values /= numpy.linalg.norm(values, axis=-1, keepdims=True)
    return values.astype(numpy.float32)


WORDS = Vocabulary.from_names(["road", "bed ", "straße, 道"])


def _pack(array: Array | None = None, vocabulary: Vocabulary = WORDS) -> TextEmbeddings:
    return TextEmbeddings(
        array=_vectors(len(vocabulary)) if array is None else array,
        prompts=vocabulary.prompts,
        vocabulary_sha256=vocabulary.sha256,
        templates_sha256=TextEmbeddings.templates_digest(["a {}", "the {}"]),
        text_tower="sed-base",
        text_tower_sha256="0" * 64,
    )


def _header(**changes: object) -> dict[str, object]:
    pack = _pack()
    fields: dict[str, object] = {
        key: value for key, value in vars(pack).items() if key not in ("array", "prompts")
    }
    return {"schema": 1, "prompts": list(pack.prompts), **fields, **changes}


def _write(path: Path, array: Array, header: object = None) -> Path:
    content = json.dumps(_header() if header is None else header).encode()
    with path.open("wb") as file:
        numpy.savez(file, header=numpy.frombuffer(content, numpy.uint8), embeddings=array)
    return path


def _write_claim(path: Path, shape: tuple[int, ...], dtype: str = "<f4", data: bytes = b"") -> Path:
    """Write a pack whose array has a header that says what it likes."""
    content = json.dumps(_header()).encode()
    header, array = io.BytesIO(), io.BytesIO()
    numpy.save(header, numpy.frombuffer(content, numpy.uint8))
    claim = {"descr": dtype, "fortran_order": False, "shape": shape}
    numpy.lib.format.write_array_header_1_0(array, claim)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", header.getvalue())
        archive.writestr("embeddings.npy", array.getvalue() + data)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(VocabularyError) as caught:
        TextEmbeddings.load(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_round_trip_is_exact(tmp_path: Path) -> None:
    pack = _pack()
    pack.save(tmp_path / "words.npz")
    again = TextEmbeddings.load(tmp_path / "words.npz")
    assert again.array.dtype == numpy.float32
    assert again.array.tobytes() == pack.array.tobytes()
    assert again.prompts == ("road", "bed ", "straße, 道")
    for field in ("vocabulary_sha256", "templates_sha256", "text_tower", "text_tower_sha256"):
        assert getattr(again, field) == getattr(pack, field)
    again.require_match(WORDS)


def test_saving_twice_gives_the_same_bytes_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    _pack().save(path)
    first = path.read_bytes()
    _pack().save(str(path))
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_name_is_kept_even_without_the_usual_suffix(tmp_path: Path) -> None:
    _pack().save(tmp_path / "words.pack")
    assert TextEmbeddings.load(tmp_path / "words.pack").prompts == WORDS.prompts


def test_arrays_in_any_memory_order_are_saved(tmp_path: Path) -> None:
    array = numpy.asfortranarray(_vectors())
    _pack(array).save(tmp_path / "words.npz")
    loaded = TextEmbeddings.load(tmp_path / "words.npz").array
    numpy.testing.assert_array_equal(loaded, array)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    half = _vectors().astype(numpy.float16)
    loaded = TextEmbeddings.load(_write(tmp_path / "w.npz", half)).array
    assert loaded.dtype == numpy.float32
    numpy.testing.assert_array_equal(loaded, half.astype(numpy.float32))


def test_compressed_packs_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    content = numpy.frombuffer(json.dumps(_header()).encode(), numpy.uint8)
    numpy.savez_compressed(path, header=content, embeddings=_vectors())
    numpy.testing.assert_array_equal(TextEmbeddings.load(path).array, _vectors())


def test_file_has_the_usual_permissions(tmp_path: Path) -> None:
    _pack().save(tmp_path / "w.npz")
    (tmp_path / "plain").write_bytes(b"")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        _pack().save(tmp_path / "none" / "w.npz")


def test_folder_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "w.npz").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        _pack().save(tmp_path / "w.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_broken_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"old")

    def fail(*_args: object, **_named: object) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        _pack().save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (_vectors().astype(numpy.float64), "float64"),
        (_vectors()[0], r"float32 \(2, 8\); expected float32 \[T, P, D\]"),
        (_vectors(4), "do not fit 3 prompts"),
        (_vectors()[:, :, :0], "do not fit 3 prompts"),
        (_vectors() * 1.02, r"category \d have norms off 1 by 0.02"),
        (_vectors() * 0, "norms off 1 by 1"),
        ([[[1.0]]], "are list"),
    ],
)
def test_embeddings_refuse(array: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(VocabularyError, match=message):
        _pack(array)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
def test_embeddings_must_be_finite(value: float) -> None:
    array = _vectors()
    array[1, 0, 3] = value
    with pytest.raises(VocabularyError, match="category 1 contain values that are not finite"):
        _pack(array)


def test_the_category_with_the_worst_norm_is_named() -> None:
    array = _vectors()
    array[1] *= numpy.float32(1.02)
    array[2, 1] *= numpy.float32(0.9)
    with pytest.raises(VocabularyError, match=r"category 2 have norms off 1 by 0\.1;"):
        _pack(array)


def test_norms_within_one_per_cent_are_accepted() -> None:
    assert _pack(_vectors() * numpy.float32(1.009)).array.shape == (3, 2, 8)


def test_embeddings_fields_are_text() -> None:
    with pytest.raises(VocabularyError, match="'text_tower' is None"):
        replace(_pack(), text_tower=None)  # type: ignore[arg-type]


def test_require_match_names_the_first_word_that_differs() -> None:
    other = Vocabulary.from_names(["road", "bed", "straße, 道"])
    with pytest.raises(VocabularyError, match="category 1 is 'bed ' in the embeddings and 'bed'"):
        _pack().require_match(other)


def test_require_match_counts_categories() -> None:
    with pytest.raises(VocabularyError, match="have 3 categories, the list has 2"):
        _pack().require_match(Vocabulary.from_names(["road", "bed "]))


def test_require_match_sees_other_synonyms_under_the_same_words() -> None:
    first, *rest = WORDS.categories
    other = replace(WORDS, categories=(replace(first, synonyms=("street",)), *rest))
    with pytest.raises(VocabularyError, match="the names are the same, but the synonyms"):
        _pack().require_match(other)


def test_require_match_ignores_colors_and_the_name() -> None:
    first, *rest = WORDS.categories
    other = replace(WORDS, name="other", categories=(replace(first, color=(9, 9, 9)), *rest))
    _pack().require_match(other)
    assert other != WORDS


def test_templates_digest_depends_on_words_and_order() -> None:
    digests = {
        TextEmbeddings.templates_digest(each) for each in (["a", "b"], ["b", "a"], ["ab"], ["a"])
    }
    assert len(digests) == 4
    assert TextEmbeddings.templates_digest(("a", "b")) in digests


def test_missing_pack_is_named(tmp_path: Path) -> None:
    assert "There is no file" in _refused(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04broken"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    assert "is no embedding pack, or it is damaged" in _refused(path)


@pytest.mark.parametrize("large", [False, True])
def test_a_long_list_of_entries_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    path = tmp_path / "w.npz"
    _pack().save(path)
    if large:  # the list is then described by a second record
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(800):
            archive.writestr(f"{number:040d}", b"")
    assert (b"PK\x06\x06" in path.read_bytes()) == large
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it is read"))
    assert "The list of its entries has" in _refused(path)


def test_a_pack_with_the_records_of_a_large_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    _pack().save(tmp_path / "w.npz")
    assert b"PK\x06\x06" in (tmp_path / "w.npz").read_bytes()
    assert TextEmbeddings.load(tmp_path / "w.npz").prompts == WORDS.prompts


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    _pack().save(path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        _refused(path)


def test_changed_bytes_in_the_array_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    _pack().save(path)
    content = bytearray(path.read_bytes())
    position = content.find(_vectors().tobytes()[:16])
    assert position > 0
    content[position] ^= 1
    path.write_bytes(content)
    assert "damaged" in _refused(path)


@pytest.mark.parametrize("surplus", [-4, -1, 1, 4, 4096])
def test_an_array_of_another_length_than_its_header_says_is_refused(
    tmp_path: Path, surplus: int
) -> None:
    path = tmp_path / "w.npz"
    _pack().save(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    content = entries["embeddings.npy"]
    entries["embeddings.npy"] = content[:surplus] if surplus < 0 else content + bytes(surplus)
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in entries.items():
            archive.writestr(name, each)
    assert "truncated, or longer than its header says" in _refused(path)


def test_a_pack_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    content = numpy.frombuffer(json.dumps(_header()).encode(), numpy.uint8)
    zeros = numpy.zeros((3, 1, 2**21), numpy.float32)
    numpy.savez_compressed(path, header=content, embeddings=zeros)
    assert "unpacks to over 20 times its size" in _refused(path)


@pytest.mark.parametrize("header", ["(" * 3000, "{'descr': '<f4'", "{[]: 1}", "\x00" * 40, "'"])
def test_a_damaged_array_header_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "w.npz"
    text = header.encode() + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", array)
    assert "damaged" in _refused(path)


@pytest.mark.parametrize("missing", ["header", "embeddings"])
def test_missing_arrays_are_named(tmp_path: Path, missing: str) -> None:
    content = numpy.frombuffer(json.dumps(_header()).encode(), numpy.uint8)
    arrays = {"header": content, "embeddings": _vectors()}
    del arrays[missing]
    numpy.savez(tmp_path / "w.npz", **arrays)  # type: ignore[arg-type]
    assert f"'{missing}' is missing" in _refused(tmp_path / "w.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema 2; this version reads 1"),
        ({"schema": None}, "schema None"),
        ({"prompts": "road"}, "no list 'prompts'"),
        ({"prompts": ["road", 3, "sky"]}, "no list 'prompts'"),
        ({"prompts": ["road"]}, "do not fit 1 prompts"),
        ({"text_tower": 3}, "3 for 'text_tower'"),
        ({"vocabulary_sha256": None}, "None for 'vocabulary_sha256'"),
    ],
)
def test_bad_headers_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = _write(tmp_path / "w.npz", _vectors(), _header(**changes))
    with pytest.raises(VocabularyError, match=message):
        TextEmbeddings.load(path)


@pytest.mark.parametrize("header", [[1], "text", 3])
def test_header_that_is_no_object_is_refused(tmp_path: Path, header: object) -> None:
    assert "not a JSON object" in _refused(_write(tmp_path / "w.npz", _vectors(), header))


@pytest.mark.parametrize(
    "array",
    [
        _vectors().astype(numpy.float64),
        _vectors().astype(">f4"),
        _vectors().astype(numpy.int32),
        _vectors()[0],
        numpy.asfortranarray(_vectors()),
    ],
    ids=["float64", "big-endian", "int32", "rank 2", "Fortran order"],
)
def test_other_arrays_are_refused(tmp_path: Path, array: Array) -> None:
    message = _refused(_write(tmp_path / "w.npz", array))
    assert "expected float32 or float16 with 3 dimensions in C order" in message


def test_pickled_objects_are_never_opened(tmp_path: Path) -> None:
    objects = numpy.empty((3, 2, 8), dtype=object)
    content = numpy.frombuffer(json.dumps(_header()).encode(), numpy.uint8)
    with (tmp_path / "w.npz").open("wb") as file:
        numpy.savez(file, header=content, embeddings=objects)
    assert "is object of shape" in _refused(tmp_path / "w.npz")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 80, 2**40), "claims"),
        ((2**31, 1, 1), "claims 8.0 GiB; 4 at most"),
        ((3, 2, 8), "truncated"),
        ((3, 2, 10**6), "truncated"),
    ],
)
def test_claimed_sizes_are_checked_before_memory_is_taken(
    tmp_path: Path, shape: tuple[int, ...], message: str
) -> None:
    assert message in _refused(_write_claim(tmp_path / "w.npz", shape, data=b"\0" * 8))


def test_negative_sizes_are_refused(tmp_path: Path) -> None:
    data = b"\0" * 24
    assert "w.npz" in _refused(_write_claim(tmp_path / "w.npz", (-1, -2, 3), data=data))


def test_vectors_in_a_file_must_have_unit_norm(tmp_path: Path) -> None:
    assert "unit norm" in _refused(_write(tmp_path / "w.npz", _vectors() * 2))
