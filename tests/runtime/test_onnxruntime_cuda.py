"""ONNX Runtime on CUDA with a pretended library: what it is asked for, and what is said without."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from open_words import open_up

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.backends import ort
from edge_ovss.runtime.backends.ort_cuda import CudaBackend
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.cuda.buffers import DeviceBuffers
from edge_ovss.runtime.cuda.memory import open_memory
from edge_ovss.vocabulary import Vocabulary

onnxruntime = pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Of the real one, those that matter.
KNOWN = {
    *("device_id", "use_tf32", "cudnn_conv_algo_search"),
    *("user_compute_stream", "enable_cuda_graph"),
}
SETTINGS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


class PretendedCuda:
    """The onnxruntime module as its CUDA build is; the session runs on the CPU."""

    __version__ = "1.31.1 (pretended)"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.sessions: list[PretendedSession] = []
        self.driver = importlib.import_module("fake_cuda").FakeCuda()
        self.known = KNOWN
        self.loads = True
        self.captures = True
        self.preloaded = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(onnxruntime, name)

    def preload_dlls(self) -> None:
        print("Failed to load libcudnn.so.9")
        self.preloaded += 1

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def InferenceSession(self, path: str, **arguments: Any) -> Any:  # noqa: ANN401
        self.asked.append(arguments)
        (provider, options), *_ = arguments["providers"]
        unknown = set(options) - self.known
        if provider == CUDA and unknown:
            message = f"Unknown provider option: {unknown.pop()}"
            raise RuntimeError(message)
        if "enable_cuda_graph" in options and not self.captures:
            message = "This session cannot use the graph capture feature"
            raise RuntimeError(message)
        session = onnxruntime.InferenceSession(
            path, sess_options=arguments["sess_options"], providers=[CPU]
        )
        self.sessions.append(PretendedSession(session, self, options))
        return self.sessions[-1]


class PretendedSession:
    """A session that says which providers it has, and works on buffers of the pretended GPU."""

    def __init__(self, session: Any, library: PretendedCuda, options: dict[str, str]) -> None:  # noqa: ANN401
        self.session, self.library, self.options = session, library, options
        self.runs = 0
        self.fails: str | None = None
        self.captured: PretendedBinding | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU] if self.library.loads else [CPU]

    def io_binding(self) -> PretendedBinding:
        return PretendedBinding(self.session.io_binding(), self.library.driver)

    def run_with_iobinding(self, binding: PretendedBinding) -> None:
        assert self.library.driver.depth, "the context is not current"
        # Its stream is that of the copies: what was queued there comes first.
        self.library.driver.cuStreamSynchronize(int(self.options["user_compute_stream"]))
        self.runs += 1
        if self.fails is not None:
            raise RuntimeError(self.fails)
        if "enable_cuda_graph" in self.options:
            self.captured = self.captured or binding
            assert binding is self.captured, "what was captured runs, whatever is bound"
        self.session.run_with_iobinding(binding.real)


class PretendedBinding:
    """A binding whose device is memory of the pretended driver."""

    def __init__(self, real: Any, driver: Any) -> None:  # noqa: ANN401
        self.real, self.driver = real, driver
        self.bound: list[str] = []

    def bind_input(self, name: str, device: str, *rest: Any) -> None:  # noqa: ANN401
        assert (device, rest[-1] in self.driver.blocks) == ("cuda", True)
        self.bound.append(name)
        self.real.bind_input(name, "cpu", *rest)

    def bind_output(self, name: str, device: str = "cpu", *rest: Any) -> None:  # noqa: ANN401
        assert device == "cpu" or rest[-1] in self.driver.blocks
        self.bound.append(name)
        self.real.bind_output(name, "cpu", *rest)

    def get_outputs(self) -> Any:  # noqa: ANN401
        return self.real.get_outputs()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedCuda]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    pretended = PretendedCuda()
    monkeypatch.setattr(ort, "require", lambda module, extra: pretended)
    monkeypatch.setattr(cuda_driver, "_load", lambda: pretended.driver)
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")
    cuda_driver.cuda_driver.cache_clear()
    yield pretended
    cuda_driver.cuda_driver.cache_clear()


def frame_of(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def options_of(library: PretendedCuda) -> list[dict[str, str]]:
    """What each session's CUDA provider was asked for, but for the stream."""
    found = [dict(asked["providers"][0][1]) for asked in library.asked]
    for options in found:
        assert int(options.pop("user_compute_stream")) > 0
    return found


