"""Measure a cold start: the time from process start to the first label, and the peak memory.

`measure_cold_start` runs this module as a program: only a fresh process shows how long a robot
waits after it is switched on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ovss._strict_parsing import parse_json
from edge_ovss.errors import ArtifactError

_SECONDS = 600


@dataclass(frozen=True)
class ColdStart:
    """One cold start.

    Attributes:
        seconds: Time from the start of the process to the first label.
        peak_mib: Peak memory of the process in MiB; None if unknown.
    """

    seconds: float
    peak_mib: float | None

    def to_json(self) -> dict[str, object]:
        """Return the measurement as a JSON object."""
        return asdict(self)


def measure_cold_start(
    bundle: str | Path, *, size: tuple[int, int], backend: str = "auto", threads: int | None = None
) -> ColdStart:
    """Start a process that opens a bundle and segments one frame.

    Args:
        bundle: The folder.
        size: (height, width) of the frame.
        backend: A registered name, or "auto".
        threads: CPU threads; None for the default.

    Raises:
        ArtifactError: The process failed; the message has its last line.
    """
    arguments = [str(bundle), backend, str(threads or 0), str(size[0]), str(size[1])]
    command = [sys.executable, "-m", "edge_ovss.evaluation.cold_start", *arguments]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
            env=child_environment(),
        )
        answer = parse_json(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as err:
        shown = getattr(err, "stderr", None) or str(err)
        lines = [line for line in str(shown).strip().splitlines() if line] or ["no reason given"]
        message = f"The cold start failed: {lines[-1][:300]}"
        raise ArtifactError(
            message, hint="Run edge-ovss selftest on the bundle for details."
        ) from err
    return ColdStart(answer["at"] - start, answer["peak_mib"])


def child_environment() -> dict[str, str]:
    """Let the child find this package where the parent found it."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def peak_memory_mib(status: Path = Path("/proc/self/status")) -> float | None:
    """Return the peak memory of this process in MiB; None if unknown.

    Args:
        status: Linux's file about this process. What `getrusage` says there would be inherited
            from the process that started this one.
    """
    try:
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, ValueError, StopIteration):
        return _peak_by_getrusage()


def _peak_by_getrusage() -> float | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _main(arguments: list[str]) -> None:
    import numpy as np

    from edge_ovss.runtime.segmenter import Segmenter

    bundle, backend, threads, height, width = arguments
    frame = np.full((int(height), int(width), 3), 127, np.uint8)
    # As on a robot: the sha256 of every file is verified, too.
    with Segmenter.open(bundle, backend=backend, threads=int(threads) or None) as segmenter:
        segmenter.segment(frame)
        at = time.monotonic()
    print(json.dumps({"at": at, "peak_mib": peak_memory_mib()}))


if __name__ == "__main__":
    _main(sys.argv[1:])
