"""Small bundles that honour the graph contract without a network in them.

Their label map is (R + G + B) mod K for every pixel, so the right answer of any frame is known.
With thresholds, what is compared with them is (R + G + B) / 765, which is the confidence too.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss._files import sha256_of_file, write_json
from edge_ovss.bundle.contract import UNKNOWN, labels_dtype
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.vocabulary import Vocabulary

# With pytest-xdist, every worker has a core of its own: threads of two would wait for each other.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if _WORKER and hasattr(os, "sched_setaffinity"):
    _CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_CORES[int(_WORKER.removeprefix("gw")) % len(_CORES)]})

# A shell starts background jobs with SIGINT ignored, nohup its programs with SIGHUP, and programs
# respect that. Tests need these signals as a terminal has them.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def _graph(
    path: Path,
    *,
    outputs: int,
    categories: int,
    alive: Sequence[int],
    counts: Sequence[int],
    extras: Sequence[str],
    mode: str,
    precision: str,
    unknown: bool = False,
) -> list[str]:
    """Write the ONNX file and return the names of its external data."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    dtype = {"uint8": kinds.UINT8, "uint16": kinds.UINT16}[labels_dtype(outputs)]
    constants: dict[str, tuple[int, Any]] = {
        "channel_axis": (kinds.INT64, np.array([3])),
        "modulus": (kinds.INT32, np.array([outputs])),
        **({"none": (kinds.INT32, np.array([UNKNOWN[labels_dtype(outputs)]]))} if unknown else {}),
        "alive_ids": (kinds.INT32, np.array(alive)),
        "stay_counts": (kinds.INT32, np.array(counts)),
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["whole"], to=kinds.INT32),
        helper.make_node("ReduceSum", ["whole", "channel_axis"], ["sum"], keepdims=0),
        helper.make_node("Mod", ["sum", "modulus"], ["rest"]),
        *_judging(helper, kinds, unknown),
        helper.make_node("Cast", ["judged"], ["labels"], to=dtype),
        helper.make_node("Identity", ["alive_ids"], ["alive"]),
        helper.make_node("Identity", ["stay_counts"], ["counts"]),
    ]
    ends = [
        helper.make_tensor_value_info("labels", dtype, [1, "height", "width"]),
        helper.make_tensor_value_info(
            "alive", kinds.INT32, ["n" if mode == "dynamic" else len(alive)]
        ),
        helper.make_tensor_value_info("counts", kinds.INT32, [len(counts)]),
    ]
    if "confidence" in extras or unknown:
        constants["scale"] = (kinds.FLOAT, np.array([1 / 765], np.float32))
        measured = [
            helper.make_node("Cast", ["sum"], ["sum_float"], to=kinds.FLOAT),
            helper.make_node("Mul", ["sum_float", "scale"], ["confidence"]),
        ]
        nodes[2:2] = measured
    if "confidence" in extras:
        size = [1, "height", "width"]
        ends.append(helper.make_tensor_value_info("confidence", kinds.FLOAT, size))
    if "scores" in extras:
        table = np.arange(categories * 6, dtype=np.float32).reshape(1, categories, 2, 3)
        constants["score_table"] = (kinds.FLOAT, table)
        nodes.append(helper.make_node("Identity", ["score_table"], ["scores"]))
        ends.append(helper.make_tensor_value_info("scores", kinds.FLOAT, table.shape))
    if precision == "fp16":  # nobody reads it, but it is there to be seen
        nodes.append(helper.make_node("Cast", ["stay_counts"], ["half"], to=kinds.FLOAT16))
    if precision == "int8":
        constants["step"] = (kinds.FLOAT, np.array(0.5, np.float32))
        nodes.append(helper.make_node("QuantizeLinear", ["step", "step"], ["eighth"]))
    frame = helper.make_tensor_value_info("frame", kinds.UINT8, [1, "height", "width", 3])
    weights = [
        helper.make_tensor(name, kind, array.shape, array.ravel().tolist())
        for name, (kind, array) in constants.items()
    ]
    data = "model.onnx.data"
    path.with_name(data).write_bytes(np.array([outputs], "<i4").tobytes())
    modulus = next(item for item in weights if item.name == "modulus")
    modulus.ClearField("int32_data")
    modulus.raw_data = b"gone"  # set_external_data wants something to replace
    onnx.external_data_helper.set_external_data(modulus, data)
    modulus.ClearField("raw_data")
    inputs = [frame]
    if unknown:
        inputs.append(helper.make_tensor_value_info("thresholds", kinds.FLOAT, [outputs]))
    graph = helper.make_graph(nodes, "tiny", inputs, ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"edge_ovss.schema": "1", "note": "not JSON"})
    path.write_bytes(model.SerializeToString())
    return [data]


