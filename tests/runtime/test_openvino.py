"""OpenVINO under the same Segmenter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.errors import ArtifactError, MissingDependencyError
from edge_ovss.runtime import Segmenter
from edge_ovss.runtime.backends import openvino_cpu as ov

MakeBundle = Callable[..., Path]
Library = Any  # the module openvino


@pytest.fixture
def library() -> Library:
    return pytest.importorskip("openvino", reason="needs the extra openvino")


def frame_of(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("outputs", [3, 300])
def test_answers_equal_those_of_onnxruntime(
    library: Library, make_bundle: MakeBundle, outputs: int
) -> None:
    path = make_bundle(outputs=outputs, extras=("confidence", "scores"))
    with (
        Segmenter.open(path, backend="openvino") as ours,
        Segmenter.open(path, backend="onnxruntime") as theirs,
    ):
        kept = ours.segment(frame_of(8, 9))
        labels = kept.labels.copy()
        for height, width in ((20, 30), (1, 1), (33, 7)):
            frame = frame_of(height, width)
            answer, expected = ours.segment(frame), theirs.segment(frame)
            assert np.array_equal(answer.labels, expected.labels)
            assert answer.labels.dtype == expected.labels.dtype
            assert answer.alive.tolist() == expected.alive.tolist()
            assert answer.scores is not None
            assert np.array_equal(answer.scores, np.asarray(expected.scores))
        assert np.array_equal(kept.labels, labels)  # the answer is the caller's


def test_a_whole_network_gives_its_reference_answer(library: Library, tiny_bundle: Path) -> None:
    assert main(["selftest", str(tiny_bundle), "--backend", "openvino"]) == 0


def test_bf16_answers_in_the_form_of_the_contract(library: Library, tiny_bundle: Path) -> None:
    if "BF16" not in library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no BF16")
    with Segmenter.open(tiny_bundle, backend="openvino-bf16") as segmenter:
        result = segmenter.segment(frame_of(64, 48))
    assert result.labels.dtype == np.uint8
    assert result.scores is not None
    assert result.scores.dtype == np.float32
    assert np.isfinite(result.scores).all()


def test_a_processor_without_bf16_is_told_apart() -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    with pytest.raises(MissingDependencyError, match=r"no BF16.*FP32, INT8"):
        ov.OpenVinoBf16Backend._check_processor(object.__new__(ov.OpenVinoBf16Backend), Core())


def test_a_graph_that_openvino_cannot_load_is_status_5(
    library: Library, make_bundle: MakeBundle
) -> None:
    path = make_bundle()
    (path / "model.onnx.data").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"OpenVINO .* cannot load|has 0 bytes"):
        Segmenter.open(path, backend="openvino", verify=False)


@pytest.mark.parametrize("backend", ["openvino", "openvino-bf16"])
def test_a_graph_whose_sizes_vary_is_refused_with_the_way_out(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    path = make_bundle(mode="dynamic")
    assert main(["selftest", str(path), "--backend", backend]) == 5
    printed = capsys.readouterr().err
    assert "mode 'dynamic'" in printed
    assert "--reject slots" in printed
    assert main(["selftest", str(path), "--backend", "onnxruntime"]) == 0


def test_without_the_package_the_extra_is_named(make_bundle: MakeBundle) -> None:
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from edge_ovss.cli import main\n"
        f"raise SystemExit(main(['selftest', {str(make_bundle())!r}, '--backend', 'openvino']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "edge-ovss[openvino]" in done.stderr
