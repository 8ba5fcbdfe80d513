"""A limit of memory, so that what needs more says so and no other program is ended for it."""

from __future__ import annotations

from edge_ovss._free_memory import free_bytes

_SHARE = 0.85


def limit_memory(gib: float | None) -> float | None:
    """Refuse this process, and each that it starts, more memory than this.

    Without a limit the system ends a process that takes too much, and it has no last words.

    Args:
        gib: The limit; None for 85 % of what is free now.

    Returns:
        The limit in GiB; None where the system has none.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    free = free_bytes()
    if gib is None and free is None:
        return None
    most = int(_SHARE * (free or 0)) if gib is None else int(gib * 2**30)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    # Anonymous memory only: the pages of mapped files can be dropped.
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    return most / 2**30
