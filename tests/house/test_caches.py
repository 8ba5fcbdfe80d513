"""What is kept for another run is given back for the very same input only, and never damaged."""

from __future__ import annotations

import email.message
import io
import json
import urllib.error
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_ovss.errors import CheckpointError

# Ranges of tensors


def test_ranges_of_one_method_are_not_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    from edge_ovss.calibration.ranges import RangeMethod, _cache_file

    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    methods = [
        RangeMethod(),
        RangeMethod("entropy"),
        RangeMethod("percentile"),
        RangeMethod("percentile", 99.0),
        RangeMethod("percentile", 99.00000000000001),
    ]
    files = {_cache_file("key", ["a", "b"], method) for method in methods}
    files |= {_cache_file("key", ["b", "a"], methods[0]), _cache_file("yek", ["a"], methods[0])}
    assert len(files) == len(methods) + 2
    assert _cache_file(None, ["a"], methods[0]) is None
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    assert _cache_file("key", ["a"], methods[0]) is None


def test_ranges_with_a_changed_digit_are_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    from edge_ovss.calibration.ranges import _read_cache, _write_cache

    path = tmp_path / "ranges.json"
    _write_cache(path, {"a": (-1.25, 2.5), "b": (0.0, 1e-30)})
    assert _read_cache(path, ["b", "a"]) == {"a": (-1.25, 2.5), "b": (0.0, 1e-30)}
    assert _read_cache(path, ["a"]) is None
    good = path.read_text()
    for old, new in (("2.5", "3.5"), ('"a"', '"c"'), ('"format": 2', '"format": 1'), ("}", "")):
        path.write_text(good.replace(old, new, 1))
        assert _read_cache(path, ["a", "b"]) is None, new
    path.write_text(good)
    assert _read_cache(path, ["a", "b"]) is not None


# Text embeddings


@pytest.fixture
def tiny() -> Any:  # noqa: ANN401 (a model, imported late)
    pytest.importorskip("torch")
    from edge_ovss.models import load_model

    return load_model("sed-tiny")


