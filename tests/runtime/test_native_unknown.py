"""Labels that are unknown in the C++ library: those of Python byte for byte; its C interface."""

from __future__ import annotations

import ctypes
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.unknown import file_document
from edge_ovss.errors import GateError, InputError, UsageError
from edge_ovss.frames.images import read_picture, write_picture
from edge_ovss.runtime import Bundle, Segmenter, set_unknown
from edge_ovss.runtime.backends.native import NativeBackend, NativeLibrary, Options, SelftestReport
from edge_ovss.runtime.overlay import blend
from edge_ovss.runtime.segmenter import target_of
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.synthetic import render_street

pytest.importorskip("onnxruntime")
cv2: Any = pytest.importorskip("cv2")

MakeBundle = Callable[..., Path]


def opened(path: Path, library: NativeLibrary) -> Segmenter:
    bundle = Bundle.open(path)
    return Segmenter(bundle, NativeBackend(bundle, threads=2, library=library.path).open())


@pytest.fixture
def session(native_library: NativeLibrary, make_bundle: MakeBundle) -> Iterator[Any]:
    handle = native_library.open(make_bundle(unknown=[0.5], extras=["confidence"]), Options())
    yield handle
    native_library.close(handle)


def set_words(library: NativeLibrary, session: int, words: str | None) -> None:
    function = library._c.edge_ovss_choose_unknown
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.check(function(session, None if words is None else words.encode()))


def thresholds(library: NativeLibrary, session: int, room: int = 3) -> list[float]:
    function, values = library._c.edge_ovss_get_unknown, np.zeros(3, np.float32)
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    library.check(function(session, values.ctypes.data, room))
    return [round(float(value), 6) for value in values]


@pytest.mark.parametrize("outputs", [1, 254, 255, 256])
def test_labels_are_those_of_python(
    native_library: NativeLibrary, make_bundle: MakeBundle, outputs: int
) -> None:
    path = make_bundle(outputs=outputs, unknown=[0.5])
    frame = np.random.default_rng(1).integers(0, 256, (31, 47, 3), np.uint8)
    steps = np.linspace(0.2, 0.8, outputs)
    with opened(path, native_library) as own, Segmenter.open(path) as expected:
        for unknown in (None, "off", steps, 1, 0.45, None):
            given, wanted = (each.segment(frame, unknown=unknown) for each in (own, expected))
            assert given.labels.tobytes() == wanted.labels.tobytes(), unknown
            assert given.labels.dtype == wanted.labels.dtype
        assert run_selftest(own)


def test_a_session_has_the_thresholds_of_its_segmenter_whatever_the_file_says(
    native_library: NativeLibrary, make_bundle: MakeBundle
) -> None:
    path = make_bundle(unknown=[0.5])
    frame = np.random.default_rng(1).integers(0, 256, (31, 47, 3), np.uint8)
    bundle = Bundle.open(path)
    set_unknown(path, 1.0)  # the bundle that is open does not know
    with Segmenter.open(bundle) as expected:
        wanted = {given: expected.segment(frame, unknown=given).labels for given in (None, 0.25)}
    assert (wanted[None] != wanted[0.25]).any()
    backend = NativeBackend(bundle, threads=1, library=native_library.path)
    for given in (None, 0.25, 0.25, None):  # each a session of its own
        with Segmenter(bundle, backend.open()) as segmenter:
            assert (segmenter.segment(frame, unknown=given).labels == wanted[given]).all()


def test_a_whole_model_gives_the_same_bytes(
    native_library: NativeLibrary, tiny_bundle: Path
) -> None:
    measure = Bundle.open(tiny_bundle).reference().measure
    assert measure is not None
    with opened(tiny_bundle, native_library) as own, Segmenter.open(tiny_bundle) as expected:
        for size in ((64, 96), (121, 77)):
            frame = render_street(seed=2, height=size[0], width=size[1]).image
            for share in (0.2, 0.5, 0.8):
                unknown = float(np.quantile(measure, share))
                given, wanted = (each.segment(frame, unknown=unknown) for each in (own, expected))
                assert 0 < given.unknown < 1
                assert given.labels.tobytes() == wanted.labels.tobytes()


