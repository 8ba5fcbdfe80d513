"""Damaged pictures of every format are read or refused: never a traceback, long, or large."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.frames.image_files.headers import png_chunks
from edge_ovss.synthetic import render_street

cv2: Any = pytest.importorskip("cv2")

SUFFIXES = (".png", ".jpg", ".webp", ".tiff", ".bmp", ".ppm", ".jp2", ".gif", ".avif", ".ras")
EACH = 90
SECONDS = 10.0
PEAK_MIB = 1024

READER = """
import json, sys, time
from pathlib import Path
from edge_ovss.errors import PictureError
from edge_ovss.evaluation.cold_start import peak_memory_mib
from edge_ovss.frames.images import read_picture
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(json.dumps({"begin": path.name}), flush=True)
    start = time.monotonic()
    try:
        read_picture(path)
        end = "read"
    except PictureError as err:
        end = "refused" if err.hint else "refused without a hint"
    except BaseException as err:
        end = repr(err)
    seconds = time.monotonic() - start
    peak = peak_memory_mib()
    print(json.dumps({"end": end, "seconds": seconds, "peak": peak}), flush=True)
"""


def whole(suffix: str) -> bytes | None:
    image = render_street(seed=5, height=96, width=128).image[:, :, ::-1]
    try:
        done, data = cv2.imencode(suffix, image)
    except cv2.error:
        return None
    return data.tobytes() if done else None


def mutations(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield damaged copies: single bytes, fields of the head, pieces lost, doubled or emptied."""
    for _ in range(EACH // 3):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 9)):
            broken[at] = rng.integers(0, 256)
        yield bytes(broken)
    for _ in range(EACH // 3):
        broken = bytearray(data)
        at, size = int(rng.integers(0, min(120, len(data) - 8))), int(rng.choice([1, 2, 4]))
        broken[at : at + size] = bytes(rng.choice([[0], [0x7F], [0xFF], [0x40], [1]])) * size
        yield bytes(broken)
    for _ in range(EACH // 3):
        first, last = sorted(int(at) for at in rng.integers(0, len(data), 2))
        ways = (data[:first], data[:first] + data[last:], data[:last] + data[first:])
        emptied = data[:first] + bytes(last - first) + data[last:]
        yield (*ways, emptied)[int(rng.integers(0, 4))]


def with_right_checksums(data: bytes) -> bytes:
    """Return a PNG whose checksums are made again, so that decoders see what is damaged."""
    mended = bytearray(data)
    for _, start, end in png_chunks(data):
        mended[end : end + 4] = zlib.crc32(data[start - 4 : end]).to_bytes(4, "big")
    return bytes(mended)


@pytest.mark.slow
def test_mutated_pictures_are_read_or_refused_quickly_and_in_little_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    count = 0
    for suffix in SUFFIXES:
        data = whole(suffix)
        for broken in () if data is None else mutations(data, rng):
            mended = with_right_checksums(broken) if suffix == ".png" and count % 2 else broken
            (tmp_path / f"{count:04d}{suffix}").write_bytes(mended)
            count += 1
    assert count >= 700
    command = [sys.executable, "-c", READER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    results = list(zip(lines[::2], lines[1::2], strict=True))
    assert len(results) == count
    wrong = [pair for pair in results if pair[1]["end"] not in ("read", "refused")]
    assert not wrong
    assert not [pair for pair in results if pair[1]["seconds"] > SECONDS]
    assert not [pair for pair in results if pair[1]["peak"] > PEAK_MIB]
    # Both must happen, or something else than pictures was tried.
    ends = [end["end"] for _, end in results]
    assert min(ends.count("read"), ends.count("refused")) > 50
