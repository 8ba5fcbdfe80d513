"""How much memory is free, and whether an engine can be built in it, for `edge-ovss doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ovss._free_memory import free_bytes, swap_bytes

# By the size of the bundle: twice the peak memory of the build process, measured with TensorRT for
# RTX 1.7. Builders of other versions and GPUs try out more (docs/engines.md).
BUILD_MIB: Mapping[str, int] = {"10 MB": 1000, "350 MB": 3000}


@dataclass(frozen=True)
class MemoryFacts:
    """Memory in MiB; None where unknown.

    Attributes:
        free_mib: What this process can still allocate, swap included.
        swap_free_mib: Swap that is unused.
        swap_total_mib: Swap that there is.
    """

    free_mib: int | None
    swap_free_mib: int | None
    swap_total_mib: int | None

    def to_json(self) -> dict[str, object]:
        """Return the facts, and for each size of bundle whether its build fits."""
        return {**asdict(self), "build_fits": {name: self.fits(name) for name in BUILD_MIB}}

    def fits(self, name: str) -> bool | None:
        """Whether an engine of a bundle of this size can be built; None if unknown."""
        return None if self.free_mib is None else self.free_mib >= BUILD_MIB[name]

    def advice(self) -> str:
        """Return in words what fits, and how to make room."""
        if self.free_mib is None:
            return "unknown, because the free memory is"
        words = {True: "fits", False: "does not fit"}
        parts = [f"a bundle of {name} {words[bool(self.fits(name))]}" for name in BUILD_MIB]
        if all(self.fits(name) for name in BUILD_MIB):
            return ", ".join(parts)
        room = "close the desktop, or add swap on a disk"
        need = max(BUILD_MIB.values())
        return f"{', '.join(parts)} (about {need} MiB): {room} (docs/engines.md)"


def survey_memory(root: Path = Path("/")) -> MemoryFacts:
    """Look at the memory of this machine and the limits of its container.

    Args:
        root: The folder that contains `proc` and `sys`.
    """
    swap = swap_bytes(root)
    total, free = (None, None) if swap is None else (swap[0] >> 20, swap[1] >> 20)
    room = free_bytes(root)
    return MemoryFacts(None if room is None else room >> 20, free, total)
