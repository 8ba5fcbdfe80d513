"""The C++ library on CUDA, called through its C interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.race import Run
from edge_ovss.errors import MissingDependencyError
from edge_ovss.runtime import Bundle
from edge_ovss.runtime.backends.native import NativeBackend, NativeLibrary, Options

BACKEND = b"onnxruntime-cuda"


class CudaNative(NativeBackend):
    """The C++ library with its backend on CUDA instead of its default one."""

    def _open_impl(self) -> None:
        self._library = NativeLibrary(self._library_path)
        options = Options(threads=self.threads or 0, skip_hashes=1, backend=BACKEND)
        self._session = self._library.open(self.bundle.path, options)


def ready(folder: Path, threads: int, precision: str) -> Run:
    """Open a bundle in the C++ library; its own selftest must pass.

    Raises:
        EdgeOvssError: The library is not there, has no CUDA, or gives another answer.
    """
    backend = CudaNative(Bundle.open(folder / f"{precision}.ovss"), threads=threads)
    backend.open()
    if backend._library is None:
        message = "The C++ library is not loaded"
        raise MissingDependencyError(message)
    backend._library.selftest(backend._session)
    frame = np.load(folder / "frame.npy")[None]

    def run() -> tuple[NDArray[Any], list[int]]:
        answer = backend.infer(frame)
        return answer["labels"][0], answer["alive"].tolist()

    return run
