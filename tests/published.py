"""What the published implementations answered, and the rules by which their weights are drawn."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"

Golden = dict[str, NDArray[Any]]


def golden_answer(name: str) -> Golden:
    """The arrays of a file in tests/data; the pixels of labels that count are stored as bits."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for key in [key for key in arrays if key.startswith("counted")]:
        width = arrays[key.replace("counted", "labels")].shape[1]
        arrays[key] = np.unpackbits(arrays[key], axis=1)[:, :width].astype(bool)
    return arrays


def published_module(name: str) -> ModuleType:
    """A module of tests/data."""
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
