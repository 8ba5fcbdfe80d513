"""Write the small bundles in tests/data that the C++ tests run on.

    python runtime/tests/make_data.py

Their label of a pixel is (R + G + B) mod K, so the right answer of any frame is known. They are
committed, so that the C++ tests need no Python; this is how they were made.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests"))

from conftest import _make_bundle  # noqa: E402 (needs the path above)


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


if __name__ == "__main__":
    main()
