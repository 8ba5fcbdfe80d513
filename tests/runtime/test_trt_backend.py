"""The TensorRT backend on a pretended GPU: answers, buffers, graphs, threads, refusals."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from open_words import WIDTH, open_up

from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.errors import ArtifactError, MissingDependencyError, UsageError
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.cuda import driver as cuda_driver
from edge_ovss.runtime.cuda import memory as device_memory
from edge_ovss.runtime.trt import gpu as machine
from edge_ovss.runtime.trt.backend import TensorRtBackend
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.vocabulary import Vocabulary

pytest.importorskip("onnxruntime")

MakeBundle = Callable[..., Path]
Pretended = Any  # the module fake_trt
PINNED = FrameRange.pinned((20, 30))
RANGED = FrameRange((10, 10), (20, 30), (40, 50))


@pytest.fixture(autouse=True)
def _by_ctypes(monkeypatch: pytest.MonkeyPatch) -> None:
    # The pretended GPU is one for the driver's library only.
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "ctypes")


def build(path: Path, frames: FrameRange = PINNED, **options: Any) -> Any:  # noqa: ANN401
    chosen = BuildOptions(frames=frames, **options)
    return build_engine(Bundle.open(path), "tensorrt", chosen).engine


def frame_of(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_words_are_copied_when_they_change_and_not_with_every_frame(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle(extras=("confidence",))
    open_up(path, places=8, least=8, words=3)
    build(path)
    bundle, frame = Bundle.open(path), frame_of(20, 30)
    with Segmenter.open(bundle, backend="tensorrt") as segmenter:
        for count in (3, 5, 5):
            words = Vocabulary.from_names([f"w{i}" for i in range(count)])
            text = np.random.default_rng().random((count, 1, WIDTH), np.float32)
            segmenter.use_words(bundle.with_words(words, text))
            expected = frame.sum(-1, dtype=np.int32) % 3
            assert np.array_equal(segmenter.segment(frame).labels, expected)
            session = session_of(segmenter)
            assert session.captured
            held = bytes(trt.CUDA.blocks[session._inputs["text"].pointer])
            assert held == text.tobytes() + bytes(4 * WIDTH * (8 - count))
            trt.CUDA.uploads.clear()
            segmenter.segment(frame)
            assert trt.CUDA.uploads == [session._inputs["frame"].pointer]


def session_of(segmenter: Segmenter) -> Any:  # noqa: ANN401
    backend = segmenter._backend
    assert isinstance(backend, TensorRtBackend)
    ((_, session),) = backend._sessions.values()
    return session


@pytest.mark.parametrize("outputs", [3, 300])
def test_answers_equal_those_of_onnxruntime(
    trt: Pretended, make_bundle: MakeBundle, outputs: int
) -> None:
    path = make_bundle(outputs=outputs, extras=("confidence", "scores"))
    build(path)
    with (
        Segmenter.open(path, backend="tensorrt") as ours,
        Segmenter.open(path, backend="onnxruntime") as theirs,
    ):
        for seed in range(3):
            frame = frame_of(20, 30, seed)
            answer, expected = ours.segment(frame), theirs.segment(frame)
            assert np.array_equal(answer.labels, expected.labels)
            assert answer.labels.dtype == expected.labels.dtype
            assert answer.alive.tolist() == expected.alive.tolist()
            assert answer.confidence is not None
            assert answer.scores is not None
            assert np.array_equal(answer.confidence, np.asarray(expected.confidence))
            assert np.array_equal(answer.scores, np.asarray(expected.scores))


def test_frames_run_as_one_graph_on_buffers_that_are_kept(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    build(path)
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        first = segmenter.segment(frame_of(20, 30, 1))
        kept = first.labels.copy()
        session, pointers = session_of(segmenter), set(trt.CUDA.blocks)
        assert session.captured
        runs, launches = trt.CONTEXTS[-1].runs, trt.CUDA.launches
        for seed in range(2, 5):
            segmenter.segment(frame_of(20, 30, seed))
        assert trt.CUDA.launches == launches + 3
        assert trt.CONTEXTS[-1].runs == runs + 3
        assert set(trt.CUDA.blocks) == pointers
        assert np.array_equal(first.labels, kept)  # the answer is the caller's
    assert not trt.CUDA.blocks
    assert not trt.CUDA.pinned
    assert not trt.CUDA.streams
    assert not trt.CUDA.graphs
    assert not trt.CUDA.events
    assert trt.CUDA.depth == 0


@pytest.mark.parametrize("graphs", ["0", "1"])
def test_the_time_of_the_device_is_taken_by_events_around_copy_run_and_copy(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, graphs: str
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CUDA_GRAPHS", graphs)
    path = make_bundle()
    build(path)
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        for seed in range(3):
            timings = segmenter.segment(frame_of(20, 30, seed)).timings
            # One upload, one run, three downloads and the second event: 6 steps of 0.5 ms.
            assert timings["device"] == 3.0
    with Segmenter.open(path, backend="onnxruntime") as segmenter:
        assert "device" not in segmenter.segment(frame_of(20, 30)).timings


def test_bench_shows_the_device_apart_from_end_to_end(
    trt: Pretended, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_bundle()
    build(path)
    words = ["bench", str(path), "--backend", "tensorrt", "--count", "3", "--cold-starts", "0"]
    words += ["--source", "synthetic://street?count=1&size=20x30"]
    assert main([*words, "--gate", "device_p50_ms<=3"]) == 0
    assert re.search(r"^  device +3\.00 +3\.00", capsys.readouterr().out, re.MULTILINE)
    assert main([*words, "--gate", "device_p50_ms<=2"]) == 6
    document = json.loads((path / "reports" / "bench-tensorrt.json").read_text())
    stages = document["subjects"][0]["stages_ms"]
    assert stages["device"]["p50"] == document["numbers"]["device_p50_ms"] == 3.0
    assert stages["total"]["p50"] > 0


def test_a_ranged_engine_changes_size_and_back(trt: Pretended, make_bundle: MakeBundle) -> None:
    path = make_bundle()
    build(path, RANGED)
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        for height, width in ((10, 10), (40, 50), (10, 10)):
            frame = frame_of(height, width)
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
            assert len(trt.CUDA.blocks) == 4  # frame, labels, alive, counts


@pytest.mark.parametrize("why", ["capture", "library", "switch"])
def test_without_graphs_frames_run_one_by_one(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    path = make_bundle()
    build(path)
    trt.CUDA.refuse_capture = why == "capture"
    if why == "library":
        monkeypatch.setattr(trt.ExecutionContext, "is_stream_capturable", lambda *_: False)
    if why == "switch":
        monkeypatch.setenv("EDGE_OVSS_CUDA_GRAPHS", "0")
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        launches = trt.CUDA.launches
        for seed in range(2):
            frame = frame_of(20, 30, seed)
            labels = segmenter.segment(frame).labels
            assert np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3)
        assert session_of(segmenter).graph_refused is not None
        assert trt.CUDA.launches == launches


def test_threads_share_the_engine_and_have_a_context_each(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    build(path)
    made = len(trt.CONTEXTS)
    right: list[bool] = []
    handles = set()

    def work(seed: int) -> None:
        with Segmenter.open(path, backend="tensorrt") as segmenter:
            for turn in range(5):
                frame = frame_of(20, 30, 10 * seed + turn)
                labels = segmenter.segment(frame).labels
                right.append(np.array_equal(labels, frame.sum(-1, dtype=np.int32) % 3))
            handles.add(id(session_of(segmenter)._engine.handle))
            barrier.wait(10)

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 10
    assert len(handles) == 1
    assert len(trt.CONTEXTS) == made + 2


def test_kernels_are_kept_and_changed_ones_are_not_used(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    folder = build(path).folder
    assert (folder / "runtime.cache").read_bytes() == b"kernels"
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        segmenter.segment(frame_of(20, 30))
    assert (folder / "runtime.cache").read_bytes() == b"kernels+"
    (folder / "runtime.cache").write_bytes(b"other native code")
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        segmenter.segment(frame_of(20, 30))
        assert trt.CONTEXTS[-1].config.cache.data == b"kernels"


def test_pinned_engines_are_preferred_and_other_sizes_named(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    build(path, RANGED)
    pinned = build(path)
    with Segmenter.open(path, backend="tensorrt") as segmenter:
        segmenter.segment(frame_of(20, 30))
        assert session_of(segmenter)._engine.folder == pinned.folder
        with pytest.raises(ArtifactError) as caught:
            segmenter.segment(frame_of(99, 98))
    text = str(caught.value)
    assert "The frame is 99x98" in text
    assert "10x10…40x50" in text
    assert f"edge-ovss build {path} --backend tensorrt --size 99x98" in text


def test_a_bundle_without_engines_names_the_command(
    trt: Pretended, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    with pytest.raises(ArtifactError, match=f"edge-ovss build {path} --backend tensorrt"):
        Segmenter.open(path, backend="tensorrt")


def refused(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught, Segmenter.open(path, backend="tensorrt") as one:
        one.segment(frame_of(20, 30))
    return str(caught.value)


def test_a_changed_byte_is_refused_before_loading(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    plan = build(path).plan
    data = bytearray(plan.read_bytes())
    data[-9] ^= 1
    plan.write_bytes(bytes(data))
    monkeypatch.setattr(trt, "Runtime", None)  # whoever deserializes, crashes
    text = refused(path)
    assert "has been changed" in text
    assert "--size 20x30 --overwrite" in text


@pytest.mark.parametrize("target", ["folder", "plan"])
def test_an_engine_that_others_may_write_is_refused(
    trt: Pretended, make_bundle: MakeBundle, target: str
) -> None:
    path = make_bundle()
    engine = build(path)
    (engine.folder if target == "folder" else engine.plan).chmod(0o777)
    assert "chmod -R go-rwx" in refused(path)


DIFFERENCES = {
    "TensorRT version: the engine is for 10.3.0, here is 10.16.2": ("version", "10.16.2"),
    "GPU: the engine is for Orin (pretended), here is Thor": ("name", "Thor"),
    "compute capability: the engine is for 8.7, here is 11.0": ("capability", "11.0"),
    "driver or L4T: the engine is for L4T 36.4, here is L4T 36.5": ("system", "36.5"),
}


@pytest.mark.parametrize("expected", DIFFERENCES)
def test_an_engine_of_another_place_is_never_deserialized(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    board = {"board": "Orin", "l4t": "36.4"}
    monkeypatch.setattr(machine, "jetson", lambda: board)
    path = make_bundle()
    build(path)
    what, value = DIFFERENCES[expected]
    if what == "version":
        monkeypatch.setattr(trt, "__version__", value)
    elif what == "system":
        board["l4t"] = value
    else:
        setattr(trt.CUDA, what, value)
    monkeypatch.setattr(trt, "Runtime", None)
    text = refused(path)
    assert expected in text
    assert f"edge-ovss build {path} --backend tensorrt --size 20x30" in text


def test_an_engine_of_another_graph_is_not_used(trt: Pretended, make_bundle: MakeBundle) -> None:
    first, second = make_bundle("one.ovss"), make_bundle("two.ovss", alive=(1, 2, -1, -1))
    build(first)
    (first / "engines").rename(second / "engines")
    assert "graph: the engine is for" in refused(second)


def test_a_damaged_record_is_as_good_as_no_engine(trt: Pretended, make_bundle: MakeBundle) -> None:
    path = make_bundle()
    record = build(path).folder / "build.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "schema": 99}))
    text = refused(path)
    assert "has no engine for tensorrt" in text
    assert f"Engine '{record.parent.name}' has no usable build.json: it has schema 99" in text
    assert f"edge-ovss build {path} --backend tensorrt --overwrite" in text


def test_a_machine_without_gpu_is_status_3(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    build(path)
    monkeypatch.setattr(cuda_driver, "_load", lambda: None)
    cuda_driver.cuda_driver.cache_clear()
    with pytest.raises(MissingDependencyError, match="NVIDIA GPU"):
        Segmenter.open(path, backend="tensorrt")


def test_memory_by_a_way_that_is_unknown_or_missing(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    build(path)
    monkeypatch.setenv("EDGE_OVSS_DEVICE_MEMORY", "cupy")
    with pytest.raises(UsageError, match="pycuda, cuda-python, ctypes"):
        Segmenter.open(path, backend="tensorrt")
    assert list(device_memory.memory_names())[-1] == "ctypes"


def test_a_frame_that_does_not_fit_in_memory_is_said_as_such(
    trt: Pretended, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_bundle()
    build(path)
    monkeypatch.setattr(trt.CUDA.cuMemAlloc_v2, "function", lambda *_: 2)
    assert "The GPU has no memory left" in refused(path)
    assert not trt.CUDA.pinned


def test_a_jetson_gets_half_of_the_free_memory() -> None:
    from edge_ovss.engines.build import default_workspace_mib

    orin = machine.Gpu("Orin", "8.7", "L4T 36.4", jetson=True)
    assert default_workspace_mib(orin, 6000) == 3000
    assert default_workspace_mib(orin, 100) == 256
    assert default_workspace_mib(replace(orin, jetson=False), 6000) is None
    assert default_workspace_mib(None, 6000) is None
