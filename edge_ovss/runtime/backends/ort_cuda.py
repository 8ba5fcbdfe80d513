"""ONNX Runtime on CUDA: frames and labels in buffers on the GPU, and one CUDA graph per frame."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import env_flag
from edge_ovss.bundle.contract import PLACES, TEXT, THRESHOLDS, Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import EdgeOvssError
from edge_ovss.runtime.backends.base import Machine
from edge_ovss.runtime.backends.ort import CpuBackend, dtype_name, run_error
from edge_ovss.runtime.cuda.buffers import DeviceBuffers
from edge_ovss.runtime.cuda.driver import require_driver
from edge_ovss.runtime.cuda.memory import DeviceMemory, memory_choice, open_memory

Size = tuple[int, int]

_DEVICE = "cuda"
SEVERAL = "frames come in several sizes"
"""Why there is no CUDA graph any more."""

# Inputs that stay on the device while they do not change.
_KEPT = frozenset({THRESHOLDS, TEXT, PLACES})


class CudaBackend(CpuBackend):
    """ONNX Runtime on CUDA; what CUDA cannot run goes to the CPU.

    A frame is copied from pinned memory to a buffer on the device, and the answers are written to
    buffers that stay. For the first frame the graph is loaded once more with its size fixed, so
    that ONNX Runtime can capture a CUDA graph. A frame of another size ends that. A graph holds for
    one shape of all inputs, so another number of words loads and captures it anew.

    Attributes:
        graph_refused: Why frames do not run as a CUDA graph; None if they do.
    """

    name: ClassVar[str] = "onnxruntime-cuda"
    providers: ClassVar[tuple[str, ...]] = ("CUDAExecutionProvider", "CPUExecutionProvider")
    # By default it computes FP32 in TF32, of ten bits, on all GPUs since Ampere; and it times all
    # ways of every convolution at the first frame of a size. That takes seconds, found nothing
    # faster (docs/performance.md), and chooses otherwise from run to run.
    settings: ClassVar[Mapping[str, str]] = {
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    extra: ClassVar[str] = "onnxruntime-gpu"
    # Both packages are the module `onnxruntime`: the one that is installed last overwrites.
    advice: ClassVar[str] = (
        'pip uninstall onnxruntime, then pip install "edge-ovss[onnxruntime-gpu]", with the CUDA '
        "and cuDNN that onnxruntime.ai lists for it (on a Jetson the onnxruntime-gpu wheel for "
        "its JetPack); or use --backend onnxruntime"
    )

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, threads=threads)
        self.graph_refused: str | None = "no frame was run yet"
        self._memory: DeviceMemory | None = None
        self._buffers: Any = None
        self._binding: Any = None
        self._bound: dict[str, tuple[int, ...]] | None = None
        self._pinned: Size | None = None
        self._names: tuple[str | int, ...] = ()

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Ask for a GPU, and for the provider."""
        del install
        if not machine.gpu:
            return "there is no NVIDIA GPU with a driver on this machine"
        return None if cls.providers[0] in machine.providers else cls.advice

    @property
    def captured(self) -> bool:
        """Whether frames run as a CUDA graph."""
        return self.graph_refused is None

    def _load_first(self) -> Any:  # noqa: ANN401 (a class of onnxruntime)
        require_driver(f"Backend '{self.name}'")
        self._take_memory()
        try:
            session = self._load(self._options())
        except BaseException:
            self._close_impl()
            raise
        frame = next(e for e in session.get_inputs() if e.name == self.contract.inputs[0].name)
        self._names = tuple(frame.shape[1:3])
        return session

    def _take_memory(self) -> None:
        self._memory = open_memory(memory_choice())
        with self._memory.current():
            self._buffers = DeviceBuffers(self._memory)

    def _infer_impl(self, inputs: Arrays) -> Arrays:
        memory = self._memory
        assert memory is not None  # `open` has set it
        with memory.current():
            shapes = {name: array.shape for name, array in inputs.items()}
            if shapes != self._bound:
                self._prepare(inputs)
            answer, self.device_ms = self._run(inputs)
        return answer

    def _close_impl(self) -> None:
        self._unbind()
        self._session = None
        if self._memory is not None and self._buffers is not None:
            with self._memory.current():
                self._buffers.close()
        self._memory = self._buffers = self._pinned = None

    def _require_memory(self, height: int, width: int) -> int:
        """Return 0: of the GPU's memory nothing is known before the run."""
        return 0

    def _find_libraries(self, runtime: ModuleType) -> None:
        """Load the CUDA and cuDNN that were installed as wheels; it is new in ONNX Runtime 1.21."""
        preload = getattr(runtime, "preload_dlls", None)
        if preload is not None:
            # What it prints is for people, and the answer of a verb may be on stdout.
            with contextlib.redirect_stdout(sys.stderr):
                preload()

    def _options(self) -> dict[str, str]:
        """Return the options of the provider: it works on the stream of the buffers."""
        return {**self.settings, "user_compute_stream": str(self._buffers.stream)}

    def _prepare(self, inputs: Arrays) -> None:
        """Choose the session for frames of this size, and bind its inputs and outputs."""
        size = self.contract.frame_size(inputs)
        first = self._pinned is None and self._bound is None
        if first or size == self._pinned:
            self.graph_refused = self._why_not_pinned()
            if self.graph_refused is None and self._pin(inputs, size):
                return
        elif self._pinned is not None:
            self.graph_refused = SEVERAL
            self._replace(self._options())
            self._pinned = None
        self._bind(inputs)

    def _why_not_pinned(self) -> str | None:
        if not env_flag("EDGE_OVSS_CUDA_GRAPHS", default=True):
            return "switched off by EDGE_OVSS_CUDA_GRAPHS"
        if any(isinstance(side, str) for side in self._shape("alive")):
            return "how many categories are left depends on the image"
        return None

    def _pin(self, inputs: Arrays, size: Size) -> bool:
        """Load the graph for frames of one size and capture it; else load it for any size."""
        self._pinned = None
        try:
            self._replace({**self._options(), "enable_cuda_graph": "1"}, self._sides(size))
            self._bind(inputs)
            self._run(inputs)  # captures
        except EdgeOvssError as err:
            self.graph_refused = err.message
            self._replace(self._options())
            return False
        self._pinned = size
        return True

    def _replace(self, options: Mapping[str, str], sizes: Mapping[str, int] | None = None) -> None:
        """Load the graph anew; the old one goes first, for both need the GPU's memory."""
        self._unbind()
        self._session = None
        self._session = self._load(options, sizes)

    def _unbind(self) -> None:
        self._binding = self._bound = None
        if self._memory is not None and self._buffers is not None:
            with self._memory.current():
                self._buffers.clear()

    def _bind(self, inputs: Arrays) -> None:
        """Give every input and output whose size is known a buffer on the device."""
        self._unbind()
        binding = self._session.io_binding()
        sides = self._sides(self.contract.frame_size(inputs))
        for name, array in inputs.items():
            place = self._buffers.add_input(name, array)
            binding.bind_input(name, _DEVICE, 0, array.dtype.type, array.shape, place.pointer)
        for each in self._session.get_outputs():
            shape = _fixed(each.shape, sides)
            if shape is None:
                binding.bind_output(each.name)  # in host memory, where ONNX Runtime wants it
                continue
            dtype = np.dtype(dtype_name(each.type))
            place = self._buffers.add_output(each.name, shape, dtype)
            binding.bind_output(each.name, _DEVICE, 0, dtype.type, shape, place.pointer)
        self._binding = binding
        self._bound = {name: array.shape for name, array in inputs.items()}

    def _run(self, inputs: Arrays) -> tuple[dict[str, NDArray[Any]], float]:
        self._buffers.start(inputs, kept=_KEPT)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as err:
            raise run_error(err, self.contract.frame_size(inputs)) from err
        answer, passed = self._buffers.finish()
        for each, value in zip(
            self._session.get_outputs(), self._binding.get_outputs(), strict=True
        ):
            if each.name not in answer:
                answer[each.name] = np.array(value.numpy())  # a view of memory that is used again
        return answer, passed

    def _shape(self, output: str) -> list[int | str]:
        return next(each.shape for each in self._session.get_outputs() if each.name == output)

    def _sides(self, size: Size) -> dict[str, int]:
        """Return the frame's height and width by what the graph calls them, before it is fixed."""
        named = zip(self._names, size, strict=True)
        return {name: side for name, side in named if isinstance(name, str)}


def _fixed(shape: list[int | str], sides: Mapping[str, int]) -> tuple[int, ...] | None:
    """Return a shape with the frame's sides filled in; None if another side is free."""
    filled = [sides.get(side, side) if isinstance(side, str) else side for side in shape]
    return None if any(isinstance(side, str) for side in filled) else tuple(map(int, filled))
