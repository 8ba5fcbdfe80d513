"""Packages that are installed and cannot be imported: doctor and every verb say what helps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edge_ovss import _machine as environment
from edge_ovss._import_faults import remedy
from edge_ovss._optional import require
from edge_ovss.cli import main
from edge_ovss.doctor.import_check import import_problems
from edge_ovss.doctor.needs import find_problems
from edge_ovss.errors import MissingDependencyError

Capture = pytest.CaptureFixture[str]
NO_GL = "libGL.so.1: cannot open shared object file: No such file or directory"
HEADLESS = "pip install opencv-python-headless"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for modules before all others; torch counts as not installed."""
    versions = environment.package_versions()
    lacking = dict.fromkeys(("torch", "open_clip", "timm", "onnxscript"))
    monkeypatch.setattr(environment, "package_versions", lambda: {**versions, **lacking})
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def put(packages: Path, name: str, code: str) -> None:
    (packages / f"{name}.py").write_text(code, encoding="utf-8")


def test_doctor_says_why_opencv_cannot_be_imported_and_what_helps(
    packages: Path, capsys: Capture
) -> None:
    put(packages, "cv2", f"raise ImportError({NO_GL!r})")
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    problem = document["package_problems"].pop("cv2")
    assert problem["error"] == f"ImportError: {NO_GL}"
    assert HEADLESS in problem["advice"]
    assert "apt install libgl1" in problem["advice"]
    assert document["package_problems"] == {}
    assert document["packages"]["cv2"]
    verbs = {verb["verb"]: verb for verb in document["verbs"]}
    for name in ("run, selftest", "export", "eval, bench, data, report"):
        assert verbs[name]["ready"] is False
        assert verbs[name]["broken"] == ["cv2"]
    assert verbs["run, selftest"]["missing"] == []
    assert verbs["vocab encode"]["broken"] == []
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"but it cannot be imported: ImportError: {NO_GL}" in text
    assert "cannot import cv2 (see Packages)" in text


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
        ("numpy.no_such_thing", "NameError"),
    ],
)
def test_a_broken_onnxruntime_is_no_backend_and_is_not_imported_here(
    packages: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, code: str, error: str
) -> None:
    put(packages, "onnxruntime", code)
    monkeypatch.setattr(environment, "onnxruntime_providers", pytest.fail)
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert error in document["package_problems"]["onnxruntime"]["error"]
    assert document["backends"]["onnxruntime"] is False
    assert error in document["backend_advice"]["onnxruntime"]
    assert document["onnxruntime_providers"] == []


@pytest.mark.parametrize("code", ["raise RuntimeError('no')", "import no_such_module_at_all", ""])
def test_providers_of_a_broken_onnxruntime_are_none(
    packages: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    put(packages, "onnxruntime", code)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    assert environment.onnxruntime_providers() == []


def test_one_that_ends_the_process_does_not_hide_the_next(packages: Path) -> None:
    put(packages, "abort_a", "import os; os.abort()")
    put(packages, "fine_b", "print('[1, 2]'); print('{}'); print('hello')")
    put(packages, "exit_c", "import os; os._exit(7)")
    put(packages, "raise_d", "raise SystemExit('not for this processor')")
    put(packages, "long_e", "raise ImportError('x' * 5000 + chr(10) + 'y')")
    found = import_problems(["abort_a", "fine_b", "exit_c", "raise_d", "long_e", "no_such_f"])
    assert found["abort_a"] == "the import ends the process with SIGABRT"
    assert found["exit_c"] == "the import ends the process with status 7"
    assert found["raise_d"] == "SystemExit: not for this processor"
    assert 300 <= len(found["long_e"]) < 310
    assert "No module named 'no_such_f'" in found["no_such_f"]
    assert len(found) == 5


def test_one_that_never_ends_is_named(packages: Path) -> None:
    put(packages, "endless", "while True: pass")
    assert import_problems(["json", "endless"], seconds=2) == {
        "endless": "the import does not end within 2 s"
    }


def test_no_process_is_started_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", pytest.fail)
    assert import_problems([]) == {}


def test_a_python_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    assert import_problems(["json"]) == {
        "json": "the import cannot be tried: No such file or directory"
    }


def test_what_is_whole_has_no_problem() -> None:
    # open_clip too, where the operators of torchvision do not load (models/_open_clip.py).
    assert find_problems(environment.package_versions()) == {}


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (f"raise ImportError({NO_GL!r})", "apt install libgl1"),
        ("raise OSError('libfoo.so.3: cannot open shared object file')", "libfoo.so.3"),
        ("raise AttributeError('_ARRAY_API not found')", "different NumPy: pip install --upgrade"),
        ("raise ImportError('numpy.core.multiarray failed to import')", "different NumPy"),
        ("raise RuntimeError('odd')", "pip install --force-reinstall --no-deps broken_package"),
        ("import no_such_module_at_all", 'pip install "edge-ovss[export]"'),
    ],
)
def test_every_step_names_the_reason_and_the_remedy(
    packages: Path, monkeypatch: pytest.MonkeyPatch, code: str, hint: str
) -> None:
    put(packages, "broken_package", code)
    monkeypatch.delitem(sys.modules, "broken_package", raising=False)
    with pytest.raises(MissingDependencyError, match="cannot be imported: ") as caught:
        require("broken_package", extra="export")
    assert hint in str(caught.value)
    assert caught.value.status == 3


def test_the_distribution_that_is_installed_is_the_one_to_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"cv2": ["opencv-contrib-python", "opencv-python", "opencv-python"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: known)
    assert remedy("cv2", NO_GL).startswith("pip uninstall opencv-contrib-python opencv-python, ")
    assert HEADLESS in remedy("cv2", "libgthread-2.0.so.0: cannot open shared object file")
    assert HEADLESS not in remedy("cv2", "libfoo.so.1: cannot open shared object file")
    assert HEADLESS not in remedy("onnxruntime", NO_GL)
    assert "opencv-contrib-python" in remedy("cv2.cuda", "damaged")
