"""The examples run as they stand, and print what they promise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(program: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python example in a folder of its own, with this checkout's package."""
    paths = [str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def park(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The bundle of the custom vocabulary, and what its example printed."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("park")
    done = run(EXAMPLES / "custom_vocabulary" / "export.py", "park.ovss", folder=folder)
    return folder / "park.ovss", done.stdout


@pytest.mark.slow
def test_custom_vocabulary_prints_a_share_for_every_output(park: tuple[Path, str]) -> None:
    lines = park[1].splitlines()
    assert [line[:10].strip() for line in lines] == ["mow", "keep off", "stop", "other", "unknown"]
    assert sum(float(line.split()[-2]) for line in lines) == pytest.approx(100, abs=0.3)


@pytest.mark.slow
def test_python_camera_prints_a_line_and_saves_an_overlay_per_frame(
    park: tuple[Path, str], tmp_path: Path
) -> None:
    source = "synthetic://street?count=2&seed=5&size=96x128"
    done = run(
        EXAMPLES / "python_camera.py", str(park[0]), source, "--save", "out", folder=tmp_path
    )
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["street-0005", "street-0006"]
    assert all(" % " in line and line.endswith(" ms") for line in lines)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "street-0005.png",
        "street-0006.png",
    }


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    notebook = json.loads((EXAMPLES / "segment.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "clear the outputs before committing"
    program = tmp_path / "cells.py"
    program.write_text("\n\n".join("".join(cell["source"]) for cell in cells), encoding="utf-8")
    run(program, folder=tmp_path)
    assert (tmp_path / "street.ovss" / "manifest.json").is_file()
    assert (tmp_path / "overlay.png").is_file()


def test_every_example_is_in_the_table() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"]({path.name})" in page, path.name


@pytest.mark.parametrize(
    ("source", "compiler", "standard"),
    [("c/main.c", "cc", "c11"), ("cpp/main.cpp", "c++", "c++17")],
    ids=["c", "cpp"],
)
def test_c_and_cpp_examples_fit_the_headers(source: str, compiler: str, standard: str) -> None:
    """The C++ tests build and run them; this says at once when a header leaves them behind."""
    program = shutil.which(compiler)
    if program is None:
        pytest.skip(f"{compiler} is not installed")
    include = EXAMPLES.parent / "runtime" / "include"
    command = [program, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-std={standard}"]
    command += [f"-I{include}", str(EXAMPLES / source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
