"""The wheel holds the package with its data, and nothing else; installed, it runs."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import edge_ovss

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if files.returncode:
        pytest.skip("not a git checkout")
    source = folder / "source"
    wanted = ("edge_ovss/", "pyproject.toml", "README.md", "LICENSE")
    for name in files.stdout.splitlines():
        if name.startswith(wanted) and (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    code = (
        "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / done.stdout.splitlines()[-1]


def test_the_wheel_holds_every_module_and_the_data(wheel: Path) -> None:
    package = Path(edge_ovss.__file__).parent
    modules = {str(path.relative_to(package.parent)) for path in package.rglob("*.py")}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert modules <= names
    assert "edge_ovss/py.typed" in names
    assert "edge_ovss/models/weights/sed_tiny.safetensors" in names
    assert "edge_ovss/emit/ros2/package/node.py.in" in names
    assert "edge_ovss/emit/deepstream/parser/parser.cpp.in" in names
    ready = package / "demo" / "street.ovss"
    for name in ("manifest.json", "model.onnx", "model.onnx.data", "reference/labels.npy"):
        assert str((ready / name).relative_to(package.parent)) in names
    page = package / "live" / "page" / "assets"
    assert {str(path.relative_to(package.parent)) for path in page.iterdir()} <= names
    assert any(
        name.startswith("edge_ovss/vocabulary/") and name.endswith(".json") for name in names
    )


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top.split("-")[0] for top in tops} <= {"edge_ovss"}
    kinds = {
        Path(name).suffix for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name
    }
    page = {".html", ".css", ".js", ".svg"}
    bundle = {".onnx", ".data", ".npy"}
    text = {".py", ".in", ".typed", ".json", ".md", ".toml"}
    assert kinds <= {".safetensors", *text, *page, *bundle}
    assert not any("street.ovss/engines" in name for name in zipfile.ZipFile(wheel).namelist())


def test_the_wheel_is_quick_to_fetch(wheel: Path) -> None:
    assert wheel.stat().st_size < 45_000_000


def test_the_wheel_says_who_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
        scripts = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert f"Version: {edge_ovss.__version__}" in text
    assert "License-Expression: Apache-2.0" in text
    assert "Requires-Dist: numpy>=1.24" in text
    assert "Author: The edge-ovss developers" in text
    assert {"Homepage", "Source", "Documentation", "Changelog", "Issues"} <= set(
        re.findall(r"^Project-URL: (\w+), https://", text, re.MULTILINE)
    )
    assert "edge-ovss = edge_ovss.cli:main" in scripts


def test_what_is_unpacked_from_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import edge_ovss; "
        f"assert edge_ovss.__file__.startswith({str(site)!r}), edge_ovss.__file__; "
        "from edge_ovss.cli import main; raise SystemExit(main(['vocab', 'show', 'camvid']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "building" in done.stdout


@pytest.mark.slow
def test_a_fresh_environment_without_torch_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """Install the wheel with [onnxruntime], then `demo`, `run`, `doctor`: README's device path."""
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    command = [str(python), "-I", "-m", "pip", "install", "--quiet", "--constraint"]
    command += [str(ROOT / "constraints.txt"), f"{wheel}[onnxruntime]"]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if fetched.returncode and re.search(r"No matching|Connection|timed out", fetched.stderr):
        pytest.skip("the package index cannot be reached")
    assert fetched.returncode == 0, fetched.stderr[-2000:]

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(environment / "bin" / "edge-ovss"), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=300,
            env={"PATH": "", "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = subprocess.run(
        [str(python), "-I", "-m", "pip", "list"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "opencv-python-headless" in listed
    assert not {"torch", "onnx", "opencv-python"} & set(listed)
    assert "road" in run("demo", "--limit", "1")
    assert (tmp_path / "out" / "street-1000000.overlay.png").is_file()
    run("demo", "--copy", "mine.ovss")
    assert "street-0007" in run("run", "mine.ovss", "synthetic://street?count=1&seed=7")
    ready = re.search(r"run, selftest.*", run("doctor"))
    assert ready is not None
    assert "ready" in ready[0]
