"""Write the small bundles in tests/data that the C++ tests run on.

    python runtime/tests/make_data.py

Their label of a pixel is (R + G + B) mod K, so the right answer of any frame is known. They are
committed, so that the C++ tests need no Python; this is how they were made.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests"))

from conftest import _make_bundle  # noqa: E402 (needs the path above)

from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402


def main() -> None:
    """Write `things` (uint8, all answers), others of it, and `many` (uint16)."""
    for name in ("things", "things-fp16", "things-int8", "things-unknown", "many"):
        shutil.rmtree(HERE / "data" / name, ignore_errors=True)
    extras = ("confidence", "scores")
    _make_bundle(HERE / "data" / "things", extras=extras)
    for precision in ("fp16", "int8"):
        _make_bundle(HERE / "data" / f"things-{precision}", precision=precision)
    _make_bundle(HERE / "data" / "things-unknown", unknown=[0.5])
    _make_bundle(HERE / "data" / "many", outputs=300, alive=(299, 7, -1, 3), counts=(5, 3, 2))
    _make_packs(HERE / "data" / "packs")


def _make_packs(folder: Path) -> None:
    """Write a pack of three words, and packs of the same words that differ in one thing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    words = Vocabulary.from_names(["sky; heaven", "tree", "car"], name="three")
    # Vector p of word t points along axis (t + p) mod 4, a little too long.
    vectors = np.zeros((3, 2, 4), np.float32)
    for word, prompt in np.ndindex(3, 2):
        vectors[word, prompt, (word + prompt) % 4] = 1.0 + word / 256
    made = TextEmbeddings(vectors, words.prompts, words.sha256, "templates", "toy", "tower", words)
    made.save(folder / "three.npz")
    content = dict(np.load(folder / "three.npz"))
    header = json.loads(content["header"].tobytes())

    def write(name: str, **changed: object) -> None:
        document = json.dumps({**header, **changed}).encode()
        np.savez(folder / name, **{**content, "header": np.frombuffer(document, np.uint8)})

    write("older.npz", vocabulary=None)
    write("others.npz", prompts=["sky", "tree", "car"])
    write("newer.npz", schema=2)
    np.savez_compressed(folder / "packed.npz", **content)
    np.savez(folder / "half.npz", **{**content, "embeddings": vectors.astype(np.float16)})
    np.savez(folder / "long.npz", **{**content, "embeddings": 2 * vectors})
    np.savez(folder / "narrow.npz", **{**content, "embeddings": vectors[:, :, :3].copy()})


if __name__ == "__main__":
    main()
