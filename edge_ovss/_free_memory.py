"""Find out how much memory this process can still allocate.

The limits are the system's free memory, control groups (containers), and `ulimit -v`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Without a limit, systems report the largest possible number of pages.
_NO_LIMIT = 1 << 60
_KINDS = ("active", "inactive")


def free_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still allocate; None if unknown.

    Args:
        root: The folder that contains `proc` and `sys`.
    """
    found = [*_of_system(root), *_of_groups(root), *_of_limit(root)]
    return max(0, min(found)) if found else None


def available_bytes(meminfo: Path) -> int | None:
    """Return the available memory in bytes, without swap; None if unknown."""
    number = _fields(meminfo).get("MemAvailable:")
    return None if number is None else number << 10


def swap_bytes(root: Path = Path("/")) -> tuple[int, int] | None:
    """Return the bytes of swap, all and unused; None if unknown."""
    lines = _fields(root / "proc/meminfo")
    if "SwapTotal:" not in lines or "SwapFree:" not in lines:
        return None
    return lines["SwapTotal:"] << 10, lines["SwapFree:"] << 10


def _of_system(root: Path) -> Iterator[int]:
    lines = _fields(root / "proc/meminfo")
    if "MemAvailable:" in lines:
        yield (lines["MemAvailable:"] + lines.get("SwapFree:", 0)) << 10


def _of_groups(root: Path) -> Iterator[int]:
    """Yield the memory left in every control group above this process, version 1 or 2."""
    for name, group in _groups(root):
        if name == "":
            base, limit, usage, prefix = "sys/fs/cgroup", "max", "current", ""
        elif "memory" in name.split(","):
            base, limit, usage = "sys/fs/cgroup/memory", "limit_in_bytes", "usage_in_bytes"
            prefix = "total_"
        else:
            continue
        top = root / base
        for folder in _upwards(top, group):
            most, now = _number(folder / f"memory.{limit}"), _number(folder / f"memory.{usage}")
            if most is not None and now is not None and most < _NO_LIMIT:
                stat = _fields(folder / "memory.stat")
                # The page cache is freed on demand.
                yield most - now + sum(stat.get(f"{prefix}{kind}_file", 0) for kind in _KINDS)


def _groups(root: Path) -> Iterator[tuple[str, str]]:
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, group = rest.partition(":")
        yield names, group.strip("/")


def _upwards(top: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and its parents; a container may see only the outermost."""
    folder = top / group
    while folder != top:
        yield folder
        folder = folder.parent
    yield top


def _of_limit(root: Path) -> Iterator[int]:
    pages = _read(root / "proc/self/statm").split()
    if not pages or not pages[0].isdecimal():
        return
    import resource  # missing on some systems, but never where there is a statm

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit - int(pages[0]) * resource.getpagesize()


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of all lines that consist of a name and a number."""
    parts = (line.split() for line in _read(path).splitlines())
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdecimal()}


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
