"""Write the ROS 2 package of a bundle."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from edge_ovss.bundle.reader import MANIFEST, Bundle
from edge_ovss.emit.cpp_text import comment
from edge_ovss.emit.folder import EmittedFolder
from edge_ovss.emit.ros2.texts import (
    PARAMETERS,
    cmake_text,
    made_from_header,
    made_from_text,
    package_xml,
    page_text,
    script_text,
)
from edge_ovss.errors import UsageError

_HERE = Path(__file__).parent
_NAME = re.compile(r"[a-z](_?[a-z0-9])*")
_LONGEST = 64
TOWER = "text_tower"


@dataclass(frozen=True)
class EmittedPackage:
    """What was written: the folder, the name of the package, and the content of `emitted.json`."""

    out: Path
    package: str
    record: dict[str, object]


def emit_ros2(
    bundle: Bundle,
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> EmittedPackage:
    """Write a ROS 2 package that segments with the bundle, which it holds a copy of.

    Args:
        bundle: The bundle, opened with its files verified.
        out: The folder to write, whole or not at all.
        name: Of the package; None for one from the name of the bundle.
        overwrite: Replace what an earlier run wrote.

    Raises:
        UsageError: The name is none that a ROS package can have.
        OutputError: `out` cannot be written, or something is there.
    """
    package = package_name(bundle, name)
    with EmittedFolder(out, bundle, "ros2", overwrite=overwrite) as folder:
        _write_texts(folder, package)
        _write_node(folder, package)
        _write_cpp_node(folder, package, bundle)
        for each in (MANIFEST, *bundle.manifest.files):
            folder.copy(f"bundle/{each}", bundle.file(each))
        _copy_tower(folder, bundle)
        return EmittedPackage(folder.out, package, folder.finish())


def _copy_tower(folder: EmittedFolder, bundle: Bundle) -> None:
    """Copy the text tower of an open bundle, which its manifest does not list."""
    for source in sorted((bundle.path / TOWER).glob("*")):
        if source.is_file():
            folder.copy(f"bundle/{TOWER}/{source.name}", source)


def package_name(bundle: Bundle, given: str | None) -> str:
    """Return the name of the package: as given, or from the bundle's folder.

    Raises:
        UsageError: The given name is none that a ROS package can have.
    """
    if given is None:
        stem = re.sub(r"[^a-z0-9]+", "_", bundle.path.stem.lower()).strip("_")[:40].strip("_")
        plain = stem if stem[:1].isalpha() else f"ovss_{stem}".strip("_")
        return f"{plain}_segmenter"
    if len(given) > _LONGEST or not _NAME.fullmatch(given):
        message = (
            f"--name is '{given}'; expected a name for a ROS package: lower-case letters, digits "
            f"and single '_', a letter first, at most {_LONGEST}."
        )
        raise UsageError(message, hint="For example: city_segmenter.")
    return given


def _write_texts(folder: EmittedFolder, package: str) -> None:
    origin, above = folder.origin, folder.origin.comment("ros2")
    folder.write("package.xml", package_xml(package, origin))
    folder.write("CMakeLists.txt", above + cmake_text(package))
    folder.write("README.md", page_text(package, origin))
    folder.write("config/segmenter.yaml", above + PARAMETERS)
    launch = (_HERE / "package" / "launch.py.in").read_text(encoding="utf-8")
    folder.write("launch/segmenter.launch.py", above + launch.replace("@PACKAGE@", package))
    folder.write("scripts/segmenter", "#!/usr/bin/env python3\n" + above + script_text(package))


def _write_node(folder: EmittedFolder, package: str) -> None:
    origin, above = folder.origin, folder.origin.comment("ros2")
    folder.write(f"{package}/__init__.py", above)
    folder.write(f"{package}/made_from.py", above + made_from_text(package, origin))
    core = (_HERE / "core.py").read_text(encoding="utf-8")
    folder.write(f"{package}/core.py", above + core)
    node = (_HERE / "package" / "node.py.in").read_text(encoding="utf-8")
    folder.write(f"{package}/node.py", above + node)


def _write_cpp_node(folder: EmittedFolder, package: str, bundle: Bundle) -> None:
    above = comment(folder.origin.lines("ros2"))
    folder.write("src/made_from.hpp", above + made_from_header(package, folder.origin, bundle))
    for name in ("core.hpp", "core.cpp", "node.cpp"):
        text = (_HERE / "package" / f"{name}.in").read_text(encoding="utf-8")
        folder.write(f"src/{name}", above + text)
