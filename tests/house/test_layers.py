"""Imports between the folders of the package run one way; this is the whole picture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import edge_ovss

PACKAGE = Path(edge_ovss.__file__).parent

# Single modules at the top that every folder may import.
GROUND = {
    "errors",
    "_addresses",
    "_files",
    "_free_memory",
    "_import_faults",
    "_lazy",
    "_leftovers",
    "_machine",
    "_optional",
    "_progress",
    "_safe_text",
    "_strict_parsing",
    "_text_list",
    "_version",
}

# Which folder imports which: exactly, neither more nor fewer. A folder imports only folders that
# stand above it here. `runtime.trt` and its like are folders of their own.
PICTURE: dict[str, set[str]] = {
    "motion": set(),
    "synthetic": {"motion"},
    "vocabulary": set(),
    "bundle": {"vocabulary"},
    "frames": {"synthetic"},
    "demo": {"bundle"},
    "metrics": {"bundle", "motion", "vocabulary"},
    "graph": {"bundle"},
    "runtime.cuda": set(),
    "runtime.backends": {"bundle", "runtime.cuda"},
    "runtime.trt": {"bundle", "runtime.backends", "runtime.cuda"},
    "runtime.plug_in": {"bundle", "runtime.backends", "runtime.cuda", "runtime.trt"},
    "runtime.stream": {"motion"},
    "runtime.saving": {"vocabulary"},
    "words": {"bundle", "runtime.backends", "vocabulary"},
    "runtime": {
        "bundle",
        "frames",
        "motion",
        "runtime.backends",
        "runtime.saving",
        "runtime.stream",
        "synthetic",
        "vocabulary",
        "words",
    },
    "live": {"bundle", "frames", "runtime", "vocabulary", "words"},
    "datasets": {"frames", "metrics", "motion", "synthetic", "vocabulary"},
    "models": {"bundle", "vocabulary", "words"},
    "export": {
        "bundle",
        "frames",
        "graph",
        "metrics",
        "models",
        "runtime",
        "synthetic",
        "vocabulary",
        "words",
    },
    "doctor": {"runtime.backends", "runtime.cuda", "runtime.trt"},
    "engines": {"bundle", "runtime", "runtime.backends", "runtime.trt"},
    # What the ROS node does is a module of its own there, and uses the runtime.
    "emit": {"bundle", "frames", "runtime", "runtime.trt"},
    "parity": {
        "bundle",
        "datasets",
        "export",
        "frames",
        "graph",
        "metrics",
        "runtime",
        "runtime.trt",
    },
    "evaluation": {
        "bundle",
        "datasets",
        "frames",
        "metrics",
        "motion",
        "parity",
        "runtime",
        "runtime.stream",
        "runtime.trt",
    },
    "report": {"bundle", "graph", "metrics", "runtime.trt"},
    "calibration": {
        "bundle",
        "datasets",
        "frames",
        "graph",
        "metrics",
        "models",
        "runtime",
        "runtime.backends",
        "vocabulary",
        "words",
    },
    # It puts to use what exports, calibrates and proves, so it stands above all of them.
    "tune": {
        "bundle",
        "calibration",
        "datasets",
        "engines",
        "evaluation",
        "export",
        "frames",
        "metrics",
        "models",
        "report",
        "runtime",
        "runtime.backends",
        "runtime.trt",
        "vocabulary",
    },
    "cli": {
        "bundle",
        "calibration",
        "datasets",
        "demo",
        "doctor",
        "emit",
        "engines",
        "evaluation",
        "export",
        "frames",
        "graph",
        "live",
        "metrics",
        "models",
        "motion",
        "parity",
        "report",
        "runtime",
        "runtime.backends",
        "runtime.stream",
        "runtime.saving",
        "runtime.trt",
        "tune",
        "vocabulary",
        "words",
    },
}


def folder_of(module: str) -> str:
    """The folder of a module such as "edge_ovss.runtime.trt.gpu": "runtime.trt"."""
    parts = module.split(".")[1:]
    if len(parts) > 1 and parts[0] == "runtime" and (PACKAGE / "runtime" / parts[1]).is_dir():
        return ".".join(parts[:2])
    return parts[0] if parts else ""


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules of this package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("edge_ovss"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            if node.module and node.module.split(".")[0] == "edge_ovss":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def found_picture() -> dict[str, set[str]]:
    picture: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE.parent).with_suffix("").parts
        folder = folder_of(".".join(inside))
        if len(inside) == 2:
            continue  # the façade and the ground
        used = {folder_of(name) for name in imports_of(path)}
        picture.setdefault(folder, set()).update(used - GROUND - {folder, ""})
    return picture


def test_the_picture_of_imports_is_true() -> None:
    assert found_picture() == PICTURE


def test_imports_run_one_way() -> None:
    seen: set[str] = set()
    for folder, used in PICTURE.items():
        assert used <= seen, f"{folder} imports {sorted(used - seen)}, which come after it"
        seen.add(folder)


def test_no_folder_holds_more_than_fifteen_modules() -> None:
    for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]:
        modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= 15, f"{folder.relative_to(PACKAGE.parent)}: {sorted(modules)}"


def test_no_folder_is_more_than_a_fifth_of_the_package() -> None:
    lines = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")
    }
    total = sum(lines.values())
    for folder in (path for path in PACKAGE.iterdir() if path.is_dir()):
        own = sum(count for path, count in lines.items() if path.is_relative_to(folder))
        assert own <= total / 5, f"{folder.name} holds {own} of {total} lines"


def test_contributing_draws_the_same_picture() -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.split("| layer | folders |")[1].split("\n\n")[0]
    rows = [re.findall(r"`([a-z._]+)`", line) for line in table.splitlines()[2:]]
    assert sorted(folder for row in rows for folder in row) == sorted(PICTURE)
    seen: set[str] = set()
    for row in rows:
        seen.update(row)
        for folder in row:
            assert PICTURE[folder] <= seen, f"{folder} imports from a row below"
