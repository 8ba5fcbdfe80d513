"""Bundles and engines that earlier versions wrote still open.

Both archives in tests/data/bundles were written by commit dd7039b, before the package was laid out
anew and the manifest was written typed.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from half_rounding import needs_no_rounding

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.runtime.trt.engine_key import EngineKey
from edge_ovss.runtime.trt.engine_store import (
    check_plan,
    choose_engine,
    fitting_engines,
    read_engines,
    read_own_record,
)
from edge_ovss.runtime.trt.gpu import Gpu

ARCHIVES = Path(__file__).parents[1] / "data" / "bundles"
GPU = Gpu("NVIDIA RTX A4000", "8.6", "570.00", jetson=False)


def unpacked(folder: Path, archive: str) -> Path:
    """Unpack an archive into a folder and return the bundle in it."""
    with tarfile.open(ARCHIVES / archive) as file:
        if hasattr(tarfile, "data_filter"):
            file.extractall(folder, filter="data")
        else:  # Python 3.10 before 3.10.12
            file.extractall(folder)
    return next(folder.glob("*.ovss"))


@pytest.fixture
def with_engine(tmp_path: Path) -> Bundle:
    """SAN in FP32 with an engine of TensorRT for RTX."""
    return Bundle.open(unpacked(tmp_path, "san-fp32-engine.tar.xz"))


@pytest.mark.parametrize(
    "archive",
    ["san-fp32-engine.tar.xz", pytest.param("sed-fp16.tar.xz", marks=needs_no_rounding)],
)
def test_a_bundle_opens_and_passes_its_selftest(tmp_path: Path, archive: str) -> None:
    pytest.importorskip("onnxruntime")
    bundle = Bundle.open(unpacked(tmp_path, archive))
    assert bundle.manifest.to_json() == bundle.manifest.document
    with Segmenter.open(bundle, backend="onnxruntime", threads=1) as segmenter:
        assert run_selftest(segmenter)


def test_an_engine_is_still_of_its_graph(with_engine: Bundle) -> None:
    engines, complaints = read_engines(with_engine, "tensorrt-rtx")
    assert complaints == []
    (engine,) = engines
    key = engine.record.key
    assert key.graph == graph_hash(with_engine)
    assert key.name == engine.folder.name
    here = key.surroundings
    assert fitting_engines(with_engine, here, GPU) == engines
    assert choose_engine(with_engine, engines, key.frames.best) == engine
    assert read_own_record(with_engine, engine.folder, key) == engine.record
    assert len(check_plan(with_engine, engine)) == engine.record.size


def test_an_engine_is_refused_where_it_does_not_fit(with_engine: Bundle) -> None:
    (engine,), _ = read_engines(with_engine, "tensorrt-rtx")
    here = engine.record.key.surroundings
    with pytest.raises(ArtifactError, match=r"the engine is for 8\.6, here is 7\.5"):
        fitting_engines(with_engine, here, Gpu("NVIDIA T4", "7.5", "570.00", jetson=False))
    other = EngineKey("0" * 64, here, engine.frames, engine.record.key.flags)
    with pytest.raises(ArtifactError, match="graph: the engine is for"):
        read_own_record(with_engine, engine.folder, other)
