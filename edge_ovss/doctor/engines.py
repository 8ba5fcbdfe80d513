"""Find what this machine and this Python have for engines, for `edge-ovss doctor`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ovss.runtime.cuda.memory import memory_ways
from edge_ovss.runtime.trt.gpu import Gpu, local_gpu
from edge_ovss.runtime.trt.variants import FLAVORS, Flavor, install_hint, installed_module

# Where Debian packages, and so JetPack, put Python modules.
_SYSTEM_PACKAGES = Path("/usr/lib")


@dataclass(frozen=True)
class FlavorFacts:
    """One TensorRT, as this Python sees it.

    Attributes:
        module: The module that would be imported; None if there is none.
        version: Its version; None if it cannot be imported.
        builds: Whether `edge-ovss build` can work here.
        runs: Whether an engine can run here.
        advice: How to get what is missing; None if nothing is missing.
    """

    module: str | None
    version: str | None
    builds: bool
    runs: bool
    advice: str | None


@dataclass(frozen=True)
class EngineFacts:
    """Everything on this machine that engines need.

    Attributes:
        gpu: The GPU; None without one that has a driver.
        device_memory: Usable ways to allocate its memory; the first one is used.
        memory_advice: How to get the other ways, by name; all are optional.
        flavors: Every TensorRT by the name of its backend.
    """

    gpu: Gpu | None
    device_memory: tuple[str, ...]
    memory_advice: Mapping[str, str]
    flavors: Mapping[str, FlavorFacts]

    def to_json(self) -> dict[str, object]:
        """Return the facts as a JSON object."""
        return asdict(self)


def survey() -> EngineFacts:
    """Collect the facts without loading TensorRT into this process."""
    gpu = local_gpu()
    flavors = {name: _look(flavor, gpu) for name, flavor in FLAVORS.items()}
    ways = memory_ways()
    # Without a GPU no way works, so advise only on packages that are not installed.
    advice = {
        name: way.problem
        for name, way in ways.items()
        if way.problem is not None and (gpu is not None or not way.installed)
    }
    usable = tuple(name for name, way in ways.items() if way.problem is None)
    return EngineFacts(gpu, usable if gpu is not None else (), advice, flavors)


def _look(flavor: Flavor, gpu: Gpu | None) -> FlavorFacts:
    module = installed_module(flavor)
    if module is None:
        advice = elsewhere(flavor) or install_hint(flavor)
        return FlavorFacts(None, None, builds=False, runs=False, advice=advice)
    version, complaint = import_version(module)
    if version is None:
        advice = f"it is installed but does not load: {complaint}; {install_hint(flavor)}"
        return FlavorFacts(module, None, builds=False, runs=False, advice=advice)
    reason = _why_not_run(flavor, gpu)
    builds = reason is None or not flavor.needs_gpu
    return FlavorFacts(module, version, builds=builds, runs=reason is None, advice=reason)


def _why_not_run(flavor: Flavor, gpu: Gpu | None) -> str | None:
    if gpu is None:
        return "there is no NVIDIA GPU with a driver: engines do not run on this machine"
    if flavor.capabilities is not None and gpu.capability not in flavor.capabilities:
        return f"{flavor.title} has no support for compute capability {gpu.capability}"
    return None


def import_version(module: str) -> tuple[str | None, str]:
    """Import a module in a child process; return its version, or None and the error."""
    code = f"import {module} as m; print(getattr(m, '__version__', '?'))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as err:
        return None, type(err).__name__
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip().splitlines()[-1], ""
    lines = done.stderr.strip().splitlines()
    return None, lines[-1] if lines else f"it ends with status {done.returncode}"


def elsewhere(flavor: Flavor, root: Path = _SYSTEM_PACKAGES) -> str | None:
    """Return advice if a different Python on this machine has the module; else None."""
    for module in flavor.modules:
        for found in sorted(root.glob(f"python3*/dist-packages/{module}/__init__.py")):
            folder = found.parent.parent
            return (
                f"'{module}' is in {folder}, which this Python ({sys.executable}) does not see: "
                "use /usr/bin/python3 -m venv --system-site-packages ENV"
            )
    return None
