"""What every backend does alike: state, and the check of what the graph answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError

Arrays = Mapping[str, NDArray[Any]]


class Backend(ABC):
    """One way to run the graph of a bundle.

    A backend implements `_open_impl`, `_infer_impl` and `_close_impl`; callers use `open`, `infer`
    and `close`, or a `with` block.

    Args:
        bundle: What to run.
        threads: CPU threads; None leaves the choice to the backend.

    Attributes:
        any_graph: Whether it runs the graph that `bundle` names, or finds one in the folder itself.
        device_ms: How long the accelerator worked on the last frame, by its own clock; None where
            the backend has no such clock.
    """

    name: ClassVar[str]
    any_graph: ClassVar[bool] = True

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self.threads = threads
        self.device_ms: float | None = None
        self._is_open = False

    def open(self) -> Backend:
        """Load the graph.

        Raises:
            MissingDependencyError: The library or device of this backend is not there.
            ArtifactError: The graph cannot be loaded, or is not what the manifest says.
        """
        if not self._is_open:
            self._open_impl()
            self._is_open = True
        return self

    def infer(self, frame: NDArray[np.uint8]) -> Arrays:
        """Run the graph once.

        Args:
            frame: uint8 [1, H, W, 3], RGB, C-contiguous.

        Returns:
            The outputs by name, as the graph gives them (docs/bundle.md); the arrays are the
            caller's and stay valid after the next call.

        Raises:
            ArtifactError: The graph fails, or answers in another form than the contract's.
        """
        if not self._is_open:
            message = f"Backend '{self.name}' is used before open() or after close()"
            raise RuntimeError(message)
        answer = self._infer_impl(frame)
        _check_answer(answer, self.bundle, (frame.shape[1], frame.shape[2]))
        return answer

    def close(self) -> None:
        """Free what `open` has taken; calling it twice does no harm."""
        if self._is_open:
            self._is_open = False
            self._close_impl()

    @abstractmethod
    def _open_impl(self) -> None:
        """Load the graph."""

    @abstractmethod
    def _infer_impl(self, frame: NDArray[np.uint8]) -> Arrays:
        """Run the graph on a frame that has been checked."""

    @abstractmethod
    def _close_impl(self) -> None:
        """Free what `_open_impl` has taken."""

    def __enter__(self) -> Backend:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_answer(answer: Arrays, bundle: Bundle, size: tuple[int, int]) -> None:
    """Compare an answer with the contract; what comes after this trusts it."""
    spec = bundle.manifest.output
    for name in spec.outputs:
        if name not in answer:
            _refuse(name, "missing", "an array")
    _check_array("labels", answer["labels"], dtype=spec.labels_dtype, shape=(1, *size))
    _check_array("alive", answer["alive"], dtype="int32", shape=(None,))
    _check_array("counts", answer["counts"], dtype="int32", shape=(None,))
    if "confidence" in spec.outputs:
        _check_array("confidence", answer["confidence"], dtype="float32", shape=(1, *size))
    if "scores" in spec.outputs and answer["scores"].ndim not in (3, 4):
        _refuse("scores", f"of rank {answer['scores'].ndim}", "rank 3 or 4")
    _check_range("labels", answer["labels"], len(bundle.vocabulary.outputs))
    _check_range("alive", answer["alive"], len(bundle.vocabulary.prompts))


def _check_array(
    name: str, array: NDArray[Any], *, dtype: str, shape: tuple[int | None, ...]
) -> None:
    if str(array.dtype) != dtype:
        _refuse(name, str(array.dtype), dtype)
    fits = all(want in (None, have) for have, want in zip(array.shape, shape, strict=False))
    if array.ndim != len(shape) or not fits:
        _refuse(name, f"of shape {array.shape}", f"shape {shape}".replace("None", "any"))


def _check_range(name: str, array: NDArray[Any], limit: int) -> None:
    if array.size and int(array.max()) >= limit:
        _refuse(name, f"as high as {int(array.max())}", f"values below {limit}")


def _refuse(name: str, given: str, expected: str) -> NoReturn:
    message = f"Output '{name}' of the graph is {given}; expected {expected}."
    raise ArtifactError(message, hint="The graph does not match its manifest; export it again.")
