"""The C++ library behind its C interface (runtime/include/edge_ovss/edge_ovss.h), by ctypes.

The layouts and the meaning of every field are those of the header; `struct_size` lets the library
refuse these declarations where they are of another version.
"""

from __future__ import annotations

import ctypes
import json
import os
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint8, c_void_p
from ctypes.util import find_library
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import THRESHOLDS, Arrays
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import (
    ArtifactError,
    EdgeOvssError,
    GateError,
    MissingDependencyError,
    PictureError,
    UsageError,
)
from edge_ovss.runtime.backends.base import Backend, Machine

ENVIRONMENT = "EDGE_OVSS_NATIVE_LIBRARY"
FORMATS = ("RGB8", "BGR8", "RGBA8", "BGRA8", "GRAY8", "NV12", "YUYV")
MAX_REJECTIONS = 8

_CAPACITY = 7
_ERRORS: dict[int, type[EdgeOvssError]] = {
    2: UsageError,
    3: MissingDependencyError,
    4: PictureError,
    5: ArtifactError,
    6: GateError,
    _CAPACITY: UsageError,
}


class Options(ctypes.Structure):
    """`edge_ovss_options`."""

    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("backend", c_char_p),
        ("cache", c_char_p),
        ("threads", c_int32),
        ("device", c_int32),
        ("skip_hashes", c_int32),
        ("frame_height", c_int32),
        ("frame_width", c_int32),
        ("auto_build", c_int32),
    ]


class Frame(ctypes.Structure):
    """`edge_ovss_frame`."""

    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("data", c_void_p),
        ("data_size", c_size_t),
        ("stride", c_size_t),
        ("chroma", c_void_p),
        ("chroma_size", c_size_t),
        ("chroma_stride", c_size_t),
        ("height", c_int32),
        ("width", c_int32),
        ("format", c_int32),
        ("reserved", c_int32),
    ]


class NativeResult(ctypes.Structure):
    """`edge_ovss_result`."""

    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("labels", c_void_p),
        ("labels_capacity", c_size_t),
        ("labels_stride", c_size_t),
        ("confidence", POINTER(c_float)),
        ("confidence_capacity", c_size_t),
        ("scores", POINTER(c_float)),
        ("scores_capacity", c_size_t),
        ("alive", POINTER(c_int32)),
        ("alive_capacity", c_size_t),
        ("alive_count", c_size_t),
        ("scores_shape", c_int32 * 3),
        ("counts_count", c_int32),
        ("counts", c_int32 * MAX_REJECTIONS),
        ("overflow", c_int32),
        ("reserved", c_int32),
        ("pre_ms", c_double),
        ("infer_ms", c_double),
        ("post_ms", c_double),
        ("total_ms", c_double),
    ]


class SelftestReport(ctypes.Structure):
    """`edge_ovss_selftest_report`."""

    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("agreement", c_double),
        ("min_agreement", c_double),
        ("infer_ms", c_double),
        ("same_alive", c_int32),
        ("same_counts", c_int32),
        ("undecided", c_double),
    ]