@pytest.mark.parametrize(
    ("words", "expected"),
    [("off", [0.0] * 3), (" OFF ", [0.0] * 3), ("0.25", [0.25] * 3), ("1", [1.0] * 3)],
)
def test_words_are_understood_as_in_python(
    native_library: NativeLibrary, session: int, words: str, expected: list[float]
) -> None:
    set_words(native_library, session, words)
    assert thresholds(native_library, session) == expected
    native_library.set_thresholds(session, np.empty(0, np.float32))
    assert thresholds(native_library, session) == [0.5] * 3


@pytest.mark.parametrize("words", ["0.25", "1", "0", "off", "thresholds.json"])
def test_a_background_is_hidden_as_in_python(
    native_library: NativeLibrary,
    make_bundle: MakeBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
) -> None:
    path = make_bundle("ground.ovss", unknown=[0.5], background=1)
    monkeypatch.chdir(tmp_path)
    bundle = Bundle.open(path)
    info = bundle.manifest.unknown
    assert info is not None
    document = file_document(target_of(bundle, info), {"*": 0.3}, {})
    Path("thresholds.json").write_text(json.dumps(document), encoding="utf-8")
    handle = native_library.open(path, Options())
    try:
        set_words(native_library, handle, words)
        expected = target_of(bundle, info).choose(words).of(3)
        assert thresholds(native_library, handle) == [round(float(t), 6) for t in expected]
    finally:
        native_library.close(handle)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("1.5", UsageError),
        ("-0.1", UsageError),
        ("inf", (UsageError, InputError)),
        ("nan", (UsageError, InputError)),
        ("auto", UsageError),
        ("", InputError),
        ("none.json", InputError),
        (None, UsageError),
    ],
)
def test_wrong_words_change_nothing(
    native_library: NativeLibrary,
    session: int,
    words: str | None,
    error: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(error):
        set_words(native_library, session, words)
    assert thresholds(native_library, session) == [0.5] * 3


@pytest.mark.parametrize("values", [[0.1, 0.2], [1.5], [float("nan")], [0.1, 0.2, -1], [0.1] * 4])
def test_wrong_numbers_change_nothing(
    native_library: NativeLibrary, session: int, values: Sequence[float]
) -> None:
    with pytest.raises(UsageError):
        native_library.set_thresholds(session, np.asarray(values, np.float32))
    assert thresholds(native_library, session) == [0.5] * 3
    with pytest.raises(UsageError, match="room for 2"):
        thresholds(native_library, session, room=2)


def test_a_file_is_read_as_python_reads_it(
    native_library: NativeLibrary, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    path, file = make_bundle(unknown=[0.5]), tmp_path / "thresholds.json"
    document: dict[str, Any] = {
        "schema": 1,
        "measure": "score",
        "vocabulary_sha256": Bundle.open(path).vocabulary.sha256,
        "model": "sed-tiny",
        "thresholds": {"*": 0.3, "thing1": 0.75},
    }
    wrong: list[dict[str, Any]] = [
        {"schema": 2},
        {"measure": "margin"},
        {"vocabulary_sha256": "0" * 64},
        {"model": "san-tiny"},
        {"thresholds": {}},
        {"thresholds": [0.3] * 3},
        {"thresholds": {"thing1": 0.3}},
        {"thresholds": {"*": 0.3, "thing9": 0.3}},
        {"thresholds": {"*": True}},
        {"thresholds": {"*": 3}},
    ]
    handle = native_library.open(path, Options())
    try:
        file.write_text(json.dumps(document), encoding="utf-8")
        set_words(native_library, handle, str(file))
        assert thresholds(native_library, handle) == [0.3, 0.75, 0.3]
        for change in wrong:
            file.write_text(json.dumps({**document, **change}), encoding="utf-8")
            with pytest.raises(InputError):
                set_words(native_library, handle, str(file))
            with pytest.raises(InputError):
                Segmenter.open(path, unknown=file)
        for text in ("", "{", "[]"):
            file.write_text(text, encoding="utf-8")
            with pytest.raises(InputError):
                set_words(native_library, handle, str(file))
        assert thresholds(native_library, handle) == [0.3, 0.75, 0.3]
    finally:
        native_library.close(handle)


def test_an_older_bundle_takes_only_off(
    native_library: NativeLibrary, make_bundle: MakeBundle
) -> None:
    handle = native_library.open(make_bundle(), Options())
    try:
        set_words(native_library, handle, "off")
        native_library.set_thresholds(handle, np.empty(0, np.float32))
        for attempt in (
            lambda: set_words(native_library, handle, "0.3"),
            lambda: native_library.set_thresholds(handle, np.zeros(1, np.float32)),
            lambda: thresholds(native_library, handle),
        ):
            with pytest.raises(UsageError, match="before labels could be unknown"):
                attempt()
    finally:
        native_library.close(handle)


def test_the_selftest_expects_unknown(
    native_library: NativeLibrary, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    path = make_bundle(unknown=[0.5])
    handle = native_library.open(path, Options())
    for words in ("off", "0.4", "0.9", "1"):
        set_words(native_library, handle, words)
        report: SelftestReport = native_library.selftest(handle)
        assert report.agreement == 1.0
    native_library.close(handle)
    measure = np.load(path / "reference" / "measure.npy")
    np.save(path / "reference" / "measure.npy", np.clip(measure + 0.2, 0, 1).astype(np.float32))
    handle = native_library.open(path, Options(skip_hashes=1))
    with pytest.raises(GateError):
        native_library.selftest(handle)
    native_library.close(handle)


def test_info_says_what_stands_for_unknown(
    native_library: NativeLibrary, make_bundle: MakeBundle
) -> None:
    class Info(ctypes.Structure):
        _fields_ = (
            ("struct_size", ctypes.c_size_t),
            ("texts", ctypes.c_char_p * 6),
            ("numbers", ctypes.c_int32 * 16),
            ("takes_thresholds", ctypes.c_int32),
            ("unknown_label", ctypes.c_int32),
        )

    name = native_library._c.edge_ovss_name
    name.argtypes, name.restype = [ctypes.c_void_p, ctypes.c_int32], ctypes.c_char_p
    describe = native_library._c.edge_ovss_describe
    describe.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    for options, takes, label in (
        ({"unknown": [0.5]}, 1, 255),
        ({"unknown": [0.5], "outputs": 300}, 1, 65535),
        ({}, 0, 255),
    ):
        path = make_bundle(f"{takes}{label}.ovss", **options)
        handle = native_library.open(path, Options())
        for size in (ctypes.sizeof(Info), Info.takes_thresholds.offset):  # also of an older header
            info = Info(struct_size=size)
            native_library.check(describe(handle, ctypes.byref(info)))
            assert info.numbers[0] == (300 if "outputs" in options else 3)
            seen = (info.takes_thresholds, info.unknown_label)
            assert seen == ((takes, label) if size == ctypes.sizeof(Info) else (0, 0))
        assert name(handle, label) == (b"unknown" if takes else None)
        native_library.close(handle)


def test_the_program_writes_what_python_writes(
    native_library: NativeLibrary, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    program = Path(native_library.path).parent / "apps" / "ovss-segment"
    if not program.is_file():
        pytest.skip("ovss-segment is not built beside the library")
    path, photo = make_bundle(unknown=[0.5]), tmp_path / "photo.png"
    frame: NDArray[np.uint8] = np.random.default_rng(4).integers(0, 256, (40, 60, 3), np.uint8)
    write_picture(photo, frame)
    labels, overlay = tmp_path / "labels.png", tmp_path / "overlay.png"
    files = ["--labels", str(labels), "--overlay", str(overlay)]
    for words in (None, "off", "0.6"):
        options = files if words is None else [*files, "--unknown", words]
        done = subprocess.run(
            [str(program), str(path), str(photo), *options], capture_output=True, check=True
        )
        with Segmenter.open(path, unknown=words) as segmenter:
            expected = segmenter.segment(frame)
            mixed = blend(frame, expected.labels, segmenter.palette)
        written = cv2.imread(str(labels), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(written, expected.labels)
        assert json.loads(done.stdout)["unknown"] == pytest.approx(expected.unknown, abs=1e-6)
        difference = np.abs(read_picture(overlay).astype(int) - mixed.astype(int))
        assert int(difference.max()) <= 1  # Python rounds twice at borders
        unknown = expected.labels == 255
        assert np.array_equal(read_picture(overlay)[unknown], frame[unknown])
    refused = subprocess.run(
        [str(program), str(path), str(photo), "--unknown", "2"], capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "expected a number from 0 to 1" in refused.stderr
