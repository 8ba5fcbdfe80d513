"""The GPU of this machine, and the compute capabilities that engines are built for."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from edge_ovss._machine import jetson
from edge_ovss.errors import ArtifactError, UsageError
from edge_ovss.runtime.cuda.driver import cuda_driver
from edge_ovss.runtime.trt.variants import Flavor

# Targets of TensorRT for RTX if there is no GPU here: Ampere, Ada, Blackwell.
DESKTOP = ("8.6", "8.9", "12.0")
JETSON = {"5.3": "Nano", "6.2": "TX2", "7.2": "Xavier", "8.7": "Orin", "11.0": "Thor"}

_DRIVER = Path("/sys/module/nvidia/version")
_FORM = re.compile(r"(?:sm_?)?(\d{1,2})\.?(\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Gpu:
    """A GPU, and the system software that its engines depend on.

    Attributes:
        name: Name reported by the driver.
        capability: Compute capability such as "8.7".
        system: L4T release on a Jetson, else the driver's version.
        jetson: Whether it is a Jetson.
    """

    name: str
    capability: str
    system: str
    jetson: bool


def local_gpu() -> Gpu | None:
    """Return the first GPU, or None if there is none with a driver."""
    driver = cuda_driver()
    if driver is None:
        return None
    facts, board = driver.device(), jetson()
    if board is not None:
        return Gpu(facts.name, facts.capability, f"L4T {_release(board['l4t'])}", jetson=True)
    return Gpu(facts.name, facts.capability, _driver_version() or f"CUDA {facts.cuda}", False)


def platform_name() -> str:
    """Return system and processor, such as "linux-x86_64"."""
    machine = platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
    return f"{platform.system().lower()}-{machine}"


def parse_capabilities(written: str) -> tuple[str, ...]:
    """Parse a list such as "8.6,8.9" or "sm_86,sm_89"; keep the order, drop repetitions.

    Raises:
        UsageError: An entry has the wrong form.
    """
    found: dict[str, None] = {}
    for entry in written.split(","):
        match = _FORM.fullmatch(entry.strip())
        if match is None:
            message = f"--compute-capability has '{entry.strip()}'; expected 8.6 or sm_86."
            raise UsageError(message, hint="Several are separated by commas: 8.6,8.9,12.0.")
        found[f"{int(match[1])}.{match[2]}"] = None
    return tuple(found)


def choose_capabilities(
    flavor: Flavor, wanted: tuple[str, ...] | None, gpu: Gpu | None
) -> tuple[str, ...]:
    """Return the compute capabilities to build for.

    Args:
        flavor: The variant of TensorRT.
        wanted: Requested capabilities; None for the local GPU or, without one, `DESKTOP`.
        gpu: The local GPU.

    Raises:
        UsageError: TensorRT cannot build for a requested capability.
        ArtifactError: It does not run on the local GPU.
    """
    if flavor.capabilities is None:
        return _local_only(flavor, wanted, gpu)
    if wanted is None and gpu is not None and gpu.capability not in flavor.capabilities:
        message = f"{flavor.title} does not run on this GPU ({gpu.name}, {_sm(gpu.capability)})."
        raise ArtifactError(message, hint=_elsewhere(gpu.capability, flavor))
    chosen = wanted or ((gpu.capability,) if gpu is not None else DESKTOP)
    for capability in chosen:
        if capability not in flavor.capabilities:
            known = ", ".join(map(_sm, flavor.capabilities))
            given = _sm(capability)
            message = f"{flavor.title} cannot build for {given}; expected any of: {known}."
            raise UsageError(message, hint=_elsewhere(capability, flavor))
    return chosen


def _local_only(flavor: Flavor, wanted: tuple[str, ...] | None, gpu: Gpu | None) -> tuple[str, ...]:
    here = () if gpu is None else (gpu.capability,)
    if wanted is not None and wanted != here:
        given, found = ", ".join(map(_sm, wanted)), ", ".join(map(_sm, here)) or "no GPU"
        message = f"{flavor.title} builds for the GPU it runs on ({found}), not for {given}."
        raise UsageError(message, hint="Copy the bundle to the device and build there.")
    return here


def _elsewhere(capability: str, flavor: Flavor) -> str:
    if capability in JETSON:
        board = JETSON[capability]
        return f"A Jetson ({board}) uses TensorRT: build there, with --backend tensorrt."
    return f"Use --backend tensorrt on the device; {flavor.title} is for desktop RTX GPUs."


def _sm(capability: str) -> str:
    return f"sm_{capability.replace('.', '')}"


def _release(line: str) -> str:
    """Return "36.4.3" from "# R36 (release), REVISION: 4.3, …"; other lines as they are."""
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", line)
    return f"{found[1]}.{found[2]}" if found else line


def _driver_version() -> str | None:
    try:
        return f"driver {_DRIVER.read_text(encoding='utf-8').strip()}"
    except OSError:
        return None