class NativeLibrary:
    """The loaded library; every method raises what a status other than 0 stands for.

    Args:
        path: The shared library; None is what `EDGE_OVSS_NATIVE_LIBRARY` names, then what the
            system's loader finds.

    Raises:
        MissingDependencyError: It cannot be loaded.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = _find(path)
        try:
            self._c = ctypes.CDLL(self.path)
            self._declare()
        except (OSError, AttributeError) as err:
            message = f"The library of backend 'native' cannot be loaded: {err}."
            raise MissingDependencyError(message, hint=_hint()) from err

    @property
    def version(self) -> str:
        """Version of the library."""
        return str(self._c.edge_ovss_version().decode())

    def open(self, bundle: str | os.PathLike[str], options: Options) -> int:
        """Return the handle of a session; hand it to `close`."""
        session = c_void_p()
        options.struct_size = ctypes.sizeof(options)
        path = os.fsencode(bundle)
        self.check(self._c.edge_ovss_open(path, ctypes.byref(options), ctypes.byref(session)))
        return int(session.value or 0)

    def close(self, session: int) -> None:
        """Close a session."""
        self.check(self._c.edge_ovss_close(session))

    def segment(self, session: int, frame: Frame, result: NativeResult) -> None:
        """Run one frame; the memory that both point to must stay."""
        self.check(self._segment(session, frame, result))

    def has_room(self, session: int, frame: Frame, result: NativeResult) -> bool:
        """Run one frame; False is that `scores` has no room for the shape in `scores_shape`."""
        status = self._segment(session, frame, result)
        if status == _CAPACITY and result.scores_shape[0]:
            return False
        self.check(status)
        return True

    def selftest(self, session: int) -> SelftestReport:
        """Compare with the reference answer; GateError where it is another one."""
        report = SelftestReport(struct_size=ctypes.sizeof(SelftestReport))
        self.check(self._c.edge_ovss_selftest(session, ctypes.byref(report)))
        return report

    def set_thresholds(self, session: int, thresholds: NDArray[np.float32]) -> None:
        """Use these thresholds of "unknown" from the next frame on, float32 [K]."""
        place = thresholds.ctypes.data_as(POINTER(c_float))
        self.check(self._c.edge_ovss_set_unknown(session, place, thresholds.size))

    def set_words(self, session: int, pack: str | os.PathLike[str]) -> None:
        """Have the words of an embedding pack, and no others, from the next frame on."""
        self.check(self._c.edge_ovss_set_words(session, os.fsencode(pack)))

    def use_words(self, session: int, bundle: Bundle) -> None:
        """Have the words of an open bundle, and no others, from the next frame on."""
        assert bundle.text is not None
        words = json.dumps(bundle.vocabulary.to_json()).encode()
        text = np.ascontiguousarray(bundle.text, np.float32)
        place = text.ctypes.data_as(POINTER(c_float))
        self.check(self._c.edge_ovss_use_words(session, words, place, text.size))

    def to_rgb(self, frame: Frame) -> NDArray[np.uint8]:
        """Return uint8 [H, W, 3]: what the graph gets of a frame."""
        rgb = np.empty((max(frame.height, 1), max(frame.width, 1), 3), np.uint8)
        frame.struct_size = ctypes.sizeof(frame)
        place = rgb.ctypes.data_as(POINTER(c_uint8))
        self.check(self._c.edge_ovss_to_rgb(ctypes.byref(frame), place, 0, rgb.nbytes))
        return rgb

    def check(self, status: int) -> None:
        """Raise the error that a status stands for."""
        if status != 0:
            message = self._c.edge_ovss_last_error().decode(errors="replace")
            hint = self._c.edge_ovss_last_hint().decode(errors="replace")
            raise _ERRORS.get(status, EdgeOvssError)(message, hint=hint or None)

    def _segment(self, session: int, frame: Frame, result: NativeResult) -> int:
        frame.struct_size, result.struct_size = ctypes.sizeof(frame), ctypes.sizeof(result)
        status = self._c.edge_ovss_segment(session, ctypes.byref(frame), ctypes.byref(result))
        return int(status)

    def _declare(self) -> None:
        for name in ("version", "last_error", "last_hint"):
            getattr(self._c, f"edge_ovss_{name}").restype = c_char_p
        declared: dict[str, list[Any]] = {
            "open": [c_char_p, POINTER(Options), POINTER(c_void_p)],
            "close": [c_void_p],
            "segment": [c_void_p, POINTER(Frame), POINTER(NativeResult)],
            "selftest": [c_void_p, POINTER(SelftestReport)],
            "set_unknown": [c_void_p, POINTER(c_float), c_size_t],
            "set_words": [c_void_p, c_char_p],
            "use_words": [c_void_p, c_char_p, POINTER(c_float), c_size_t],
            "to_rgb": [POINTER(Frame), POINTER(c_uint8), c_size_t, c_size_t],
        }
        for name, arguments in declared.items():
            function = getattr(self._c, f"edge_ovss_{name}")
            function.argtypes, function.restype = arguments, c_int32


class NativeBackend(Backend):
    """The C++ library; inside it, its own default backend runs the graph.

    Args:
        bundle: What to run; its hashes were compared when it was opened, or not at all.
        threads: CPU threads; None means the cores that this process may use.
        library: The shared library; None as for `NativeLibrary`.
    """

    name: ClassVar[str] = "native"
    any_graph: ClassVar[bool] = False

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        library: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(bundle, threads=threads)
        self._library_path = library
        self._library: NativeLibrary | None = None
        self._session = 0
        self._scores_shape = (0, 0, 0)
        self._thresholds: NDArray[np.float32] | None = None

    @classmethod
    def why_not_usable(cls, machine: Machine, install: str | None) -> str | None:
        """Load the library as the backend does."""
        del machine, install
        try:
            NativeLibrary()
        except MissingDependencyError as err:
            return f"{err.message} {err.hint}"
        return None

    def _open_impl(self) -> None:
        self._library = NativeLibrary(self._library_path)
        options = Options(threads=self.threads or 0, skip_hashes=1)
        self._session = self._library.open(self.bundle.path, options)
        self._thresholds = None  # it has those of the file, which may be newer than the bundle
        if self.bundle.text is not None:  # the words of the file may be others too
            self._library.use_words(self._session, self.bundle)

    def use_words(self, bundle: Bundle) -> None:
        """Go on with the words of a bundle that has the same graph, from the next frame on.

        Raises:
            UsageError: The backend inside the library cannot change words.
        """
        if self._library is not None:
            self._library.use_words(self._session, bundle)
            self._thresholds = None  # they went with the names
        super().use_words(bundle)

    def _infer_impl(self, inputs: Arrays) -> Arrays:
        if self._library is None:
            message = "The native library is not loaded"
            raise RuntimeError(message)
        frame = inputs[self.contract.inputs[0].name]
        arrays = self._room(frame)
        result = _result(arrays)
        limits = inputs.get(THRESHOLDS)
        self._use(None if limits is None else limits[: len(self.bundle.vocabulary.outputs)])
        if not self._library.has_room(self._session, _frame(frame), result):
            self._scores_shape = tuple(result.scores_shape)
            return self._infer_impl(inputs)
        arrays["alive"] = arrays["alive"][: result.alive_count]
        arrays["counts"] = np.array(result.counts[: result.counts_count], np.int32)
        return arrays

    def _close_impl(self) -> None:
        if self._library is not None:
            self._library.close(self._session)
        self._library, self._session = None, 0

    def _use(self, thresholds: NDArray[np.float32] | None) -> None:
        """Give the session other thresholds, if they are not those that it has."""
        assert self._library is not None  # `_infer_impl` has asked
        if thresholds is None:
            return
        if self._thresholds is None or not np.array_equal(thresholds, self._thresholds):
            self._library.set_thresholds(self._session, thresholds)
            self._thresholds = thresholds.copy()

    def _room(self, frame: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return arrays of the shapes that the answers will have."""
        spec = self.bundle.manifest.output
        arrays: dict[str, NDArray[Any]] = {
            "labels": np.empty(frame.shape[:3], spec.labels_dtype),
            "alive": np.empty(len(self.bundle.vocabulary.prompts), np.int32),
        }
        if "confidence" in spec.outputs:
            arrays["confidence"] = np.empty(frame.shape[:3], np.float32)
        if "scores" in spec.outputs:
            arrays["scores"] = np.empty(self._scores_shape, np.float32)
        return arrays


