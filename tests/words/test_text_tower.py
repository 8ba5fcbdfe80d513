# ruff: noqa: RUF001 (other alphabets are what is tested)
"""The text tower without torch: tokens equal to open_clip's, embeddings equal to torch's."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from edge_ovss.cli import main
from edge_ovss.errors import ArtifactError, EdgeOvssError, UsageError, VocabularyError
from edge_ovss.export.text_tower.tower_export import export_text_tower
from edge_ovss.models import load_model
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.san.build import VILD_TEMPLATES
from edge_ovss.models.text import imagenet_templates
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary, builtin_names
from edge_ovss.words.tokenizer import Tokenizer
from edge_ovss.words.tower import TextTower

WORDS = "road; street, café, traffic light, T-junction's sign, 2nd car"
ODD = (
    "",
    "   ",
    "over " * 100,
    "a dog's toys they'll've I'M he'd",
    "1234 56th ½ Ⅷ ₂²",
    "naïve Café ﬁ ＡＢＣ ẞ ǅ İstanbul",
    "'ſ x'ſ",
    "東京 🚦traffic  light\n\t x",
    "&amp;amp; &lt;b&gt;",
    "a < b &amp;amp; c",
    "’quoted’ “x” â€œmojibakeâ€",
    "a_b-c/d; e|f",
    "<end_of_text> hi",
    "a<start_of_text>b<end_of_text><end_of_text>c's<end_of_text>",
    "-<end_of_text> 🚗<start_of_text>x <<end_of_text>> _<end_of_text><start_of_text>",
)
RANGES = ((0x20, 0x7F), (0xA0, 0x250), (0x370, 0x600), (0x900, 0xE00), (0x2000, 0x2C00))


@pytest.fixture(scope="module")
def tiny() -> object:
    return load_model("sed-tiny")


@pytest.fixture(scope="module")
def tower(tiny: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_text_tower(tiny, tmp_path_factory.mktemp("tower") / "tiny.tower")


def random_texts(count: int) -> list[str]:
    """Texts of characters that are assigned in this Python's Unicode."""
    rng = random.Random(3)
    texts = []
    for _ in range(count):
        spans = [rng.choice(RANGES) for _ in range(rng.randint(1, 24))]
        letters = [chr(rng.randrange(*span)) for span in spans]
        texts.append("".join(c for c in letters if unicodedata.category(c) != "Cn"))
    return texts


def test_tokens_are_open_clips(tower: Path) -> None:
    names = [each.text for name in builtin_names() for each in Vocabulary.load(name).categories]
    templates = (*imagenet_templates(), *VILD_TEMPLATES)
    filled = [each.replace("{}", name) for each in templates for name in (*ODD, *names[::100])]
    texts = [*ODD, *names, *filled, *random_texts(3000)]
    wanted = import_open_clip().tokenize(texts).numpy()
    np.testing.assert_array_equal(Tokenizer(tower / "tokenizer.json").encode(texts, 77), wanted)


def test_names_that_differ_after_the_last_token_are_refused(tower: Path, tmp_path: Path) -> None:
    found, long = TextTower(tower, threads=1), "very " * 90
    for name in ("ade847", "coco171", "pc459"):
        found.refuse_equal_tokens(Vocabulary.load(name))
    found.refuse_equal_tokens(Vocabulary.from_names(["cat", long + "cat"]))
    with pytest.raises(VocabularyError, match="reads the same"):
        found.refuse_equal_tokens(Vocabulary.from_names([long + "dog", long + "cat"]))
    pack = tmp_path / "words.npz"
    words = ["vocab", "encode", f"{long}dog, {long}cat", "--tower", str(tower), "--out", str(pack)]
    assert main(words) == VocabularyError.status
    assert not pack.exists()


def test_embeddings_are_torchs(tower: Path, tiny: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    vocabulary = Vocabulary.load(WORDS)
    wanted = tiny.encode_text(vocabulary)  # type: ignore[attr-defined]
    calls: list[tuple[int, int]] = []
    found = TextTower(tower, threads=1).encode_vocabulary(
        vocabulary, progress=lambda done, total: calls.append((done, total))
    )
    assert np.linalg.norm(found.array - wanted.array, axis=-1).max() <= 1e-5
    for name in ("prompts", "vocabulary_sha256", "templates_sha256", "text_tower"):
        assert getattr(found, name) == getattr(wanted, name)
    assert found.text_tower_sha256 == wanted.text_tower_sha256
    assert calls[-1][0] == calls[-1][1] > 0


def test_the_first_synonym_alone_counts_for_san(tmp_path: Path) -> None:
    model = load_model("san-tiny", weights="random")
    out = export_text_tower(model, tmp_path / "san.tower")
    vocabulary = Vocabulary.load("road; street, car")
    found = TextTower(out, threads=1).encode_vocabulary(vocabulary)
    wanted = model.encode_text(vocabulary)
    assert np.linalg.norm(found.array - wanted.array, axis=-1).max() <= 1e-5


def test_encode_with_a_tower_imports_no_torch(tower: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['open_clip'] = None\n"
        "from edge_ovss.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    out = tmp_path / "words.npz"
    words = ["vocab", "encode", WORDS, "--tower", str(tower), "--out", str(out), "--quiet"]
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
    assert TextEmbeddings.load(out).array.shape[0] == len(Vocabulary.load(WORDS))


@pytest.mark.slow
def test_a_pack_of_the_tower_is_what_export_takes(tower: Path, tmp_path: Path) -> None:
    pack, out = tmp_path / "words.npz", tmp_path / "a.ovss"
    assert main(["vocab", "encode", "road, car", "--tower", str(tower), "--out", str(pack)]) == 0
    words = ["export", "--vocab", "road, car", "--embeddings", str(pack), "--out", str(out)]
    assert main([*words, "--size", "96x128", "--quiet"]) == 0


@pytest.mark.parametrize("name", ["tower.onnx", "tower.weights", "tokenizer.json"])
def test_a_changed_file_is_named(tower: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy.tower"
    copy.mkdir()
    for path in tower.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= path.name == name
        (copy / path.name).write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=name):
        TextTower(copy)
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"'{name}' of the text tower cannot be read"):
        TextTower(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "bundle"},
        {"schema": 2},
        {"templates": []},
        {"templates": ["a photo"]},
        {"synonyms": "every"},
        {"context_length": 1 << 20},
        {"width": 0},
        {"files": {}},
    ],
)
def test_a_manifest_that_is_none_is_refused(
    tower: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    document = json.loads((tower / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(EdgeOvssError, match=next(iter(change))):
        TextTower(tmp_path)


def test_no_tower_at_all(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no text tower"):
        TextTower(tmp_path / "none.tower")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "sed-tiny", "--tower", "x"], "--tower and --model are both given"),
        (["--checkpoint", "a.pth", "--tower", "x"], "--tower and --checkpoint are both given"),
        ([], "Neither --model nor --tower"),
    ],
)
def test_one_source_of_embeddings(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.npz"
    assert main(["vocab", "encode", "road", *words, "--out", str(out)]) == UsageError.status
    assert said in capsys.readouterr().err
    assert not out.exists()