def _judging(helper: Any, kinds: Any, unknown: bool) -> list[Any]:  # noqa: ANN401
    """Return the nodes from what is the rest to what is the label."""
    if not unknown:
        return [helper.make_node("Identity", ["rest"], ["judged"])]
    return [
        helper.make_node("Gather", ["thresholds", "rest"], ["limit"]),
        helper.make_node("Less", ["confidence", "limit"], ["below"]),
        helper.make_node("Where", ["below", "none", "rest"], ["judged"]),
    ]


def _manifest(
    vocabulary: Vocabulary,
    external: list[str],
    *,
    mode: str,
    slots: list[int] | None,
    extras: list[str],
    precision: str,
    unknown: Sequence[float] | None = None,
) -> dict[str, Any]:
    outputs = len(vocabulary.outputs)
    scores = {"height": 2, "width": 3} if "scores" in extras else None
    return _with_thresholds(unknown) | {
        "schema": 1,
        "tool": {"name": "edge-ovss", "version": "0.1.0"},
        "created": "2026-11-21T00:00:00Z",
        "model": {
            "family": "sed",
            "name": "sed-tiny",
            "weights": {"source": "random", "file": None, "sha256": None, "seed": 0},
        },
        "licenses": {"code": "Apache-2.0", "weights": "none"},
        "vocabulary": {
            "file": "vocabulary.json",
            "name": vocabulary.name,
            "sha256": vocabulary.sha256,
            "categories": len(vocabulary.prompts),
            "outputs": outputs,
        },
        "templates": {"name": "none", "count": 1, "sha256": "0" * 64},
        "picture": {
            "input": "frame",
            "dtype": "uint8",
            "layout": "HWC",
            "channels": "RGB",
            "height": 64,
            "width": 96,
            "keep_aspect": False,
            "interpolation": "bilinear",
            "coordinates": "half_pixel",
            "antialias": False,
            "mean": [0.0, 0.0, 0.0],
            "std": [1, 1, 1],
            "in_graph": True,
        },
        "output": {
            "labels_dtype": labels_dtype(outputs),
            "outputs": ["labels", "alive", "counts", *extras],
            "scores": scores,
            "answer": "published",
        },
        "rejection": {"mode": mode, "topk": 8, "slots": slots},
        "precision": {"name": precision},
        "graph": {"file": "model.onnx", "external_data": external, "opset": 18},
        "reference": {
            "frame": "reference/frame.npy",
            "labels": "reference/labels.npy",
            "alive": "reference/alive.npy",
            "counts": "reference/counts.npy",
            **({} if unknown is None else {"measure": "reference/measure.npy"}),
            "min_label_agreement": 0.999,
        },
        "parity": {"label_agreement": 1.0},
        "versions": {"python": "3"},
    }


def _with_thresholds(unknown: Sequence[float] | None) -> dict[str, Any]:
    if unknown is None:
        return {}
    section = {"measure": "score", "range": [0.0, 1.0], "thresholds": list(unknown)}
    return {"unknown": {**section, "source": "number"}}


def _vocabulary(outputs: int, categories: int) -> Vocabulary:
    """Return K outputs of T categories; those beyond the K-th are other words for the first."""
    names = [f"thing{i}" for i in range(outputs)]
    plain = Vocabulary.from_names(names, name="things")
    first = plain.categories[0]
    more = tuple(
        replace(first, text=f"word{i}", synonyms=(f"word{i}",)) for i in range(outputs, categories)
    )
    return replace(plain, categories=(*plain.categories, *more))


def _places(alive: Sequence[int], mode: str, slots: list[int] | None, categories: int) -> list[int]:
    """Return the surviving categories in as many places as the rejection has."""
    if mode == "dynamic":
        return list(alive)
    size = slots[-1] if slots else categories
    return [*alive, *[-1] * size][:size]


