"""End the building process together with its parent, however the parent ends.

Otherwise an orphaned builder would occupy all cores and the GPU for minutes. On Linux the kernel
kills it. On all systems a thread also waits for the end of stdin, whose other end only the parent
holds; but it cannot run while the builder holds Python's lock.
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
    tie_to_parent(parent)
    threading.Thread(target=_wait_for_end, args=(os.dup(0),), daemon=True).start()


def tie_to_parent(parent: int) -> None:
    """Do the part of it that needs no stdin, which this process may want to read itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the call above
        os._exit(1)


def _wait_for_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os._exit(1)
