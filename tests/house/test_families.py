"""A family is named in its own rooms and in the registries, and nowhere else in the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edge_ovss
from edge_ovss.models.catalogue import CATALOGUE

PACKAGE = Path(edge_ovss.__file__).parent
REGISTRIES = {"models/catalogue.py", "models/families.py", "export/families.py"}


def rooms(family: str) -> tuple[str, ...]:
    return (f"models/{family}/", f"export/{family}/")


def names(family: str, line: str) -> bool:
    """Whether a line names a family, a model or a class of it; part of a word is no name."""
    title = family.title()
    plain = rf"(?<![a-z]){family}(?![a-z])|\b{family.upper()}\b"
    return re.search(rf"{plain}|(?<![A-Za-z]){title}[A-Z(\]]|[a-z]{title}\b", line) is not None


def mentions(family: str) -> list[str]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name in REGISTRIES or name.startswith(rooms(family)):
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [f"{name}:{n}: {line}" for n, line in enumerate(lines, 1) if names(family, line)]
    return found


def test_no_family_is_named_outside_its_own_rooms() -> None:
    found = {entry.name: mentions(entry.name) for entry in CATALOGUE}
    assert found == {entry.name: [] for entry in CATALOGUE}


def test_every_family_has_its_rooms_and_stands_in_every_registry() -> None:
    for entry in CATALOGUE:
        for room in rooms(entry.name):
            assert (PACKAGE / room / "__init__.py").is_file()
        for registry in REGISTRIES:
            assert names(entry.name, (PACKAGE / registry).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("isinstance(graph, FrozenSed)", True),
        ("such as a sed-base model", True),
        ("help='SED: compress'", True),
        ('if family == "sed":', True),
        ("def f(model: Sed) -> None: Sed(clip)", True),
        ("from edge_ovss.models.sed import build", True),
        ("driver.elapsed_ms(start)", False),
        ("it is used by a closed set", False),
        ("Sedan", False),
    ],
)
def test_what_counts_as_a_name(line: str, named: bool) -> None:
    assert names("sed", line) == named
