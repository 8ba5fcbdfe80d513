"""How long the command line takes to say what it can do: user time of `--help`, in seconds.

python -m benchmarks.cpu.startup
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

REPEATS = 15
COMMANDS = (["--help"], ["vocab", "list"], ["export", "--help"], ["run", "--help"])


def user_seconds(arguments: list[str]) -> float:
    """Run `python -m edge_ovss …` and return the user time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "edge_ovss", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    """Print the median and the range of every command."""
    for arguments in COMMANDS:
        seconds = [user_seconds(arguments) for _ in range(REPEATS)]
        text = " ".join(["edge-ovss", *arguments])
        print(f"{text:28s} {statistics.median(seconds):.3f} s ", end="")
        print(f"({min(seconds):.3f} to {max(seconds):.3f}, {REPEATS} runs)")


if __name__ == "__main__":
    main()
