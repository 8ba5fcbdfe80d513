"""Let the process that builds end with the one that started it, in whatever way that ends.

A builder measures for minutes with all cores and the GPU; nobody would use what it makes. On Linux
the kernel is asked to kill it. Everywhere a thread waits for the end of stdin too, whose other end
only the parent holds; a builder that keeps Python's lock lets that thread wait.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

FLAG = "--with-parent"

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Tie this process to `parent`, the process that started it with a pipe as stdin."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)
    threading.Thread(target=_wait_for_end, args=(os.dup(0),), daemon=True).start()


def _wait_for_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os._exit(1)
