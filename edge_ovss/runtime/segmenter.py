"""Frames in, label maps out: the one class that most programs need."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.runtime.backends import create_backend
from edge_ovss.runtime.backends.base import Arrays, Backend
from edge_ovss.runtime.bundle import Bundle
from edge_ovss.runtime.result import Result, check_frame


class Segmenter:
    """Segments frames with a bundle; use it as a context manager or call `close`.

    It is not thread-safe: use one per thread.

        with Segmenter.open("city.ovss") as segmenter:
            result = segmenter.segment(frame)
            print(result.shares())
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.bundle = bundle
        self._backend = backend

    @classmethod
    def open(
        cls,
        bundle: Bundle | str | os.PathLike[str],
        *,
        backend: str = "auto",
        threads: int | None = None,
        verify: bool = True,
    ) -> Segmenter:
        """Open a bundle on a backend.

        Args:
            bundle: A folder, or a bundle that is already open.
            backend: A registered name, or "auto" for the first that is usable.
            threads: CPU threads; None means the cores that this process may use.
            verify: Compare the sha256 of every file; False leaves only the sizes.

        Raises:
            BundleError: The bundle is damaged, or too new.
            UsageError: There is no such backend.
            MissingDependencyError: What the backend needs is not there.
            ArtifactError: The backend cannot load the graph.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, verify=verify)
        return cls(opened, create_backend(backend, opened, threads=threads).open())

    @property
    def names(self) -> tuple[str, ...]:
        """The K output names that labels index."""
        return tuple(self.bundle.vocabulary.outputs)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """The colour by output, uint8 [K, 3], RGB."""
        return np.asarray(self.bundle.vocabulary.palette, dtype=np.uint8)

    @property
    def backend(self) -> str:
        """The registered name of the backend."""
        return self._backend.name

    def segment(self, frame: NDArray[np.uint8]) -> Result:
        """Segment one frame.

        Args:
            frame: uint8 [H, W, 3], RGB, any H and W of at least 1; copied if not C-contiguous.

        Raises:
            PictureError: The frame has another form.
            ArtifactError: The graph fails, or memory does not suffice.
        """
        start = time.perf_counter()
        batch = check_frame(frame)[np.newaxis]
        ready = time.perf_counter()
        answer = self._backend.infer(batch)
        done = time.perf_counter()
        arrays = _unpack(answer)
        end = time.perf_counter()
        timings = {
            "pre": 1e3 * (ready - start),
            "infer": 1e3 * (done - ready),
            "post": 1e3 * (end - done),
            "total": 1e3 * (end - start),
        }
        if self._backend.device_ms is not None:
            timings["device"] = self._backend.device_ms
        rejection = self.bundle.manifest.rejection
        slots = rejection.slots if rejection.mode == "slots" else None
        return Result(names=self.names, slots=slots, timings=timings, **arrays)

    def close(self) -> None:
        """Free the backend; calling it twice does no harm."""
        self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _unpack(answer: Arrays) -> dict[str, Any]:
    """Strip the batch axis and the empty slots."""
    alive = answer["alive"]
    arrays: dict[str, Any] = {
        "labels": answer["labels"][0],
        "alive": alive[alive >= 0],
        "counts": answer["counts"],
    }
    if "confidence" in answer:
        arrays["confidence"] = answer["confidence"][0]
    if "scores" in answer:
        scores = answer["scores"]
        arrays["scores"] = scores[0] if scores.ndim == 4 else scores
    return arrays