def test_embeddings_are_kept_by_all_that_made_them(
    tiny: Any,  # noqa: ANN401
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edge_ovss.models import text
    from edge_ovss.vocabulary import Vocabulary

    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    calls: list[int] = []
    encode = text.encode_prompts

    def counted(clip: Any, prompts: Any, **options: Any) -> Any:  # noqa: ANN401
        calls.append(len(prompts))
        return encode(clip, prompts, **options)

    monkeypatch.setattr(text, "encode_prompts", counted)
    spec = replace(tiny.spec, templates=("a {}", "the {}"))
    words = Vocabulary.from_names(["road; way", "sky"])

    def ask(**changes: Any) -> Any:  # noqa: ANN401
        given = {"vocabulary": words, "spec": spec} | changes
        return text.encode_vocabulary(tiny.clip_model, **given)

    first = ask()
    assert np.array_equal(ask().array, first.array)
    assert calls == [6]
    others = (
        {"vocabulary": Vocabulary.from_names(["road; path", "sky"])},
        {"vocabulary": Vocabulary.from_names(["sky", "road; way"])},
        {"spec": replace(spec, templates=("the {}", "a {}"))},
        {"spec": replace(spec, synonyms="first")},
        {"spec": replace(spec, name="other")},
    )
    for number, changes in enumerate(others, 2):
        ask(**changes)
        assert len(calls) == number, changes
    # A file of another tower in the place of this one is not believed.
    (file,) = [p for p in (tmp_path / "embeddings").iterdir() if _words_of(p) == words.sha256][:1]
    replace(first, text_tower_sha256="0" * 64).save(file)
    for path in (tmp_path / "embeddings").iterdir():
        if path != file:
            path.unlink()
    before = len(calls)
    ask()
    assert len(calls) == before + 1


def _words_of(path: Path) -> str:
    from edge_ovss.vocabulary import TextEmbeddings

    return TextEmbeddings.load(path).vocabulary_sha256


def test_what_a_tower_does_with_its_weights_is_in_the_key() -> None:
    torch = pytest.importorskip("torch")
    from edge_ovss.models.text import _form

    def tower(activation: Any, heads: int, length: int = 77) -> Any:  # noqa: ANN401
        layers = torch.nn.Sequential(torch.nn.MultiheadAttention(8, heads), activation)
        return SimpleNamespace(transformer=layers, context_length=length)

    gelu, relu = torch.nn.GELU(), torch.nn.ReLU()
    towers = [tower(gelu, 2), tower(relu, 2), tower(gelu, 4), tower(gelu, 2, 64)]
    assert len({_form(one) for one in towers}) == len(towers)
    assert _form(tower(gelu, 2)) == _form(tower(torch.nn.GELU(), 2))


# Checkpoints from the network


class Server:
    """What the network answers; counts, and knows whether a file is still its own."""

    def __init__(self, content: bytes, **headers: str) -> None:
        self.content, self.headers = content, headers
        self.sent = 0
        self.error: Exception | None = None

    def __call__(self, request: Any) -> io.BytesIO:  # noqa: ANN401
        if self.error is not None:
            raise self.error
        asked = {name.lower(): value for name, value in request.header_items()}
        for mark, question in (("ETag", "if-none-match"), ("Last-Modified", "if-modified-since")):
            if mark in self.headers and asked.get(question) == self.headers[mark]:
                none = email.message.Message()
                raise urllib.error.HTTPError(request.full_url, 304, "same", none, None)
        self.sent += 1
        stream = io.BytesIO(self.content)
        stream.headers = self.headers  # type: ignore[attr-defined]
        return stream


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:  # noqa: ANN401
    pytest.importorskip("torch")
    from edge_ovss.models.checkpoints import download

    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    monkeypatch.setattr(download, "_require_checkpoint", lambda *_: None)

    def start(content: bytes, **headers: str) -> Server:
        server = Server(content, **headers)
        monkeypatch.setattr(download, "_open", server)
        return server

    return start


def fetch() -> bytes:
    from edge_ovss.models.checkpoints.download import fetch_checkpoint

    return fetch_checkpoint("https://host/x.pth").read_bytes()


@pytest.mark.parametrize("mark", ["ETag", "Last-Modified"])
def test_a_download_is_kept_while_the_server_has_the_same(serve: Any, mark: str) -> None:  # noqa: ANN401
    server = serve(b"weights", **{mark: "1", "Content-Length": "7"})
    assert [fetch(), fetch()] == [b"weights"] * 2
    assert server.sent == 1
    other = serve(b"better", **{mark: "2"})
    assert [fetch(), fetch()] == [b"better"] * 2
    assert other.sent == 1


def test_a_server_that_tells_nothing_of_a_file_is_not_asked_again(serve: Any) -> None:  # noqa: ANN401
    server = serve(b"weights")
    assert [fetch(), fetch()] == [b"weights"] * 2
    assert server.sent == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError("no network"),
        urllib.error.URLError("no name"),
        urllib.error.HTTPError("https://host/x.pth", 404, "gone", email.message.Message(), None),
    ],
)
def test_where_the_server_has_nothing_the_copy_is_used_and_that_is_said(
    serve: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    server = serve(b"weights", ETag="1")
    fetch()
    server.error = error
    assert fetch() == b"weights"
    assert "The copy from before is used" in caplog.text


def test_half_of_another_file_does_not_replace_the_copy(
    serve: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    serve(b"weights", ETag="1")
    fetch()
    serve(b"bet", ETag="2", **{"Content-Length": "6"})
    assert fetch() == b"weights"
    assert "ended after 3 of 6 bytes" in caplog.text


def test_a_damaged_copy_is_fetched_again_and_never_used(
    serve: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    server = serve(b"weights", ETag="1")
    fetch()
    (copy,) = tmp_path.rglob("x.pth")
    copy.write_bytes(b"weighty")
    server.error = OSError("no network")
    with pytest.raises(CheckpointError, match="no network"):
        fetch()
    server.error = None
    assert fetch() == b"weights"
    (marks,) = tmp_path.rglob("*.origin.json")
    assert json.loads(marks.read_text())["ETag"] == "1"
