"""What every backend does alike: its state, and the check of what the graph gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import UsageError


@dataclass(frozen=True, eq=False)
class Machine:
    """What was found on this machine, for `Backend.why_not_usable`.

    Attributes:
        gpu: Whether there is an NVIDIA GPU with a driver.
        providers: Those of the ONNX Runtime at hand; () where it is not installed.
        onnxruntime: What is wrong with ONNX Runtime, and what to do; None if nothing is known.
        engines: What every TensorRT lacks, by the name of its backend; None if nothing.
    """

    gpu: bool
    providers: Sequence[str]
    onnxruntime: str | None
    engines: Mapping[str, str | None]


class Backend(ABC):
    """One way to run the graph of a bundle.

    A backend implements `_open_impl`, `_infer_impl` and `_close_impl`; callers use `open`, `infer`
    and `close`, or a `with` block.

    Args:
        bundle: What to run.
        threads: CPU threads; None leaves the choice to the backend.

    Attributes:
        contract: Inputs and outputs of the graph.
        words: The inputs `text` and `places` of an open graph; None where words are frozen.
        any_graph: Whether it runs the graph that `bundle` names, or finds one in the folder itself.
        chooses_graph: Whether few words go into a bundle's small graph (`runtime.graph_choice`).
        only_loads: Whether opening it leaves nothing behind but what `close` frees, so that it may
            begin before the weights have been compared with the manifest.
        device_ms: How long the accelerator worked on the last frame, by its own clock; None where
            the backend has no such clock.
        builds: Whether what is missing is built when it is needed (`allow_builds`).
    """

    name: ClassVar[str]
    any_graph: ClassVar[bool] = True
    chooses_graph: ClassVar[bool] = False
    only_loads: ClassVar[bool] = False

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self.threads = threads
        self.device_ms: float | None = None
        self.contract = bundle.manifest.contract
        self.words = self._words(bundle)
        self.builds = False
        self._is_open = False

    def use_words(self, bundle: Bundle) -> None:
        """Go on with the words of a bundle that has the same graph, from the next frame on."""
        self.bundle = bundle
        self.contract = bundle.manifest.contract
        self.words = self._words(bundle)

    def _words(self, bundle: Bundle) -> Arrays | None:
        """Return the inputs with the words; None where they are frozen."""
        return bundle.word_inputs()

    def allow_builds(self) -> None:
        """Build what is missing when it is needed, instead of refusing; called before `open`.

        Raises:
            UsageError: This backend runs the bundle as it is.
        """
        message = f"Backend '{self.name}' runs the bundle as it is: there is no engine to build."
        raise UsageError(message, hint="Leave out --auto-build, or name an engine's --backend.")

    def prepare(self, size: tuple[int, int]) -> None:  # noqa: B027 (most have nothing to prepare)
        """Make what frames of this (height, width) need and is not there yet, before the clock.

        Raises:
            ArtifactError: It cannot be made.
        """

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

    def infer(
        self, frame: NDArray[np.uint8], thresholds: NDArray[np.float32] | None = None
    ) -> Arrays:
        """Run the graph once.

        Args:
            frame: uint8 [1, H, W, 3], RGB, C-contiguous.
            thresholds: Below which a label is unknown, float32 [K], for a graph that takes them;
                None for those of the bundle.

        Returns:
            The outputs by name, as the graph gives them (docs/bundle.md); the arrays are the
            caller's and stay valid after the next call.

        Raises:
            ArtifactError: The graph fails, or its outputs differ from the contract.
        """
        if not self._is_open:
            message = f"Backend '{self.name}' is used before open() or after close()"
            raise RuntimeError(message)
        answer = self._infer_impl(self.contract.feed(frame, thresholds, self.words))
        self.contract.check_answer(answer, (frame.shape[1], frame.shape[2]))
        return answer

    def close(self) -> None:
        """Free what `open` has taken; calling it twice does no harm."""
        if self._is_open:
            self._is_open = False
            self._close_impl()

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Return what is in the way of using this backend, and what to do; None if nothing is.

        Args:
            machine: What was found on this machine.
            install: How to install the modules that its registry entry names; None if they are.
        """
        del machine
        return install

    @abstractmethod
    def _open_impl(self) -> None:
        """Load the graph."""

    @abstractmethod
    def _infer_impl(self, inputs: Arrays) -> Arrays:
        """Run the graph on its inputs by name; the first is a frame that has been checked."""

    @abstractmethod
    def _close_impl(self) -> None:
        """Free what `_open_impl` has taken."""

    def __enter__(self) -> Backend:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()
