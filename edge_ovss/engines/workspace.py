"""How much memory a build may use for scratch."""

from __future__ import annotations

from pathlib import Path

from edge_ovss._free_memory import available_bytes
from edge_ovss.runtime.trt.gpu import Gpu

_MEMINFO = Path("/proc/meminfo")
_LEAST_MIB = 256


def free_memory_mib(meminfo: Path = _MEMINFO) -> int | None:
    """Return the memory that programs can still have, in MiB; None where it cannot be known."""
    found = available_bytes(meminfo)
    return None if found is None else found >> 20


def default_workspace_mib(gpu: Gpu | None, free_mib: int | None) -> int | None:
    """Return the limit to use where the user gives none; None leaves it to the builder.

    On a Jetson the GPU's memory is the system's: a builder that takes all of it is killed, and the
    desktop with it, so it gets half of what is free. A limit that is too small drops the fused
    attention kernels without a word, so nothing less than 256 MiB is set.
    """
    if gpu is None or not gpu.jetson or free_mib is None:
        return None
    return max(_LEAST_MIB, free_mib // 2)