def _frame(batch: NDArray[np.uint8]) -> Frame:
    """Return the C form of uint8 [1, H, W, 3], which must stay."""
    return Frame(
        data=batch.ctypes.data, data_size=batch.nbytes, height=batch.shape[1], width=batch.shape[2]
    )


def _result(arrays: dict[str, NDArray[Any]]) -> NativeResult:
    result = NativeResult(
        labels=arrays["labels"].ctypes.data,
        labels_capacity=arrays["labels"].nbytes,
        alive=arrays["alive"].ctypes.data_as(POINTER(c_int32)),
        alive_capacity=arrays["alive"].size,
    )
    for name in ("confidence", "scores"):
        if name in arrays:
            setattr(result, name, arrays[name].ctypes.data_as(POINTER(c_float)))
            setattr(result, f"{name}_capacity", arrays[name].nbytes)
    return result


def _find(path: str | os.PathLike[str] | None) -> str:
    chosen = path or os.environ.get(ENVIRONMENT)
    if chosen:
        if not Path(chosen).expanduser().is_file():
            message = f"There is no library at '{chosen}'."
            raise MissingDependencyError(message, hint=_hint())
        return str(Path(chosen).expanduser().absolute())
    return find_library("edge_ovss") or "libedge_ovss.so.0"


def _hint() -> str:
    return f"Build it (runtime/README.md), and set {ENVIRONMENT} to libedge_ovss.so."
