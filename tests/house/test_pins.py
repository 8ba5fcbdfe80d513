"""constraints.txt pins what the extras install, once for every Python that is supported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_ovss._strict_parsing import parse_toml_table

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# What `make demo` and `make test` install, and the race against peers.
EXTRAS = ("export", "tensorrt-rtx", "bench", "test")


def pins(python: str) -> dict[str, Requirement]:
    """The pins that hold on a Python, by name; a name that is pinned twice fails."""
    environment: dict[str, Any] = {**default_environment(), "python_version": python}
    found: dict[str, Requirement] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in found, f"{name} is pinned twice on Python {python}"
            found[name] = pin
    return found


def project() -> Any:  # noqa: ANN401 (a table of TOML)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return parse_toml_table(text)["project"]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_that_is_named_has_one_pin_that_it_accepts(python: str) -> None:
    here: dict[str, Any] = {**default_environment()}
    environment = {**here, "python_version": python, "platform_machine": "x86_64"}
    pinned = pins(python)
    for extra in EXTRAS:
        for line in project()["optional-dependencies"][extra]:
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate(environment):
                continue
            name = canonicalize_name(wanted.name)
            assert name in pinned, f"{name} of [{extra}] has no pin on Python {python}"
            (version,) = (str(each.version) for each in pinned[name].specifier)
            assert wanted.specifier.contains(version, prereleases=True), (name, version)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_same_names_are_pinned_on_every_python(python: str) -> None:
    assert set(pins(python)) == set(pins("3.12"))


def test_the_pythons_are_those_that_the_package_names() -> None:
    named = {
        line.rpartition(" ")[2]
        for line in project()["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    }
    assert named == set(PYTHONS)


def test_no_extra_brings_an_opencv_with_windows() -> None:
    # It needs libGL, which containers and robots lack, and hides JetPack's own.
    for extra, lines in project()["optional-dependencies"].items():
        names = {canonicalize_name(Requirement(line).name) for line in lines}
        assert "opencv-python" not in names, extra
    assert "opencv" not in " ".join(project()["optional-dependencies"]["device"])