@pytest.mark.parametrize("outputs", [3, 300])
def test_answers_equal_those_of_the_cpu(
    library: PretendedCuda, make_bundle: MakeBundle, outputs: int
) -> None:
    path = make_bundle(outputs=outputs, extras=("confidence", "scores"))
    with Segmenter.open(path, backend="onnxruntime-cuda") as ours:
        library.loads = True
        answers = [ours.segment(frame_of(20, 30, seed)) for seed in range(3)]
    session = onnxruntime.InferenceSession(path / "model.onnx", providers=[CPU])
    names = [each.name for each in session.get_outputs()]
    for seed, answer in enumerate(answers):
        found = dict(
            zip(names, session.run(None, {"frame": frame_of(20, 30, seed)[None]}), strict=True)
        )
        assert np.array_equal(answer.labels, found["labels"][0])
        assert answer.labels.dtype == found["labels"].dtype
        assert answer.confidence is not None
        assert np.array_equal(answer.confidence, found["confidence"][0])
        assert answer.timings["device"] > 0


def test_the_second_session_is_for_one_size_and_captures(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda") as segmenter:
        backend = segmenter._backend
        assert isinstance(backend, CudaBackend)
        for seed in range(3):
            segmenter.segment(frame_of(20, 30, seed))
        assert backend.captured
        plain, pinned = library.sessions
        assert [plain.runs, pinned.runs] == [0, 4]  # the first frame is also run to capture
        assert pinned.get_inputs()[0].shape == [1, 20, 30, 3]
        blocks = dict(library.driver.blocks)
        segmenter.segment(frame_of(20, 30, 9))
        assert library.driver.blocks == blocks
    assert options_of(library) == [SETTINGS, {**SETTINGS, "enable_cuda_graph": "1"}]


def test_frames_of_another_size_end_the_graph_and_are_right(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    sizes = [(20, 30), (16, 24), (20, 30), (12, 40)]
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda") as segmenter:
        for height, width in sizes:
            frame = frame_of(height, width)
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
        assert segmenter._backend.graph_refused == "frames come in several sizes"  # type: ignore[attr-defined]
    assert len(library.sessions) == 3  # any size, one size, any size again


def test_other_words_are_used_and_another_number_of_them_captures_anew(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    path = make_bundle(extras=("confidence",))
    open_up(path, places=8, least=1, words=3)
    bundle = Bundle.open(path)
    words = {count: Vocabulary.from_names([f"w{i}" for i in range(count)]) for count in (3, 5)}
    frame = frame_of(20, 30)
    with Segmenter.open(bundle, backend="onnxruntime-cuda") as segmenter:
        backend = segmenter._backend
        assert isinstance(backend, CudaBackend)
        for sessions, count, value in ((2, 3, 1), (2, 3, 2), (3, 5, 3), (3, 5, 4), (4, 3, 5)):
            text = np.full((count, 1, 4), value, np.float32)
            segmenter.use_words(bundle.with_words(words[count], text))
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
            assert backend.captured
            assert len(library.sessions) == sessions
            place = backend._buffers.inputs["text"].pointer
            assert bytes(library.driver.blocks[place]) == text.tobytes()
            assert library.sessions[-1].get_inputs()[0].shape == [1, 20, 30, 3]
            library.driver.uploads.clear()
            segmenter.segment(frame)  # words that are there already are not copied again
            assert library.driver.uploads == [backend._buffers.inputs["frame"].pointer]


@pytest.mark.parametrize("places", [8, 1 << 13])  # what is large is not compared, but recognized
def test_numbers_that_stay_are_copied_once(library: PretendedCuda, places: int) -> None:
    memory = open_memory()
    with memory.current():
        buffers = DeviceBuffers(memory)
        values = np.arange(places, dtype=np.float64)
        place = buffers.add_input("values", values).pointer
        for given, copied in (
            (0 * values, True),  # what happens to be in new memory counts for nothing
            (values, True),
            (values, False),
            (values.copy(), False),
            (values + 1, True),
            (values, True),
        ):
            library.driver.uploads.clear()
            buffers.start({"values": given}, kept=frozenset({"values"}))
            buffers.finish()
            assert library.driver.uploads == [place] * copied
            assert bytes(library.driver.blocks[place]) == given.tobytes()
        buffers.close()


@pytest.mark.parametrize("when", ["loading", "running", "switch"])
def test_without_a_graph_frames_still_run_and_the_reason_is_kept(
    library: PretendedCuda, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    said = {
        "loading": "cannot use the graph capture feature",
        "running": "operation not permitted when stream is capturing",
        "switch": "switched off by EDGE_OVSS_CUDA_GRAPHS",
    }[when]
    if when == "loading":
        library.captures = False
    if when == "switch":
        monkeypatch.setenv("EDGE_OVSS_CUDA_GRAPHS", "0")
    if when == "running":
        real = PretendedSession.run_with_iobinding

        def run(self: PretendedSession, binding: PretendedBinding) -> None:
            self.fails = said if "enable_cuda_graph" in self.options else None
            real(self, binding)

        monkeypatch.setattr(PretendedSession, "run_with_iobinding", run)
    frame = frame_of(20, 30)
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda") as segmenter:
        for _ in range(2):
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
        backend = segmenter._backend
        assert isinstance(backend, CudaBackend)
        assert not backend.captured
        assert said in str(backend.graph_refused)


def test_a_graph_whose_answer_has_no_fixed_size_is_not_captured(
    library: PretendedCuda, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_outputs(self: PretendedSession) -> list[SimpleNamespace]:
        """As the graph says, and not as the library infers from its constants."""
        found = self.session.get_outputs()
        shapes = {each.name: ["n"] if each.name == "alive" else each.shape for each in found}
        return [
            SimpleNamespace(name=each.name, type=each.type, shape=shapes[each.name])
            for each in found
        ]

    monkeypatch.setattr(PretendedSession, "get_outputs", get_outputs, raising=False)
    frame = frame_of(20, 30)
    path = make_bundle(mode="dynamic", alive=(2, 0))
    with Segmenter.open(path, backend="onnxruntime-cuda") as segmenter:
        for _ in range(2):
            found = segmenter.segment(frame)
            assert np.array_equal(found.labels, frame.sum(-1, dtype=np.int32) % 3)
            assert found.alive.tolist() == [2, 0]
        backend = segmenter._backend
        assert isinstance(backend, CudaBackend)
        assert "depends on the image" in str(backend.graph_refused)
    assert options_of(library) == [SETTINGS]


def test_nothing_stays_on_the_device(library: PretendedCuda, make_bundle: MakeBundle) -> None:
    segmenter = Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    segmenter.segment(frame_of(20, 30))
    segmenter.segment(frame_of(21, 30))
    driver = library.driver
    assert driver.blocks
    segmenter.close()
    assert not (driver.blocks or driver.pinned or driver.streams or driver.events)
    assert driver.depth == 0


def test_a_failing_frame_is_an_error_and_the_next_one_runs(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda") as segmenter:
        segmenter.segment(frame_of(20, 30))
        library.sessions[-1].fails = "CUDA failure 2: out of memory"
        with pytest.raises(ArtifactError, match="not enough memory for a frame of 20 x 30"):
            segmenter.segment(frame_of(20, 30))
        library.sessions[-1].fails = None
        frame = frame_of(20, 30, 5)
        expected = frame.sum(-1, dtype=np.int32) % 3
        assert np.array_equal(segmenter.segment(frame).labels, expected)


def test_a_gpu_without_a_driver_is_said_as_such(
    library: PretendedCuda, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_driver, "_load", lambda: None)
    with pytest.raises(MissingDependencyError, match="needs an NVIDIA GPU with its driver"):
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert library.asked == []


def test_libraries_that_came_as_wheels_are_loaded_and_stdout_is_left_alone(
    library: PretendedCuda, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda"):
        assert library.preloaded == 1
    printed = capsys.readouterr()
    assert (printed.out, "libcudnn" in printed.err) == ("", True)
    with Segmenter.open(make_bundle("cpu.ovss"), backend="onnxruntime"):
        assert library.preloaded == 1


def test_tf32_is_off_and_nothing_takes_its_place(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    frame = np.arange(1800, dtype=np.uint8).reshape(20, 30, 3)
    with Segmenter.open(make_bundle(), backend="onnxruntime-cuda") as segmenter:
        labels = segmenter.segment(frame).labels
    assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
    assert all(options["use_tf32"] == "0" for options in options_of(library))
    assert all(asked["providers"][1:] == [CPU] for asked in library.asked)
    assert all(asked["enable_fallback"] == 0 for asked in library.asked)


def test_a_library_that_does_not_know_the_option_is_refused(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    library.known = KNOWN - {"use_tf32"}
    with pytest.raises(ArtifactError, match="Unknown provider option: use_tf32") as caught:
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert "Upgrade onnxruntime" in str(caught.value)
    assert len(library.asked) == 1  # not opened again with TF32


def test_cuda_libraries_that_do_not_load_are_said_as_such(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    library.loads = False
    with pytest.raises(MissingDependencyError, match=CUDA) as caught:
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert "edge-ovss[onnxruntime-gpu]" in str(caught.value)
    assert "pip uninstall onnxruntime" in str(caught.value)


def test_the_cpu_backend_asks_for_no_options(
    library: PretendedCuda, make_bundle: MakeBundle
) -> None:
    Segmenter.open(make_bundle(), backend="onnxruntime").close()
    (asked,) = library.asked
    assert asked["providers"] == [(CPU, {})]


def test_an_onnxruntime_that_is_not_there_names_the_extra_with_cuda(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError) as caught:
        Segmenter.open(make_bundle(), backend="onnxruntime-cuda")
    assert 'pip install "edge-ovss[onnxruntime-gpu]"' in str(caught.value)
