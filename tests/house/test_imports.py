"""What may import what: a bundle runs where torch is not, and every help needs only numpy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import edge_ovss

PACKAGE = Path(edge_ovss.__file__).parent

HEAVY = (
    *("torch", "onnx", "onnxruntime", "cv2", "open_clip", "timm", "tensorrt", "safetensors"),
    *("starlette", "uvicorn", "websockets"),
)
TORCH_PARTS = ("edge_ovss.models", "edge_ovss.export", "edge_ovss.calibration")
# The names of the models are known without torch.
LIGHT = {"edge_ovss.models", "edge_ovss.models.catalogue", "edge_ovss.models.spec"}

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked by this test")

sys.meta_path.insert(0, Block())
"""


def run_blocked(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    program = f"BLOCKED = {blocked!r}\n{BLOCK}\n{code}"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


def modules() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] != "__main__":
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_module_that_needs_no_torch_imports_with_numpy_alone() -> None:
    names = [name for name in modules() if name in LIGHT or not name.startswith(TORCH_PARTS)]
    assert "edge_ovss.runtime.segmenter" in names
    assert "edge_ovss.cli.run" in names
    done = run_blocked(HEAVY, "import importlib\n" + "".join(f"import {n}\n" for n in names))
    assert done.returncode == 0, done.stderr


def test_every_help_is_printed_with_numpy_alone() -> None:
    code = """
from edge_ovss.cli import VERBS, main
for arguments in [[]] + [[verb] for verb in VERBS]:
    try:
        main([*arguments, "--help"])
    except SystemExit as end:
        assert end.code == 0, arguments
"""
    done = run_blocked(HEAVY, code)
    assert done.returncode == 0, done.stderr
    assert "selftest" in done.stdout


def test_a_bundle_runs_without_torch_and_onnx(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    cv2 = pytest.importorskip("cv2")
    import numpy as np

    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((8, 9, 3), np.uint8))
    arguments = ["run", str(make_bundle()), str(picture), "--out", str(tmp_path / "out")]
    blocked = ("torch", "onnx", "open_clip", "timm", "safetensors", "onnxscript")
    code = f"""
from edge_ovss.cli import main
status = main({arguments!r}) or main(["selftest", {arguments[1]!r}]) or main(["doctor"])
loaded = {{name for name in sys.modules if name.startswith({TORCH_PARTS!r})}} - {LIGHT!r}
assert not loaded, loaded
raise SystemExit(status)
"""
    done = run_blocked(blocked, code)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.labels.png").is_file()


@pytest.mark.parametrize("missing", ["onnxruntime", "cv2"])
def test_a_missing_package_is_status_3_and_names_the_extra(
    make_bundle: Callable[..., Path], tmp_path: Path, missing: str
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    arguments = ["run", str(make_bundle()), str(tmp_path / "a.png"), "--backend", "onnxruntime"]
    code = f"from edge_ovss.cli import main\nraise SystemExit(main({arguments!r}))"
    done = run_blocked((missing,), code)
    assert done.returncode == 3, done.stderr
    assert "edge-ovss[onnxruntime]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("part", ["vocabulary", "bundle", "frames", "runtime", "metrics"])
def test_no_file_names_torch_or_onnx_in_an_import(part: str) -> None:
    for path in sorted((PACKAGE / part).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            heads = {name.split(".")[0] for name in names}
            assert not heads & {"torch", "onnx", "open_clip", "timm"}, path


def test_no_module_shadows_a_library() -> None:
    shadows = {"utils", "onnx", "torch", "tensorrt", "onnxruntime", "cv2", "numpy", "openvino"}
    files = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not files & shadows


def test_every_test_module_has_a_name_of_its_own() -> None:
    """Mypy takes them for modules at the top, and stops at the second of a name."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("*.py"))
    assert not [name for name, count in names.items() if count > 1 and name != "__init__.py"]
