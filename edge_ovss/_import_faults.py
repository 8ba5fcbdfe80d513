"""Advice about packages that are installed but cannot be imported."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import metadata

_LIBRARY = re.compile(r"\b(lib[\w.+-]+?\.so[\w.]*|[\w.+-]+\.dll)\b")
_OTHER_NUMPY = re.compile(r"_ARRAY_API|numpy\.core\.multiarray|NumPy 1\.x|numpy\.dtype size", re.I)
# Debian and Ubuntu packages by the system library that a wheel expects.
_SYSTEM = {
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libX11.so.6": "libx11-6",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libopenblas.so.0": "libopenblas0",
    "libnvinfer.so.10": "libnvinfer10",
}


@dataclass(frozen=True)
class Problem:
    """The reason why a package cannot be imported, and what to do."""

    error: str
    advice: str


def remedy(module: str, error: str) -> str:
    """Return what to install so that `module` can be imported.

    Args:
        module: Name of the module; its distribution is looked up.
        error: The error message of the import.
    """
    root = module.partition(".")[0]
    names = _distributions(root)
    if _OTHER_NUMPY.search(error):
        return f"It was built for a different NumPy: pip install --upgrade {names[0]}"
    library = _LIBRARY.search(error)
    if library is None:
        return f"Reinstall it: pip install --force-reinstall --no-deps {shlex.join(names)}"
    install = _system_install(library[1])
    if root != "cv2" or library[1] not in _SYSTEM:
        return install
    # The headless package opens no windows, which is not needed here, and needs no such library.
    return (
        f"pip uninstall {shlex.join(names)}, then pip install opencv-python-headless; "
        f"or install the library: {install}"
    )


def _system_install(library: str) -> str:
    if library in _SYSTEM:
        return f"apt install {_SYSTEM[library]}"
    return (
        f"Install the system's package that holds {library}, or set LD_LIBRARY_PATH to its folder"
    )


def _distributions(module: str) -> list[str]:
    """Return the distributions that installed a module; the module itself if unknown."""
    try:
        found = metadata.packages_distributions().get(module)
    except (OSError, ValueError):
        found = None
    return sorted(set(found)) if found else [module]
