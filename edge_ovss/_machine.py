"""Facts about this machine and this installation, found without heavy imports."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from edge_ovss._files import cache_folder
from edge_ovss._optional import is_installed

# Distributions that may provide a module, by module.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "cv2": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    ),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "onnx": ("onnx",),
    "onnxscript": ("onnxscript",),
    "torch": ("torch",),
    "open_clip": ("open_clip_torch",),
    "timm": ("timm",),
    "tokenizers": ("tokenizers",),
    "ftfy": ("ftfy",),
    "tensorrt": ("tensorrt",),
    "tensorrt_rtx_bindings": ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu12-bindings"),
    "openvino": ("openvino",),
    "pycuda": ("pycuda",),
    "cuda": ("cuda-python", "cuda-bindings"),
}

_TEGRA = Path("/etc/nv_tegra_release")
CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/proc/device-tree/model")


def package_versions() -> dict[str, str | None]:
    """Return the version by module; None if not installed, "?" if there is no metadata."""
    return {module: _version(module, names) for module, names in PACKAGES.items()}


def _version(module: str, distributions: tuple[str, ...]) -> str | None:
    if not is_installed(module):
        return None
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "?"


def machine_facts() -> dict[str, object]:
    """Return facts about the computer; memory in MiB, None where unknown."""
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": available_cores(),
        "memory_mib": _memory_mib(),
        "gpus": nvidia_gpus(),
        "jetson": jetson(),
        "cache": None if cache_folder() is None else str(cache_folder()),
    }


def onnxruntime_providers() -> list[str]:
    """Return the providers that ONNX Runtime was built with; [] if it cannot be imported."""
    try:
        runtime = importlib.import_module("onnxruntime")
        return list(runtime.get_available_providers())
    except Exception:  # a broken package may raise anything; `import_check` reports it
        return []


def nvidia_gpus() -> list[str]:
    """Return "name, memory, driver, compute capability" of each GPU that nvidia-smi lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,memory.total,driver_version,compute_cap"
    try:
        command = [program, query, "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def jetson() -> dict[str, str] | None:
    """Return board and L4T release of a Jetson, or None on other machines."""
    release = _first_line(_TEGRA)
    board = _first_line(_BOARD)
    if release is None and (board is None or "jetson" not in board.lower()):
        return None
    return {"board": board or "?", "l4t": release or "?"}


def _first_line(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[0].strip("\0 ") if lines else None


def processor_features(
    cpuinfo: Path = CPUINFO, names: tuple[str, ...] = ("flags", "Features")
) -> list[str] | None:
    """Return what the first processor says it can do; None if nothing says so.

    Args:
        cpuinfo: The system's file. It repeats every core, so the rest is not read.
        names: Of its lines: "flags" on x86-64, "Features" on ARM.
    """
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            found = next((line for line in lines if line.partition(":")[0].strip() in names), None)
    except OSError:
        return None
    return None if found is None else found.partition(":")[2].split()


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _memory_mib() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (AttributeError, OSError, ValueError):
        return None