def _make_bundle(
    out: Path,
    *,
    outputs: int = 3,
    alive: Sequence[int] = (2, 0, -1, -1),
    counts: Sequence[int] = (3, 3, 2),
    slots: list[int] | None = None,
    mode: str = "slots",
    extras: Sequence[str] = (),
    spare: Sequence[int] | None = None,
    small: Sequence[int] | None = None,
    precision: str = "fp32",
    unknown: Sequence[float] | None = None,
    background: int | None = None,
    overwrite: bool = False,
) -> Path:
    vocabulary = replace(_vocabulary(outputs, max(outputs, *counts)), background=background)
    room = slots if slots is not None or mode != "slots" else [4, 4, 4]
    alive = _places(alive, mode, room, len(vocabulary))
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    labels = (frame.sum(-1, dtype=np.int32) % outputs).astype(labels_dtype(outputs))
    with BundleWriter(out, overwrite=overwrite) as writer:
        graph = writer.path("model.onnx")
        facts: dict[str, Any] = {
            "outputs": outputs,
            "categories": len(vocabulary),
            "counts": counts,
            "extras": extras,
            "mode": mode,
            "precision": precision,
            "unknown": unknown is not None,
        }
        external = _graph(graph, alive=alive, **facts)
        arrays: dict[str, Any] = {
            "frame": frame,
            "labels": labels,
            "alive": alive,
            "counts": counts,
        }
        if unknown is not None:
            arrays["measure"] = frame.sum(-1).astype(np.float32) * np.float32(1 / 765)
        for name, array in arrays.items():
            dtype = getattr(array, "dtype", np.int32)
            np.save(writer.path(f"reference/{name}.npy"), np.asarray(array, dtype))
        write_json(writer.path("vocabulary.json"), vocabulary.to_json())
        manifest = _manifest(
            vocabulary,
            external,
            mode=mode,
            slots=room,
            extras=list(extras),
            precision=precision,
            unknown=unknown,
        )
        for name, given in (("spare", spare), ("small", small)):
            if given is not None:
                other = _places(alive, mode, list(given), len(vocabulary))
                _graph(writer.path(f"{name}.onnx"), alive=other, **facts)
                manifest["graph"][name] = {"file": f"{name}.onnx", "slots": list(given)}
        return writer.finish(manifest)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let a module of tests keep ranges in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_OVSS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a bundle into the test's folder and returns its path."""

    def make(name: str = "tiny.ovss", **options: Any) -> Path:  # noqa: ANN401
        return _make_bundle(tmp_path / name, **options)

    return make


@pytest.fixture
def write_reference() -> Callable[[Path, str, Any], None]:
    """Return a function that writes an array of a bundle's reference answer, and lists it."""

    def write(path: Path, name: str, array: Any) -> None:  # noqa: ANN401
        file = path / "reference" / f"{name}.npy"
        np.save(file, array)
        document = json.loads((path / "manifest.json").read_text())
        document["reference"][name] = f"reference/{name}.npy"
        entry = {"sha256": sha256_of_file(file), "bytes": file.stat().st_size}
        document["files"][f"reference/{name}.npy"] = entry
        (path / "manifest.json").write_text(json.dumps(document))

    return write


def _made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a path that `make` has written, once for all workers of a run."""
    root = factory.getbasetemp()
    root = root.parent if _WORKER else root
    path = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole sed-tiny with random weights, small pictures, rejection that rejects, and scores.

    It takes seconds to export: the suite shares this one. Copy it before breaking it.
    """
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from edge_ovss.export import ExportOptions, Rejection, export_bundle

    options = ExportOptions(
        weights="random",
        size=(64, 96),
        rejection=Rejection(topk=2, slots=(8, 8, 8)),
        outputs=("labels", "scores"),
    )
    return _made_once(
        tmp_path_factory, "tiny.ovss", lambda out: export_bundle("camvid", out, options)
    )


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A pretended Orin with a pretended TensorRT, in this process and in the child that builds."""
    from edge_ovss.runtime.cuda import driver as cuda_driver
    from edge_ovss.runtime.trt.variants import FLAVORS

    here = Path(__file__).parent
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setenv("PYTHONPATH", str(here), prepend=os.pathsep)
    module = importlib.import_module("fake_trt")
    cuda = importlib.import_module("fake_cuda").FakeCuda()
    monkeypatch.setattr(module, "CUDA", cuda)
    monkeypatch.setattr(cuda_driver, "_load", lambda: cuda)
    monkeypatch.setitem(FLAVORS, "tensorrt", replace(FLAVORS["tensorrt"], modules=("fake_trt",)))
    cuda_driver.cuda_driver.cache_clear()
    yield module
    cuda_driver.cuda_driver.cache_clear()


@pytest.fixture(scope="session")
def native_library() -> Any:  # noqa: ANN401 (NativeLibrary, imported late)
    """The C++ library: of EDGE_OVSS_NATIVE_LIBRARY, else of runtime/ci.sh; skips without one."""
    from edge_ovss.errors import MissingDependencyError
    from edge_ovss.runtime.backends.native import ENVIRONMENT, NativeLibrary

    built = Path(__file__).parents[1] / "build" / "runtime" / "release" / "libedge_ovss.so"
    try:
        return NativeLibrary(built if built.is_file() and ENVIRONMENT not in os.environ else None)
    except MissingDependencyError as err:
        pytest.skip(f"the C++ library is not built: runtime/ci.sh builds it ({err.message})")
