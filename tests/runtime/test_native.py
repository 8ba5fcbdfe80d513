"""The C++ library gives what the Python runtime gives: labels, survivors, errors.

It must have been built (runtime/ci.sh); without it these tests are skipped with that reason.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_mutants import relist
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.backends import native
from edge_ovss.runtime.backends.native import Frame, NativeBackend, NativeLibrary, Options
from edge_ovss.runtime.result import Result
from edge_ovss.synthetic import render_street

pytest.importorskip("onnxruntime")

RUNTIME = Path(__file__).resolve().parents[2] / "runtime"
BUILT = RUNTIME.parent / "build" / "runtime" / "release" / "libedge_ovss.so"
MakeBundle = Callable[..., Path]
Picture = NDArray[np.uint8]

SIZES = [(48, 64), (31, 47), (16, 16), (17, 333), (99, 18), (120, 161)]


@pytest.fixture
def library(native_library: NativeLibrary) -> NativeLibrary:
    return native_library


def opened(bundle: Path, library: NativeLibrary, *, threads: int = 2) -> Segmenter:
    made = Bundle.open(bundle)
    return Segmenter(made, NativeBackend(made, threads=threads, library=library.path).open())


def assert_same(given: Result, expected: Result) -> None:
    assert given.labels.dtype == expected.labels.dtype
    assert given.labels.tobytes() == expected.labels.tobytes()
    assert given.alive.tolist() == expected.alive.tolist()
    assert given.counts.tolist() == expected.counts.tolist()
    assert given.overflow == expected.overflow
    for name in ("scores", "confidence"):
        one, other = getattr(given, name), getattr(expected, name)
        assert (one is None) == (other is None)
        assert one is None or one.tobytes() == other.tobytes()


# ---- frames of every format, made here and converted by an implementation of its own


def clip(values: NDArray[Any]) -> Picture:
    clipped: Picture = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


def yuv_to_rgb(luma: Picture, u: Picture, v: Picture) -> Picture:
    """The formula of edge_ovss.h, in 64-bit integers with a division that rounds down."""
    scaled = 298 * (luma.astype(np.int64) - 16)
    u64, v64 = u.astype(np.int64) - 128, v.astype(np.int64) - 128
    red = (scaled + 409 * v64 + 128) // 256
    green = (scaled - 100 * u64 - 208 * v64 + 128) // 256
    blue = (scaled + 516 * u64 + 128) // 256
    return clip(np.stack([red, green, blue], axis=-1))


def spread(chroma: Picture, height: int, width: int) -> Picture:
    whole: Picture = chroma.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return whole


def encode(rgb: Picture, name: str, *, gap: int) -> tuple[Picture, Picture]:
    """Return the rows of a frame, `gap` bytes longer than they must be, and its RGB."""
    height, width = rgb.shape[:2]
    random = np.random.default_rng(7)
    rows: Picture
    if name in ("RGB8", "BGR8"):
        rows = (rgb if name == "RGB8" else rgb[..., ::-1]).reshape(height, -1)
        expected = rgb
    elif name in ("RGBA8", "BGRA8"):
        alpha = random.integers(0, 256, (height, width, 1), np.uint8)
        colors = rgb if name == "RGBA8" else rgb[..., ::-1]
        rows, expected = np.concatenate([colors, alpha], axis=2).reshape(height, -1), rgb
    elif name == "GRAY8":
        rows, expected = rgb[..., 1], rgb[..., 1:2].repeat(3, axis=2)
    elif name == "YUYV":
        pairs = (width + 1) // 2
        packed = random.integers(0, 256, (height, pairs, 4), np.uint8)
        luma = packed[:, :, 0::2].reshape(height, 2 * pairs)[:, :width]
        u, v = (packed[:, :, at].repeat(2, axis=1)[:, :width] for at in (1, 3))
        rows, expected = packed.reshape(height, -1), yuv_to_rgb(luma, u, v)
    else:
        return encode_nv12(rgb, gap=gap)
    return np.pad(rows, ((0, 0), (0, gap)), constant_values=99), expected


def encode_nv12(rgb: Picture, *, gap: int) -> tuple[Picture, Picture]:
    height, width = rgb.shape[:2]
    low, wide = (height + 1) // 2, (width + 1) // 2
    stride = 2 * wide + gap + gap % 2
    planes = np.random.default_rng(8).integers(0, 256, (height + low, stride), np.uint8)
    planes[:height, :width] = rgb[..., 1]
    u, v = planes[height:, 0 : 2 * wide : 2], planes[height:, 1 : 2 * wide : 2]
    expected = yuv_to_rgb(rgb[..., 1], spread(u, height, width), spread(v, height, width))
    return planes, expected


class KeptFrame(Frame):
    keep: Picture  # the memory that `data` points to


def as_frame(rows: Picture, name: str, size: tuple[int, int]) -> KeptFrame:
    rows = np.ascontiguousarray(rows)
    frame = KeptFrame(
        data=rows.ctypes.data,
        data_size=rows.nbytes,
        stride=rows.shape[1],
        height=size[0],
        width=size[1],
        format=native.FORMATS.index(name),
    )
    frame.keep = rows
    return frame


@pytest.mark.parametrize("name", native.FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 7), (48, 64), (33, 1), (1, 33)])
@pytest.mark.parametrize("gap", [0, 10])
def test_every_format_becomes_the_rgb_of_the_formula(
    library: NativeLibrary, name: str, size: tuple[int, int], gap: int
) -> None:
    rgb = np.random.default_rng(size[1]).integers(0, 256, (*size, 3), np.uint8)
    rows, expected = encode(rgb, name, gap=gap)
    assert library.to_rgb(as_frame(rows, name, size)).tobytes() == expected.tobytes()


def test_all_luma_and_chroma_values_are_converted_alike(library: NativeLibrary) -> None:
    """Every (Y, U, V) with U and V in steps of 5, and all extremes."""
    steps = np.unique(np.append(np.arange(0, 256, 5), [255, 127, 128, 129]))
    luma, u, v = (axis.ravel() for axis in np.meshgrid(np.arange(256), steps, steps))
    packed = np.stack([luma, u, luma, v], axis=1).astype(np.uint8).reshape(64, -1)
    width = packed.shape[1] // 2
    expected = yuv_to_rgb(luma, u, v).repeat(2, axis=0).reshape(64, width, 3)
    frame = as_frame(packed, "YUYV", (64, width))
    assert np.array_equal(library.to_rgb(frame), expected)


# ---- the same answers as the Python backend


def run_native(library: NativeLibrary, session: int, frame: Frame) -> Picture:
    labels = np.empty((frame.height, frame.width), np.uint8)
    result = native.NativeResult(labels=labels.ctypes.data, labels_capacity=labels.nbytes)
    library.segment(session, frame, result)
    return labels


def test_every_format_is_segmented_as_its_rgb_is(
    library: NativeLibrary, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle()
    session = library.open(bundle, Options(threads=1))
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as reference:
        for number, name in enumerate(native.FORMATS):
            size = SIZES[number % len(SIZES)]
            rows, rgb = encode(render_street(number, *size).image, name, gap=number)
            given = run_native(library, session, as_frame(rows, name, size))
            assert given.tobytes() == reference.segment(rgb).labels.tobytes(), name
    library.close(session)


@pytest.mark.parametrize(
    "options",
    [
        {},
        *({"outputs": outputs} for outputs in (254, 255, 256, 257, 300)),
        {"counts": (9, 5, 1)},
        {"counts": (9, 5, 1), "spare": (9, 9, 9)},
        {"small": (3, 3, 3)},
        {"small": (3, 2, 2)},
        {"extras": ["confidence", "scores"]},
        {"mode": "dynamic"},
        {"alive": (-1, -1)},
    ],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()) or "plain",
)
def test_backend_gives_what_the_python_backend_gives(
    library: NativeLibrary, make_bundle: MakeBundle, options: dict[str, Any]
) -> None:
    bundle = make_bundle(**options)
    expected = Segmenter.open(bundle, backend="onnxruntime", threads=1)
    given = opened(bundle, library, threads=1)
    for number, size in enumerate(SIZES):
        frame = render_street(number, *size).image
        assert_same(given.segment(frame), expected.segment(frame))
    given.close()
    expected.close()


@pytest.mark.parametrize(("small", "ran"), [((3, 3, 3), [1, 2, 1]), ((3, 3, 2), [3, 3, 2])])
def test_the_small_graph_runs_where_every_word_has_a_slot(
    library: NativeLibrary, make_bundle: MakeBundle, small: tuple[int, ...], ran: list[int]
) -> None:
    bundle = make_bundle(small=small)
    # Its counts differ from those of the first graph, so that they tell which of them ran.
    shutil.copy(make_bundle("b.ovss", slots=list(small), counts=(1, 2, 1)) / "model.onnx", bundle)
    (bundle / "model.onnx").rename(bundle / "small.onnx")
    shutil.copy(make_bundle("c.ovss") / "model.onnx", bundle)
    relist(bundle, "model.onnx", "small.onnx")
    frame = render_street(0, 48, 64).image
    with opened(bundle, library, threads=1) as given, Segmenter.open(bundle, threads=1) as ours:
        assert given.segment(frame).counts.tolist() == ours.segment(frame).counts.tolist() == ran


CALIBRATION = "synthetic://street?count=4&seed=2000000&size=96x128"


@pytest.fixture(scope="session")
def float_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """sed-tiny by rejection; random weights make label maps of many small regions."""
    pytest.importorskip("torch")
    from edge_ovss.export import ExportOptions, Rejection, export_bundle

    folder = tmp_path_factory.mktemp("real")

    def make(rejection: str) -> Path:
        out = folder / f"{rejection}.ovss"
        if not out.exists():
            made = Rejection(rejection)
            export_bundle(
                "camvid",
                out,
                options=ExportOptions(weights="random", size=(96, 128), rejection=made),
            )
        return out

    return make


# INT8 for TensorRT is Q/DQ around half products, for a CPU it is uint8 around float ones.
@pytest.fixture(scope="session", params=["slots", "dynamic", "int8-tensorrt", "int8-cpu"])
def real_bundle(
    request: pytest.FixtureRequest, float_bundle: Callable[[str], Path]
) -> Iterator[Path]:
    """sed-tiny in FP32 with either rejection, and in INT8 for either target."""
    precision, _, target = request.param.partition("-")
    if precision != "int8":
        yield float_bundle(request.param)
        return
    from edge_ovss.calibration import CalibrateOptions, calibrate_bundle

    source = float_bundle("slots")
    out = source.with_name(f"{request.param}.ovss")
    options = CalibrateOptions(precision=precision, calibration=CALIBRATION, target=target)
    yield calibrate_bundle(source, out, options).bundle.path


@pytest.mark.slow
def test_labels_of_a_real_network_are_equal_to_the_byte_on_30_frames(
    library: NativeLibrary, real_bundle: Path
) -> None:
    """Each frame as RGB through the backend, and in one of the formats through the C interface."""
    expected = Segmenter.open(real_bundle, backend="onnxruntime", threads=2)
    given = opened(real_bundle, library)
    session = library.open(real_bundle, Options(threads=2))
    seen: set[int] = set()
    for number in range(30):
        height, width = (side + number for side in SIZES[number % len(SIZES)])
        name = native.FORMATS[number % len(native.FORMATS)]
        rows, rgb = encode(render_street(number, height, width).image, name, gap=number)
        answer = expected.segment(rgb)
        assert_same(given.segment(rgb), answer)
        labels = run_native(library, session, as_frame(rows, name, (height, width)))
        assert labels.tobytes() == answer.labels.tobytes(), (name, height, width)
        seen.update(np.unique(labels).tolist())
    assert len(seen) > 2  # not one category everywhere: that would be equal anyhow
    library.close(session)
    given.close()
    expected.close()


@pytest.mark.slow
def test_selftest_passes_in_both(library: NativeLibrary, real_bundle: Path) -> None:
    from edge_ovss.runtime.selftest import run_selftest

    with Segmenter.open(real_bundle, backend="onnxruntime", threads=2) as segmenter:
        expected = run_selftest(segmenter)
    session = library.open(real_bundle, Options(threads=2))
    report = library.selftest(session)
    library.close(session)
    assert expected.passed
    assert report.agreement == expected.agreement
    assert report.same_alive == report.same_counts == 1


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("most", [1, 100, 2000, 65535], ids=lambda steps: f"up to {steps}")
def test_labels_count_in_both_where_they_are_decided(
    library: NativeLibrary,
    make_bundle: MakeBundle,
    write_reference: Callable[[Path, str, Any], None],
    precision: str,
    most: int,
) -> None:
    """Leads of every size, and a wrong label in every tenth pixel."""
    from edge_ovss.runtime.selftest import run_selftest

    random = np.random.default_rng(most)
    path = make_bundle(precision=precision)
    write_reference(path, "lead", random.integers(0, most, (20, 30)).astype(np.uint16))
    wrong = random.random((20, 30)) < 0.1
    labels = np.load(path / "reference" / "labels.npy")
    write_reference(path, "labels", np.where(wrong, (labels + 1) % 3, labels).astype(np.uint8))
    with Segmenter.open(path, backend="onnxruntime") as segmenter:
        expected = run_selftest(segmenter)
    session = library.open(path, Options())
    report = native.SelftestReport(struct_size=ctypes.sizeof(native.SelftestReport))
    status = library._c.edge_ovss_selftest(session, ctypes.byref(report))
    library.close(session)
    assert status == (0 if expected.passed else 6)
    assert report.agreement == expected.agreement
    assert report.min_agreement == expected.min_agreement
    assert report.undecided == pytest.approx(expected.undecided)


@pytest.mark.slow
def test_an_engine_that_the_verb_built_is_accepted_or_refused_by_its_key(
    float_bundle: Callable[[str], Path], library: NativeLibrary
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    program = Path(library.path).parent / "tests" / "engine_cache_test"
    if not program.is_file():
        pytest.skip("the C++ tests are not built")
    bundle = float_bundle("slots")
    command = ["build", str(bundle), "--backend", "tensorrt-rtx", "--size", "96x128"]
    assert main(command) == 0
    engine = next((bundle / "engines").glob("tensorrt-rtx-*"))
    version = json.loads((engine / "build.json").read_text())["key"]["library"]

    def run(*key: str) -> subprocess.CompletedProcess[str]:
        words = [str(program), str(bundle), "tensorrt-rtx", *key]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert run(version, "8.9").stdout.strip() == engine.name
    assert "compute capability" in run(version, "8.7").stderr
    assert "TensorRT version" in run("1.6.0.1", "8.9").stderr
    plan = bytearray((engine / "model.plan").read_bytes())
    plan[1000] ^= 1
    (engine / "model.plan").write_bytes(plan)
    assert "has been changed" in run(version, "8.9").stderr


def test_threads_share_a_session(library: NativeLibrary, make_bundle: MakeBundle) -> None:
    session = library.open(make_bundle(), Options(threads=1))
    wrong: list[int] = []

    def work(thread: int) -> None:
        rgb = np.full((20 + thread, 30, 3), thread, np.uint8)
        for _ in range(20):
            given = run_native(
                library, session, as_frame(rgb.reshape(20 + thread, -1), "RGB8", (20 + thread, 30))
            )
            wrong.extend(given[given != 3 * thread % 3].tolist())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    library.close(session)
    assert wrong == []
