"""The names that `edge_ovss` promises, and what importing them costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import edge_ovss
import edge_ovss.synthetic

PUBLIC = {
    "Bundle",
    "EdgeOvssError",
    "Segmenter",
    "Vocabulary",
    "__version__",
    "benchmark",
    "calibrate_bundle",
    "evaluate",
    "export_bundle",
    "load_model",
}


def test_the_public_names_are_exactly_these() -> None:
    assert set(edge_ovss.__all__) == PUBLIC
    assert set(dir(edge_ovss)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_can_be_imported(name: str) -> None:
    if name in {"load_model", "export_bundle"}:
        pytest.importorskip("torch")
    value = getattr(edge_ovss, name)
    assert callable(value) or isinstance(value, str)
    if callable(value):
        assert value.__module__.startswith("edge_ovss.")
        assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        _ = edge_ovss.Segmentor


def test_importing_the_package_needs_only_numpy_and_nothing_of_itself() -> None:
    code = (
        "import sys, edge_ovss\n"
        "print(sorted(n for n in sys.modules if n.startswith('edge_ovss.')))\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'cv2', 'open_clip', 'timm'} & set(sys.modules)\n"
        "raise SystemExit(1 if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['edge_ovss._lazy', 'edge_ovss._version', 'edge_ovss.errors']"


def test_the_runtime_names_come_without_torch() -> None:
    code = (
        "import sys\n"
        "from edge_ovss import Bundle, Segmenter, Vocabulary, evaluate, benchmark\n"
        "raise SystemExit(1 if {'torch', 'onnx', 'open_clip'} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


def test_the_old_name_of_the_street_works_and_warns() -> None:
    sys.modules.pop("edge_ovss.runtime.street", None)
    with pytest.warns(DeprecationWarning, match=r"is now edge_ovss\.synthetic"):
        street = importlib.import_module("edge_ovss.runtime.street")
    assert street.render_street is edge_ovss.synthetic.render_street
    assert set(street.__all__) <= set(edge_ovss.synthetic.__all__)
