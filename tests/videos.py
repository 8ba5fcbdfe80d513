"""Videos of noise, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Image = NDArray[np.uint8]
HEIGHT, WIDTH = 48, 64
FRAME_BYTES = HEIGHT * WIDTH * 3


def images(count: int) -> list[Image]:
    """Return noise: it compresses badly, so that a frame takes more than one packet."""
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(count)]


def write_video(path: Path, shown: Sequence[Image], *, code: str = "MJPG") -> Path:
    """Write a video of 10 frames a second; skips where OpenCV cannot."""
    cv2: Any = pytest.importorskip("cv2")
    size = shown[0].shape[1::-1] if len(shown) else (WIDTH, HEIGHT)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, size)
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot write {code} in {path.suffix}")
    for image in shown:
        writer.write(image)
    writer.release()
    return path
